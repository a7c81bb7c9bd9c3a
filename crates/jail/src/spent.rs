//! Which writs were used, for as long as they could be sent again.
//!
//! In: a writ's unique id (`jti`) and when it may be forgotten. Out: whether it is known.
//!
//! Invariants:
//! * what was noted is known until its time, whatever else is noted;
//! * what has expired is forgotten, in the order in which it expires: neither a look-up, nor noting, nor forgetting costs
//!   more because others are remembered;
//! * memory is bounded by what could still be sent again: a writ lives for five minutes, and is remembered for as long as
//!   a clock that is off could take it for fresh.
//!
//! Not here: that a note is on disk first (`state`).

use std::collections::BTreeMap;

use writ_evidence::digest::sha256;
use writ_model::UnixTime;

/// The first half of an id's SHA-256: of one size, whatever a signer chose. Somebody who finds two ids with the same
/// half can have their own second writ refused, and nothing else.
type Key = [u8; 16];

/// Used writs that have not expired.
#[derive(Default)]
pub struct Spent {
    until: BTreeMap<Key, UnixTime>,
    /// The same, by when they may be forgotten.
    ending: BTreeMap<UnixTime, Vec<Key>>,
}

impl Spent {
    /// Whether a writ of this id was used.
    #[must_use]
    pub fn knows(&self, jti: &str) -> bool {
        self.until.contains_key(&key(jti))
    }

    /// Notes that a writ of this id was used; noted twice, the later time counts.
    pub fn note(&mut self, jti: &str, until: UnixTime) {
        let key = key(jti);
        let known = self.until.entry(key).or_insert(until);
        *known = until.max(*known);
        self.ending.entry(until).or_default().push(key);
    }

    /// Forgets what has expired.
    pub fn forget(&mut self, now: UnixTime) {
        while let Some(ending) = self.ending.first_entry() {
            if *ending.key() > now {
                return;
            }
            for key in ending.remove() {
                if self.until.get(&key).is_some_and(|until| *until <= now) {
                    self.until.remove(&key);
                }
            }
        }
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

fn key(jti: &str) -> Key {
    let digest = sha256(jti.as_bytes());
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_known_until_its_time_and_leaves_nothing_behind_after_it() {
        let mut spent = Spent::default();
        for number in 0..1000_u64 {
            spent.note(&format!("jti-{number}"), UnixTime(number % 100));
        }
        spent.note("jti-5", UnixTime(50));

        spent.forget(UnixTime(5));

        assert!(spent.knows("jti-5"), "the later time counts");
        assert!(!spent.knows("jti-105"));
        assert!(spent.knows("jti-6"));
        assert_eq!(spent.len(), 941);
        spent.forget(UnixTime(99));
        assert!(spent.is_empty() && spent.ending.is_empty());
    }
}
