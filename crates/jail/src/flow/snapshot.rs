//! The folded charter, written down for the next start: the runner keeps the bytes, the jail their digest.
//!
//! In: pages that the runner asks for or brings. Out: the state as it was folded, or a refusal, upon which the runner
//! brings the entries.
//!
//! Invariants:
//! * a state is taken up only from bytes whose digest this jail's own file remembers: what the runner, or whoever
//!   has its disk, changed is refused;
//! * no more memory is taken than such a snapshot has bytes;
//! * a snapshot that lacks what this jail has seen since decides nothing, as a charter that lacks it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_evidence::{charter::CharterState, digest::sha256};
use writ_jail_link::{JailReply, SnapshotMark, SnapshotPage};
use writ_model::{
    Digest,
    limits::{SNAPSHOT_MAX, SNAPSHOT_PAGE},
};

use super::{Jail, Refusing};
use crate::state::Record;

/// Snapshots on their way between jail and runner.
#[derive(Default)]
pub(super) struct UnderWay {
    /// To the runner.
    made: Option<(SnapshotMark, Vec<u8>)>,
    /// From the runner.
    brought: Vec<u8>,
}

fn refused(rule: &'static str) -> Refusing {
    Refusing::unsigned("charter-snapshot", rule)
}

impl Jail {
    /// A page of a snapshot; the first makes it, and remembers its digest.
    pub(super) fn take_snapshot(&mut self, from: u64) -> Result<JailReply, Refusing> {
        if from == 0 {
            self.snapshots.made = Some(self.write_down()?);
        }
        let asked = || refused("there is no such page of a snapshot");
        let (of, bytes) = self.snapshots.made.as_ref().ok_or_else(asked)?;
        let rest = usize::try_from(from).ok().and_then(|from| bytes.get(from..));
        let rest = rest.ok_or_else(asked)?;
        let page = rest.get(..SNAPSHOT_PAGE).unwrap_or(rest);
        let (of, last) = (*of, page.len() == rest.len());
        let page = SnapshotPage { of, bytes: URL_SAFE_NO_PAD.encode(page) };
        if last {
            self.snapshots.made = None;
        }
        Ok(JailReply::Snapshot(page))
    }

    fn write_down(&mut self) -> Result<(SnapshotMark, Vec<u8>), Refusing> {
        let charter = self.current_charter()?;
        let bytes = charter.snapshot();
        if bytes.is_empty() || bytes.len() > SNAPSHOT_MAX {
            return Err(refused("the charter is too large for a snapshot"));
        }
        let (seq, digest, length) = (charter.seq(), sha256(&bytes), bytes.len() as u64);
        let mark = SnapshotMark { seq, digest, length };
        if self.state.memory().snapshots.last() != Some(&mark) {
            self.state.append(vec![Record::Snapshot(mark)]).map_err(|_| {
                Refusing::unsigned("jail-state", "the jail cannot write its state file")
            })?;
        }
        Ok((mark, bytes))
    }

    /// Takes a page of a snapshot that this jail made, and after the last one the state.
    pub(super) fn resume_charter(
        &mut self,
        digest: Digest,
        from: u64,
        bytes: &str,
    ) -> Result<JailReply, Refusing> {
        let known = self.state.memory().snapshots.iter().find(|mark| mark.digest == digest);
        let length = known.ok_or_else(|| refused("this jail made no such snapshot"))?.length;
        if from == 0 {
            self.snapshots.brought.clear();
        }
        let page = URL_SAFE_NO_PAD.decode(bytes).map_err(|_| refused("the page is malformed"))?;
        let brought = &mut self.snapshots.brought;
        if brought.len() as u64 != from || from.saturating_add(page.len() as u64) > length {
            return Err(refused("the page does not follow the one before"));
        }
        brought.extend(page);
        if (brought.len() as u64) < length {
            return Ok(JailReply::Done);
        }
        let bytes = std::mem::take(&mut self.snapshots.brought);
        let state = CharterState::resume(&bytes, digest)
            .map_err(|error| Refusing::because(error.code(), &error).off_record())?;
        if self.state.memory().anchor != Some(state.ten()) {
            return Err(refused("the snapshot is another tenant's"));
        }
        // What was folded since counts more.
        if self.charter.as_ref().is_none_or(|folded| folded.seq() < state.seq()) {
            self.charter = Some(state);
            self.note_standing();
        }
        self.reached()
    }
}
