//! Tests of connections: the jail decides and a cell tests, while the runner goes on taking tasks.
//!
//! Invariant: a test that is under way is not asked for a second time: the jail would take the second
//! for a replay, since a writ is spent before its cell is asked.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use writ_api::RunnerReport;
use writ_evidence::{digest::sha256, idc::UnverifiedIdc};
use writ_jail_link::{JailRequest, TestConnection};
use writ_model::Digest;

use crate::{jail_client::JailError, wiring::Parts};

/// How long to wait before an order that could not be judged yet is taken again.
const RETRY: Duration = Duration::from_secs(2);

/// Writs of the tests that are under way.
#[derive(Default)]
pub(crate) struct Testing(Mutex<BTreeSet<Digest>>);

impl Testing {
    /// What the control plane need not give again.
    pub(crate) fn writs(&self) -> Vec<Digest> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a test, unless it is under way.
pub(crate) fn begin(parts: &Arc<Parts>, writ: String, idc: UnverifiedIdc) {
    let digest = sha256(writ.as_bytes());
    if parts.testing.lock().insert(digest) {
        let parts = Arc::clone(parts);
        tokio::spawn(async move {
            test(&parts, digest, TestConnection { writ, idc }).await;
            parts.testing.lock().remove(&digest);
        });
    }
}

async fn test(parts: &Parts, writ: Digest, order: TestConnection) {
    let asked = JailRequest::TestConnection(Box::new(order));
    let refused = match parts.jail.statement(asked).await {
        Ok(_) => None,
        // The charter is on its way; the task comes again after it.
        Err(JailError::Refused(refused)) if refused.code == "charter-behind" => {
            return tokio::time::sleep(RETRY).await;
        }
        Err(JailError::Refused(refused)) => {
            tracing::info!(code = refused.code, reason = refused.reason, "test refused");
            Some((refused.code, refused.reason))
        }
        Err(error) => {
            tracing::warn!(error = %error, "the jail does not test the connection");
            return tokio::time::sleep(RETRY).await;
        }
    };
    parts.outbox.put(RunnerReport::TestDone { writ, refused });
    parts.news.notify_one();
    parts.outbox.delivered().await;
}
