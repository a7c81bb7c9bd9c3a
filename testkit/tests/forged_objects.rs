//! The table of what a signed object may not be (DESIGN §3), each with the code that says so.
//!
//! Every object here is signed by the right key over exactly what it says, so that form alone refuses it.

#![cfg(test)]

use aws_lc_rs::{hmac, rand::SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_evidence::{
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, VerifiedIdc, nonce_for},
    issuer::TokenKeys,
    jws::{self, HeaderExtra, JwsError, ObjectType},
    key::SigningKey,
    writ::{VerifiedWrit, WritError},
};
use writ_testkit::{
    keys::{new_issuer_key, new_key},
    tenant::{ISSUER, NOON, Tenant},
};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A compact JWS of exactly this header and payload.
fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", encode(signature))
}

/// A person whose login is sound, and how their writs are made and judged.
struct Signer {
    tenant: Tenant,
    key: SigningKey,
    idc: VerifiedIdc,
}

impl Signer {
    fn new(key: SigningKey) -> Self {
        let tenant = Tenant::found().unwrap();
        let extra = HeaderExtra {
            jwk: Some(key.public().clone()),
            rz: Some(encode([7; 32])),
            ..HeaderExtra::default()
        };
        let cic = jws::sign(&key, &SystemRandom::new(), ObjectType::Cic, extra, b"").unwrap();
        let claims = json!({
            "iss": ISSUER, "sub": "owner", "aud": "writ-cli", "nonce": nonce_for(&cic),
            "iat": NOON, "exp": NOON.plus(3600),
        });
        let id_token = tenant.id_token(&claims).unwrap();
        let idc = UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None };
        let keys = TokenKeys::Fetched(&tenant.keys);
        let idc = idc.verify(tenant.state.issuers(), keys, NOON).unwrap();
        Self { tenant, key, idc }
    }

    fn header(&self) -> Value {
        let alg = self.key.public().algorithm().as_str();
        json!({ "alg": alg, "typ": "writ+jwt", "kid": self.idc.digest() })
    }

    fn header_with(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        header.to_string()
    }

    fn claims(&self) -> Value {
        json!({
            "ver": 1, "ten": self.tenant.state.ten(), "iss": ISSUER, "sub": "owner",
            "idc": self.idc.digest(), "jti": "jti-of-a-forged-writ", "iat": NOON,
            "exp": NOON.plus(120), "charter": self.tenant.state.head(), "op": "charter.append",
            "cnt": sha256(b"body"),
        })
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        signed(&self.key, header, payload)
    }

    fn verify(&self, compact: &str) -> Result<(), WritError> {
        let ten = self.tenant.state.ten();
        VerifiedWrit::verify(compact, &self.idc, ten, NOON).map(drop)
    }

    /// Asserts that the writ is refused for its form, with the code that people and logs are shown.
    fn refuses(&self, name: &str, compact: &str) -> JwsError {
        let error = self.verify(compact).unwrap_err();
        assert_eq!(error.code(), "writ-signature", "{name}: {error:?}");
        println!("refused: {name}: {}", error.code());
        match error {
            WritError::Jws(error) => error,
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn signers() -> [Signer; 2] {
    [Signer::new(new_key().unwrap()), Signer::new(new_issuer_key().unwrap())]
}

#[test]
fn an_object_that_is_sound_is_taken_by_both_kinds_of_keys() {
    for signer in signers() {
        let writ = signer.sign(&signer.header().to_string(), &signer.claims().to_string());
        assert_eq!(signer.verify(&writ), Ok(()));
    }
}

#[test]
fn an_algorithm_that_is_not_the_keys_own_is_refused_none_and_hmac_first_of_all() {
    for signer in signers() {
        let claims = signer.claims().to_string();
        let own = signer.key.public().algorithm().as_str();
        for alg in
            ["none", "None", "HS256", "RS256", "ES384", "ES256K", "Ed25519", "EdDSA", "ES256"]
        {
            let writ = signer.sign(&signer.header_with("alg", json!(alg)), &claims);
            if alg == own {
                assert_eq!(signer.verify(&writ), Ok(()));
            } else {
                assert_eq!(signer.refuses(alg, &writ), JwsError::Algorithm);
            }
        }
        let none = signer.sign(&signer.header_with("alg", json!("none")), &claims);
        let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
        assert_eq!(signer.refuses("none, unsigned", &unsigned), JwsError::Algorithm);
        // The public key as if it were a shared secret (RFC 8725 §2.1).
        let input = none.rsplit_once('.').unwrap().0;
        let input = input.replacen(
            &encode(signer.header_with("alg", json!("none"))),
            &encode(signer.header_with("alg", json!("HS256"))),
            1,
        );
        let secret = signer.key.public().to_jwk().to_string();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let hmac = format!("{input}.{}", encode(hmac::sign(&secret, input.as_bytes())));
        assert_eq!(signer.refuses("HMAC with the public key", &hmac), JwsError::Algorithm);
        for alg in [json!(null), json!(7), json!([own]), json!("")] {
            let writ = signer.sign(&signer.header_with("alg", alg.clone()), &claims);
            assert_eq!(signer.refuses(&format!("alg {alg}"), &writ), JwsError::Header);
        }
    }
}

#[test]
fn a_header_that_would_choose_how_it_is_verified_is_refused() {
    for signer in signers() {
        let claims = signer.claims().to_string();
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(true)),
            ("jku", json!("https://idp.example/jwks")),
            ("x5u", json!("https://idp.example/x5")),
            ("x5c", json!([])),
            ("jwk", signer.key.public().to_jwk()),
            ("rz", json!(encode([7; 32]))),
        ] {
            let writ = signer.sign(&signer.header_with(name, value), &claims);
            assert_eq!(signer.refuses(name, &writ), JwsError::HeaderMember(name));
        }
        for (name, value) in [("cty", json!("JWT")), ("zip", json!("DEF")), ("x", json!(1))] {
            let writ = signer.sign(&signer.header_with(name, value), &claims);
            assert_eq!(signer.refuses(name, &writ), JwsError::Header);
        }
        let others = ["JWT", "WRIT+JWT", "application/writ+jwt", "cic+jwt", "receipt+jwt", ""];
        for typ in others {
            let writ = signer.sign(&signer.header_with("typ", json!(typ)), &claims);
            let expected = JwsError::Type { expected: "writ+jwt" };
            assert_eq!(signer.refuses(&format!("typ {typ:?}"), &writ), expected);
        }
        let mut untyped = signer.header();
        untyped.as_object_mut().unwrap().remove("typ");
        let writ = signer.sign(&untyped.to_string(), &claims);
        assert_eq!(signer.refuses("no typ", &writ), JwsError::Type { expected: "writ+jwt" });
    }
}

/// The order of P-256's group (FIPS 186-5, SP 800-186 §3.2.1.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn an_ecdsa_signature_is_64_bytes_with_both_halves_in_range() {
    let signer = Signer::new(new_issuer_key().unwrap());
    let writ = signer.sign(&signer.header().to_string(), &signer.claims().to_string());
    let (input, signature) = writ.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = signature.split_at(32);
    let mut above = ORDER;
    above[31] += 1;
    let der = [&[0x30, 68, 2, 32][..], r, &[2, 32], s].concat();
    for (name, bytes) in [
        ("r of zero", [&[0; 32][..], s].concat()),
        ("s of zero", [r, &[0; 32]].concat()),
        ("both of zero", vec![0; 64]),
        ("r of the order", [&ORDER[..], s].concat()),
        ("s of the order", [r, &ORDER].concat()),
        ("r above the order", [&above[..], s].concat()),
        ("s above the order", [r, &above].concat()),
        ("both of ones", vec![0xff; 64]),
        ("DER", der),
        ("a byte more", [&signature[..], &[0]].concat()),
        ("a byte less", signature[..63].to_vec()),
        ("empty", Vec::new()),
    ] {
        let forged = format!("{input}.{}", encode(bytes));
        assert_eq!(signer.refuses(name, &forged), JwsError::Signature);
    }
}

#[test]
fn an_object_in_another_spelling_is_another_object_and_refused() {
    for signer in signers() {
        let writ = signer.sign(&signer.header().to_string(), &signer.claims().to_string());
        let parts: Vec<&str> = writ.split('.').collect();
        let (header, payload, signature) = (parts[0], parts[1], parts[2]);
        // 64 bytes leave four bits of the last character unused.
        let last = signature.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let index = alphabet.find(last).unwrap();
        let other = alphabet.chars().nth(index + 1).unwrap();
        let trailing = format!("{}{other}", signature.strip_suffix(last).unwrap());
        for (name, forged) in [
            ("padding", format!("{header}.{payload}.{signature}==")),
            ("bits after the end", format!("{header}.{payload}.{trailing}")),
            ("white space", format!("{header}.{payload}.{signature}\n")),
            ("white space before", format!(" {writ}")),
            ("the other alphabet", format!("{header}.{payload}.+/{}", signature.split_at(2).1)),
            ("two parts", format!("{header}.{signature}")),
            ("four parts", format!("{writ}.")),
            ("five parts", format!("{writ}.{payload}.{signature}")),
            ("nothing", String::new()),
            ("the JSON serialization", json!({ "payload": payload }).to_string()),
        ] {
            assert_eq!(signer.refuses(name, &forged), JwsError::NotCompact, "{name}");
        }
    }
}

#[test]
fn json_that_two_readers_could_read_differently_is_refused() {
    for signer in signers() {
        let (header, claims) = (signer.header().to_string(), signer.claims().to_string());
        let twice =
            |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap());
        for (name, forged) in [
            ("a member twice", twice(&header, r#""alg":"none""#)),
            ("a member twice, spelled otherwise", twice(&header, r#""\u0061lg":"none""#)),
            ("data after the header", format!("{header} {{}}")),
            ("a header that is no object", "[]".to_owned()),
            (
                "a header too deep",
                twice(&header, &format!("\"x\":{}{}", "[".repeat(16), "]".repeat(16))),
            ),
        ] {
            assert_eq!(signer.refuses(name, &signer.sign(&forged, &claims)), JwsError::Header);
        }
        let deep = format!("\"reason\":{}{}", "[".repeat(16), "]".repeat(16));
        for (name, forged) in [
            ("a claim twice", twice(&claims, r#""sub":"owner""#)),
            ("a claim twice, spelled otherwise", twice(&claims, r#""su\u0062":"owner""#)),
            ("a claim of no operation", twice(&claims, r#""admin":true"#)),
            ("data after the claims", format!("{claims}{{}}")),
            ("claims too deep", twice(&claims, &deep)),
            ("no claims", String::new()),
        ] {
            let refused = signer.refuses(name, &signer.sign(&header, &forged));
            assert!(matches!(refused, JwsError::Payload(_)), "{name}: {refused:?}");
        }
        let long = twice(&claims, &format!(r#""reason":"{}""#, "x".repeat(16 * 1024)));
        assert_eq!(signer.refuses("16 KiB", &signer.sign(&header, &long)), JwsError::TooLong);
    }
}
