//! The examples of RFC 7515, RFC 7638 and RFC 8037.

#![cfg(test)]

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use writ_evidence::{
    jws::{JwsError, UnverifiedJws},
    key::{Algorithm, KeyError, PublicKey, SigningKey},
};

#[test]
fn rfc_7515_a_3_verifies_as_es256() {
    let key = PublicKey::from_jwk(&json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
    .unwrap();
    let jws = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly\
               9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXF\
               CgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    let verified = UnverifiedJws::parse(jws).unwrap().verify_signature(&key).unwrap();
    assert!(verified.payload().starts_with(br#"{"iss":"joe""#));
}

#[test]
fn rfc_7515_a_1_and_a_5_are_refused_whatever_the_key() {
    let key = ed25519().public().clone();
    let hs256 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MT\
                 kzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhb\
                 UJU1p1r_wW1gFWFOEjXk";
    let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9l\
                eGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    for jws in [hs256, none] {
        let refused = UnverifiedJws::parse(jws).unwrap().verify_signature(&key);
        assert_eq!(refused.unwrap_err(), JwsError::Algorithm);
    }
}

#[test]
fn rfc_7638_3_1_is_an_rsa_key_and_so_is_refused() {
    let refused = PublicKey::from_jwk(&json!({ "kty": "RSA", "n": "0vx7", "e": "AQAB" }));
    assert_eq!(refused.unwrap_err(), KeyError::Unsupported);
}

/// RFC 8037 A.1, as PKCS#8 (RFC 8410 §7).
fn ed25519() -> SigningKey {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pkcs8.extend(seed);
    SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).unwrap()
}

#[test]
fn rfc_8037_a_2_and_a_3_give_the_public_key_and_its_thumbprint() {
    let key = ed25519();
    assert_eq!(key.public().to_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(
        key.public().thumbprint().to_string(),
        "sha256:kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn rfc_8037_a_4_and_a_5_sign_and_verify() {
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVv\
                     pAr_MuM0KAg";
    let key = ed25519();

    let signed = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(signed), signature);
    let jws = format!("{input}.{signature}");
    let verified = UnverifiedJws::parse(&jws).unwrap().verify_signature(key.public()).unwrap();
    assert_eq!(verified.payload(), b"Example of Ed25519 signing");
}

#[test]
fn rfc_8037_a_6_is_a_key_for_agreement_and_so_is_refused() {
    let refused = PublicKey::from_jwk(&json!({
        "kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08",
    }));
    assert_eq!(refused.unwrap_err(), KeyError::Unsupported);
}
