//! What is derived from the vault's key file: ids, keys, sealed names and values.
//!
//! HKDF-SHA256 (RFC 5869) derives for each path an id and a key of its own; AES-256-GCM seals,
//! and associated data binds the format's version with the path (values) or the id (names). So a
//! record moved, renamed or taken from another vault does not open.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::{Zeroize as _, Zeroizing};

use super::VaultError;

/// Length of the key file, of ids and of keys.
pub(super) const KEY_LEN: usize = 32;
/// Salt and associated data: names the format.
const VERSION: &[u8] = b"writ local vault v1";
/// Bytes that a sealed value has more than the value: its tag.
const TAG_LEN: usize = 16;

/// What a derived secret is for; part of what it is derived from.
#[derive(Clone, Copy)]
enum Purpose {
    Id,
    Name,
    Value,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Id => b"id",
            Self::Name => b"name",
            Self::Value => b"value",
        }
    }
}

/// The secret that everything else is derived from.
pub(super) struct Keys(Prk);

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

impl Keys {
    /// Reads an open key file; refuses one that others may read.
    pub(super) fn read(file: &File) -> Result<Self, VaultError> {
        // The mode of what is open, not of what a path names by now.
        let found = file.metadata()?;
        if !found.is_file() || found.permissions().mode() & 0o077 != 0 {
            return Err(VaultError::KeyFile);
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN + 1));
        file.take(KEY_LEN as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() != KEY_LEN {
            return Err(VaultError::KeyFile);
        }
        Ok(Self(Salt::new(HKDF_SHA256, VERSION).extract(&bytes)))
    }

    /// The id of the record of this path: the same each time, and telling nothing of it.
    pub(super) fn id(&self, path: &str) -> Result<String, VaultError> {
        Ok(URL_SAFE_NO_PAD.encode(*self.derive(Purpose::Id, path)?))
    }

    pub(super) fn seal_name(&self, id: &str, path: &str) -> Result<String, VaultError> {
        self.seal(Purpose::Name, id, path.as_bytes())
    }

    pub(super) fn open_name(&self, id: &str, sealed: &str) -> Result<String, VaultError> {
        let name = self.open(Purpose::Name, id, sealed)?;
        String::from_utf8(name.to_vec()).map_err(|_| VaultError::Malformed)
    }

    pub(super) fn seal_value(&self, path: &str, value: &[u8]) -> Result<String, VaultError> {
        self.seal(Purpose::Value, path, value)
    }

    pub(super) fn open_value(
        &self,
        path: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.open(Purpose::Value, path, sealed)
    }

    fn derive(&self, what: Purpose, of: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, VaultError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        self.0
            .expand(&[what.label(), b"\0", of.as_bytes()], KeyLength)
            .and_then(|derived| derived.fill(bytes.as_mut()))
            .map_err(|_| VaultError::Unsafe)?;
        Ok(bytes)
    }

    fn cipher(&self, what: Purpose, of: &str) -> Result<RandomizedNonceKey, VaultError> {
        let key = self.derive(what, of)?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| VaultError::Unsafe)
    }

    fn seal(&self, what: Purpose, of: &str, value: &[u8]) -> Result<String, VaultError> {
        // Room for the tag, so that the plaintext is not left behind by a move.
        let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + TAG_LEN));
        sealed.extend_from_slice(value);
        let nonce = self
            .cipher(what, of)?
            .seal_in_place_append_tag(Aad::from(bound_to(of)), &mut *sealed)
            .map_err(|_| VaultError::Unsafe)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    fn open(
        &self,
        what: Purpose,
        of: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::Malformed)?;
        let (nonce, ciphertext) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Malformed)?;
        let mut value = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher(what, of)?
            .open_in_place(nonce, Aad::from(bound_to(of)), &mut value)
            .map_err(|_| VaultError::Refused)?
            .len();
        // What is cut off is the tag; what stays is the value.
        value.get_mut(length..).unwrap_or_default().zeroize();
        value.truncate(length);
        Ok(value)
    }
}

fn bound_to(of: &str) -> Vec<u8> {
    [VERSION, b"\0", of.as_bytes()].concat()
}
