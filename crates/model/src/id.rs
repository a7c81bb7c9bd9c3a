//! Ids: a prefix, an underscore and 32 lower-case hexadecimal digits; one spelling each.
//!
//! No constructor here draws randomness: the bits come from the caller.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A string is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{expected}_` followed by 32 lower-case hexadecimal digits")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u128);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id of 128 bits that the caller drew or derived.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:032x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(s: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId { expected: Self::PREFIX };
                let hex = s.strip_prefix(concat!($prefix, "_")).ok_or_else(invalid)?;
                let canonical = hex.len() == 32
                    && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !canonical {
                    return Err(invalid());
                }
                u128::from_str_radix(hex, 16).map(Self).map_err(|_| invalid())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(s: String) -> Result<Self, InvalidId> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id!(
    /// One run of one automation. Derived from the digest of the writ that ordered it, so that
    /// whoever relays the writ cannot choose it.
    RunId,
    "run"
);

id!(
    /// One enrolled customer-side runner.
    RunnerId,
    "rnr"
);

id!(
    /// The runners that may take one another's runs; an embedded group has exactly one.
    RunnerGroupId,
    "rg"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = RunId::from_bits(0xabc);
        assert_eq!(id.to_string().parse(), Ok(id));

        assert!(id.to_string().to_uppercase().parse::<RunId>().is_err());
        assert!("run_abc".parse::<RunId>().is_err());
        assert!("rnr_00000000000000000000000000000abc".parse::<RunId>().is_err());
    }
}
