//! Seals a run's key and input to a runner: HPKE base mode (RFC 9180).
//!
//! Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The writ's digest is associated
//! data, so a ciphertext cannot be moved to another order. Content is the 32-byte run key followed
//! by the input.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::AesGcm256,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open, single_shot_seal_with_rng,
};
use serde::{Deserialize, Serialize};
use writ_model::{Digest, limits::RUN_INPUT_MAX};
use zeroize::Zeroizing;

use crate::digest::RunKey;

type Kem = X25519HkdfSha256;

/// Domain separation from any other use of the same key.
const INFO: &[u8] = b"writ run input v1";

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The input is longer than a run's may be.
    #[error("input is longer than {RUN_INPUT_MAX} bytes")]
    TooLong,
    /// The key is not a point that HPKE takes.
    #[error("sealing key is refused")]
    Key,
    /// The random source failed.
    #[error("the random source failed")]
    Random,
    /// Not sealed to this key, for this writ, or altered since.
    #[error("sealed input does not open")]
    Refused,
}

/// What is sealed.
pub struct SealedContent {
    /// The run key.
    pub run_key: RunKey,
    /// The input's exact bytes.
    pub input: Zeroizing<Vec<u8>>,
}

/// A ciphertext with its encapsulated key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Encapsulated key, base64url.
    pub enc: String,
    /// Ciphertext with its tag, base64url.
    pub ciphertext: String,
}

/// An X25519 public key that inputs are sealed to; base64url of 32 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingPublicKey([u8; 32]);

impl TryFrom<String> for SealingPublicKey {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Key)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SealError::Key)?;
        <Kem as hpke::Kem>::PublicKey::from_bytes(&bytes).map_err(|_| SealError::Key)?;
        Ok(Self(bytes))
    }
}

impl From<SealingPublicKey> for String {
    fn from(key: SealingPublicKey) -> Self {
        URL_SAFE_NO_PAD.encode(key.0)
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({})", URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The private half; no `Debug`, no `Clone`, no `Serialize`.
pub struct SealingPrivateKey(<Kem as hpke::Kem>::PrivateKey);

impl SealingPrivateKey {
    /// Derives the key from 32 random bytes that the caller keeps (RFC 9180 §7.1.3).
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(Kem::derive_keypair(seed).0)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SealingPublicKey {
        let mut bytes = [0; 32];
        Kem::sk_to_pk(&self.0).write_exact(&mut bytes);
        SealingPublicKey(bytes)
    }
}

/// Seals to one runner.
///
/// # Errors
///
/// [`SealError`]: `TooLong`, `Key` or `Random`.
///
/// # Spec
///
/// RFC 9180 §6.1 (single-shot encryption).
pub fn seal(
    to: &SealingPublicKey,
    writ: Digest,
    (run_key, input): (&RunKey, &[u8]),
    random: &dyn SecureRandom,
) -> Result<Sealed, SealError> {
    if input.len() > RUN_INPUT_MAX {
        return Err(SealError::TooLong);
    }
    let mut content = Zeroizing::new(run_key.expose().to_vec());
    content.extend_from_slice(input);
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&to.0).map_err(|_| SealError::Key)?;
    let mut source = Source { random, failed: false };
    let (enc, ciphertext) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &key,
        INFO,
        &content,
        writ.as_bytes(),
        &mut source,
    )
    .map_err(|_| SealError::Key)?;
    if source.failed {
        return Err(SealError::Random);
    }
    Ok(Sealed {
        enc: URL_SAFE_NO_PAD.encode(enc.to_bytes()),
        ciphertext: URL_SAFE_NO_PAD.encode(ciphertext),
    })
}

/// Opens what was sealed to this key for this writ.
///
/// # Errors
///
/// [`SealError::Refused`].
pub fn open(
    key: &SealingPrivateKey,
    writ: Digest,
    sealed: &Sealed,
) -> Result<SealedContent, SealError> {
    let refused = |_| SealError::Refused;
    let enc = URL_SAFE_NO_PAD.decode(&sealed.enc).map_err(|_| SealError::Refused)?;
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&enc).map_err(refused)?;
    let ciphertext = URL_SAFE_NO_PAD.decode(&sealed.ciphertext).map_err(|_| SealError::Refused)?;
    let content = single_shot_open::<AesGcm256, HkdfSha256, Kem>(
        &OpModeR::Base,
        &key.0,
        &enc,
        INFO,
        &ciphertext,
        writ.as_bytes(),
    )
    .map(Zeroizing::new)
    .map_err(refused)?;
    let (run_key, input) = content.split_first_chunk::<32>().ok_or(SealError::Refused)?;
    Ok(SealedContent {
        run_key: RunKey::from_bytes(Zeroizing::new(*run_key)),
        input: Zeroizing::new(input.to_vec()),
    })
}

/// The caller's random source, in the shape that HPKE asks for. A failure is remembered, and what
/// was sealed with it is thrown away.
struct Source<'a> {
    random: &'a dyn SecureRandom,
    failed: bool,
}

impl TryRng for Source<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        self.failed |= self.random.fill(to).is_err();
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}
