//! The real control plane, but…: the real `writ server` over a copy of the tenant's database, and in front of
//! it whoever controls it.
//!
//! Everything that clients and runners send passes here and is kept, byte for byte; everything that the server
//! answers can be altered, dropped or replaced on its way back, and tasks can be put in between. So an attack is the
//! real protocol with one thing wrong. Without a plot the relay is honest.
//!
//! Not here: orders made out of real keys (`hostile`), what an attack is (`tests/attacks`).

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use writ_api::{RunnerReport, RunnerReports, RunnerTask, RunnerTasks};

/// How long something that was said may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of a request that are passed on.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// What was asked of the control plane.
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

/// What it answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// A header beside the content type.
    pub header: Option<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the control plane does otherwise than it should with an answer of the real server's.
pub type Plot = Arc<dyn Fn(&Asked, &mut Answer) + Send + Sync>;

#[derive(Default)]
struct Memory {
    tasks: VecDeque<Vec<RunnerTask>>,
    plot: Option<Plot>,
    withheld: Option<fn(&RunnerReport) -> bool>,
    received: Vec<u8>,
    reports: Vec<RunnerReport>,
    /// Statements among them. A runner that was restarted tells all of them again.
    stated: BTreeSet<String>,
    takes: usize,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    memory: Mutex<Memory>,
    woken: Notify,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The relay, while it serves.
pub struct Relay {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Listens where clients and runners expect the control plane, in front of the real one at `upstream`.
    ///
    /// # Errors
    ///
    /// The address is taken.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr) -> Result<Self> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let shared = Arc::new(Shared {
            upstream: format!("http://{upstream}"),
            http: http.build()?,
            memory: Mutex::default(),
            woken: Notify::new(),
        });
        let listener = TcpListener::bind(listen).await?;
        let routes = Router::new().fallback(relay).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It serves until it is dropped.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { shared, serving })
    }

    /// Gives the runner these tasks, in one answer to its next question, once.
    pub fn give(&self, tasks: Vec<RunnerTask>) {
        self.shared.memory().tasks.push_back(tasks);
        self.shared.woken.notify_waiters();
    }

    /// From now on answers pass through this.
    pub fn plot(&self, plot: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static) {
        self.shared.memory().plot = Some(Arc::new(plot));
        self.shared.woken.notify_waiters();
    }

    /// From now on these reports never reach the server; whoever sent them is told that they did.
    pub fn withhold(&self, reports: fn(&RunnerReport) -> bool) {
        self.shared.memory().withheld = Some(reports);
    }

    /// From now on the relay is honest.
    pub fn behave(&self) {
        let mut memory = self.shared.memory();
        (memory.plot, memory.withheld) = (None, None);
        memory.tasks.clear();
        drop(memory);
        self.shared.woken.notify_waiters();
    }

    /// How many reports there were so far: a place to look for later ones from. A statement that is told again is
    /// none.
    #[must_use]
    pub fn reported(&self) -> usize {
        self.shared.memory().reports.len()
    }

    /// Waits for what one of the reports since `from` says.
    ///
    /// # Errors
    ///
    /// None said it in time.
    pub fn wait<T>(&self, from: usize, says: impl Fn(&RunnerReport) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(said) = self.said(from, &says) {
                return Ok(said);
            }
            thread::sleep(Duration::from_millis(15));
        }
        bail!("the runner said nothing of it")
    }

    /// What one of the reports since `from` says.
    pub fn said<T>(&self, from: usize, says: impl Fn(&RunnerReport) -> Option<T>) -> Option<T> {
        self.shared.memory().reports.iter().skip(from).find_map(says)
    }

    /// Waits until the runner has asked for tasks so many times more.
    ///
    /// # Errors
    ///
    /// It does not ask.
    pub fn asked_again(&self, times: usize) -> Result<()> {
        let before = self.shared.memory().takes;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.shared.memory().takes >= before + times {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(15));
        }
        bail!("the runner asks for nothing any more")
    }

    /// How often the runner has asked for tasks so far.
    #[must_use]
    pub fn takes(&self) -> usize {
        self.shared.memory().takes
    }

    /// Every byte that the control plane was sent: heads and bodies of all requests.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.shared.memory().received.clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn relay(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match try_relay(&shared, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error:#}")));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn try_relay(shared: &Shared, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_MAX).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    keep(shared, &format!("{} {path}", parts.method), &parts.headers, &body);
    let asked = Asked { method: parts.method.to_string(), path, body };
    let takes = asked.path.ends_with("/runner/take");
    let mut answer = if takes {
        take(shared, &asked, &parts.headers).await?
    } else if asked.path.ends_with("/runner/report") {
        report(shared, &asked, &parts.headers).await?
    } else {
        forward(shared, &asked, &parts.headers, &asked.body).await?
    };
    let plot = shared.memory().plot.clone();
    if let Some(plot) = plot {
        plot(&asked, &mut answer);
        if takes && answer.body == br#"{"tasks":[]}"# {
            // What was dropped is due at once again: the runner need not ask in a tight loop.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    response(answer)
}

/// Keeps a request as it was sent.
fn keep(shared: &Shared, line: &str, headers: &HeaderMap, body: &Bytes) {
    let mut memory = shared.memory();
    memory.received.extend_from_slice(line.as_bytes());
    for (name, value) in headers {
        memory.received.extend_from_slice(b"\n");
        memory.received.extend_from_slice(name.as_str().as_bytes());
        memory.received.extend_from_slice(b": ");
        memory.received.extend_from_slice(value.as_bytes());
    }
    memory.received.extend_from_slice(b"\n\n");
    memory.received.extend_from_slice(body);
    memory.received.extend_from_slice(b"\n");
}

/// Tasks of the plot's own first of all; otherwise the server's.
async fn take(shared: &Shared, asked: &Asked, headers: &HeaderMap) -> Result<Answer> {
    shared.memory().takes += 1;
    // Asked once: the server takes a request's proof once, too.
    let mut forwarded = std::pin::pin!(forward(shared, asked, headers, &asked.body));
    loop {
        let woken = shared.woken.notified();
        let tasks = shared.memory().tasks.pop_front();
        if let Some(tasks) = tasks {
            let body = serde_json::to_vec(&RunnerTasks { tasks })?;
            return Ok(Answer { status: 200, header: None, body });
        }
        tokio::select! {
            answer = &mut forwarded => return answer,
            () = woken => {}
        }
    }
}

async fn report(shared: &Shared, asked: &Asked, headers: &HeaderMap) -> Result<Answer> {
    let mut sent: RunnerReports = serde_json::from_slice(&asked.body)?;
    let withheld = shared.memory().withheld;
    {
        let mut memory = shared.memory();
        for report in &sent.reports {
            let known = matches!(report, RunnerReport::Statement { statement }
                if !memory.stated.insert(statement.clone()));
            if !known {
                memory.reports.push(report.clone());
            }
        }
    }
    if let Some(withheld) = withheld {
        sent.reports.retain(|report| !withheld(report));
    }
    let body = Bytes::from(serde_json::to_vec(&sent)?);
    forward(shared, asked, headers, &body).await
}

/// Asks the real server; a request's proof names its method and its public address, not its body.
async fn forward(
    shared: &Shared,
    asked: &Asked,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Answer> {
    let url = format!("{}{}", shared.upstream, asked.path);
    let mut request = shared.http.request(asked.method.parse()?, url).body(body.clone());
    for (name, value) in headers {
        if name != header::HOST && name != header::CONTENT_LENGTH {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.context("the real server does not answer")?;
    let status = answer.status().as_u16();
    Ok(Answer { status, header: None, body: answer.bytes().await?.to_vec() })
}

fn response(answer: Answer) -> Result<Response> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status)?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = answer.header {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
    }
    Ok(response)
}
