//! Keys and logins of a test's own making: real keys, and ID tokens that a real issuer's key signed.

use anyhow::Result;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use writ_evidence::{
    idc::{IdcMode, UnverifiedIdc, nonce_for},
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, SigningKey},
};
use writ_model::UnixTime;

/// A login, with its key.
pub struct Login {
    /// The credential.
    pub idc: UnverifiedIdc,
    /// The key.
    pub key: SigningKey,
}

/// A fresh key, and an ID token over it: signed by one key, under the `kid` of another.
pub(crate) fn vouch(
    signer: &SigningKey,
    named: &SigningKey,
    claims: impl FnOnce(String) -> Value,
) -> Result<Login> {
    let extra = HeaderExtra {
        kid: Some(named.public().thumbprint().to_string()),
        ..HeaderExtra::default()
    };
    vouch_by(|cic| {
        let payload = claims(nonce_for(cic)).to_string();
        let random = SystemRandom::new();
        Ok(jws::sign(signer, &random, ObjectType::IdToken, extra, payload.as_bytes())?)
    })
}

/// A fresh key, its commitment, and whatever ID token is made over that.
///
/// # Errors
///
/// The random source failed, or the token could not be made.
pub fn vouch_by(id_token: impl FnOnce(&str) -> Result<String>) -> Result<Login> {
    let key = new_key()?;
    let cic = commitment(&key)?;
    let id_token = id_token(&cic)?;
    let idc = UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None };
    Ok(Login { idc, key })
}

/// A login of a service account's, by a key that the charter enrolls.
///
/// # Errors
///
/// The random source failed.
pub fn enrolled(key: SigningKey) -> Result<Login> {
    let cic = commitment(&key)?;
    let idc = UnverifiedIdc { mode: IdcMode::Key, id_token: String::new(), cic, refreshed: None };
    Ok(Login { idc, key })
}

/// 32 random bytes.
///
/// # Errors
///
/// The random source failed.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes)
}

/// A fresh Ed25519 key.
///
/// # Errors
///
/// The random source failed.
pub fn new_key() -> Result<SigningKey> {
    let document = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
    Ok(SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref())?)
}

/// A fresh P-256 key.
///
/// # Errors
///
/// The random source failed.
pub fn new_issuer_key() -> Result<SigningKey> {
    let document = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &SystemRandom::new(),
    )?;
    Ok(SigningKey::from_pkcs8(Algorithm::Es256, document.as_ref())?)
}

fn commitment(key: &SigningKey) -> Result<String> {
    let extra = HeaderExtra {
        jwk: Some(key.public().clone()),
        rz: Some(URL_SAFE_NO_PAD.encode(random()?)),
        ..HeaderExtra::default()
    };
    Ok(jws::sign(key, &SystemRandom::new(), ObjectType::Cic, extra, b"")?)
}

/// Now, in whole seconds.
#[must_use]
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.unwrap_or_default().as_secs())
}
