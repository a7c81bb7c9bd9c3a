//! Keys as JWK (RFC 7517, RFC 7518 §6.2, RFC 8037 §2): which are taken, and their thumbprints.
//!
//! Taken: P-256 for ES256 and Ed25519 for `EdDSA`. Anything else, a private member in a public
//! key, a point off the curve or a `use` other than `sig` is refused.
//!
//! A [`SigningKey`] has no `Debug` and is made from PKCS#8 that the caller drew and keeps, or signs through
//! an [`Agent`] that never shows the key.

use std::fmt;

use aws_lc_rs::{
    rand::SecureRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use writ_model::Digest;

use crate::digest::sha256;

/// A signature algorithm that Writ takes, by its JOSE name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// The JOSE name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Why a JWK or a private key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither EC P-256 nor OKP Ed25519.
    #[error("key type or curve is not P-256 or Ed25519")]
    Unsupported,
    /// A private member (`d`) stands in what should be a public key.
    #[error("public key carries a private member")]
    Private,
    /// A coordinate is missing, of the wrong length or not on the curve.
    #[error("key is malformed")]
    Malformed,
    /// `use`, `key_ops` or `alg` say that it does not verify these signatures.
    #[error("key is declared for another use or algorithm")]
    WrongUse,
    /// The PKCS#8 document is not of this algorithm.
    #[error("private key is not PKCS#8 of the expected algorithm")]
    NotPkcs8,
}

/// A public key that was checked to lie on its curve.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct PublicKey {
    algorithm: Algorithm,
    /// 64 bytes x‖y for P-256, 32 bytes for Ed25519.
    raw: Vec<u8>,
}

impl PublicKey {
    /// Reads a JWK.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: see each variant.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::Malformed)?;
        if members.contains_key("d") {
            return Err(KeyError::Private);
        }
        let text = |name| members.get(name).and_then(Value::as_str);
        let (algorithm, raw) = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let mut raw = coordinate(text("x"))?;
                raw.extend(coordinate(text("y"))?);
                (Algorithm::Es256, raw)
            }
            (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDsa, coordinate(text("x"))?),
            _ => return Err(KeyError::Unsupported),
        };
        check_declared_use(members, algorithm)?;
        Self::from_raw(algorithm, raw)
    }

    /// An Ed25519 key of its 32 bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn from_ed25519(raw: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_raw(Algorithm::EdDsa, raw.to_vec())
    }

    /// The 32 bytes of an Ed25519 key; `None` of another.
    #[must_use]
    pub fn as_ed25519(&self) -> Option<&[u8]> {
        (self.algorithm == Algorithm::EdDsa).then_some(self.raw.as_slice())
    }

    fn from_raw(algorithm: Algorithm, raw: Vec<u8>) -> Result<Self, KeyError> {
        let key = Self { algorithm, raw };
        key.parsed()?;
        Ok(key)
    }

    fn parsed(&self) -> Result<ParsedPublicKey, KeyError> {
        let parsed = match self.algorithm {
            Algorithm::Es256 => {
                let mut point = vec![4];
                point.extend(&self.raw);
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, &self.raw),
        };
        parsed.map_err(|_| KeyError::Malformed)
    }

    /// The one algorithm this key verifies. It, not a header, decides how.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` (64 bytes) is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == 64
            && self.parsed().is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// The JWK with its required members only, in the order of RFC 7638 §3.2.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        let encode = |bytes: Option<&[u8]>| URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default());
        match self.algorithm {
            Algorithm::Es256 => json!({
                "crv": "P-256", "kty": "EC",
                "x": encode(self.raw.get(..32)), "y": encode(self.raw.get(32..)),
            }),
            Algorithm::EdDsa => json!({
                "crv": "Ed25519", "kty": "OKP", "x": encode(Some(&self.raw)),
            }),
        }
    }

    /// The JWK thumbprint (RFC 7638 §3, RFC 8037 §2).
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        sha256(self.to_jwk().to_string().as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm.as_str(), self.thumbprint())
    }
}

impl TryFrom<Value> for PublicKey {
    type Error = KeyError;

    fn try_from(jwk: Value) -> Result<Self, KeyError> {
        Self::from_jwk(&jwk)
    }
}

impl From<PublicKey> for Value {
    fn from(key: PublicKey) -> Self {
        key.to_jwk()
    }
}

fn coordinate(text: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text.ok_or(KeyError::Malformed)?)
        .map_err(|_| KeyError::Malformed)?;
    if bytes.len() == 32 { Ok(bytes) } else { Err(KeyError::Malformed) }
}

fn check_declared_use(members: &Map<String, Value>, algorithm: Algorithm) -> Result<(), KeyError> {
    let usage = members.get("use").is_none_or(|v| v == "sig");
    let declared = members.get("alg").is_none_or(|v| v == algorithm.as_str());
    let operations = members.get("key_ops").is_none_or(|v| {
        v.as_array().is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    });
    if usage && declared && operations { Ok(()) } else { Err(KeyError::WrongUse) }
}

/// A private key.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Elsewhere(Box<dyn Agent>),
}

/// What holds a private key and signs with it: an agent, a token.
pub trait Agent: Send + Sync {
    /// The 64-byte signature over `message` by the key's algorithm.
    ///
    /// # Errors
    ///
    /// [`SigningError`]: it does not sign, or not now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

impl SigningKey {
    /// Reads a PKCS#8 document (RFC 5958) of the given algorithm.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotPkcs8`].
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let refused = |_| KeyError::NotPkcs8;
        let (pair, raw) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(refused)?;
                let raw = pair.public_key().as_ref().get(1..).unwrap_or_default().to_vec();
                (Pair::Es256(pair), raw)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let raw = pair.public_key().as_ref().to_vec();
                (Pair::EdDsa(pair), raw)
            }
        };
        Ok(Self { pair, public: PublicKey::from_raw(algorithm, raw)? })
    }

    /// A key that an agent signs with.
    #[must_use]
    pub fn elsewhere(public: PublicKey, agent: Box<dyn Agent>) -> Self {
        Self { pair: Pair::Elsewhere(agent), public }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; 64 bytes. `random` is what ECDSA takes its nonce from.
    ///
    /// # Errors
    ///
    /// [`SigningError`]: the random source failed, or the agent did not sign with this very key.
    pub fn sign(&self, random: &dyn SecureRandom, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(random, message).map_err(|_| SigningError)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Elsewhere(agent) => {
                let signature = agent.sign(message)?;
                let own = self.public.verifies(message, &signature);
                if own { Ok(signature) } else { Err(SigningError) }
            }
        }
    }
}

/// A signature could not be made: the random source failed, or the agent that holds the key did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: the random source or the agent that holds the key failed")]
pub struct SigningError;
