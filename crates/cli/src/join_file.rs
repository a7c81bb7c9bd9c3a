//! What `writ init` hands out: a runner's and a gateway's join file, and people's invitation.
//!
//! Each carries the tenant's digest and a recent charter head, so that whoever starts from it accepts no
//! other chain (DESIGN §3.3). Nothing in them is secret; whoever alters one on its way chooses
//! whom its reader trusts, so they travel as a public key would.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use writ_model::{Digest, TenantId};

use crate::{failure::Failure, place::LoginIssuer};

/// A charter head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The entry's number.
    pub(crate) seq: u64,
    /// The entry's digest.
    pub(crate) digest: Digest,
}

/// What a runner or a gateway starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinFile {
    /// The trust anchor.
    pub(crate) ten: TenantId,
    /// A recent head.
    pub(crate) head: Head,
    /// The control plane's origin.
    pub(crate) server_url: String,
    /// The gateway's origin for the runner.
    pub(crate) link_url: String,
    /// The gateway's origin for readers.
    pub(crate) gateway_url: String,
    /// PEM of a private CA, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
}

/// What a person's command line starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// The trust anchor.
    pub(crate) ten: TenantId,
    /// A recent head.
    pub(crate) head: Head,
    /// The control plane's origin.
    pub(crate) server_url: String,
    /// The gateway's origin for readers.
    pub(crate) gateway_url: String,
    /// Where to log in; the first is the usual one.
    pub(crate) issuers: Vec<LoginIssuer>,
    /// PEM of a private CA, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
}

/// Reads one of them.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let named = path.display();
    let text = fs::read(path).map_err(|error| {
        Failure::because("join-file", &format!("cannot read `{named}`"), &error)
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::new("join-file", format!("`{named}` is not what it should be: {error}"))
    })
}

/// Writes one of them; refuses to replace a file.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    put(path, value, fs::OpenOptions::new().write(true).create_new(true))
}

/// Writes one of them over the file that it was read from.
pub(crate) fn rewrite<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    put(path, value, fs::OpenOptions::new().write(true).truncate(true))
}

fn put<T: Serialize>(path: &Path, value: &T, how: &fs::OpenOptions) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::because("join-file", &format!("cannot write `{}`", path.display()), error)
    };
    let mut text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    text.push('\n');
    how.open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| failed(&error))
}
