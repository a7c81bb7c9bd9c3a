//! The jail's snapshot of the charter, kept beside the entries, so that runner and jail start from it.
//!
//! In: the bytes that the jail wrote down. Out: the same, if the jail still remembers their digest; where in the
//! entries' file they end stands in their first line.
//!
//! The bytes are believed by the digest that the jail's own file remembers, and by nothing that stands here.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use writ_evidence::{charter::CharterState, digest::sha256};
use writ_jail_link::SnapshotMark;
use writ_model::Digest;

use super::file::Stands;

/// The first line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    seq: u64,
    start: u64,
    end: u64,
}

/// A snapshot, as it was found at the start.
pub(crate) struct Kept {
    /// What the jail calls it.
    pub(crate) digest: Digest,
    /// What the jail takes.
    pub(crate) bytes: Vec<u8>,
}

/// Finds the snapshot that the jail remembers, with its state and where that ends in the entries' file.
pub(super) fn find(path: &Path, known: &[SnapshotMark]) -> Option<(Kept, CharterState, Stands)> {
    let mut bytes = fs::read(path).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let heading: Heading = serde_json::from_slice(bytes.get(..end)?).ok()?;
    bytes.drain(..=end);
    let digest = sha256(&bytes);
    if !known.iter().any(|mark| mark.digest == digest && mark.seq == heading.seq) {
        tracing::info!("the charter snapshot is none that the jail remembers");
        return None;
    }
    let state = CharterState::resume(&bytes, digest).ok()?;
    let place = Stands { seq: heading.seq, start: heading.start, end: heading.end };
    Some((Kept { digest, bytes }, state, place))
}

/// Keeps a snapshot in place of the one before.
pub(super) fn keep(path: &Path, place: Stands, bytes: &[u8]) -> io::Result<()> {
    let heading = Heading { seq: place.seq, start: place.start, end: place.end };
    let mut first = serde_json::to_vec(&heading)?;
    first.push(b'\n');
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&first)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)
}
