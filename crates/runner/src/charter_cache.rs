//! The charter as this runner has it: entries on disk, folded in memory.
//!
//! Kept so that a runner starts, and goes on with accepted runs, while the control plane is away.
//! The file is believed no more than the control plane is: it is folded from the anchor, or from a snapshot that this
//! runner's own jail remembers to have made. So it needs no version of its own: whatever does not parse or fold is
//! cut off, and fetched again.
//!
//! Read: `file` (entries, which only grow), `snapshot` (what the jail wrote down).

mod file;
mod snapshot;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use writ_evidence::charter::{CharterState, FoldError, UnverifiedEntry};
use writ_jail_link::SnapshotMark;
use writ_model::{Digest, TenantId, limits::SNAPSHOT_EVERY};
use writ_policy::Policies;

use self::file::EntriesFile;
pub(crate) use self::snapshot::Kept;

/// Why the charter can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum CharterCacheError {
    /// The file can't be read or written.
    #[error("cannot use the charter file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Entries do not fold.
    #[error("the charter does not fold")]
    Fold(#[from] FoldError),
}

impl CharterCacheError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "charter",
            Self::Fold(error) => error.code(),
        }
    }
}

/// How many of the newest entries are looked at for one that somebody has just brought.
const NEWEST: u64 = 100;

/// Entries and their fold.
pub(crate) struct CharterCache {
    path: PathBuf,
    ten: TenantId,
    policies: Policies,
    file: Mutex<EntriesFile>,
    state: RwLock<Option<Arc<CharterState>>>,
    kept: Mutex<KeptSnapshot>,
}

/// What is kept of the jail's snapshots.
#[derive(Default)]
struct KeptSnapshot {
    /// The newest entry in it.
    seq: Option<u64>,
    /// The bytes, until the jail has taken them up.
    bytes: Option<Kept>,
}

impl CharterCache {
    /// Opens the file, from the newest snapshot on that the jail remembers; what does not parse or fold is cut off,
    /// since it can be had again.
    pub(crate) fn open(
        path: &Path,
        ten: TenantId,
        policies: Policies,
        snapshots: &[SnapshotMark],
    ) -> Result<Self, CharterCacheError> {
        let failed = |source| CharterCacheError::File { path: path.to_owned(), source };
        let mut file = EntriesFile::open(path).map_err(failed)?;
        let found = snapshot::find(&snapshot_path(path), snapshots).filter(|(_, state, place)| {
            // One that entries of this file were not folded to would leave a hole in it.
            let newest = file.entry_at(*place);
            state.ten() == ten && newest.is_some_and(|entry| entry.digest() == state.head())
        });
        let (kept, mut state, place) = match found {
            Some((kept, state, place)) => (Some(kept), Some(state), Some(place)),
            None => (None, None, None),
        };
        file.read(place, |entry| fold(&mut state, entry, ten, &policies).is_ok())
            .map_err(failed)?;
        let kept = KeptSnapshot { seq: place.map(|place| place.seq), bytes: kept };
        Ok(Self {
            path: path.to_owned(),
            ten,
            policies,
            file: Mutex::new(file),
            state: RwLock::new(state.map(Arc::new)),
            kept: Mutex::new(kept),
        })
    }

    /// Folds entries that are new, and writes them down: also those before one that does not fold.
    pub(crate) fn take(&self, entries: &[UnverifiedEntry]) -> Result<(), CharterCacheError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state().as_deref().cloned();
        let mut new = Vec::new();
        let mut folded = Ok(());
        for entry in entries {
            if state.as_ref().is_some_and(|state| state.knows_head(entry.digest())) {
                continue;
            }
            folded = fold(&mut state, entry, self.ten, &self.policies);
            if folded.is_err() {
                break;
            }
            new.push(entry.clone());
        }
        if !new.is_empty() {
            // Durable before the jail folds: a jail that has seen more than is kept here decides nothing.
            file.append(&new).map_err(|source| self.failed(source))?;
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = state.map(Arc::new);
        }
        Ok(folded?)
    }

    /// Entries from a number on: as many as one message takes, none if there is none.
    pub(crate) fn page(&self, from: u64) -> Result<Vec<UnverifiedEntry>, CharterCacheError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.page(from).map_err(|source| self.failed(source))
    }

    /// The entry of this digest, with the cosignatures that it was folded with, if it is one of the newest.
    pub(crate) fn entry(&self, digest: Digest) -> Option<UnverifiedEntry> {
        let newest = self.state()?.seq();
        let mut from = newest.saturating_sub(NEWEST);
        loop {
            let page = self.page(from).ok().filter(|page| !page.is_empty())?;
            from += page.len() as u64;
            if let Some(found) = page.into_iter().find(|entry| entry.digest() == digest) {
                return Some(found);
            }
        }
    }

    /// The fold, once there is an entry.
    pub(crate) fn state(&self) -> Option<Arc<CharterState>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshot that this start found, once: for the jail.
    pub(crate) fn found_snapshot(&self) -> Option<Kept> {
        self.kept().bytes.take()
    }

    /// Whether enough was folded since the last snapshot for a new one.
    pub(crate) fn wants_snapshot(&self) -> bool {
        let seq = self.state().map_or(0, |state| state.seq());
        seq >= self.kept().seq.unwrap_or(0).saturating_add(SNAPSHOT_EVERY)
    }

    /// Keeps the snapshot that the jail has made of the newest entry here; any other is of no use.
    pub(crate) fn keep(&self, of: SnapshotMark, bytes: &[u8]) -> Result<(), CharterCacheError> {
        let newest = self.file.lock().unwrap_or_else(PoisonError::into_inner).newest();
        let Some(place) = newest.filter(|newest| newest.seq == of.seq) else { return Ok(()) };
        snapshot::keep(&snapshot_path(&self.path), place, bytes)
            .map_err(|source| self.failed(source))?;
        self.kept().seq = Some(of.seq);
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, KeptSnapshot> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: io::Error) -> CharterCacheError {
        CharterCacheError::File { path: self.path.clone(), source }
    }
}

fn snapshot_path(entries: &Path) -> PathBuf {
    entries.with_extension("snapshot")
}

fn fold(
    state: &mut Option<CharterState>,
    entry: &UnverifiedEntry,
    ten: TenantId,
    policies: &Policies,
) -> Result<(), FoldError> {
    match state {
        None => *state = Some(CharterState::found(entry, ten)?),
        Some(state) => state.append(entry, policies)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
