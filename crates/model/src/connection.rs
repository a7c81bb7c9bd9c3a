//! A connection: where a credential may go, and where it is kept. Never the credential.
//!
//! Invariants:
//! * a host is exact: no wildcard, no suffix, no IP literal unless it is spelled in the charter;
//! * plaintext is per host and explicit; addresses inside refused ranges need a CIDR here.
//!
//! Not here: who may use it (`policy`), resolving the reference (`jail`).

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ConnectionName, SecretRef};

/// A connection's definition, as the charter holds it. Its digest pins it in writs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its name, with its workspace.
    pub name: ConnectionName,
    /// Where in a request the credential goes.
    pub kind: ConnectionKind,
    /// The hosts that may receive it; the first is where a pack's relative paths go.
    pub hosts: Vec<ConnectionHost>,
    /// Otherwise refused address ranges (loopback, private) that these hosts may resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_cidrs: Vec<Cidr>,
    /// Where the credential is kept.
    pub secret: SecretRef,
}

/// Where a credential goes in a request. The connection decides it, never a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ConnectionKind {
    /// `Authorization: Bearer <credential>` (RFC 6750 §2.1).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617 §2); the credential is the password.
    Basic {
        /// The user-id: no colon, no control character.
        username: String,
    },
    /// A header of the service's own, such as `X-Api-Key`.
    Header {
        /// Its name: a token of RFC 9110 §5.6.2, and none that frames a message.
        name: String,
        /// What stands before the credential, such as `token `.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
}

/// Headers that neither a connection nor a pack may name: they frame the message, or another
/// part of Writ sets them (RFC 9110 §7.6.1).
pub const RESERVED_HEADERS: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

impl ConnectionKind {
    /// Whether the kind's own members are well formed.
    ///
    /// # Errors
    ///
    /// What is wrong, in a sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        let plain =
            |text: &str| text.len() <= 256 && text.bytes().all(|b| matches!(b, 0x20..=0x7E));
        match self {
            Self::Basic { username } if !plain(username) || username.contains(':') => {
                Err("a user-id is up to 256 printable characters without a colon")
            }
            Self::Bearer | Self::Basic { .. } => Ok(()),
            Self::Header { name, prefix } => {
                let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                let named = !name.is_empty() && name.len() <= 64 && name.bytes().all(token);
                let lower = name.to_ascii_lowercase();
                if !named || !plain(prefix) {
                    return Err("a header's name is a token of up to 64 characters");
                }
                if RESERVED_HEADERS.contains(&lower.as_str()) {
                    return Err("this header frames a message or is set by Writ");
                }
                Ok(())
            }
        }
    }
}

/// One exact host and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionHost {
    /// DNS name, or an IP literal, lower-case, exactly as sent in `Host`.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// HTTP without TLS: only for stand-ins on loopback and test networks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

impl fmt::Display for ConnectionHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An address range, `address/prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether every address of `other` lies in the range.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether `ip` lies in the range. A v4 range never covers a v6 address, mapped or not.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(range), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                range.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(range), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                range.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// A string is not an address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address range such as `127.0.0.1/32`")]
pub struct InvalidCidr;

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(s: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = s.split_once('/').ok_or(InvalidCidr)?;
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr)?;
        let prefix: u8 = prefix.parse().map_err(|_| InvalidCidr)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > widest {
            return Err(InvalidCidr);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidCidr;

    fn try_from(s: String) -> Result<Self, InvalidCidr> {
        s.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_covers_its_own_family_only() {
        let range: Cidr = "127.0.0.0/8".parse().unwrap();
        assert!(range.contains("127.1.2.3".parse().unwrap()));
        assert!(!range.contains("128.0.0.1".parse().unwrap()));
        assert!(!range.contains("::ffff:127.0.0.1".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn a_range_covers_what_is_within_it_and_nothing_wider_or_beside() {
        let covers = |outer: &str, inner: &str| {
            outer.parse::<Cidr>().unwrap().covers(&inner.parse().unwrap())
        };
        assert!(covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(covers("10.0.0.0/8", "10.1.0.0/16"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8"));
        assert!(!covers("10.0.0.0/8", "11.0.0.0/16"));
        assert!(!covers("0.0.0.0/0", "fd00::/8"));
        assert!(covers("fd00::/8", "fd00:1::/32"));
    }
}
