//! How the jail gets the charter: from the snapshot that it made, then the entries after it, a page at a time.
//!
//! In: what is kept here, and what the control plane gives. Out: a jail that has folded as much.
//!
//! Invariant: what the jail is shown is durable here first.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_api::{RunnerTask, RunnerTasks, Take};
use writ_evidence::charter::UnverifiedEntry;
use writ_jail_link::{Described, JailReply, JailRequest, SnapshotPage};
use writ_model::{Digest, limits::SNAPSHOT_PAGE};

use crate::{
    charter_cache::{CharterCacheError, Kept},
    jail_client::JailError,
    report,
    wiring::{Parts, RunnerError},
};

/// How long to wait after the control plane could not be reached.
const RETRY: Duration = Duration::from_secs(2);

/// Most refused entries of one answer that the jail looks at.
const ROOTED_MAX: usize = 16;

/// How often the control plane is asked for a charter that is lost here and does not answer.
const FETCHES: u32 = 3;

/// Brings the jail up to the charter that is kept here, and fetches what is lost.
pub(crate) async fn take_up(parts: &Parts) -> Result<(), RunnerError> {
    match bring_up(parts).await {
        // It says so itself, for as long as this runner lives.
        Err(RunnerError::Jail(JailError::Stopped(_))) => Ok(()),
        brought => brought,
    }
}

async fn bring_up(parts: &Parts) -> Result<(), RunnerError> {
    if let Some(stopped) = parts.jail.describe().await?.stopped {
        return Err(JailError::Stopped(stopped).into());
    }
    if let Some(kept) = parts.charter.found_snapshot()
        && let Err(error) = resume(parts, kept).await
    {
        tracing::warn!(code = error.code(), error = %error, "the jail folds the charter anew");
    }
    let from = parts.jail.describe().await?.charter_seq;
    show(parts).await?;
    if let Some(state) = parts.charter.state() {
        tracing::info!(charter.seq = state.seq(), charter.snapshot = from, "charter taken up");
    }
    fetch_what_is_lost(parts).await
}

/// Brings the jail its own snapshot.
async fn resume(parts: &Parts, kept: Kept) -> Result<(), JailError> {
    let Kept { digest, bytes } = kept;
    let mut from = 0;
    for page in bytes.chunks(SNAPSHOT_PAGE) {
        let bytes = URL_SAFE_NO_PAD.encode(page);
        parts.jail.ask(JailRequest::ResumeCharter { digest, from, bytes }).await?;
        from += page.len() as u64;
    }
    Ok(())
}

/// Shows the jail what it has not folded of the charter that is kept here; how far it has folded it then.
async fn show(parts: &Parts) -> Result<Option<(u64, Digest)>, Unfolded> {
    let folded = loop {
        let Described { charter_seq, head, .. } = parts.jail.describe().await?;
        let entries = parts.charter.page(charter_seq.map_or(0, |seq| seq.saturating_add(1)))?;
        if entries.is_empty() {
            break charter_seq.zip(head);
        }
        parts.jail.ask(JailRequest::Charter { entries }).await?;
    };
    if parts.charter.wants_snapshot()
        && let Err(error) = write_down(parts).await
    {
        tracing::warn!(code = error.code(), error = %error, "no snapshot of the charter is kept");
    }
    Ok(folded)
}

/// Keeps what the jail writes down of the charter, so that the next start folds only what comes after.
async fn write_down(parts: &Parts) -> Result<(), Unfolded> {
    let mut bytes = Vec::new();
    loop {
        let from = bytes.len() as u64;
        let JailReply::Snapshot(SnapshotPage { of, bytes: page }) =
            parts.jail.ask(JailRequest::TakeSnapshot { from }).await?
        else {
            return Err(JailError::Unexpected.into());
        };
        let page = URL_SAFE_NO_PAD.decode(page).map_err(|_| JailError::Unexpected)?;
        bytes.extend(&page);
        let whole = bytes.len() as u64 >= of.length;
        if whole {
            return Ok(parts.charter.keep(of, &bytes)?);
        }
        if page.is_empty() {
            return Err(JailError::Unexpected.into());
        }
    }
}

/// Fetches the charter as far as the jail has seen it, where the copy here was lost or damaged: until then the
/// jail decides nothing, not even whether open runs go on.
async fn fetch_what_is_lost(parts: &Parts) -> Result<(), RunnerError> {
    let route = format!("/v1/tenants/{}/runner/take", parts.ten);
    let mut failures = 0;
    while failures < FETCHES {
        let described = parts.jail.describe().await?;
        if let Some(stopped) = described.stopped {
            return Err(JailError::Stopped(stopped).into());
        }
        let state = parts.charter.state();
        let knows = |head| state.as_ref().is_some_and(|state| state.knows_head(head));
        if described.head.is_none_or(knows) {
            return Ok(());
        }
        tracing::info!("the charter here is older than the jail has seen; it is fetched");
        let before = state.as_ref().map(|state| state.seq());
        let take = Take {
            charter_seq: before,
            checkpoint_size: described.checkpoint_size,
            attested_at: described.attested_at,
            statements: Some(described.statements),
            testing: Vec::new(),
        };
        match parts.server.post::<_, RunnerTasks>(&route, &take).await {
            // Every other task is given again.
            Ok(RunnerTasks { tasks }) => {
                for task in tasks {
                    match task {
                        RunnerTask::Charter { entries } => fold(parts, entries).await,
                        RunnerTask::Shown { statement } => report::show(parts, statement).await,
                        _ => {}
                    }
                }
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "the control plane does not answer");
                tokio::time::sleep(RETRY).await;
            }
        }
        // A long charter comes in pages: what counts is that none of them brings anything.
        failures += u32::from(parts.charter.state().map(|state| state.seq()) == before);
    }
    tracing::error!(
        code = "charter-behind",
        "the control plane serves no charter as new as the jail has seen"
    );
    Ok(())
}

/// Takes entries of the control plane's.
pub(crate) async fn fold(parts: &Parts, entries: Vec<UnverifiedEntry>) {
    match fold_now(parts, &entries).await {
        Ok(_) => {}
        Err(Unfolded::Cache(error)) => {
            let code = error.code();
            tracing::error!(code, error = %error, "the control plane served a charter that does not fold");
            tokio::time::sleep(RETRY).await;
        }
        Err(Unfolded::Jail(error)) => {
            let code = error.code();
            tracing::error!(code, error = %error, "the jail does not fold the charter");
        }
    }
}

/// Folds entries here, then has the jail fold them; the jail's newest entry after that.
pub(crate) async fn fold_now(
    parts: &Parts,
    entries: &[UnverifiedEntry],
) -> Result<(u64, Digest), Unfolded> {
    let _one_at_a_time = parts.folding.lock().await;
    let taken = parts.charter.take(entries);
    if taken.is_err() {
        show_rooted(parts, entries).await?;
    }
    // Also what comes before an entry that does not fold.
    let shown = show(parts).await;
    taken?;
    shown?.ok_or(Unfolded::Jail(JailError::Unexpected))
}

/// Why entries were not folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfolded {
    /// Not even here.
    #[error(transparent)]
    Cache(#[from] CharterCacheError),
    /// Not by the jail.
    #[error(transparent)]
    Jail(#[from] JailError),
}

impl From<Unfolded> for RunnerError {
    fn from(error: Unfolded) -> Self {
        match error {
            Unfolded::Cache(error) => error.into(),
            Unfolded::Jail(error) => error.into(),
        }
    }
}

impl Unfolded {
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Cache(error) => error.code(),
            Self::Jail(error) => error.code(),
        }
    }

    /// The rule, with everything behind it.
    pub(crate) fn reason(&self) -> String {
        if let Self::Jail(JailError::Refused(refused) | JailError::Stopped(refused)) = self {
            return refused.reason.clone();
        }
        let mut reason = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            reason = format!("{reason}: {inner}");
            source = inner.source();
        }
        reason
    }
}

/// Shows the jail what root keys signed and this runner does not fold: it may be proof of a fork, at which the jail
/// stops.
async fn show_rooted(parts: &Parts, entries: &[UnverifiedEntry]) -> Result<(), JailError> {
    let known = parts.charter.state();
    let refused = entries.iter().filter(|entry| {
        let folded = known.as_ref().is_some_and(|state| state.knows_head(entry.digest()));
        matches!(entry, UnverifiedEntry::Roots { .. }) && !folded
    });
    for entry in refused.take(ROOTED_MAX) {
        let entries = vec![entry.clone()];
        let asked = parts.jail.ask(JailRequest::Charter { entries }).await;
        // What it refuses, this runner has refused, too, and says so.
        if let Err(JailError::Stopped(why)) = asked {
            return Err(JailError::Stopped(why));
        }
    }
    Ok(())
}
