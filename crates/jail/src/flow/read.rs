//! May this person read this run's output, or what it asks people to approve?

use writ_evidence::proof::{ExpectedRequest, VerifiedProof};
use writ_jail_link::{JailReply, MayRead};
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
        self.proofs.retain(|_, until| *until > now);
        let until = proof.iat().plus(2 * CLOCK_SKEW_S);
        if self.proofs.len() >= PROOFS_MAX {
            return Err(Refusing::unsigned("proof-window-full", "too many reads in two minutes"));
        }
        if self.proofs.insert(proof.jti().to_owned(), until).is_some() {
            let rule = "the request proof was used before";
            return Err(Refusing::signed("proof-replayed", rule).about_run(read.run));
        }
        Ok(JailReply::Done)
    }

    fn check_read(
        &self,
        read: &MayRead,
        what: What,
        now: UnixTime,
    ) -> Result<VerifiedProof, Refusing> {
        let charter = self.current_charter()?;
        let idc = read
            .idc
            .verify(charter.issuers(), self.issuer_keys.keys(), now)
            .map_err(|error| Refusing::because(error.code(), &error))?;
        charter.check_signer(&idc)?;
        let expected =
            ExpectedRequest { method: &read.method, url: &read.url, idc: Some(idc.digest()) };
        let proof = VerifiedProof::verify(&read.proof, idc.key(), expected, now)
            .map_err(|error| Refusing::because(error.code(), &error))?;
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
