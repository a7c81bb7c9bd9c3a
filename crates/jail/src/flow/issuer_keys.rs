//! The signing keys of identity providers, as cells fetched them.
//!
//! A request that carries a credential signed by a key that is neither pinned nor known waits while
//! a cell asks the issuer; then it is judged by what is known. An issuer is asked at most once in
//! [`PATIENCE_S`], so that made-up `kid`s can't make the jail busy.
//!
//! Invariants: keys come from the endpoint that the charter names and nowhere else; a failed fetch
//! leaves known keys in place; keys older than [`REFETCH_AFTER_S`] are fetched again, so that a key
//! that the issuer withdrew stops counting.

use std::collections::BTreeMap;

use writ_evidence::{
    idc::UnverifiedIdc,
    issuer::{FetchedKeys, Issuer, IssuerKey, TokenKeys},
};
use writ_jail_link::{CellOutcome, IssuerKeysOrder, JailRequest};
use writ_model::UnixTime;

use super::Jail;

/// Seconds between two questions to one issuer.
const PATIENCE_S: u64 = 15;
/// Seconds after which keys are fetched again although every `kid` is known.
const REFETCH_AFTER_S: u64 = 3600;
/// Seconds that a cell may take.
const FETCH_TIMEOUT_S: u32 = 10;

/// What is known of issuers' keys.
#[derive(Default)]
pub(super) struct KnownKeys {
    keys: FetchedKeys,
    asked: BTreeMap<String, UnixTime>,
    learned: BTreeMap<String, UnixTime>,
}

impl KnownKeys {
    pub(super) const fn keys(&self) -> TokenKeys<'_> {
        TokenKeys::Fetched(&self.keys)
    }

    pub(super) const fn fetched(&self) -> &FetchedKeys {
        &self.keys
    }
}

/// Keys to fetch before a request can be judged.
pub struct WantedKeys {
    iss: String,
    /// What the cell is told.
    pub order: IssuerKeysOrder,
}

impl Jail {
    /// Which keys a request needs that are not known yet.
    pub fn wanted_keys(&mut self, request: &JailRequest, now: UnixTime) -> Option<WantedKeys> {
        if self.stopped().is_some() {
            return None;
        }
        let issuer = match request {
            JailRequest::OpenRun(open) => self.issuer_to_ask(&open.idc, now)?,
            JailRequest::ResumeRun(order)
            | JailRequest::CancelRun(order)
            | JailRequest::ApproveRun(order) => self.issuer_to_ask(&order.idc, now)?,
            JailRequest::MayRead(read) | JailRequest::MayReadApproval(read) => {
                self.issuer_to_ask(&read.idc, now)?
            }
            JailRequest::RevokeSession(order) => self.issuer_to_ask(&order.idc, now)?,
            JailRequest::TestConnection(order) => self.issuer_to_ask(&order.idc, now)?,
            JailRequest::MayReadCharter(read) => self.issuer_to_ask(&read.idc, now)?,
            JailRequest::Cosign { candidate } | JailRequest::CosignPushed { candidate } => {
                candidate.credentials().find_map(|idc| self.issuer_to_ask(idc, now))?
            }
            _ => return None,
        };
        let wanted = WantedKeys {
            iss: issuer.iss.clone(),
            order: IssuerKeysOrder { endpoint: issuer.jwks.clone()?, timeout_s: FETCH_TIMEOUT_S },
        };
        self.issuer_keys.asked.insert(wanted.iss.clone(), now);
        Some(wanted)
    }

    fn issuer_to_ask(&self, idc: &UnverifiedIdc, now: UnixTime) -> Option<&Issuer> {
        let (iss, kids) = idc.asks_for()?;
        let issuers = self.charter.as_ref()?.issuers();
        let issuer = issuers.iter().find(|issuer| issuer.iss == iss && issuer.jwks.is_some())?;
        let KnownKeys { keys, asked, learned } = &self.issuer_keys;
        let known = kids.iter().all(|kid| issuer.knows(kid, keys));
        let stale = learned.get(&iss).is_some_and(|learned| now.since(*learned) > REFETCH_AFTER_S);
        let patient = asked.get(&iss).is_none_or(|asked| now.since(*asked) >= PATIENCE_S);
        ((!known || stale) && patient).then_some(issuer)
    }

    /// Takes what a cell brought.
    pub fn learn_keys(&mut self, wanted: WantedKeys, outcome: CellOutcome, now: UnixTime) {
        let keys = match outcome {
            CellOutcome::Output(value) => serde_json::from_value::<Vec<IssuerKey>>(value).ok(),
            CellOutcome::Failed(failed) => {
                eprintln!("writ-jail: keys of {} not fetched: {}", wanted.iss, failed.code);
                None
            }
        };
        let Some(keys) = keys else { return };
        self.issuer_keys.keys.replace(&wanted.iss, keys);
        self.issuer_keys.learned.insert(wanted.iss, now);
    }
}
