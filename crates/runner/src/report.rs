//! What the runner tells the control plane: statements, run states, verdicts, checkpoints.
//!
//! Statements come from the jail's own state file, by number, so that none is ever skipped; the
//! control plane passes over those that it has. A checkpoint is sent only after every statement
//! that its jail had made; entries of the charter that the control plane lacks are sent before any, since
//! statements name them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use writ_api::{CallError, Problem, RunnerReport, RunnerReports, StatusReport};
use writ_jail_link::{JailReply, JailRequest};

use crate::wiring::Parts;

/// How long to wait after the control plane could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// Reports that belong to no run. In memory: the control plane asks again for what it lacks.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Queue,
    /// Entries of the charter, which go first.
    entries: Queue,
    sent: Notify,
}

#[derive(Default)]
struct Queue(Mutex<Vec<RunnerReport>>);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Vec<RunnerReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    pub(crate) fn put(&self, report: RunnerReport) {
        let queue = match report {
            RunnerReport::Charter { .. } => &self.entries,
            _ => &self.waiting,
        };
        queue.lock().push(report);
    }

    /// Waits until what was put so far is with the control plane, for a while.
    pub(crate) async fn delivered(&self) {
        for _ in 0..50 {
            let sent = self.sent.notified();
            if self.waiting.lock().is_empty() && self.entries.lock().is_empty() {
                return;
            }
            // A missed wake-up only costs this long.
            let _ = tokio::time::timeout(Duration::from_millis(100), sent).await;
        }
    }

    fn drop_first(&self, queue: &Queue, count: usize) {
        queue.lock().drain(..count);
        self.sent.notify_waiters();
    }
}

/// Reports whenever there is something to report, for ever.
pub(crate) async fn serve(parts: Arc<Parts>) {
    let mut newest_statement = 0;
    loop {
        match deliver(&parts, &mut newest_statement).await {
            Delivered::More => {}
            Delivered::All => {
                tokio::select! {
                    () = parts.news.notified() => {}
                    () = parts.engine.news() => {}
                }
            }
            Delivered::Failed => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Shows the jail a statement by its key that the control plane has kept. One that it does not remember stops it.
pub(crate) async fn show(parts: &Parts, statement: String) {
    if let Err(error) = parts.jail.ask(JailRequest::Shown { statement }).await {
        let code = error.code();
        tracing::error!(code, error = %error, "the control plane holds another statement by the jail's key");
    }
}

enum Delivered {
    More,
    All,
    Failed,
}

async fn deliver(parts: &Parts, newest_statement: &mut u64) -> Delivered {
    let route = format!("/v1/tenants/{}/runner/report", parts.ten);
    let entries = parts.outbox.entries.lock().clone();
    if !entries.is_empty() {
        let count = entries.len();
        if let Err(error) =
            parts.server.post_only(&route, &RunnerReports { reports: entries }).await
        {
            tracing::warn!(code = error.code(), error = %error, "the control plane takes no entries");
            return Delivered::Failed;
        }
        parts.outbox.drop_first(&parts.outbox.entries, count);
    }
    // What waits is looked at before the statements are asked for: a checkpoint among it was
    // signed after every statement that it counts.
    let waiting = parts.outbox.waiting.lock().clone();
    let statuses = parts.engine.outbox();
    let ask = JailRequest::Statements { after: *newest_statement };
    let Ok(JailReply::Statements { statements }) = parts.jail.ask(ask).await else {
        return Delivered::Failed;
    };
    let count = statements.len() as u64;
    let statement = |statement| RunnerReport::Statement { statement };
    let mut reports: Vec<RunnerReport> = statements.into_iter().map(statement).collect();
    let more = reports.len() >= 64;
    if !more {
        reports.extend(statuses.iter().filter_map(|item| {
            serde_json::from_str::<StatusReport>(&item.payload).ok().map(RunnerReport::Status)
        }));
        reports.extend(waiting.iter().cloned());
    }
    if reports.is_empty() {
        return Delivered::All;
    }
    if let Err(error) = parts.server.post_only(&route, &RunnerReports { reports }).await {
        tracing::warn!(code = error.code(), error = %error, "the control plane takes no report");
        if error.code() == "statement-gap" {
            // It lacks what it has taken before: it was restored, or it has thrown something away. It is told all
            // of it again, and passes over what it has.
            *newest_statement = 0;
        }
        if let CallError::Problem(Problem { statement: Some(statement), .. }) = error {
            show(parts, statement).await;
        }
        return Delivered::Failed;
    }
    *newest_statement += count;
    if !more {
        if let Some(last) = statuses.last() {
            parts.engine.delivered(last.id).await;
        }
        parts.outbox.drop_first(&parts.outbox.waiting, waiting.len());
    }
    Delivered::More
}
