//! The one parser and the one signer of JWS compact serialization (RFC 7515 §7.1) in the tree.
//!
//! In: text and a key from the key's own record. Out: [`Verified`] bytes, or a typed refusal.
//! Invariants (DESIGN §3):
//! * at most 16 KiB, exactly three parts, unpadded canonical base64url;
//! * header is strict JSON; `crit`, `b64`, `jku`, `x5u`, `x5c` are refused, and `jwk` is
//!   unless the object's type says that it stands there;
//! * the key decides the algorithm; a header that names another is refused;
//! * `typ` is exact per object (RFC 8725 §3.11).
//!
//! Not here: what the claims mean (each object's own module).

use aws_lc_rs::rand::SecureRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use writ_model::{Digest, limits::SIGNED_OBJECT_MAX};

use crate::{
    digest::sha256,
    issuer::{IdTokenAlgorithm, IssuerPublicKey},
    json,
    key::{PublicKey, SigningError, SigningKey},
};

/// The type of a signed object: its `typ` header and what else its header may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectType {
    /// A commitment to a key, signed by that key (DESIGN §3.1).
    Cic,
    /// An OpenID Connect ID token: `typ` absent or `JWT`.
    IdToken,
    /// A writ (DESIGN §3.2).
    Writ,
    /// A root key's signature over a charter entry's body.
    CharterRoot,
    /// A witness's signature over a charter entry.
    Cosignature,
    /// A witness's signature over the audit log's tree and the charter head.
    Checkpoint,
    /// The jail's answer to a writ it accepts.
    Acceptance,
    /// The jail's answer to what it refuses.
    Refusal,
    /// What the jail says was done.
    Receipt,
    /// Proof of possession for one HTTP request (RFC 9449 §4.2).
    Dpop,
}

impl ObjectType {
    /// The `typ` header; for an ID token, the one it may have.
    #[must_use]
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Cic => "cic+jwt",
            Self::IdToken => "JWT",
            Self::Writ => "writ+jwt",
            Self::CharterRoot => "charter-root+jwt",
            Self::Cosignature => "cosignature+jwt",
            Self::Checkpoint => "checkpoint+jwt",
            Self::Acceptance => "acceptance+jwt",
            Self::Refusal => "refusal+jwt",
            Self::Receipt => "receipt+jwt",
            Self::Dpop => "dpop+jwt",
        }
    }

    const fn carries_jwk(self) -> bool {
        matches!(self, Self::Cic | Self::Dpop)
    }

    fn accepts_typ(self, typ: Option<&str>) -> bool {
        match typ {
            Some(typ) => typ == self.typ(),
            None => self == Self::IdToken,
        }
    }
}

/// Why a compact JWS is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than 16 KiB.
    #[error("signed object is longer than 16 KiB")]
    TooLong,
    /// Not three parts of unpadded base64url.
    #[error("signed object is not three parts of unpadded base64url")]
    NotCompact,
    /// The header is not a strict JSON object with string `alg`, `typ` and `kid`.
    #[error("header is not a strict JSON object")]
    Header,
    /// The header holds a member that would let its sender choose how it is verified.
    #[error("header member `{0}` is refused")]
    HeaderMember(&'static str),
    /// `typ` is that of another kind of object.
    #[error("`typ` is not `{expected}`")]
    Type {
        /// The `typ` that was expected.
        expected: &'static str,
    },
    /// `alg` is not the key's own algorithm.
    #[error("`alg` is not the key's algorithm")]
    Algorithm,
    /// The signature is not this key's over these bytes.
    #[error("signature does not verify")]
    Signature,
    /// The payload is not the strict JSON that this object has.
    #[error("payload is refused")]
    Payload(#[source] json::JsonError),
}

/// A compact JWS whose form was checked, its signature not yet.
#[derive(Debug, Clone)]
pub struct UnverifiedJws<'a> {
    signing_input: &'a str,
    protected: &'a str,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    digest: Digest,
}

/// The members that Writ reads. Others are ignored in ID tokens and refused in our own objects.
#[derive(Debug, Clone, Default)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Value>,
    rz: Option<String>,
    has_unknown_members: bool,
}

/// Header members that direct verification, refused everywhere.
const REFUSED_MEMBERS: [&str; 5] = ["crit", "b64", "jku", "x5u", "x5c"];

impl<'a> UnverifiedJws<'a> {
    /// Takes a compact JWS apart.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: `TooLong`, `NotCompact`, `Header` or `HeaderMember`.
    pub fn parse(compact: &'a str) -> Result<Self, JwsError> {
        if compact.len() > SIGNED_OBJECT_MAX {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (protected, payload) = signing_input.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::NotCompact);
        Ok(Self {
            signing_input,
            protected,
            header: Header::parse(&decode(protected)?)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            digest: sha256(compact.as_bytes()),
        })
    }

    /// The header's `kid`: a look-up, never authority.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The header's `jwk`, for the two types that carry one. Authority comes from elsewhere.
    #[must_use]
    pub const fn jwk(&self) -> Option<&Value> {
        self.header.jwk.as_ref()
    }

    /// The header's `rz` (`OpenPubkey`): the commitment's randomness.
    #[must_use]
    pub fn rz(&self) -> Option<&str> {
        self.header.rz.as_deref()
    }

    /// The protected header as it was sent, which an ID token's nonce commits to.
    #[must_use]
    pub const fn protected(&self) -> &str {
        self.protected
    }

    /// Reads the payload before verification, for look-ups only (an issuer's name, say).
    ///
    /// # Errors
    ///
    /// [`JwsError::Payload`].
    pub fn peek<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        json::parse_as(&self.payload).map_err(JwsError::Payload)
    }

    /// Verifies an ID token by a key of its issuer and the algorithms that the charter lists.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: `Type`, `HeaderMember`, `Algorithm` or `Signature`.
    pub fn verify_id_token<'k>(
        self,
        keys: impl Iterator<Item = &'k IssuerPublicKey>,
        allowed: &[IdTokenAlgorithm],
    ) -> Result<Verified, JwsError> {
        self.check_header(ObjectType::IdToken)?;
        let algorithm = self.id_token_algorithm(allowed)?;
        let mut keys = keys;
        let (message, signature) = (self.signing_input.as_bytes(), &self.signature);
        if !keys.any(|key| key.verifies(algorithm, message, signature)) {
            return Err(JwsError::Signature);
        }
        Ok(Verified { payload: self.payload, digest: self.digest })
    }

    /// Checks an ID token's form without its signature, which a witness has verified.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: `Type`, `HeaderMember` or `Algorithm`.
    pub(crate) fn witnessed_id_token(
        self,
        allowed: &[IdTokenAlgorithm],
    ) -> Result<Verified, JwsError> {
        self.check_header(ObjectType::IdToken)?;
        self.id_token_algorithm(allowed)?;
        Ok(Verified { payload: self.payload, digest: self.digest })
    }

    fn id_token_algorithm(
        &self,
        allowed: &[IdTokenAlgorithm],
    ) -> Result<IdTokenAlgorithm, JwsError> {
        IdTokenAlgorithm::named(&self.header.alg)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(JwsError::Algorithm)
    }

    /// Verifies type, algorithm and signature, in this order.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: `Type`, `HeaderMember`, `Header`, `Algorithm` or `Signature`.
    pub fn verify(self, object: ObjectType, key: &PublicKey) -> Result<Verified, JwsError> {
        self.check_header(object)?;
        self.verify_signature(key)
    }

    fn check_header(&self, object: ObjectType) -> Result<(), JwsError> {
        if !object.accepts_typ(self.header.typ.as_deref()) {
            return Err(JwsError::Type { expected: object.typ() });
        }
        if self.header.jwk.is_some() && !object.carries_jwk() {
            return Err(JwsError::HeaderMember("jwk"));
        }
        if self.header.rz.is_some() && object != ObjectType::Cic {
            return Err(JwsError::HeaderMember("rz"));
        }
        if self.header.has_unknown_members && object != ObjectType::IdToken {
            return Err(JwsError::Header);
        }
        Ok(())
    }

    /// Verifies algorithm and signature alone; for conformance vectors, whose types are not ours.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: `Algorithm` or `Signature`.
    pub fn verify_signature(self, key: &PublicKey) -> Result<Verified, JwsError> {
        if self.header.alg != key.algorithm().as_str() {
            return Err(JwsError::Algorithm);
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(JwsError::Signature);
        }
        Ok(Verified { payload: self.payload, digest: self.digest })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, JwsError> {
        let value = json::parse(bytes).map_err(|_| JwsError::Header)?;
        let members = value.as_object().ok_or(JwsError::Header)?;
        let mut header = Self::default();
        for (name, value) in members {
            let text = || value.as_str().map(str::to_owned).ok_or(JwsError::Header);
            match name.as_str() {
                "alg" => header.alg = text()?,
                "typ" => header.typ = Some(text()?),
                "kid" => header.kid = Some(text()?),
                "rz" => header.rz = Some(text()?),
                "jwk" => header.jwk = Some(value.clone()),
                other => {
                    if let Some(refused) = REFUSED_MEMBERS.iter().find(|name| **name == other) {
                        return Err(JwsError::HeaderMember(refused));
                    }
                    header.has_unknown_members = true;
                }
            }
        }
        if header.alg.is_empty() {
            return Err(JwsError::Header);
        }
        Ok(header)
    }
}

/// Bytes that a key signed. Only verification makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    payload: Vec<u8>,
    digest: Digest,
}

impl Verified {
    /// The payload's exact bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the compact form.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Reads the payload as an object's claims.
    ///
    /// # Errors
    ///
    /// [`JwsError::Payload`].
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        json::parse_as(&self.payload).map_err(JwsError::Payload)
    }
}

/// What goes into a header beside `alg` and `typ`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct HeaderExtra {
    /// Look-up of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The key itself, for `cic+jwt` and `dpop+jwt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwk: Option<PublicKey>,
    /// Randomness of a commitment, base64url of 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rz: Option<String>,
}

/// Signs `payload` as an object of type `object`; returns the compact form.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign(
    key: &SigningKey,
    random: &dyn SecureRandom,
    object: ObjectType,
    extra: HeaderExtra,
    payload: &[u8],
) -> Result<String, SigningError> {
    #[derive(Serialize)]
    struct Protected {
        alg: &'static str,
        typ: &'static str,
        #[serde(flatten)]
        extra: HeaderExtra,
    }
    let protected = Protected { alg: key.public().algorithm().as_str(), typ: object.typ(), extra };
    let protected = serde_json::to_vec(&protected).map_err(|_| SigningError)?;
    let mut compact = URL_SAFE_NO_PAD.encode(protected);
    compact.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut compact);
    let signature = key.sign(random, compact.as_bytes())?;
    compact.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut compact);
    Ok(compact)
}

/// Signs claims as an object that names its key by thumbprint, as roots and jails do.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign_claims<T: Serialize>(
    key: &SigningKey,
    random: &dyn SecureRandom,
    object: ObjectType,
    claims: &T,
) -> Result<String, SigningError> {
    let payload = serde_json::to_vec(claims).map_err(|_| SigningError)?;
    let kid = Some(key.public().thumbprint().to_string());
    sign(key, random, object, HeaderExtra { kid, ..HeaderExtra::default() }, &payload)
}
