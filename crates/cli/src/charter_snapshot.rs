//! The charter as this folder last folded it, so that a command folds only what came after.
//!
//! In: the folder beside whose trust anchor it lies. Out: a state of that tenant, or none, and then the charter is
//! folded from entry 0.
//!
//! The file is believed as far as the folder is, which also holds the trust anchor and the login's key; its first
//! line is the digest of the rest, so that damage is noticed.

use std::{fs, path::PathBuf};

use writ_evidence::{charter::CharterState, digest::sha256};
use writ_model::{Digest, limits::SNAPSHOT_EVERY};

use crate::place::Place;

fn path(place: &Place) -> PathBuf {
    place.folder.join("charter.snapshot")
}

/// The state that was kept, if it is of this tenant.
pub(crate) fn find(place: &Place) -> Option<CharterState> {
    let bytes = fs::read(path(place)).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (digest, state) = bytes.split_at_checked(end)?;
    let digest: Digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let state = CharterState::resume(state.get(1..)?, digest).ok()?;
    (state.ten() == place.settings.tenant).then_some(state)
}

/// Keeps a state, if enough was folded since the one before. Failing to costs time alone.
pub(crate) fn keep(place: &Place, state: &CharterState, before: Option<u64>) {
    if state.seq() < before.unwrap_or(0).saturating_add(SNAPSHOT_EVERY) {
        return;
    }
    let bytes = state.snapshot();
    let mut text = sha256(&bytes).to_string().into_bytes();
    text.push(b'\n');
    text.extend(bytes);
    // Commands run side by side: each writes a file of its own, and the last one stays.
    let next = path(place).with_extension(format!("next-{}", std::process::id()));
    if let Err(error) = fs::write(&next, text).and_then(|()| fs::rename(&next, path(place))) {
        tracing::warn!(error = %error, "the folded charter is not kept");
    }
}
