//! How digests are written: `sha256:<base64url>` for plain ones, `hmac:<base64url>` for keyed ones.
//!
//! The two are different types so that a bare hash of run data, which for low-entropy data *is*
//! the data, cannot stand where a keyed digest is asked for (DESIGN §2).
//!
//! Not here: computing them (`evidence::digest`).

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// A string is not a digest of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a digest `{expected}:` followed by 43 characters of unpadded base64url")]
pub struct InvalidDigest {
    /// The prefix that was expected.
    pub expected: &'static str,
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes that a digest function produced.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, ":{}"), URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidDigest;

            fn from_str(s: &str) -> Result<Self, InvalidDigest> {
                let invalid = || InvalidDigest { expected: $prefix };
                let text = s.strip_prefix(concat!($prefix, ":")).ok_or_else(invalid)?;
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
                Ok(Self(bytes.try_into().map_err(|_| invalid())?))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidDigest;

            fn try_from(s: String) -> Result<Self, InvalidDigest> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(d: $name) -> Self {
                d.to_string()
            }
        }
    };
}

digest!(
    /// SHA-256 of content that may be public: documents, packs, signed objects.
    Digest,
    "sha256"
);

digest!(
    /// HMAC-SHA-256 of run data under the run key.
    KeyedDigest,
    "hmac"
);

/// A tenant is its trust anchor: the digest of charter entry 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Digest);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TenantId {
    type Err = InvalidDigest;

    fn from_str(s: &str) -> Result<Self, InvalidDigest> {
        s.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = Digest::from_bytes([7; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));

        let padded = format!("{digest}=");
        assert!(padded.parse::<Digest>().is_err());
    }

    #[test]
    fn a_plain_digest_is_not_a_keyed_digest() {
        let plain = Digest::from_bytes([7; 32]).to_string();
        assert!(plain.parse::<KeyedDigest>().is_err());
    }
}
