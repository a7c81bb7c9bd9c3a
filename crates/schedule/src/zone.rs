//! A time zone of the IANA database, and what a local time means in it.
//!
//! The database is compiled in (`jiff`, `tzdb-bundle-always`); the machine's own is never read, so
//! that runner and jail of one release agree. Two releases may know different rules for the
//! future; then the jail refuses what it does not hold for an occurrence.
//!
//! Invariant: [`Zone::first_instant`] never goes down as its local time goes up, and it is total
//! but for the end of representable time.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};
use writ_model::UnixTime;

/// A string is not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IANA time zone as the database spells it, such as `Europe/Berlin` or `UTC`")]
pub struct InvalidTimeZone;

/// A time zone by its IANA name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// The name, in the database's spelling.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset from UTC at an instant, and the instant at which another begins.
    pub(crate) fn offset_at(&self, instant: Timestamp) -> (Offset, Option<Timestamp>) {
        let next = self.rules.following(instant).next();
        (self.rules.to_offset(instant), next.map(|transition| transition.timestamp()))
    }

    /// The one instant at which a schedule of fixed hours takes a local time to be: of two, the
    /// earlier; for none, the first instant after the gap.
    pub(crate) fn first_instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.rules.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // By the later offset the local time lies before the clock goes forward.
                let before = after.to_timestamp(local).ok()?;
                let mut next = self.rules.following(before);
                next.find(|transition| transition.offset() == after)
                    .map(|transition| transition.timestamp())
            }
        }
    }

    /// The local time at an instant.
    pub(crate) fn local(&self, instant: Timestamp) -> DateTime {
        self.rules.to_datetime(instant)
    }
}

/// The instant as `jiff` counts it; none after the year 9999.
pub(crate) fn timestamp(t: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(t.0).ok()?).ok()
}

/// The instant in whole seconds; none before 1970.
pub(crate) fn unix_time(instant: Timestamp) -> Option<UnixTime> {
    u64::try_from(instant.as_second()).ok().map(UnixTime)
}

impl FromStr for Zone {
    type Err = InvalidTimeZone;

    fn from_str(s: &str) -> Result<Self, InvalidTimeZone> {
        let rules = TimeZoneDatabase::bundled().get(s).map_err(|_| InvalidTimeZone)?;
        // The database ignores case; a signed object has one spelling. `Etc/Unknown` is no zone.
        if rules.iana_name() != Some(s) || rules.is_unknown() {
            return Err(InvalidTimeZone);
        }
        Ok(Self { name: s.to_owned(), rules })
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl TryFrom<String> for Zone {
    type Error = InvalidTimeZone;

    fn try_from(s: String) -> Result<Self, InvalidTimeZone> {
        s.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_has_one_spelling_and_exists() {
        for good in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"] {
            assert_eq!(good.parse::<Zone>().unwrap().name(), good);
        }
        for bad in [
            "",
            "europe/berlin",
            "Etc/Unknown",
            "Europe/Atlantis",
            "+01:00",
            "../etc/passwd",
            "utc",
        ] {
            assert_eq!(bad.parse::<Zone>(), Err(InvalidTimeZone), "{bad:?}");
        }
    }
}
