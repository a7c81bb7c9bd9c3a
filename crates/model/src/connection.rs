//! A connection: where a credential may go, and where it is kept. Never the credential.
//!
//! Invariants:
//! * a host is exact: no wildcard, no suffix, no IP literal unless it is spelled in the charter;
//! * plaintext is per host and explicit; addresses inside refused ranges need a CIDR here.
//!
//! Not here: who may use it (`policy`), resolving the reference (`jail`).

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ConnectionName;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// `Authorization: Bearer <credential>` (RFC 6750 §2.1).
    Bearer,
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

/// A secret manager that a reference may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretManager {
    /// The encrypted file beside the jail.
    Local,
}

/// A reference to a secret, such as `local:github/token`. Not secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretRef {
    manager: SecretManager,
    path: String,
}

impl SecretRef {
    /// The secret manager.
    #[must_use]
    pub const fn manager(&self) -> SecretManager {
        self.manager
    }

    /// The exact path within it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether `listed`, a workspace's secret path, covers this reference: the same path, or a
    /// prefix that ends in `/*`.
    #[must_use]
    pub fn is_under(&self, listed: &str) -> bool {
        let full = self.to_string();
        match listed.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => {
                full.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())
            }
            _ => full == listed,
        }
    }
}

/// A string is not a reference to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a secret reference such as `local:github/token`")]
pub struct InvalidSecretRef;

impl FromStr for SecretRef {
    type Err = InvalidSecretRef;

    fn from_str(s: &str) -> Result<Self, InvalidSecretRef> {
        let path = s.strip_prefix("local:").ok_or(InvalidSecretRef)?;
        let segment = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if path.len() > 256 || !path.split('/').all(segment) {
            return Err(InvalidSecretRef);
        }
        Ok(Self { manager: SecretManager::Local, path: path.to_owned() })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manager {
            SecretManager::Local => write!(f, "local:{}", self.path),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = InvalidSecretRef;

    fn try_from(s: String) -> Result<Self, InvalidSecretRef> {
        s.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
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
    fn a_listed_prefix_covers_what_is_below_it_and_nothing_beside_it() {
        let reference: SecretRef = "local:github/token".parse().unwrap();
        assert!(reference.is_under("local:github/*"));
        assert!(reference.is_under("local:github/token"));
        assert!(!reference.is_under("local:git*"));
        assert!(!reference.is_under("local:github/token/*"));
        assert!(!reference.is_under("local:gitlab/*"));
    }

    #[test]
    fn a_reference_cannot_climb_out_of_its_path() {
        for bad in ["local:../x", "local:a//b", "local:", "vault:a", "local:a/./b", "local:a\0b"] {
            assert!(bad.parse::<SecretRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_range_covers_its_own_family_only() {
        let range: Cidr = "127.0.0.0/8".parse().unwrap();
        assert!(range.contains("127.1.2.3".parse().unwrap()));
        assert!(!range.contains("128.0.0.1".parse().unwrap()));
        assert!(!range.contains("::ffff:127.0.0.1".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
    }
}
