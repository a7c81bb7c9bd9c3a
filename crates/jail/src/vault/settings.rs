//! What an operator says of the secret managers: one JSON file, read by launcher A.
//!
//! ```json
//! {
//!   "vault": {
//!     "host": {"host": "vault.example", "port": 8200},
//!     "ca_file": "/etc/writ/vault-ca.pem",
//!     "allow_cidrs": ["10.0.0.0/8"],
//!     "mounts": [{"path": "secret", "kv": 2}],
//!     "auth": {"method": "approle", "role_id": "…", "secret_id_file": "/var/lib/writ-jail/secret-id"}
//!   },
//!   "aws_sm": {"region": "eu-central-1"}
//! }
//! ```
//!
//! It holds no secret: those are in files that it names, which cells alone get, by descriptor. Unknown
//! members are refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use writ_model::{Cidr, ConnectionHost};

/// Why the settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file can't be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is not what this module's documentation shows.
    #[error("`{}` is not what secret managers are set up with", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, and which member.
        #[source]
        source: serde_json::Error,
    },
    /// A CA file holds no certificate.
    #[error("`{}` holds no certificate", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
    },
}

/// The secret managers beside `local:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretManagers {
    /// Vault or OpenBao.
    pub vault: Option<VaultSettings>,
    /// AWS Secrets Manager.
    pub aws_sm: Option<AwsSettings>,
}

/// How Vault or OpenBao is reached and logged in to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// Its host and port; `plaintext` for development on loopback only.
    pub host: ConnectionHost,
    /// PEM of a private CA; the machine's roots unless given.
    pub ca_file: Option<PathBuf>,
    /// Otherwise refused address ranges that the host may resolve to.
    #[serde(default)]
    pub allow_cidrs: Vec<Cidr>,
    /// The namespace, sent as `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// The mounts of its key-value engines; references begin with one of them.
    pub mounts: Vec<VaultMount>,
    /// How a cell logs in.
    pub auth: VaultAuth,
}

/// A mounted key-value engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultMount {
    /// Where it is mounted, such as `secret` or `team/kv`.
    pub path: String,
    /// Its version, 1 or 2.
    pub kv: KvVersion,
}

/// A version of the key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum KvVersion {
    /// Without versions of secrets.
    One,
    /// With them.
    Two,
}

impl TryFrom<u8> for KvVersion {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, &'static str> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err("`kv` is 1 or 2"),
        }
    }
}

/// How a cell logs in to Vault.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VaultAuth {
    /// `AppRole`. The file holds `{"secret_id": "…"}`, or `{"wrapping_token": "…"}` as `-wrap-ttl`
    /// gives it: the first cell unwraps it, once, and writes the secret id in its place.
    Approle {
        /// Where the method is mounted.
        #[serde(default = "approle")]
        mount: String,
        /// The role's id; not secret by itself.
        role_id: String,
        /// The file of the secret id; mode 0600.
        secret_id_file: PathBuf,
    },
    /// A token that something else keeps fresh in a file, such as Vault Agent.
    TokenFile {
        /// The file; mode 0600.
        token_file: PathBuf,
    },
}

fn approle() -> String {
    "approle".to_owned()
}

/// How AWS Secrets Manager is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSettings {
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// Another endpoint than the region's own, such as one inside a VPC.
    pub endpoint: Option<ConnectionHost>,
    /// Otherwise refused address ranges that the endpoint may resolve to.
    #[serde(default)]
    pub allow_cidrs: Vec<Cidr>,
    /// The shared credentials file; unless given `AWS_SHARED_CREDENTIALS_FILE`, then
    /// `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
    /// The profile in it; unless given `AWS_PROFILE`, then `default`.
    pub profile: Option<String>,
}

impl SecretManagers {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&text)
            .map_err(|source| SettingsError::Malformed { path: path.to_owned(), source })
    }
}

impl VaultSettings {
    /// The mount that a reference's path lies under, and the path within it. The longest wins.
    #[must_use]
    pub fn mount_of<'a>(&self, path: &'a str) -> Option<(&VaultMount, &'a str)> {
        self.mounts
            .iter()
            .filter_map(|mount| {
                let rest = path.strip_prefix(mount.path.as_str())?.strip_prefix('/')?;
                Some((mount, rest))
            })
            .max_by_key(|(mount, _)| mount.path.len())
    }
}

impl AwsSettings {
    /// Where requests go.
    #[must_use]
    pub fn host(&self) -> ConnectionHost {
        self.endpoint.clone().unwrap_or_else(|| ConnectionHost {
            host: format!("secretsmanager.{}.amazonaws.com", self.region),
            port: 443,
            plaintext: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_wins_and_names_no_neighbor() {
        let settings: VaultSettings = serde_json::from_str(
            r#"{"host":{"host":"v","port":1},"mounts":[{"path":"team","kv":1},{"path":"team/kv","kv":2}],
                "auth":{"method":"token-file","token_file":"/t"}}"#,
        )
        .unwrap();
        let mount = |path| settings.mount_of(path).map(|(mount, rest)| (mount.kv, rest));
        assert_eq!(mount("team/kv/a"), Some((KvVersion::Two, "a")));
        assert_eq!(mount("team/a"), Some((KvVersion::One, "a")));
        assert_eq!(mount("teams/a"), None);
        assert_eq!(mount("team"), None);
    }

    #[test]
    fn unknown_members_and_versions_are_refused() {
        for bad in [
            r#"{"valut":{}}"#,
            r#"{"aws_sm":{"region":"x","secret_key":"y"}}"#,
            r#"{"vault":{"host":{"host":"v","port":1},"mounts":[{"path":"a","kv":3}],
                "auth":{"method":"token-file","token_file":"/t"}}}"#,
        ] {
            assert!(serde_json::from_str::<SecretManagers>(bad).is_err(), "{bad}");
        }
    }
}
