//! How old is what this jail knows? A control plane that withholds a revocation is found out by time.
//!
//! Staleness counts from the newest verified word of somebody else that names this jail's newest entry: a
//! writ, a cosignature, a checkpoint of another witness (DESIGN §3.3). Past what root keys allow, the jail
//! accepts nothing: no run starts and no standing writ fires. Runs that it has accepted go on to their deadline.
//!
//! Invariants: this jail's own word counts for nothing here; a word that names an older entry neither.

use writ_evidence::{
    charter::CharterState,
    checkpoint::{self, CheckpointClaims},
    jws::UnverifiedJws,
    writ::WritClaims,
};
use writ_jail_link::JailReply;
use writ_model::{UnixTime, limits::CLOCK_SKEW_S};

use super::{Jail, Refusing};
use crate::state::Record;

/// When a verified writ attests the charter as this jail has it, if it does.
pub(super) fn attests(charter: &CharterState, claims: &WritClaims) -> Option<UnixTime> {
    (claims.charter == charter.head()).then_some(claims.iat)
}

impl Jail {
    /// Refuses to accept anything under a charter that nobody has attested for too long.
    pub(super) fn check_fresh(
        &self,
        charter: &CharterState,
        attests: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), Refusing> {
        let known = self.state.memory().attested;
        let last = charter.attested_at().max(known).max(attests);
        let allowed = charter.witnesses().max_staleness_s();
        if last.is_some_and(|last| now <= last.plus(allowed)) {
            return Ok(());
        }
        let rule = format!(
            "nobody has named the newest entry of the charter for {allowed} s: it may be withheld"
        );
        Err(Refusing::signed("charter-stale", rule))
    }

    /// Takes other witnesses' word that the charter is as this jail has it.
    pub(super) fn attest(
        &mut self,
        checkpoints: &[String],
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let charter = self.current_charter()?;
        let at = checkpoints.iter().filter_map(|compact| self.word_of(charter, compact, now)).max();
        if at > self.state.memory().attested_by_others
            && let Some(at) = at
        {
            let attested = Record::Attested { at, by_witness: true };
            self.state.append(vec![attested]).map_err(|_| {
                Refusing::unsigned("jail-state", "the jail cannot write its state file")
            })?;
        }
        Ok(JailReply::Done)
    }

    /// When another witness named this jail's newest entry.
    fn word_of(&self, charter: &CharterState, compact: &str, now: UnixTime) -> Option<UnixTime> {
        let signer = UnverifiedJws::parse(compact).ok()?.kid()?.to_owned();
        let witness = charter.runners().find(|runner| {
            charter.is_witness(runner.id) && runner.jail_key.thumbprint().to_string() == signer
        })?;
        if &witness.jail_key == self.key.public() {
            return None;
        }
        let CheckpointClaims { ten, charter: head, at, .. } =
            checkpoint::verify(compact, &witness.jail_key).ok()?;
        let known = ten == charter.ten() && head == charter.head();
        // A word from the future would keep the charter fresh for longer than it was.
        (known && at <= now.plus(CLOCK_SKEW_S)).then_some(at)
    }
}
