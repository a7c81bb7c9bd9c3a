//! Encryption at rest: a key for each run, wrapped by the runner's storage key.
//!
//! AES-256-GCM with random nonces. Associated data binds a value to its run, its kind and its
//! number, so that one moved elsewhere does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand::{SecureRandom as _, SystemRandom},
};
use writ_model::RunId;
use zeroize::Zeroizing;

use super::JournalError;

/// Place of the value that tells whether a storage key is the journal's.
const CHECK: &str = "storage-key check";

/// The runner's storage key.
pub(crate) struct StorageKey(RandomizedNonceKey);

impl StorageKey {
    pub(super) fn new(bytes: &Zeroizing<[u8; 32]>) -> Result<Self, JournalError> {
        Ok(Self(key(bytes.as_slice())?))
    }

    /// A value by which this key is known again.
    pub(super) fn new_check(&self) -> Result<Vec<u8>, JournalError> {
        seal(&self.0, CHECK, &[])
    }

    /// Whether this is the key that made `check`.
    pub(super) fn check(&self, check: &[u8]) -> Result<(), JournalError> {
        open(&self.0, CHECK, check).map(drop).map_err(|_| JournalError::StorageKey)
    }

    /// Draws a run's key; returns it with its wrapped form.
    pub(super) fn new_run(&self, run: RunId) -> Result<(RunSeal, Vec<u8>), JournalError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| JournalError::Sealed)?;
        let wrapped = seal(&self.0, &format!("{run} key"), bytes.as_slice())?;
        Ok((RunSeal { run, key: key(bytes.as_slice())? }, wrapped))
    }

    /// Unwraps a run's key.
    pub(crate) fn unwrap(&self, run: RunId, wrapped: &[u8]) -> Result<RunSeal, JournalError> {
        let bytes = open(&self.0, &format!("{run} key"), wrapped)?;
        Ok(RunSeal { run, key: key(&bytes)? })
    }
}

/// One run's key.
pub(crate) struct RunSeal {
    run: RunId,
    key: RandomizedNonceKey,
}

impl RunSeal {
    pub(crate) const fn run(&self) -> RunId {
        self.run
    }

    pub(crate) fn seal(
        &self,
        what: &str,
        number: u64,
        value: &[u8],
    ) -> Result<Vec<u8>, JournalError> {
        seal(&self.key, &format!("{} {what} {number}", self.run), value)
    }

    pub(crate) fn open(
        &self,
        what: &str,
        number: u64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, JournalError> {
        open(&self.key, &format!("{} {what} {number}", self.run), sealed)
    }
}

fn key(bytes: &[u8]) -> Result<RandomizedNonceKey, JournalError> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| JournalError::Sealed)
}

fn seal(key: &RandomizedNonceKey, place: &str, value: &[u8]) -> Result<Vec<u8>, JournalError> {
    // Room for the tag at once: growing would leave the value behind in freed memory.
    let mut sealed = Vec::with_capacity(value.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(value);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut sealed)
        .map_err(|_| JournalError::Sealed)?;
    let mut whole = nonce.as_ref().to_vec();
    whole.append(&mut sealed);
    Ok(whole)
}

fn open(
    key: &RandomizedNonceKey,
    place: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, JournalError> {
    let (nonce, ciphertext) =
        sealed.split_first_chunk::<NONCE_LEN>().ok_or(JournalError::Sealed)?;
    let mut value = Zeroizing::new(ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key
        .open_in_place(nonce, Aad::from(place.as_bytes()), &mut value)
        .map_err(|_| JournalError::Sealed)?
        .len();
    value.truncate(length);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_runs() -> (RunSeal, RunSeal) {
        let storage = StorageKey::new(&Zeroizing::new([7; 32])).unwrap();
        let (a, _) = storage.new_run(RunId::from_bits(1)).unwrap();
        let (b, _) = storage.new_run(RunId::from_bits(2)).unwrap();
        (a, b)
    }

    #[test]
    fn a_value_moved_to_another_run_kind_or_number_does_not_open() {
        let (a, b) = two_runs();
        let sealed = a.seal("event", 3, b"secret").unwrap();

        assert_eq!(*a.open("event", 3, &sealed).unwrap(), b"secret");
        assert!(b.open("event", 3, &sealed).is_err());
        assert!(a.open("event", 4, &sealed).is_err());
        assert!(a.open("outcome", 3, &sealed).is_err());
    }

    #[test]
    fn an_altered_value_does_not_open() {
        let (a, _) = two_runs();
        let mut sealed = a.seal("event", 3, b"secret").unwrap();
        *sealed.last_mut().unwrap() ^= 1;
        assert!(a.open("event", 3, &sealed).is_err());
    }

    #[test]
    fn a_wrapped_key_opens_for_its_own_run_only() {
        let storage = StorageKey::new(&Zeroizing::new([7; 32])).unwrap();
        let (_, wrapped) = storage.new_run(RunId::from_bits(1)).unwrap();
        assert!(storage.unwrap(RunId::from_bits(1), &wrapped).is_ok());
        assert!(storage.unwrap(RunId::from_bits(2), &wrapped).is_err());
    }
}
