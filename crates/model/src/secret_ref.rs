//! A reference to a secret: which manager, which path, which field. Never the secret.
//!
//! | manager | form | example |
//! | --- | --- | --- |
//! | the encrypted file beside the jail | `local:<path>` | `local:github/token` |
//! | Vault or OpenBao, KV v1 and v2 | `vault:<mount>/<path>#<field>[@<version>]` | `vault:secret/github#token@3` |
//! | AWS Secrets Manager | `aws-sm:<name or ARN>[#<field>][@<version stage>]` | `aws-sm:prod/slack#token` |
//!
//! Invariant: a path is exact; it can't climb, and no reference means "everything below".

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest reference, in bytes.
const LENGTH_MAX: usize = 512;

/// A secret manager that a reference may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretManager {
    /// The encrypted file beside the jail.
    Local,
    /// `HashiCorp` Vault or OpenBao.
    Vault,
    /// AWS Secrets Manager.
    AwsSm,
}

impl SecretManager {
    const ALL: [Self; 3] = [Self::Local, Self::Vault, Self::AwsSm];

    /// What a reference begins with, before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Vault => "vault",
            Self::AwsSm => "aws-sm",
        }
    }
}

/// A reference to a secret. Not secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretRef {
    manager: SecretManager,
    path: String,
    field: Option<String>,
    version: Option<String>,
}

impl SecretRef {
    /// The secret manager.
    #[must_use]
    pub const fn manager(&self) -> SecretManager {
        self.manager
    }

    /// The exact path within it; for Vault, the mount first.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The field of a secret that has several.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Vault: the version's number. AWS: the version stage.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether `listed`, a workspace's secret path, covers this reference: the same reference, the
    /// same path with any field, or a prefix that ends in `/*`.
    #[must_use]
    pub fn is_under(&self, listed: &str) -> bool {
        let base = format!("{}:{}", self.manager.as_str(), self.path);
        match listed.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => {
                base.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())
            }
            _ => base == listed || self.to_string() == listed,
        }
    }
}

/// A string is not a reference to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a secret reference: `local:github/token`, `vault:secret/github#token` or \
     `aws-sm:prod/slack#token`"
)]
pub struct InvalidSecretRef;

impl FromStr for SecretRef {
    type Err = InvalidSecretRef;

    fn from_str(s: &str) -> Result<Self, InvalidSecretRef> {
        let (manager, rest) = s.split_once(':').ok_or(InvalidSecretRef)?;
        let manager = SecretManager::ALL
            .into_iter()
            .find(|known| known.as_str() == manager)
            .ok_or(InvalidSecretRef)?;
        let (rest, version) = split_last(rest, '@');
        let (path, field) = split_last(rest, '#');
        let reference = Self {
            manager,
            path: path.to_owned(),
            field: field.map(str::to_owned),
            version: version.map(str::to_owned),
        };
        if s.len() <= LENGTH_MAX && reference.is_well_formed() {
            Ok(reference)
        } else {
            Err(InvalidSecretRef)
        }
    }
}

impl SecretRef {
    fn is_well_formed(&self) -> bool {
        let segments = |more: &[u8]| {
            self.path.split('/').all(|part| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                !part.is_empty()
                    && part != "."
                    && part != ".."
                    && part.bytes().all(|b| plain(b) || more.contains(&b))
            })
        };
        let name = |text: &Option<String>| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            text.as_ref().is_none_or(|text| !text.is_empty() && text.bytes().all(plain))
        };
        let number = || {
            let digits = |text: &String| text.parse::<u32>().is_ok_and(|version| version > 0);
            self.version.as_ref().is_none_or(digits)
        };
        match self.manager {
            SecretManager::Local => segments(b"") && self.field.is_none() && self.version.is_none(),
            SecretManager::Vault => {
                let below_a_mount = self.path.contains('/');
                segments(b"")
                    && below_a_mount
                    && self.field.is_some()
                    && name(&self.field)
                    && number()
            }
            SecretManager::AwsSm => segments(b"+=:") && name(&self.field) && name(&self.version),
        }
    }
}

fn split_last(text: &str, at: char) -> (&str, Option<&str>) {
    text.rsplit_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.manager.as_str(), self.path)?;
        if let Some(field) = &self.field {
            write!(f, "#{field}")?;
        }
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listed_prefix_covers_what_is_below_it_and_nothing_beside_it() {
        let reference: SecretRef = "local:github/token".parse().unwrap();
        assert!(reference.is_under("local:github/*"));
        assert!(reference.is_under("local:github/token"));
        assert!(!reference.is_under("local:git*"));
        assert!(!reference.is_under("local:github/token/*"));
        assert!(!reference.is_under("local:gitlab/*"));
        let field: SecretRef = "vault:secret/github#token@3".parse().unwrap();
        assert!(field.is_under("vault:secret/*"));
        assert!(field.is_under("vault:secret/github"));
        assert!(field.is_under("vault:secret/github#token@3"));
        assert!(!field.is_under("vault:secret/github#token"));
        assert!(!field.is_under("local:secret/*"));
    }

    #[test]
    fn every_manager_has_its_own_form() {
        for (text, field, version) in [
            ("local:github/token", None, None),
            ("vault:secret/github#token", Some("token"), None),
            ("vault:team/kv/a/b#token@12", Some("token"), Some("12")),
            ("aws-sm:prod/slack", None, None),
            ("aws-sm:prod/slack#token@AWSPREVIOUS", Some("token"), Some("AWSPREVIOUS")),
            ("aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-b1#t", Some("t"), None),
        ] {
            let reference: SecretRef = text.parse().unwrap();
            assert_eq!(reference.field(), field, "{text}");
            assert_eq!(reference.version(), version, "{text}");
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn a_reference_cannot_climb_out_of_its_path() {
        for bad in [
            "local:../x",
            "local:a//b",
            "local:",
            "local:a/./b",
            "local:a\0b",
            "local:a#b",
            "local:a@1",
            "vault:a",
            "vault:a#b",
            "vault:a/b",
            "vault:a/../b#c",
            "vault:a/b#",
            "vault:a/b#c@x",
            "vault:a/b#c@0",
            "vault:a/b?list=true#c",
            "aws-sm:",
            "aws-sm:/a",
            "aws-sm:a b",
            "s3:a/b",
            "a/b",
        ] {
            assert!(bad.parse::<SecretRef>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_spelled_the_same_again(text in "(local|vault|aws-sm):[a-z/#@.0-9]{1,24}") {
            if let Ok(reference) = text.parse::<SecretRef>() {
                prop_assert_eq!(reference.to_string(), text);
                prop_assert!(!reference.path().split('/').any(|part| part == ".." || part.is_empty()));
            }
        }
    }
}
