//! A world for one run: a service that counts what is done to it, and lives of the process that
//! end wherever a test says.

mod approvals;
mod at_rest;
mod behavior;
mod crash;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use writ_evidence::{digest::RunKey, writ::ResumeDecision};
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::{ActionCall, ApprovalWait, CodeRun, Outcome, StepError, bundle};
use zeroize::Zeroizing;

use super::{Engine, StartRun};
use crate::{
    perform::{CloseError, Perform, Performed, Recovery},
    status::{Phase, RunStatus},
};

const RUN: RunId = RunId::from_bits(1);
const STORAGE_KEY: [u8; 32] = [7; 32];
const RUN_KEY: &[u8; 32] = b"CANARY-run-key-23456789abcdef-32";

/// Every kind of effect: a read, a keyed write, two that may happen only once, code, waits, and an
/// error that is caught and tried again.
const DRILL: &str = r#"
document: {dsl: 1.0.0, namespace: secops, name: drill, version: 1.0.0}
do:
  - look:
      call: acme.things.read:1.0.0@default
      with: {connection: acme, n: "${ .n }"}
      export: {as: "${ {look: .value} }"}
  - keyed:
      call: acme.things.keyed:1.0.0@default
      with: {connection: acme, n: "${ $context.look }"}
      export: {as: "${ $context + {keyed: .value} }"}
  - once:
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: "${ $context.keyed }"}
      export: {as: "${ $context + {once: .value} }"}
  - score:
      run:
        script: {language: python, code: "print(1)", arguments: {n: "${ $context.once }"}}
      export: {as: "${ $context + {score: .value} }"}
  - pause:
      wait: {milliseconds: 2}
  - choose:
      switch:
        - large: {when: "${ $context.score > 3 }", then: flaky}
        - otherwise: {then: never}
  - never:
      raise: {error: {type: "https://serverlessworkflow.io/spec/1.0.0/errors/runtime", status: 500}}
  - flaky:
      try:
        - ask:
            call: acme.things.flaky:1.0.0@default
            with: {connection: acme, n: "${ $context.score }"}
            export: {as: "${ $context + {flaky: .value} }"}
      catch:
        errors: {with: {status: 503}}
        retry: {delay: {milliseconds: 1}, backoff: {constant: {}}, limit: {attempt: {count: 5}}}
  - last:
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: "${ $context.flaky }"}
  - done:
      set: {total: "${ .value }", seen: "${ $context }"}
"#;

/// One call of an action that may happen only once.
const ONCE: &str = r"
document: {dsl: 1.0.0, namespace: secops, name: once, version: 1.0.0}
do:
  - once:
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: 1}
";

/// The outside: what was done to it, and how it is to behave.
#[derive(Default)]
struct Service {
    /// Steps of actions that were called, in order.
    calls: Mutex<Vec<StepId>>,
    closes: AtomicU64,
    /// A step and how often it had been called when a person said: again.
    again: Mutex<BTreeSet<(StepId, usize)>>,
    /// Calls of what may happen once that nobody had allowed.
    violations: Mutex<Vec<StepId>>,
    /// Actions of this name happen, but nobody hears of it.
    goes_silent: Mutex<Option<String>>,
    refuses_to_close: AtomicBool,
    /// What the next error says in detail.
    detail: Mutex<Option<String>>,
    /// What people were asked, and whether they have answered.
    asked: Mutex<Vec<ApprovalWait>>,
    answered: AtomicBool,
    /// Whether calls wait for people, and how often that was asked.
    demands: AtomicBool,
    demanded: AtomicU64,
    /// How long an action takes.
    slow_ms: AtomicU64,
    /// Added to the clock.
    ahead_ms: AtomicU64,
}

impl Service {
    fn called(&self, step: &StepId) -> usize {
        self.calls.lock().unwrap().iter().filter(|called| *called == step).count()
    }

    fn note(&self, call: &ActionCall) {
        let before = self.called(&call.step);
        let allowed =
            before == 0 || self.again.lock().unwrap().contains(&(call.step.clone(), before));
        if kind(call) == "once" && !allowed {
            self.violations.lock().unwrap().push(call.step.clone());
        }
        self.calls.lock().unwrap().push(call.step.clone());
    }
}

/// The last word of the action's name.
fn kind(call: &ActionCall) -> &str {
    call.action.as_str().rsplit('.').next().unwrap()
}

fn next(parameters: &serde_json::Map<String, Value>) -> Value {
    json!({ "value": parameters.get("n").and_then(Value::as_i64).unwrap_or_default() + 1 })
}

impl Perform for Service {
    async fn call_action(&self, _run: RunId, call: ActionCall) -> Performed {
        if self.demands.load(Ordering::SeqCst) && !self.answered.load(Ordering::SeqCst) {
            return Performed::Demanded;
        }
        self.note(&call);
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(self.slow_ms.load(Ordering::SeqCst))).await;
        let silent = self.goes_silent.lock().unwrap().clone();
        if silent.as_deref() == Some(kind(&call)) {
            return Performed::Interrupted;
        }
        if kind(&call) == "flaky" && call.step.iteration == 0 {
            return Performed::done(Err(StepError::standard(
                "communication",
                503,
                "http-503",
                "/",
            )));
        }
        if let Some(detail) = self.detail.lock().unwrap().clone() {
            let error = StepError::standard("communication", 500, "http-500", "/");
            return Performed::done(Err(StepError { detail: Some(detail), ..error }));
        }
        Performed::done(Ok(next(&call.parameters)))
    }

    async fn run_code(&self, _run: RunId, code: CodeRun) -> Performed {
        let arguments: Value = serde_json::from_str(&code.input.stdin).unwrap();
        Performed::done(Ok(next(arguments.as_object().unwrap())))
    }

    async fn await_approval(&self, _run: RunId, wait: ApprovalWait) -> Performed {
        self.asked.lock().unwrap().push(wait);
        while !self.answered.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Performed::done(Ok(json!([{ "decision": "approve" }])))
    }

    async fn await_call_approval(&self, _run: RunId, _call: &ActionCall) -> Performed {
        self.demanded.fetch_add(1, Ordering::SeqCst);
        while !self.answered.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Performed::done(Ok(Value::Null))
    }

    async fn recovery(&self, _run: RunId, call: &ActionCall) -> Recovery {
        match kind(call) {
            // What waits for people has begun nowhere but in the journal.
            "once" if self.demands.load(Ordering::SeqCst) => Recovery::Again,
            "read" | "flaky" => Recovery::Again,
            "keyed" => Recovery::AgainWithSameKey,
            _ => Recovery::Ask,
        }
    }

    async fn close(&self, _run: RunId, _outcome: &Outcome) -> Result<String, CloseError> {
        if self.refuses_to_close.load(Ordering::SeqCst) {
            return Err(CloseError { reason: "not now".to_owned() });
        }
        self.closes.fetch_add(1, Ordering::SeqCst);
        Ok("statement".to_owned())
    }

    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        UnixMillis(u64::try_from(since.as_millis()).unwrap() + self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// A data folder, and the outside that outlives every life of the process.
struct World {
    folder: TempDir,
    service: Arc<Service>,
}

impl World {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), service: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    /// One life of the process; what it was doing when `live` returns is lost.
    fn life<T>(&self, live: impl AsyncFnOnce(&Engine<Service>) -> T) -> T {
        let key = Zeroizing::new(STORAGE_KEY);
        let engine = Engine::open(&self.path(), key, Arc::clone(&self.service)).unwrap();
        runtime().block_on(async move { live(&engine).await })
    }

    /// A life that starts as a runner does, and goes on until the run has ended.
    fn life_to_the_end(&self, run: RunId) -> RunStatus {
        self.life(async |engine| {
            engine.recover(async |_| Ok(())).await.unwrap();
            until(engine, run, |status| status.phase.is_final()).await
        })
    }

    /// A person who says: do it again.
    async fn say_again(&self, engine: &Engine<Service>, status: &RunStatus) {
        let (step, attempt) = (status.step.clone().unwrap(), status.attempt.unwrap());
        let before = self.service.called(&step);
        self.service.again.lock().unwrap().insert((step.clone(), before));
        // Refused, or lost with the power: the next look shows.
        let _ = engine.resume(RUN, &step, attempt, ResumeDecision::Retry).await;
    }

    /// Every byte of every file in the data folder.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn order(id: RunId, document: &str, input: &Value) -> StartRun {
    StartRun {
        id,
        workspace: "secops".parse().unwrap(),
        automation: "secops/drill".parse().unwrap(),
        acceptance: "acceptance-in-plain".to_owned(),
        bundle: bundle::close(document),
        run_key: RunKey::from_bytes(Zeroizing::new(*RUN_KEY)),
        input: input.to_string(),
    }
}

async fn until(
    engine: &Engine<Service>,
    run: RunId,
    reached: impl Fn(&RunStatus) -> bool,
) -> RunStatus {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = engine.status(run);
        if let Some(status) = &status
            && reached(status)
        {
            return status.clone();
        }
        assert!(Instant::now() < deadline, "the run stays at {status:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_true(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_suspended(status: &RunStatus) -> bool {
    status.phase == Phase::Suspended
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
