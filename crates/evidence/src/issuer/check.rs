//! Whether the record of an issuer says something that can be meant.
//!
//! In: a record that root keys are about to sign or have signed. Out: nothing, or what is wrong.
//!
//! Invariants: a client of the device flow can't sign what only somebody present may; a claim that says
//! for whom a token is or until when is never a pinned one.

use writ_model::SERVICE_ACCOUNTS;

use super::{Issuer, IssuerClient, Workload};
use crate::writ::Operation;

/// Most pinned claims of an issuer or a workload.
const CLAIMS_MAX: usize = 32;
/// Longest name or value of a pinned claim, in bytes.
const CLAIM_LEN_MAX: usize = 512;
/// Claims that are checked for what they mean, and so can't be pinned to a text (RFC 7519 §4.1).
const CHECKED_CLAIMS: [&str; 8] = ["iss", "aud", "azp", "exp", "nbf", "iat", "jti", "nonce"];

impl Issuer {
    /// Whether the record itself is well formed.
    ///
    /// # Errors
    ///
    /// What is wrong, in a sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.iss.is_empty() || self.iss.len() > 512 {
            return Err("an issuer's identifier has 1 to 512 characters");
        }
        if self.iss == SERVICE_ACCOUNTS {
            return Err("service accounts are the charter's own; no issuer has their name");
        }
        if self.algorithms.is_empty() {
            return Err("an issuer lists at least one algorithm");
        }
        if self.keys.is_empty() && self.jwks.is_none() {
            return Err("an issuer has pinned keys or says where its keys are served");
        }
        if self.clients.is_empty() && self.workloads.is_empty() {
            return Err("an issuer lists at least one client id or workload");
        }
        let absolute =
            |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
        if self.jwks.as_ref().is_some_and(|jwks| !absolute(&jwks.path) || jwks.host.port == 0) {
            return Err("an issuer's keys are served at an absolute path of a host and port");
        }
        check_claims(&self.pinned_claims)?;
        self.clients.iter().try_for_each(IssuerClient::check)?;
        self.workloads.iter().try_for_each(Workload::check)
    }
}

impl IssuerClient {
    fn check(&self) -> Result<(), &'static str> {
        if self.device_flow && self.operations.iter().copied().any(needs_presence) {
            return Err("a client of the device flow can't sign charter changes or approvals");
        }
        self.requires.iter().try_for_each(|requirement| requirement.check_form(&self.operations))
    }
}

impl Workload {
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=255).contains(&self.name.len()) {
            return Err("a workload has a name of 1 to 255 characters");
        }
        if self.claims.is_empty() {
            return Err("a workload is told by at least one claim");
        }
        if self.operations.contains(&Operation::RunApprove) {
            return Err("a workload can't sign approvals: they are people's");
        }
        check_claims(&self.claims)
    }
}

/// Whether an operation is never signed through the device flow, where the one who confirms may sit
/// elsewhere than the one who signs (RFC 8628 §5.4; DESIGN §3.1).
const fn needs_presence(operation: Operation) -> bool {
    match operation {
        Operation::CharterAppend | Operation::RunApprove => true,
        Operation::RunStart
        | Operation::RunResume
        | Operation::RunCancel
        | Operation::ConnectionTest
        | Operation::SessionRevoke => false,
    }
}

fn check_claims(claims: &std::collections::BTreeMap<String, String>) -> Result<(), &'static str> {
    let sized = |text: &String| (1..=CLAIM_LEN_MAX).contains(&text.len());
    if claims.len() > CLAIMS_MAX || !claims.iter().all(|(name, value)| sized(name) && sized(value))
    {
        return Err("at most 32 claims are pinned, each with a name and a value");
    }
    if claims.keys().any(|name| CHECKED_CLAIMS.contains(&name.as_str())) {
        return Err("a claim that is checked for what it means can't be pinned");
    }
    Ok(())
}
