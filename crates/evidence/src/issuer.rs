//! The identity providers of a charter: whom to believe about who a person is, and by which keys.
//!
//! In: the charter's record of an issuer, and a JWK set as the issuer serves it. Out: keys that
//! verify ID tokens, by `kid`.
//!
//! Invariants:
//! * an algorithm counts only if the charter lists it for the issuer; `none` and HMAC can't be named;
//! * RSA keys verify and never sign; 2048 to 8192 bits (RFC 7518 §3.3);
//! * a key that says it is for something else is passed over, and never used otherwise.
//!
//! Not here: fetching (a cell of the jail's, the control plane's client), verifying a token (`idc`),
//! whether a record can be meant (`check`), how strong a login is (`requirement`), which token is which
//! workload's (`workload`).

mod check;
mod requirement;
mod workload;

use std::collections::BTreeMap;

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use writ_model::{Cidr, ConnectionHost};

pub(crate) use self::requirement::Shown;
pub use self::{
    requirement::{LoginTooWeak, Requirement},
    workload::Workload,
};
use crate::{
    json,
    key::{Algorithm, KeyError, PublicKey},
    writ::Operation,
};

/// Most keys taken from one JWK set.
const KEYS_MAX: usize = 64;
/// Seconds that a session lives at most, refreshed or not, unless the issuer's record says otherwise.
const SESSION_MAX_S: u64 = 12 * 3600;
/// Seconds for which a token counts, however late its own end, unless the issuer's record says otherwise.
const MAX_AGE_S: u64 = 3600;

/// An OpenID provider that the charter trusts to say who a person is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The issuer identifier, exactly as its ID tokens spell it (OpenID Connect Core §2).
    pub iss: String,
    /// Pinned signing keys, each with the `kid` it is looked up by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<IssuerKey>,
    /// Where the issuer serves its keys, if they are not pinned alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwksEndpoint>,
    /// The algorithms that its ID tokens may be signed with.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<IdTokenAlgorithm>,
    /// The client ids of Writ's surfaces at this issuer, with what each may sign for.
    pub clients: Vec<IssuerClient>,
    /// Seconds after `iat` for which a token is fresh, however late its `exp`.
    pub max_age_s: u64,
    /// Seconds after the first token's `iat` for which a refreshed login lives.
    #[serde(default = "default_session_max_s")]
    pub session_max_s: u64,
    /// The claim that names the person: `sub`, or at Entra `oid`.
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
    /// The claim that lists the person's groups, if bindings to groups are to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Claims that every one of its ID tokens holds with exactly this text: whose the token is where one
    /// issuer serves many customers, such as Google's `hd` or Entra's `tid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned_claims: BTreeMap<String, String>,
    /// The workloads that it vouches for, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

fn default_algorithms() -> Vec<IdTokenAlgorithm> {
    vec![IdTokenAlgorithm::Es256, IdTokenAlgorithm::EdDsa]
}

const fn default_session_max_s() -> u64 {
    SESSION_MAX_S
}

fn default_subject_claim() -> String {
    "sub".to_owned()
}

/// A client id at an issuer, and the operations that its logins may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerClient {
    /// The client id: the `aud` of its ID tokens.
    pub client_id: String,
    /// What a key bound through it may sign.
    pub operations: Vec<Operation>,
    /// How strong a login has to be before it signs; every one that names the operation holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// Whether logins through it are made by the device flow (RFC 8628). What it may sign is less
    /// then: no charter changes, no approvals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub device_flow: bool,
}

impl IssuerClient {
    /// A client whose logins may sign these operations, however strong.
    #[must_use]
    pub fn new(client_id: &str, operations: Vec<Operation>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            operations,
            requires: Vec::new(),
            device_flow: false,
        }
    }
}

/// A signing key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerKey {
    /// The `kid` in its tokens' headers.
    pub kid: String,
    /// The key.
    pub jwk: IssuerPublicKey,
}

/// Where an issuer serves its JWK set: signed into the charter, never taken from a discovery
/// document at the time of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksEndpoint {
    /// The exact host and port; `plaintext` for development on loopback only.
    pub host: ConnectionHost,
    /// The absolute path, with its query.
    pub path: String,
    /// Otherwise refused address ranges that the host may resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_cidrs: Vec<Cidr>,
}

/// An algorithm that an issuer may sign ID tokens with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IdTokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl IdTokenAlgorithm {
    /// All of them, as discovery documents spell them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The JOSE name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a JOSE name, if it is one that Writ takes.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// A public key that verifies ID tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum IssuerPublicKey {
    /// P-256 or Ed25519.
    Curve(PublicKey),
    /// RSA, for verifying only.
    Rsa(RsaPublicKey),
}

/// An RSA public key (RFC 7518 §6.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// The one algorithm that the key is declared for, if any.
    declared: Option<IdTokenAlgorithm>,
}

impl IssuerPublicKey {
    /// Reads a JWK.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: of another type, malformed, private, or declared for another use.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        if jwk.get("kty").and_then(Value::as_str) == Some("RSA") {
            return RsaPublicKey::from_jwk(jwk).map(Self::Rsa);
        }
        PublicKey::from_jwk(jwk).map(Self::Curve)
    }

    /// Whether `signature` is this key's over `message` by `algorithm`.
    #[must_use]
    pub fn verifies(&self, algorithm: IdTokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Curve(key), IdTokenAlgorithm::Es256) => {
                key.algorithm() == Algorithm::Es256 && key.verifies(message, signature)
            }
            (Self::Curve(key), IdTokenAlgorithm::EdDsa) => {
                key.algorithm() == Algorithm::EdDsa && key.verifies(message, signature)
            }
            (Self::Rsa(key), IdTokenAlgorithm::Rs256 | IdTokenAlgorithm::Ps256) => {
                key.verifies(algorithm, message, signature)
            }
            (Self::Curve(_), IdTokenAlgorithm::Rs256 | IdTokenAlgorithm::Ps256)
            | (Self::Rsa(_), IdTokenAlgorithm::Es256 | IdTokenAlgorithm::EdDsa) => false,
        }
    }
}

impl RsaPublicKey {
    fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|name| jwk.get(name).is_some()) {
            return Err(KeyError::Private);
        }
        let number = |name: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text(name)?).ok()?;
            // RFC 7518 §2: no leading zero octets.
            bytes.first().is_some_and(|first| *first != 0).then_some(bytes)
        };
        let modulus = number("n").ok_or(KeyError::Malformed)?;
        let exponent = number("e").ok_or(KeyError::Malformed)?;
        let declared = match text("alg") {
            None => None,
            Some("RS256") => Some(IdTokenAlgorithm::Rs256),
            Some("PS256") => Some(IdTokenAlgorithm::Ps256),
            Some(_) => return Err(KeyError::WrongUse),
        };
        let for_signatures = text("use").is_none_or(|usage| usage == "sig");
        let verifies = jwk.get("key_ops").is_none_or(|list| {
            list.as_array().is_some_and(|list| list.iter().any(|op| op == "verify"))
        });
        if !for_signatures || !verifies {
            return Err(KeyError::WrongUse);
        }
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
        let sized = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
        if !sized || !odd(&modulus) || !odd(&exponent) || exponent == [1] {
            return Err(KeyError::Malformed);
        }
        Ok(Self { modulus, exponent, declared })
    }

    fn verifies(&self, algorithm: IdTokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.declared.is_some_and(|declared| declared != algorithm) {
            return false;
        }
        let parameters = match algorithm {
            IdTokenAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            IdTokenAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            IdTokenAlgorithm::Es256 | IdTokenAlgorithm::EdDsa => return false,
        };
        let key = PublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(parameters, message, signature).is_ok()
    }
}

impl From<PublicKey> for IssuerPublicKey {
    fn from(key: PublicKey) -> Self {
        Self::Curve(key)
    }
}

impl TryFrom<Value> for IssuerPublicKey {
    type Error = KeyError;

    fn try_from(jwk: Value) -> Result<Self, KeyError> {
        Self::from_jwk(&jwk)
    }
}

impl From<IssuerPublicKey> for Value {
    fn from(key: IssuerPublicKey) -> Self {
        match key {
            IssuerPublicKey::Curve(key) => key.into(),
            IssuerPublicKey::Rsa(key) => {
                let mut jwk = serde_json::json!({
                    "e": URL_SAFE_NO_PAD.encode(&key.exponent), "kty": "RSA",
                    "n": URL_SAFE_NO_PAD.encode(&key.modulus),
                });
                if let (Some(declared), Some(members)) = (key.declared, jwk.as_object_mut()) {
                    members.insert("alg".to_owned(), declared.as_str().into());
                }
                jwk
            }
        }
    }
}

/// A document is not a JWK set that holds a usable key (RFC 7517 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's key set holds no usable signing key")]
pub struct UnusableJwks;

/// Reads a JWK set: keys that can verify ID tokens and carry a `kid`. Others are passed over, as
/// RFC 7517 §5 asks.
///
/// # Errors
///
/// [`UnusableJwks`]: not a JWK set, or nothing in it is usable.
pub fn parse_jwks(document: &[u8]) -> Result<Vec<IssuerKey>, UnusableJwks> {
    let set = json::parse(document).map_err(|_| UnusableJwks)?;
    let listed = set.get("keys").and_then(Value::as_array).ok_or(UnusableJwks)?;
    let usable = |jwk: &Value| {
        let kid = jwk.get("kid")?.as_str()?.to_owned();
        Some(IssuerKey { kid, jwk: IssuerPublicKey::from_jwk(jwk).ok()? })
    };
    let keys: Vec<IssuerKey> = listed.iter().filter_map(usable).take(KEYS_MAX).collect();
    if keys.is_empty() { Err(UnusableJwks) } else { Ok(keys) }
}

/// Keys that were fetched from issuers, by issuer identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchedKeys(BTreeMap<String, Vec<IssuerKey>>);

impl FetchedKeys {
    /// Replaces what is known of an issuer's keys.
    pub fn replace(&mut self, iss: &str, keys: Vec<IssuerKey>) {
        self.0.insert(iss.to_owned(), keys);
    }

    fn of(&self, iss: &str) -> &[IssuerKey] {
        self.0.get(iss).map_or(&[], Vec::as_slice)
    }
}

/// How the signature of an ID token is checked.
#[derive(Debug, Clone, Copy)]
pub enum TokenKeys<'a> {
    /// By the issuer's pinned keys and these fetched ones.
    Fetched(&'a FetchedKeys),
    /// By the issuer's pinned keys; where the issuer's keys are fetched, a witness verified the
    /// token while it was fresh and cosigned, and an issuer's rotation breaks no history
    /// (DESIGN §3.3).
    Witnessed,
}

impl Issuer {
    /// A record with what is usual, and neither keys nor a place of keys: one of them is still to be
    /// said.
    #[must_use]
    pub fn new(iss: &str, algorithms: Vec<IdTokenAlgorithm>, clients: Vec<IssuerClient>) -> Self {
        Self {
            iss: iss.to_owned(),
            keys: Vec::new(),
            jwks: None,
            algorithms,
            clients,
            max_age_s: MAX_AGE_S,
            session_max_s: SESSION_MAX_S,
            subject_claim: default_subject_claim(),
            groups_claim: None,
            pinned_claims: BTreeMap::new(),
            workloads: Vec::new(),
        }
    }

    /// The keys of this `kid`, pinned ones first; `None` where a witness is to be believed instead.
    pub(crate) fn candidates<'a>(
        &'a self,
        kid: &'a str,
        keys: TokenKeys<'a>,
    ) -> Option<impl Iterator<Item = &'a IssuerPublicKey>> {
        let fetched = match keys {
            TokenKeys::Fetched(fetched) if self.jwks.is_some() => fetched.of(&self.iss),
            TokenKeys::Witnessed if self.jwks.is_some() => return None,
            TokenKeys::Fetched(_) | TokenKeys::Witnessed => &[],
        };
        let all = self.keys.iter().chain(fetched);
        Some(all.filter(move |key| key.kid == kid).map(|key| &key.jwk))
    }

    /// Whether a key of this `kid` is pinned or was fetched.
    #[must_use]
    pub fn knows(&self, kid: &str, fetched: &FetchedKeys) -> bool {
        self.keys.iter().chain(fetched.of(&self.iss)).any(|key| key.kid == kid)
    }
}
