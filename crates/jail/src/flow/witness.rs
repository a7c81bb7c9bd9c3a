//! The jail as witness: folds the charter, cosigns candidates, signs the log's tree.
//!
//! Invariants: one digest for each `seq`, for ever; a tree only if it extends the last one.

use writ_evidence::{
    charter::{self, CharterState, RootFork, UnverifiedEntry},
    checkpoint::{self, CheckpointClaims},
    merkle,
};
use writ_jail_link::JailReply;
use writ_model::{Digest, TenantId, UnixTime};

use super::{Jail, Refusing};
use crate::state::Record;

fn state_failed<E>(_: E) -> Refusing {
    Refusing::unsigned("jail-state", "the jail cannot write its state file")
}

impl Jail {
    /// Sets the trust anchor, once; the same again is harmless.
    pub(super) fn join(
        &mut self,
        ten: TenantId,
        head: Option<(u64, Digest)>,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        match self.state.memory().anchor {
            Some(known) if known == ten => {}
            Some(_) => {
                let rule = "the jail's trust anchor is set and never changes";
                return Err(Refusing::unsigned("anchor-set", rule));
            }
            None => {
                let seen = head.map(|(seq, digest)| Record::Head { seq, digest });
                // Whoever set the anchor up says how the charter is now.
                let attested = Record::Attested { at: now, by_witness: false };
                let records = [Some(Record::Anchor(ten)), seen, Some(attested)];
                let records = records.into_iter().flatten().collect();
                self.state.append(records).map_err(state_failed)?;
            }
        }
        Ok(JailReply::Done)
    }

    /// Folds entries that are new; those already folded must be the same.
    pub(super) fn fold(
        &mut self,
        entries: &[UnverifiedEntry],
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let ten = self
            .state
            .memory()
            .anchor
            .ok_or_else(|| Refusing::unsigned("no-anchor", "the jail has joined no tenant"))?;
        let folded = entries.iter().try_for_each(|entry| self.fold_one(entry, ten, now));
        // Whatever was folded counts, also before an entry that was not.
        self.note_standing();
        folded?;
        self.reached()
    }

    /// What the folded charter grants starts to count.
    pub(super) fn note_standing(&mut self) {
        for record in self.charter.iter().flat_map(CharterState::standing_writs) {
            self.state.granted(record.standing.name.clone(), record.since);
        }
    }

    /// How far the charter is folded; refused if it is another than this jail has seen.
    pub(super) fn reached(&mut self) -> Result<JailReply, Refusing> {
        let charter = self
            .charter
            .as_ref()
            .ok_or_else(|| Refusing::unsigned("charter-behind", "no charter entry was shown"))?;
        let (seq, head) = (charter.seq(), charter.head());
        let forked = |(seen, digest)| seq >= seen && !charter.knows_head(digest);
        if self.state.memory().head.is_some_and(forked) {
            // SECURITY: a chain that lacks a head this jail has seen, or its join file named, is
            // another chain, however long it is.
            self.charter = None;
            let rule = "the charter does not hold a head that this jail has seen";
            return Err(Refusing::unsigned("charter-fork", rule));
        }
        if self.state.memory().head.is_none_or(|(seen, _)| seq > seen) {
            self.state.append(vec![Record::Head { seq, digest: head }]).map_err(state_failed)?;
        }
        Ok(JailReply::Charter { seq, head })
    }

    fn fold_one(
        &mut self,
        entry: &UnverifiedEntry,
        ten: TenantId,
        now: UnixTime,
    ) -> Result<(), Refusing> {
        let refused =
            |error: charter::FoldError| Refusing::because(error.code(), &error).off_record();
        let Some(state) = &mut self.charter else {
            self.charter = Some(CharterState::found(entry, ten).map_err(refused)?);
            return Ok(());
        };
        if state.knows_head(entry.digest()) {
            return Ok(());
        }
        if let Some(fork) = state.root_fork(entry) {
            return Err(self.freeze(fork, entry, now));
        }
        self.check_cosigned(entry)?;
        let Some(state) = &mut self.charter else { return Ok(()) };
        let prev = state.head();
        state.append(entry, &self.policies).map_err(refused)?;
        if matches!(entry, UnverifiedEntry::Writ { .. }) {
            return Ok(());
        }
        let (seq, second) = (state.seq(), state.head());
        match self.state.memory().rooted.get(&seq) {
            // SECURITY: it was shown the other one before it was restarted, and is shown another chain now.
            Some((known, first)) if *known == prev && *first != second => {
                let fork = RootFork { seq, prev, first: *first, second };
                Err(self.freeze(fork, entry, now))
            }
            Some(_) => Ok(()),
            None => {
                let rooted = Record::Rooted { seq, prev, digest: second };
                self.state.append(vec![rooted]).map_err(state_failed)
            }
        }
    }

    /// Judges a candidate while its signer's login is fresh, and cosigns it.
    pub(super) fn cosign(
        &mut self,
        candidate: &UnverifiedEntry,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let charter = self.current_charter()?;
        if !charter.is_witness(self.own_id(charter)?) {
            return Err(Refusing::unsigned("not-witness", "this jail is no witness"));
        }
        let seq = charter.seq().saturating_add(1);
        if let Some((digest, cosignature)) = self.state.memory().cosigned.get(&seq) {
            if *digest == candidate.digest() {
                return Ok(JailReply::Cosigned { cosignature: cosignature.clone() });
            }
            let rule = "the witness signed another entry of this number";
            return Err(Refusing::signed("charter-seq-signed", rule));
        }
        let claims =
            charter.admit(candidate, self.issuer_keys.fetched(), now, &self.policies).map_err(
                |error| Refusing::because(error.code(), &error).about_writ(candidate.digest()),
            )?;
        candidate.credentials().try_for_each(|idc| self.check_not_revoked(idc))?;
        let cosignature =
            charter::sign_cosignature(&claims, &self.key, &self.random).map_err(state_failed)?;
        let record =
            Record::Cosigned { seq, digest: claims.digest, cosignature: cosignature.clone() };
        self.state.append(vec![record]).map_err(state_failed)?;
        Ok(JailReply::Cosigned { cosignature })
    }

    /// As [`Self::cosign`], of what somebody brought to the gateway.
    ///
    /// SECURITY: anybody may send there. A refusal goes on record only where the signers' own signatures were found
    /// to hold; otherwise whoever reaches the gateway could fill the state file and the audit log.
    pub(super) fn cosign_pushed(
        &mut self,
        candidate: &UnverifiedEntry,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        self.cosign(candidate, now).map_err(|refusing| {
            let by_whom_it_says = refusing.is_any_of(&["policy-denied", "charter-second-signer"]);
            if by_whom_it_says { refusing } else { refusing.off_record() }
        })
    }

    /// Signs the audit log's tree if it extends the last one that this jail signed.
    pub(super) fn sign_tree(
        &mut self,
        size: u64,
        root: Digest,
        consistency: &[Digest],
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let charter = self.current_charter()?;
        if !charter.is_witness(self.own_id(charter)?) {
            return Err(Refusing::unsigned("not-witness", "this jail is no witness"));
        }
        if let Some((signed, signed_root)) = self.state.memory().tree {
            merkle::verify_consistency(signed, signed_root, size, root, consistency).map_err(
                |_| {
                    let rule = "the audit log does not extend the tree that the witness signed";
                    Refusing::signed("audit-fork", rule)
                },
            )?;
        }
        let claims = CheckpointClaims {
            ten: charter.ten(),
            size,
            root,
            charter: charter.head(),
            statements: self.state.memory().statements.len() as u64,
            at: now,
        };
        let checkpoint =
            checkpoint::sign(&claims, &self.key, &self.random).map_err(state_failed)?;
        self.state.append(vec![Record::Tree { size, root }]).map_err(state_failed)?;
        Ok(JailReply::Checkpoint { checkpoint })
    }
}
