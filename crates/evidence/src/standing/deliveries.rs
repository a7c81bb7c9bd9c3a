//! Refuses a webhook delivery that has been seen before.
//!
//! Given a delivery's id and until when it is to be remembered, [`Deliveries::check`] answers one
//! question: is this the first time? It reads no clock.
//!
//! Invariants:
//! * a delivery that was remembered is refused for at least as long as it was to be remembered,
//!   which its verifier puts [`REMEMBER_S`] past the last instant at which it would verify: so a
//!   clock may go back by that much;
//! * memory is bounded by `capacity`. When full, new deliveries are refused (fail closed); none is
//!   forgotten before its time;
//! * one window serves one standing writ, so no sender can saturate another's.
//!
//! Not here: signatures and age (the cell verifies them first).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use writ_model::{Digest, UnixTime};

use crate::digest::sha256_parts;

/// How long a delivery is remembered past the last instant at which it would verify, in seconds:
/// senders repeat what was not acknowledged, newly signed, for up to three days (Stripe).
pub const REMEMBER_S: u64 = 3 * 24 * 3600;

/// What one delivery is told from another by.
///
/// It is a bare digest, of run data where the sender signs no id, so it stays in the jail's own
/// file and stands in no statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Digest);

impl DeliveryId {
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// From an id that the sender gave and signed.
    #[must_use]
    pub fn from_signed_id(id: &str) -> Self {
        Self(sha256_parts(&[b"id\0", id.as_bytes()]))
    }

    /// From the signed body, where the sender signs no id: an event that is sent again has the
    /// same body, and every event has its own id in it.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        Self(sha256_parts(&[b"body\0", body]))
    }
}

/// Why a delivery is refused that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It was seen before.
    #[error("this webhook delivery has already been taken")]
    Duplicate,
    /// As many are remembered as can be.
    #[error("{capacity} webhook deliveries are remembered, and none can be forgotten yet")]
    Full {
        /// How many that is.
        capacity: usize,
    },
}

impl DeliveryError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Duplicate => "webhook-duplicate",
            Self::Full { .. } => "webhook-window-full",
        }
    }
}

/// The deliveries that are remembered.
#[derive(Debug, Clone)]
pub struct Deliveries {
    capacity: usize,
    until: BTreeMap<DeliveryId, UnixTime>,
    /// No remembered delivery may be forgotten before this instant.
    earliest: UnixTime,
}

impl Deliveries {
    /// A window of `capacity` deliveries.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, until: BTreeMap::new(), earliest: UnixTime(u64::MAX) }
    }

    /// Whether this delivery is new and can be remembered; changes nothing.
    ///
    /// # Errors
    ///
    /// * [`DeliveryError::Duplicate`]: it is remembered.
    /// * [`DeliveryError::Full`]: nothing can be forgotten at `now`.
    pub fn check(&self, id: DeliveryId, now: UnixTime) -> Result<(), DeliveryError> {
        if self.until.contains_key(&id) {
            return Err(DeliveryError::Duplicate);
        }
        if self.until.len() >= self.capacity && now <= self.earliest {
            return Err(DeliveryError::Full { capacity: self.capacity });
        }
        Ok(())
    }

    /// Remembers a delivery until after `until`, and forgets what may be forgotten if it must.
    pub fn remember(&mut self, id: DeliveryId, until: UnixTime, now: UnixTime) {
        if self.until.len() >= self.capacity && now > self.earliest {
            self.until.retain(|_, until| now <= *until);
            self.earliest = self.until.values().copied().min().unwrap_or(UnixTime(u64::MAX));
        }
        let until = self.until.get(&id).map_or(until, |known| until.max(*known));
        self.until.insert(id, until);
        self.earliest = self.earliest.min(until);
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> DeliveryId {
        DeliveryId::from_body(&number.to_be_bytes())
    }

    #[test]
    fn a_full_window_refuses_new_deliveries_rather_than_forgetting_old_ones() {
        let mut window = Deliveries::new(2);
        window.remember(id(1), UnixTime(100), UnixTime(0));
        window.remember(id(2), UnixTime(200), UnixTime(0));

        assert_eq!(window.check(id(3), UnixTime(100)), Err(DeliveryError::Full { capacity: 2 }));
        assert_eq!(window.check(id(1), UnixTime(100)), Err(DeliveryError::Duplicate));

        assert_eq!(window.check(id(3), UnixTime(101)), Ok(()));
        window.remember(id(3), UnixTime(300), UnixTime(101));
        assert_eq!(window.check(id(2), UnixTime(101)), Err(DeliveryError::Duplicate));
        assert_eq!(window.len(), 2);
        assert_eq!(window.check(id(4), UnixTime(200)), Err(DeliveryError::Full { capacity: 2 }));
    }

    #[test]
    fn a_window_with_room_forgets_nothing_so_a_clock_that_goes_back_brings_nothing_again() {
        let mut window = Deliveries::new(10);
        window.remember(id(1), UnixTime(100), UnixTime(0));
        assert_eq!(window.check(id(1), UnixTime(5000)), Err(DeliveryError::Duplicate));
        assert_eq!(window.check(id(1), UnixTime(50)), Err(DeliveryError::Duplicate));
    }

    #[test]
    fn a_signed_id_is_never_taken_for_a_body() {
        assert_ne!(DeliveryId::from_signed_id("x"), DeliveryId::from_body(b"x"));
    }
}
