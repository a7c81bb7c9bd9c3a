//! The `local:` vault: an encrypted file, one record a secret.
//!
//! Each record's key is derived from the key file and the record's path (HKDF-SHA256), and its id
//! is too, so that the file tells neither paths nor values. AES-256-GCM; associated data binds a
//! value to its path. A cell gets both files as descriptors, read-only, and opens one record.
//!
//! Format: one JSON object a line, `{"id", "name", "value"}`, base64url; rewritten whole by `put`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    },
    path::Path,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret_memory::SecretBytes;

/// Largest vault file, in bytes.
const VAULT_MAX: u64 = 16 * 1024 * 1024;

/// Why the vault did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file can't be read or written.
    #[error("cannot use the vault or its key file")]
    Io(#[from] io::Error),
    /// The key file is not 32 bytes, or others may read it.
    #[error("the vault's key file is not 32 bytes that only its owner can read")]
    KeyFile,
    /// There is no such secret.
    #[error("there is no such secret")]
    NotFound,
    /// A record does not open: another key, or altered.
    #[error("a record does not open with this key file")]
    Refused,
    /// The file is not a vault.
    #[error("the vault file is malformed")]
    Malformed,
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
            Self::NotFound => "credential-not-found",
            Self::Refused => "credential-unreadable",
            Self::Malformed => "vault-malformed",
            Self::Unsafe => "vault-unsafe",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: String,
    name: String,
    value: String,
}

/// Opens one record through descriptors, into secret memory. Both are closed on return.
///
/// # Errors
///
/// [`VaultError`].
pub fn open_record(vault: OwnedFd, key: OwnedFd, path: &str) -> Result<SecretBytes, VaultError> {
    let keys = Keys::read(File::from(key))?;
    let mut text = Vec::new();
    File::from(vault).take(VAULT_MAX).read_to_end(&mut text)?;
    let id = keys.id(path)?;
    let record =
        parse(&text)?.into_iter().find(|record| record.id == id).ok_or(VaultError::NotFound)?;
    let mut value = keys.open(path, "value", &record.value)?;
    SecretBytes::take(&mut value).map_err(|_| VaultError::Unsafe)
}

/// Keeps a secret; makes vault and key file the first time. Replaces what was there.
///
/// # Errors
///
/// [`VaultError`]; the vault is as it was.
pub fn put(vault: &Path, key: &Path, path: &str, value: &[u8]) -> Result<(), VaultError> {
    if !key.exists() {
        create_key(key)?;
    }
    let keys = Keys::open_file(key)?;
    let mut records = load(vault)?;
    let id = keys.id(path)?;
    records.retain(|record| record.id != id);
    records.push(Record {
        id,
        name: keys.seal("", "name", path.as_bytes())?,
        value: keys.seal(path, "value", value)?,
    });
    store(vault, &records)
}

/// Removes a secret.
///
/// # Errors
///
/// [`VaultError`]: `NotFound` if there is none.
pub fn remove(vault: &Path, key: &Path, path: &str) -> Result<(), VaultError> {
    let keys = Keys::open_file(key)?;
    let mut records = load(vault)?;
    let id = keys.id(path)?;
    let before = records.len();
    records.retain(|record| record.id != id);
    if records.len() == before {
        return Err(VaultError::NotFound);
    }
    store(vault, &records)
}

/// The paths of the secrets, sorted.
///
/// # Errors
///
/// [`VaultError`].
pub fn list(vault: &Path, key: &Path) -> Result<Vec<String>, VaultError> {
    if !key.exists() && !vault.exists() {
        return Ok(Vec::new());
    }
    let keys = Keys::open_file(key)?;
    let mut paths = load(vault)?
        .iter()
        .map(|record| {
            let name = keys.open("", "name", &record.name)?;
            String::from_utf8(name.to_vec()).map_err(|_| VaultError::Malformed)
        })
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn create_key(path: &Path) -> Result<(), VaultError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| VaultError::Unsafe)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes.as_slice())?;
    Ok(file.sync_all()?)
}

fn load(vault: &Path) -> Result<Vec<Record>, VaultError> {
    match fs::read(vault) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn parse(text: &[u8]) -> Result<Vec<Record>, VaultError> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|_| VaultError::Malformed))
        .collect()
}

/// Writes the whole file beside the old one, then replaces it.
fn store(vault: &Path, records: &[Record]) -> Result<(), VaultError> {
    let next = vault.with_extension("next");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    for record in records {
        let line = serde_json::to_vec(record).map_err(|_| VaultError::Malformed)?;
        file.write_all(&line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    fs::rename(&next, vault)?;
    let folder = vault.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?)
}

/// What is derived from the key file.
struct Keys(Prk);

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl Keys {
    fn open_file(path: &Path) -> Result<Self, VaultError> {
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(VaultError::KeyFile);
        }
        Self::read(File::open(path)?)
    }

    fn read(file: File) -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(33));
        file.take(33).read_to_end(&mut bytes)?;
        if bytes.len() != 32 {
            return Err(VaultError::KeyFile);
        }
        Ok(Self(Salt::new(HKDF_SHA256, b"writ local vault v1").extract(&bytes)))
    }

    fn derive(&self, what: &str, path: &str) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.0
            .expand(&[what.as_bytes(), b"\0", path.as_bytes()], Bytes32)
            .and_then(|okm| okm.fill(bytes.as_mut()))
            .map_err(|_| VaultError::Unsafe)?;
        Ok(bytes)
    }

    fn id(&self, path: &str) -> Result<String, VaultError> {
        Ok(URL_SAFE_NO_PAD.encode(*self.derive("id", path)?))
    }

    fn cipher(&self, what: &str, path: &str) -> Result<RandomizedNonceKey, VaultError> {
        let key = self.derive(what, path)?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| VaultError::Unsafe)
    }

    fn seal(&self, path: &str, what: &str, value: &[u8]) -> Result<String, VaultError> {
        let mut sealed = value.to_vec();
        let nonce = self
            .cipher(what, path)?
            .seal_in_place_append_tag(Aad::from(path.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::Unsafe)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    fn open(&self, path: &str, what: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::Malformed)?;
        let (nonce, ciphertext) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Malformed)?;
        let mut value = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher(what, path)?
            .open_in_place(nonce, Aad::from(path.as_bytes()), &mut value)
            .map_err(|_| VaultError::Refused)?
            .len();
        // What is cut off is the tag; what stays is the value.
        value.get_mut(length..).unwrap_or_default().zeroize();
        value.truncate(length);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Files {
        folder: PathBuf,
    }

    impl Files {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("writ-vault-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self { folder }
        }

        fn vault(&self) -> PathBuf {
            self.folder.join("vault")
        }

        fn key(&self) -> PathBuf {
            self.folder.join("vault.key")
        }

        fn open(&self, path: &str) -> Result<Vec<u8>, VaultError> {
            let (vault, key) = (File::open(self.vault())?, File::open(self.key())?);
            open_record(vault.into(), key.into(), path).map(|secret| secret.expose().to_vec())
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    #[test]
    fn a_secret_is_kept_listed_replaced_and_removed() {
        let files = Files::new("lifecycle");
        put(&files.vault(), &files.key(), "github/token", b"first").unwrap();
        put(&files.vault(), &files.key(), "github/token", b"second").unwrap();
        put(&files.vault(), &files.key(), "slack/token", b"other").unwrap();

        assert_eq!(files.open("github/token").unwrap(), b"second");
        assert_eq!(list(&files.vault(), &files.key()).unwrap(), ["github/token", "slack/token"]);
        remove(&files.vault(), &files.key(), "github/token").unwrap();
        assert!(matches!(files.open("github/token"), Err(VaultError::NotFound)));
    }

    #[test]
    fn the_file_tells_neither_value_nor_path() {
        let files = Files::new("canary");
        put(&files.vault(), &files.key(), "canary-path", b"canary-value").unwrap();
        let bytes = fs::read(files.vault()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"));
        for encoded in [&b"canary-value"[..], b"canary-path"] {
            assert!(!text.contains(&URL_SAFE_NO_PAD.encode(encoded)));
        }
    }

    #[test]
    fn values_swapped_between_records_do_not_open() {
        let files = Files::new("swap");
        put(&files.vault(), &files.key(), "a", b"value of a").unwrap();
        put(&files.vault(), &files.key(), "b", b"value of b").unwrap();
        let mut records = load(&files.vault()).unwrap();
        let taken = records[0].value.clone();
        records[1].value = taken;
        store(&files.vault(), &records).unwrap();
        assert!(matches!(files.open("b"), Err(VaultError::Refused)));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let files = Files::new("mode");
        put(&files.vault(), &files.key(), "a", b"x").unwrap();
        fs::set_permissions(files.key(), fs::Permissions::from_mode(0o644)).unwrap();
        let refused = put(&files.vault(), &files.key(), "a", b"y");
        assert!(matches!(refused, Err(VaultError::KeyFile)));
    }
}
