//! The `local:` vault: an encrypted file, one record a secret.
//!
//! In: a vault, its key file and a secret's path. A cell gets both files as descriptors,
//! read-only, and opens one record; the other functions take paths, for people at a terminal.
//!
//! Invariants:
//! * the file tells neither paths nor values; a record opens under its own path only;
//! * the key file is 32 random bytes that only its owner can read, or nothing opens;
//! * a change is whole or not at all, and two at a time follow each other.
//!
//! Not here: how records are sealed (`keys`), how the file is kept (`file`). What the file can't
//! show is that somebody put an older copy of it back.

mod file;
mod keys;

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use self::{
    file::{LockedKey, Record},
    keys::Keys,
};
use crate::secret_memory::{SECRET_MAX, SecretBytes};

/// Why the vault did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file can't be read or written.
    #[error("cannot use the vault or its key file")]
    Io(#[from] io::Error),
    /// The key file is not 32 bytes, or others may read it.
    #[error("the vault's key file is not 32 bytes that only its owner can read")]
    KeyFile,
    /// There is a vault, but no key file: a new key would open none of it.
    #[error("the vault is there but its key file is not")]
    KeyMissing,
    /// There is no such secret.
    #[error("there is no such secret")]
    NotFound,
    /// A record does not open: another key, or altered.
    #[error("a record does not open with this key file")]
    Refused,
    /// The file is not a vault.
    #[error("the vault file is malformed")]
    Malformed,
    /// A newer Writ has written the file.
    #[error(
        "the vault is of format {found}; this Writ knows {known}: use the version that wrote it"
    )]
    Newer {
        /// The format of the file.
        found: u32,
        /// The newest format of this program.
        known: u32,
    },
    /// The secret is empty or longer than 64 KiB, or the vault would grow over its limit.
    #[error("the secret is empty, or there is no room for it")]
    Length,
    /// The random source, or secret memory, failed.
    #[error("cannot handle the secret safely")]
    Unsafe,
}

impl VaultError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "vault-io",
            Self::KeyFile => "vault-key-file",
            Self::KeyMissing => "vault-key-missing",
            Self::NotFound => "credential-not-found",
            Self::Refused => "credential-unreadable",
            Self::Malformed => "vault-malformed",
            Self::Newer { .. } => "vault-newer",
            Self::Length => "vault-length",
            Self::Unsafe => "vault-unsafe",
        }
    }
}

/// Opens one record through descriptors, into secret memory. Both are closed on return.
///
/// # Errors
///
/// [`VaultError`].
pub fn open_record(vault: OwnedFd, key: OwnedFd, path: &str) -> Result<SecretBytes, VaultError> {
    let keys = Keys::read(&File::from(key))?;
    let records = file::read(&File::from(vault))?;
    let id = keys.id(path)?;
    let record = records.iter().find(|record| record.id == id).ok_or(VaultError::NotFound)?;
    let mut value = keys.open_value(path, &record.value)?;
    SecretBytes::take(&mut value).map_err(|_| VaultError::Unsafe)
}

/// Keeps a secret; makes vault and key file the first time. Replaces what was there.
///
/// # Errors
///
/// [`VaultError`]; the vault is as it was.
pub fn put(vault: &Path, key: &Path, path: &str, value: &[u8]) -> Result<(), VaultError> {
    if value.is_empty() || value.len() > SECRET_MAX {
        return Err(VaultError::Length);
    }
    let key = LockedKey::open_or_create(vault, key)?;
    let keys = key.keys();
    let mut records = load_checked(vault, keys)?;
    let id = keys.id(path)?;
    records.retain(|record| record.id != id);
    let name = keys.seal_name(&id, path)?;
    let value = keys.seal_value(path, value)?;
    records.push(Record { id, name, value });
    file::replace(vault, &records)
}

/// Removes a secret.
///
/// # Errors
///
/// [`VaultError`]: `NotFound` if there is none.
pub fn remove(vault: &Path, key: &Path, path: &str) -> Result<(), VaultError> {
    let key = LockedKey::open(key)?;
    let mut records = load_checked(vault, key.keys())?;
    let id = key.keys().id(path)?;
    let before = records.len();
    records.retain(|record| record.id != id);
    if records.len() == before {
        return Err(VaultError::NotFound);
    }
    file::replace(vault, &records)
}

/// The paths of the secrets, sorted.
///
/// # Errors
///
/// [`VaultError`].
pub fn list(vault: &Path, key: &Path) -> Result<Vec<String>, VaultError> {
    let records = file::load(vault)?;
    if records.is_empty() && !key.exists() {
        return Ok(Vec::new());
    }
    let key = LockedKey::open(key)?;
    let mut paths = names(&records, key.keys())?;
    paths.sort();
    Ok(paths)
}

/// All records, if this key opens them: a vault never holds records of two keys.
fn load_checked(vault: &Path, keys: &Keys) -> Result<Vec<Record>, VaultError> {
    let records = file::load(vault)?;
    names(&records, keys)?;
    Ok(records)
}

fn names(records: &[Record], keys: &Keys) -> Result<Vec<String>, VaultError> {
    records.iter().map(|record| keys.open_name(&record.id, &record.name)).collect()
}

#[cfg(test)]
mod tests;
