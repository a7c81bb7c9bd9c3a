//! An issuer that signs with RSA, in memory: RS256 and PS256 (RFC 7518 §3.3, §3.5).

use anyhow::Result;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_evidence::{
    idc::nonce_for,
    issuer::{IdTokenAlgorithm, IssuerKey},
};

use crate::keys::{Login, vouch_by};

/// A 2048-bit key.
pub struct RsaIssuer {
    pair: KeyPair,
}

impl RsaIssuer {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn new() -> Result<Self> {
        Ok(Self { pair: KeyPair::generate(KeySize::Rsa2048)? })
    }

    /// Its JWK; `declared` is its `alg`.
    #[must_use]
    pub fn jwk(&self, declared: Option<&str>) -> Value {
        // RFC 8017 A.1.1: SEQUENCE { INTEGER n, INTEGER e }, here of 2048 bits and 65537.
        let der = self.pair.public_key().as_ref();
        let (modulus, exponent) = (&der[9..265], &der[267..]);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = json!({
            "kty": "RSA", "kid": "rsa-1", "use": "sig",
            "n": encode(modulus),
            "e": encode(exponent),
        });
        if let Some(declared) = declared {
            jwk["alg"] = json!(declared);
        }
        jwk
    }

    /// The key as a charter pins it or a cell fetches it.
    ///
    /// # Errors
    ///
    /// The JWK is refused.
    pub fn key(&self, declared: Option<&str>) -> Result<IssuerKey> {
        let jwk = serde_json::from_value(self.jwk(declared))?;
        Ok(IssuerKey { kid: "rsa-1".to_owned(), jwk })
    }

    /// Signs claims as an ID token.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn sign(&self, algorithm: IdTokenAlgorithm, claims: &Value) -> Result<String> {
        let header = json!({ "alg": algorithm.as_str(), "kid": "rsa-1", "typ": "JWT" });
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let padding: &'static dyn RsaEncoding = match algorithm {
            IdTokenAlgorithm::Ps256 => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(padding, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A fresh key that this issuer vouches for; claims are made from the nonce.
    ///
    /// # Errors
    ///
    /// The random source failed.
    pub fn log_in(
        &self,
        algorithm: IdTokenAlgorithm,
        claims: impl FnOnce(String) -> Value,
    ) -> Result<Login> {
        vouch_by(|cic| self.sign(algorithm, &claims(nonce_for(cic))))
    }
}
