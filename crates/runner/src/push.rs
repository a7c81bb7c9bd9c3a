//! Entries of the charter that come by the gateway, and the charter for those who read it there (DESIGN §3.3): a
//! revocation needs no control plane.
//!
//! What is complete is folded: here, then by the jail. A candidate is given to the jail, which cosigns as witness;
//! with as many cosignatures as root keys asked for it is an entry at once, otherwise it goes back to whoever
//! brought it, who takes it to other witnesses. The control plane is told what was folded.
//!
//! Invariants:
//! * nothing is folded that the control plane could not have served: the same verification, the same order;
//! * what the jail cosigned last is kept here, on disk, and taken up before anything of the same number is refused:
//!   whoever holds a cosigned candidate back (a control plane may) blocks nobody.
//!
//! Not here: who may (the jail, and the fold).

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use writ_api::{CharterPage, Problem, PushEntries, Pushed, ReadCharter, RunnerReport};
use writ_evidence::charter::{EntryError, FoldError, UnverifiedEntry};
use writ_jail_link::{JailReply, JailRequest, MayReadCharter, Refused};

use crate::{
    charter::{Unfolded, fold_now},
    charter_cache::CharterCacheError,
    jail_client::JailError,
    wiring::Parts,
};

/// Most bytes of one page or report of entries.
const PAGE_BYTES: usize = 1024 * 1024;

/// The candidate that the jail cosigned last.
pub(crate) struct LastCosigned {
    path: PathBuf,
    /// One writer of the file at a time.
    writing: Mutex<()>,
}

impl LastCosigned {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()) }
    }

    /// Keeps a candidate with its cosignature. One that can't be kept is lost only if whoever relays it loses it too.
    pub(crate) fn keep(&self, candidate: &UnverifiedEntry) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.path.with_extension("next");
        let kept = serde_json::to_vec(candidate)
            .map_err(std::io::Error::from)
            .and_then(|text| {
                let mut file = File::create(&next)?;
                file.write_all(&text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&next, &self.path));
        if let Err(error) = kept {
            tracing::warn!(error = %error, "a cosigned candidate can't be kept");
        }
    }

    fn read(&self) -> Option<UnverifiedEntry> {
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
    }
}

/// Takes what somebody pushed; answers [`Pushed`] as JSON.
pub(crate) async fn take(parts: &Parts, pushed: PushEntries) -> Result<String, Problem> {
    let PushEntries { entries } = pushed;
    let outcome = match entries.as_slice() {
        [] => return Err(Problem::new(400, "body", "nothing is pushed")),
        [entry] => take_one(parts, entry).await,
        [.., last] => folded(parts, &entries, last).await,
    };
    parts.news.notify_one();
    let outcome = outcome.map_err(|failure| problem(&failure))?;
    serde_json::to_string(&outcome)
        .map_err(|_| Problem::new(500, "charter", "the outcome can't be written"))
}

/// An entry, or a candidate for this witness.
async fn take_one(parts: &Parts, entry: &UnverifiedEntry) -> Result<Pushed, Unfolded> {
    let incomplete = match folded(parts, std::slice::from_ref(entry), entry).await {
        Err(failure) if lacks_cosignatures(&failure) => failure,
        outcome => return outcome,
    };
    let asked = JailRequest::CosignPushed { candidate: Box::new(entry.clone()) };
    match parts.jail.ask(asked).await {
        Ok(JailReply::Cosigned { cosignature }) => {
            let entry = with_cosignature(entry, cosignature);
            parts.last_cosigned.keep(&entry);
            settled(parts, entry).await
        }
        Ok(_) => Err(JailError::Unexpected.into()),
        // It lacks cosignatures, and this jail has none to give.
        Err(JailError::Refused(refused)) if refused.code == "not-witness" => Err(incomplete),
        Err(JailError::Refused(refused)) if refused.code == "charter-seq-signed" => {
            signed_before(parts, entry, refused).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The witness has cosigned another candidate of this number: that one is taken up, if it is here.
async fn signed_before(
    parts: &Parts,
    entry: &UnverifiedEntry,
    refused: Refused,
) -> Result<Pushed, Unfolded> {
    let same_number = |kept: &UnverifiedEntry| {
        kept.body().is_ok_and(|kept| entry.body().is_ok_and(|entry| entry.seq == kept.seq))
    };
    let Some(kept) = parts.last_cosigned.read().filter(same_number) else {
        return Err(JailError::Refused(refused).into());
    };
    match settled(parts, kept).await? {
        // What was pushed has lost its place.
        Pushed::Folded { .. } => Err(JailError::Refused(Refused {
            code: "charter-not-next".to_owned(),
            reason: "the witness had cosigned another change, which is an entry now".to_owned(),
            statement: None,
            stopped: false,
        })
        .into()),
        cosigned @ Pushed::Cosigned { .. } => Ok(cosigned),
    }
}

/// A cosigned candidate: an entry, if that was enough.
async fn settled(parts: &Parts, entry: UnverifiedEntry) -> Result<Pushed, Unfolded> {
    match folded(parts, std::slice::from_ref(&entry), &entry).await {
        Err(failure) if lacks_cosignatures(&failure) => {
            let needed = parts.charter.state().map_or(1, |state| state.witnesses().threshold);
            Ok(Pushed::Cosigned { entry: Box::new(entry), needed })
        }
        outcome => outcome,
    }
}

async fn folded(
    parts: &Parts,
    entries: &[UnverifiedEntry],
    last: &UnverifiedEntry,
) -> Result<Pushed, Unfolded> {
    let known = parts.charter.state().is_some_and(|state| state.knows_head(last.digest()));
    let (seq, head) = fold_now(parts, entries).await?;
    if !known {
        tracing::info!(charter.seq = seq, "charter entries pushed");
        parts.outbox.put(RunnerReport::Charter { entries: entries.to_vec() });
    }
    let entry = Box::new(parts.charter.entry(last.digest()).unwrap_or_else(|| last.clone()));
    Ok(Pushed::Folded { seq, head, entry })
}

fn with_cosignature(entry: &UnverifiedEntry, cosignature: String) -> UnverifiedEntry {
    let mut entry = entry.clone();
    if let UnverifiedEntry::Writ { cosignatures, .. } = &mut entry
        && !cosignatures.contains(&cosignature)
    {
        cosignatures.push(cosignature);
    }
    entry
}

/// Keeps a candidate that the jail cosigned for the control plane, lest that one hold it back.
pub(crate) fn keep_cosigned(parts: &Parts, candidate: &UnverifiedEntry, cosignature: &str) {
    parts.last_cosigned.keep(&with_cosignature(candidate, cosignature.to_owned()));
}

fn lacks_cosignatures(failure: &Unfolded) -> bool {
    let Unfolded::Cache(CharterCacheError::Fold(FoldError::Entry { source, .. })) = failure else {
        return false;
    };
    matches!(source, EntryError::Witnesses { .. } | EntryError::Cosignature)
}

fn problem(failure: &Unfolded) -> Problem {
    let code = failure.code();
    let problem =
        |status, remedy: &str| Problem::new(status, code, failure.reason()).with_remedy(remedy);
    match code {
        "charter-not-next" | "charter-seq-signed" => {
            problem(409, "read the charter and sign again")
        }
        "charter-witness" => problem(403, "push it to the gateways of enough witnesses"),
        "jail-gone" => problem(503, "start the runner, then push again"),
        _ => problem(403, ""),
    }
}

/// Tells the control plane what it lacks.
pub(crate) fn send_charter(parts: &Parts, after: u64) {
    let entries = page(parts, after.saturating_add(1));
    if !entries.is_empty() {
        tracing::info!(after, count = entries.len(), "the control plane lacks charter entries");
        parts.outbox.put(RunnerReport::Charter { entries });
    }
}

/// A page of the charter, for somebody whom the jail lets read it.
pub(crate) async fn read(parts: &Parts, read: ReadCharter) -> Result<String, Problem> {
    let ReadCharter { from, idc, proof, method, url, .. } = read;
    let asked = Box::new(MayReadCharter { idc, proof, method, url });
    match parts.jail.ask(JailRequest::MayReadCharter(asked)).await {
        Ok(_) => {}
        Err(JailError::Refused(refused)) => {
            return Err(Problem::new(403, &refused.code, refused.reason));
        }
        Err(error) => return Err(Problem::new(503, "jail-gone", error.to_string())),
    }
    let seq = parts.charter.state().map_or(0, |state| state.seq());
    serde_json::to_string(&CharterPage { entries: page(parts, from), seq })
        .map_err(|_| Problem::new(500, "charter", "the charter can't be written"))
}

/// Entries from this number on, up to a page.
fn page(parts: &Parts, from: u64) -> Vec<UnverifiedEntry> {
    let mut bytes = 0_usize;
    let entries = parts.charter.page(from).unwrap_or_else(|error| {
        tracing::error!(code = error.code(), error = %error, "the charter can't be read");
        Vec::new()
    });
    let mut fits = |entry: &UnverifiedEntry| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(serde_json::to_vec(entry).map_or(0, |text| text.len()));
        first || bytes <= PAGE_BYTES
    };
    let fitting = entries.iter().map(&mut fits).take_while(|fits| *fits).count();
    entries.into_iter().take(fitting).collect()
}
