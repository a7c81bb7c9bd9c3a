//! The charter as this runner has it: entries on disk, folded in memory.
//!
//! Kept so that a runner starts, and goes on with accepted runs, while the control plane is away.
//! The file is believed no more than the control plane is: it is folded from the anchor. So it needs no version of
//! its own: whatever does not parse or fold is fetched again.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use writ_evidence::charter::{CharterState, FoldError, UnverifiedEntry};
use writ_model::{Digest, TenantId};
use writ_policy::Policies;

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

/// Entries and their fold.
pub(crate) struct CharterCache {
    path: PathBuf,
    ten: TenantId,
    policies: Policies,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: Vec<UnverifiedEntry>,
    state: Option<Arc<CharterState>>,
}

impl CharterCache {
    /// Opens the file; one that does not parse or fold is set aside, since it can be had again.
    pub(crate) fn open(
        path: &Path,
        ten: TenantId,
        policies: Policies,
    ) -> Result<Self, CharterCacheError> {
        let cache = Self { path: path.to_owned(), ten, policies, inner: RwLock::default() };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(cache.failed(source)),
        };
        let entries: Result<Vec<UnverifiedEntry>, _> =
            text.lines().map(serde_json::from_str).collect();
        if !entries.is_ok_and(|entries| cache.fold(&entries).is_ok()) {
            tracing::warn!("the charter file is damaged; it will be fetched again");
        }
        Ok(cache)
    }

    /// Folds entries that are new, and writes them down.
    pub(crate) fn take(&self, entries: &[UnverifiedEntry]) -> Result<(), CharterCacheError> {
        self.fold(entries)?;
        let text = self.entries().iter().fold(String::new(), |mut text, entry| {
            text.push_str(&serde_json::to_string(entry).unwrap_or_default());
            text.push('\n');
            text
        });
        let next = self.path.with_extension("next");
        // Durable before the jail folds: a jail that has seen more than is kept here decides nothing.
        File::create(&next)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&next, &self.path))
            .map_err(|source| self.failed(source))
    }

    fn fold(&self, entries: &[UnverifiedEntry]) -> Result<(), CharterCacheError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let mut state = inner.state.as_deref().cloned();
        let mut new = Vec::new();
        for entry in entries {
            match &mut state {
                None => state = Some(CharterState::found(entry, self.ten)?),
                Some(state) if state.knows_head(entry.digest()) => continue,
                Some(state) => state.append(entry, &self.policies)?,
            }
            new.push(entry.clone());
        }
        inner.entries.extend(new);
        inner.state = state.map(Arc::new);
        Ok(())
    }

    /// Every entry, from entry 0.
    pub(crate) fn entries(&self) -> Vec<UnverifiedEntry> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }

    /// Entries from this number on, for as long as `wanted` says.
    pub(crate) fn entries_from(
        &self,
        from: u64,
        mut wanted: impl FnMut(&UnverifiedEntry) -> bool,
    ) -> Vec<UnverifiedEntry> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        inner.entries.iter().skip(skip).take_while(|entry| wanted(entry)).cloned().collect()
    }

    /// The entry of this digest, with the cosignatures that it was folded with; the newest are looked at first.
    pub(crate) fn entry(&self, digest: Digest) -> Option<UnverifiedEntry> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.entries.iter().rev().find(|entry| entry.digest() == digest).cloned()
    }

    /// The fold, once there is an entry.
    pub(crate) fn state(&self) -> Option<Arc<CharterState>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).state.clone()
    }

    fn failed(&self, source: io::Error) -> CharterCacheError {
        CharterCacheError::File { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/charter-before.jsonl");
    const TENANT: &str = "sha256:EOdm_nWhrMjL23serPmAshs208LbwRjIYJTeoU4hm-8";

    #[test]
    fn a_file_of_the_version_before_folds_and_one_that_does_not_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("charter.jsonl");
        let text = fs::read_to_string(BEFORE).unwrap();
        for (text, entries, seq) in [(text.clone(), 5, Some(4)), (text + "{}\n", 0, None)] {
            fs::write(&path, text).unwrap();
            let ten = TenantId(TENANT.parse().unwrap());

            let cache = CharterCache::open(&path, ten, Policies::built_in().unwrap()).unwrap();

            assert_eq!(cache.entries().len(), entries);
            assert_eq!(cache.state().map(|state| state.seq()), seq);
        }
    }
}
