//! Service accounts: principals that the charter itself names, by keys that somebody enrolled.
//!
//! For what has no identity provider: an importer, a box in a rack. No token stands behind such a key, so
//! that the record in the charter says until when it counts and what it may sign; a service account approves
//! nothing and holds what is bound to it, no group of a token's.
//!
//! Not here: how its credential is verified (`idc`, mode `key`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use writ_model::{Principal, ServiceAccountName, UnixTime};

use crate::{key::PublicKey, writ::Operation};

/// Most keys of one account: two, while one replaces the other, and some for machines of one kind.
const KEYS_MAX: usize = 8;
/// Most seconds that keys count without being enrolled again: a year.
const KEYS_AGE_MAX_S: u64 = 366 * 24 * 3600;

/// A service account; one without keys is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its name.
    pub name: ServiceAccountName,
    /// The keys that stand for it, at most eight.
    pub keys: BTreeSet<PublicKey>,
    /// What its keys may sign for.
    pub operations: BTreeSet<Operation>,
    /// From when on the keys count no more; within a year of the change.
    pub until: UnixTime,
}

impl ServiceAccount {
    /// The principal that it is.
    #[must_use]
    pub fn principal(&self) -> Principal {
        (&self.name).into()
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.keys.len() > KEYS_MAX {
            return Err("a service account has at most eight keys");
        }
        if self.operations.contains(&Operation::RunApprove) {
            return Err("a service account can't sign approvals: they are people's");
        }
        Ok(())
    }

    /// Whether its keys count for a while from `at`, and for a year at most.
    pub(super) fn check_times(&self, at: UnixTime) -> Result<(), &'static str> {
        if self.keys.is_empty() {
            return Ok(());
        }
        if self.until <= at || self.until > at.plus(KEYS_AGE_MAX_S) {
            return Err("a service account's keys count for a year at most");
        }
        Ok(())
    }
}
