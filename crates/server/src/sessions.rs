//! Which sessions were seen, and which are revoked: for a quick no, and for people to look at.
//!
//! Seen is written down once a minute for each session. Revoked is known in memory, and read from the store at the start.
//! The jail decides again, by its own memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError, RwLock},
};

use writ_api::Problem;
use writ_evidence::idc::{IdcMode, UnverifiedIdc, VerifiedIdc};
use writ_model::{Digest, UnixTime};

use crate::store::{SeenSession, Store, StoreError};

/// Seconds after which it is written down again that a session was seen.
const SEEN_EVERY_S: u64 = 60;
/// Most sessions of which it is remembered that they were written down.
const SEEN_MAX: usize = 10_000;

/// A tenant's sessions.
pub(crate) struct Sessions {
    revoked: RwLock<BTreeSet<Digest>>,
    written: Mutex<BTreeMap<Digest, UnixTime>>,
}

impl Sessions {
    /// Takes up what is revoked.
    pub(crate) fn open(store: &Store) -> Result<Self, StoreError> {
        let revoked = RwLock::new(store.revoked_sessions()?);
        Ok(Self { revoked, written: Mutex::default() })
    }

    /// Refuses a credential whose session was revoked.
    pub(crate) fn check(&self, idc: &UnverifiedIdc) -> Result<(), Problem> {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        if revoked.contains(&idc.digest()) || revoked.contains(&idc.commitment()) {
            return Err(Problem::new(401, "idc-revoked", "the session was revoked")
                .with_remedy("log in with `writ login`"));
        }
        Ok(())
    }

    /// Notes that something of a session was seen; a service account's key is none, and the charter's to end. What
    /// can't be written down is no reason to refuse anybody.
    pub(crate) fn see(&self, store: &Store, idc: &UnverifiedIdc, by: &VerifiedIdc, now: UnixTime) {
        if idc.mode == IdcMode::Key {
            return;
        }
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let due = |at: &UnixTime| now.since(*at) >= SEEN_EVERY_S;
            if !written.get(&by.digest()).is_none_or(due) {
                return;
            }
            if written.len() >= SEEN_MAX {
                written.clear();
            }
            written.insert(by.digest(), now);
        }
        let (principal, through, until) = (by.principal(), by.through(), by.fresh_until());
        let seen = SeenSession { idc, principal, through, until };
        if let Err(error) = store.see_session(&seen, now) {
            tracing::warn!(error = %error, "a session that was seen is not written down");
        }
    }

    /// From now on the session is refused.
    pub(crate) fn revoke(&self, store: &Store) -> Result<(), StoreError> {
        let all = store.revoked_sessions()?;
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }
}
