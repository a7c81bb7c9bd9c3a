//! `session.revoke`: a login ends before its time, for this jail for good.
//!
//! Whose session it is, the session's own credential says, verified as of when it was issued; somebody else's takes the
//! right. Remembered is the receipt, durably: by the credential's digest and by the commitment in it, for as long as any
//! issuer of the charter lets a login live. From then on it signs nothing here: no writ, no request, no change of the
//! charter.
//!
//! Not here: what runs already (the kill switch stops that); changes that were witnessed before.

use writ_evidence::{
    digest::sha256,
    idc::UnverifiedIdc,
    statement::{DecisionRecord, Says, SessionRevoked},
    writ::Order,
};
use writ_jail_link::{JailReply, RevokeSession};
use writ_model::{UnixTime, limits::CLOCK_SKEW_S};
use writ_policy::Right;

use super::{Jail, Refusing};
use crate::state::Record;

impl Jail {
    /// Verifies a `session.revoke` writ; asked again, gives the same receipt.
    pub(super) fn revoke_session(
        &mut self,
        revoke: &RevokeSession,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let digest = sha256(revoke.writ.as_bytes());
        if let Some(statement) = self.answered(digest, |says| matches!(says, Says::Revoked(_))) {
            return Ok(statement);
        }
        let (revoked, used) =
            self.check_revoke(revoke, now).map_err(|refusing| refusing.about_writ(digest))?;
        let statement = self.state_with(Says::Revoked(revoked), now, vec![used])?;
        Ok(JailReply::Statement { statement })
    }

    fn check_revoke(
        &self,
        revoke: &RevokeSession,
        now: UnixTime,
    ) -> Result<(SessionRevoked, Record), Refusing> {
        let charter = self.current_charter()?;
        let (idc, writ) = self.verify_signed(charter, &revoke.writ, &revoke.idc, now)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, writ.digest())?;
        let Order::SessionRevoke { res, .. } = &writ.claims().order else {
            return Err(Refusing::signed("writ-operation", "the writ does not revoke a session"));
        };
        let session =
            if *res == idc.digest() { Some(&revoke.idc) } else { revoke.session.as_ref() };
        let session = session.filter(|session| session.digest() == *res).ok_or_else(|| {
            Refusing::signed("session-unknown", "the session's credential was not brought along")
        })?;
        let of = session
            .verify_as_issued(charter.issuers(), self.issuer_keys.keys())
            .map_err(|error| Refusing::because(error.code(), &error))?;
        let decision = if of.principal() == idc.principal() {
            let because = vec!["it is the signer's own session".to_owned()];
            DecisionRecord { policies: Vec::new(), because }
        } else {
            (&self.policies.decide(charter, idc.actor(), Right::SessionRevoke)?).into()
        };
        let longest =
            charter.issuers().iter().map(|issuer| issuer.session_max_s.max(issuer.max_age_s));
        let until = now.plus(longest.max().unwrap_or(0)).plus(2 * CLOCK_SKEW_S);
        let revoked = SessionRevoked {
            writ: writ.digest(),
            principal: idc.principal().clone(),
            session: *res,
            commitment: session.commitment(),
            of: of.principal().clone(),
            until,
            decision,
        };
        Ok((revoked, used))
    }

    /// Refuses a credential whose session was revoked.
    pub(super) fn check_not_revoked(&self, idc: &UnverifiedIdc) -> Result<(), Refusing> {
        let revoked = &self.state.memory().revoked;
        if revoked.contains_key(&idc.digest()) || revoked.contains_key(&idc.commitment()) {
            return Err(Refusing::signed("idc-revoked", "the session was revoked"));
        }
        Ok(())
    }
}
