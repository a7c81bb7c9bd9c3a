//! The verifier of logins and writs: of all that can be made from a good one, only itself is accepted.
//!
//! The input is a list of edits to the three compact objects of one login: bytes replaced, inserted and
//! removed, parts swapped, payloads altered, and objects signed again by a key that nobody vouched for.
#![no_main]

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use writ_evidence::{
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, nonce_for},
    issuer::{FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, IssuerKey, TokenKeys},
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, SigningKey},
    writ::{self, Operation, Order, VerifiedWrit, WritClaims},
};
use writ_model::{Principal, TenantId, UnixTime};

const NOON: UnixTime = UnixTime(1_764_000_000);
const ISS: &str = "https://idp.example";

struct Fixture {
    issuers: Vec<Issuer>,
    ten: TenantId,
    /// ID token, commitment, writ.
    parts: [String; 3],
    attacker: SigningKey,
}

/// A key from a seed, so that corpora mean the same on every machine (RFC 8410 §7).
fn key(seed: u8) -> SigningKey {
    let mut pkcs8 = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    pkcs8.extend([seed; 32]);
    SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).expect("a seed is a key")
}

fn sign(key: &SigningKey, object: ObjectType, extra: HeaderExtra, payload: &[u8]) -> String {
    jws::sign(key, &SystemRandom::new(), object, extra, payload).expect("Ed25519 draws nothing")
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let (issuer, person) = (key(1), key(2));
        let jwk = Some(person.public().clone());
        let rz = Some(URL_SAFE_NO_PAD.encode([7; 32]));
        let cic = sign(&person, ObjectType::Cic, HeaderExtra { jwk, rz, kid: None }, b"");
        let claims = json!({
            "iss": ISS, "sub": "ann", "aud": "writ-cli", "nonce": nonce_for(&cic),
            "iat": NOON, "exp": NOON.plus(3600), "groups": ["secops"],
        });
        let kid = HeaderExtra { kid: Some("k1".to_owned()), ..HeaderExtra::default() };
        let id_token = sign(&issuer, ObjectType::IdToken, kid, claims.to_string().as_bytes());
        let idc = UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None };
        let ten = TenantId(sha256(b"tenant"));
        let order = WritClaims {
            ten,
            principal: Principal { iss: ISS.to_owned(), sub: "ann".to_owned() },
            idc: idc.digest(),
            jti: "jti-of-the-only-writ-there-is".to_owned(),
            iat: NOON,
            exp: NOON.plus(120),
            charter: sha256(b"head"),
            order: Order::CharterAppend { cnt: sha256(b"body") },
        };
        let writ = writ::sign(&order, &person, &SystemRandom::new()).expect("it signs");
        let clients = vec![IssuerClient::new("writ-cli", vec![Operation::CharterAppend])];
        let issuers = vec![Issuer {
            keys: vec![IssuerKey {
                kid: "k1".to_owned(),
                jwk: issuer.public().clone().into(),
            }],
            groups_claim: Some("groups".to_owned()),
            ..Issuer::new(ISS, IdTokenAlgorithm::ALL.to_vec(), clients)
        }];
        let parts = [idc.id_token, idc.cic, writ];
        Fixture { issuers, ten, parts, attacker: key(3) }
    })
}

/// Applies one edit of five bytes: which object, what to do, where (two bytes), with what.
fn edit(parts: &mut [String; 3], attacker: &SigningKey, edit: &[u8]) {
    let &[which, what, high, low, with] = edit else { return };
    let (which, what) = (usize::from(which % 3), what % 7);
    let at = usize::from(u16::from_be_bytes([high, low]));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+";
    let letter = char::from(alphabet[usize::from(with) % alphabet.len()]);
    let text = &mut parts[which];
    let at = if text.is_empty() { 0 } else { at % text.len() };
    match what {
        0 if !text.is_empty() => text.replace_range(at..=at, &letter.to_string()),
        1 => text.insert(at, letter),
        2 if !text.is_empty() => drop(text.remove(at)),
        3 => text.truncate(at),
        4 => parts.swap(which, usize::from(with % 3)),
        5 | 6 => *text = altered(text, at, with, (what == 6).then_some(attacker)),
        _ => {}
    }
}

/// The object with one byte of its header or payload altered, and perhaps signed by the attacker.
fn altered(compact: &str, at: usize, with: u8, attacker: Option<&SigningKey>) -> String {
    let mut split: Vec<String> = compact.split('.').map(str::to_owned).collect();
    let index = at % 2;
    let Some(Ok(mut bytes)) = split.get(index).map(|part| URL_SAFE_NO_PAD.decode(part)) else {
        return compact.to_owned();
    };
    if !bytes.is_empty() && attacker.is_none() {
        let at = at % bytes.len();
        bytes[at] = with;
    }
    split[index] = URL_SAFE_NO_PAD.encode(bytes);
    if let (Some(attacker), [header, payload, ..]) = (attacker, split.as_slice()) {
        let input = format!("{header}.{payload}");
        let signature = attacker.sign(&SystemRandom::new(), input.as_bytes()).expect("it signs");
        return format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    }
    split.join(".")
}

fuzz_target!(|data: &[u8]| {
    let fixture = fixture();
    let mut parts = fixture.parts.clone();
    for change in data.chunks_exact(5).take(24) {
        edit(&mut parts, &fixture.attacker, change);
    }
    let [id_token, cic, writ] = &parts;
    let idc = UnverifiedIdc {
        mode: IdcMode::Nonce,
        id_token: id_token.clone(),
        cic: cic.clone(),
        refreshed: None,
    };
    let none = FetchedKeys::default();
    let _ = idc.asks_for();
    match idc.verify(&fixture.issuers, TokenKeys::Fetched(&none), NOON) {
        Err(_) => assert!(parts[..2] != fixture.parts[..2], "the good login was refused"),
        Ok(verified) => {
            assert_eq!(parts[..2], fixture.parts[..2], "a forged login was accepted");
            let accepted = VerifiedWrit::verify(writ, &verified, fixture.ten, NOON).is_ok();
            assert_eq!(accepted, *writ == fixture.parts[2], "a forged writ was accepted");
        }
    }
});
