//! May this person read this run's output, or what it asks people to approve? Or the charter?

use writ_evidence::{
    charter::CharterState,
    idc::{UnverifiedIdc, VerifiedIdc},
    proof::{ExpectedRequest, VerifiedProof},
};
use writ_jail_link::{JailReply, MayRead, MayReadCharter};
use writ_model::{UnixTime, limits::CLOCK_SKEW_S};
use writ_policy::Right;

use super::{Jail, Refusing};

/// Most proofs remembered at once. When full, reads are refused (fail closed).
const PROOFS_MAX: usize = 10_000;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The run's output.
    Output,
    /// What it asks people to approve.
    Approval,
}

impl Jail {
    /// Verifies login and proof, and that the person may read this of runs of the automation.
    pub(super) fn may_read(
        &mut self,
        read: &MayRead,
        what: What,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let proof =
            self.check_read(read, what, now).map_err(|refusing| refusing.about_run(read.run))?;
        self.spend_proof(&proof, now).map_err(|refusing| refusing.about_run(read.run))?;
        Ok(JailReply::Done)
    }

    /// Verifies login and proof, and that the person may read the charter: whoever holds a role may. Refusals are
    /// not put on record: the charter says nothing of a run, and anybody may ask.
    pub(super) fn may_read_charter(
        &mut self,
        read: &MayReadCharter,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let MayReadCharter { idc, proof, method, url } = read;
        let charter = self.current_charter()?;
        let (idc, proof) = self
            .verify_reader(charter, idc, (proof, method, url), now)
            .map_err(Refusing::off_record)?;
        if charter.bindings_of(idc.actor()).next().is_none() {
            let rule = format!("{} holds no role in this tenant", idc.principal());
            return Err(Refusing::unsigned("policy-denied", rule));
        }
        self.spend_proof(&proof, now).map_err(Refusing::off_record)?;
        Ok(JailReply::Done)
    }

    /// A proof is good for one request.
    fn spend_proof(&mut self, proof: &VerifiedProof, now: UnixTime) -> Result<(), Refusing> {
        self.proofs.retain(|_, until| *until > now);
        let until = proof.iat().plus(2 * CLOCK_SKEW_S);
        if self.proofs.len() >= PROOFS_MAX {
            return Err(Refusing::unsigned("proof-window-full", "too many reads in two minutes"));
        }
        if self.proofs.insert(proof.jti().to_owned(), until).is_some() {
            return Err(Refusing::signed("proof-replayed", "the request proof was used before"));
        }
        Ok(())
    }

    /// Who asks, and that they hold the key of their login.
    fn verify_reader(
        &self,
        charter: &CharterState,
        idc: &UnverifiedIdc,
        (proof, method, url): (&str, &str, &str),
        now: UnixTime,
    ) -> Result<(VerifiedIdc, VerifiedProof), Refusing> {
        let verified = charter
            .verify_idc(idc, self.issuer_keys.keys(), now)
            .map_err(|error| Refusing::because(error.code(), &error))?;
        self.check_not_revoked(idc)?;
        let idc = verified;
        charter.check_signer(&idc)?;
        let expected = ExpectedRequest { method, url, idc: Some(idc.digest()) };
        let proof = VerifiedProof::verify(proof, idc.key(), expected, now)
            .map_err(|error| Refusing::because(error.code(), &error))?;
        Ok((idc, proof))
    }

    fn check_read(
        &self,
        read: &MayRead,
        what: What,
        now: UnixTime,
    ) -> Result<VerifiedProof, Refusing> {
        let charter = self.current_charter()?;
        let request = (read.proof.as_str(), read.method.as_str(), read.url.as_str());
        let (idc, proof) = self.verify_reader(charter, &read.idc, request, now)?;
        let acceptance = self.acceptance_to_read(charter, &read.acceptance)?;
        if acceptance.run != read.run {
            return Err(Refusing::signed("acceptance-foreign", "the acceptance is another run's"));
        }
        let unseen = |_| {
            let rule = "there is no such run, or you may not see it";
            Refusing::signed("run-unknown", rule)
        };
        let view = Right::RunView(&acceptance.automation);
        self.policies.decide(charter, idc.actor(), view).map_err(unseen)?;
        let right = match what {
            What::Output => Right::RunReadOutput(&acceptance.automation),
            What::Approval => Right::RunApprove(&acceptance.automation),
        };
        self.policies.decide(charter, idc.actor(), right)?;
        Ok(proof)
    }
}
