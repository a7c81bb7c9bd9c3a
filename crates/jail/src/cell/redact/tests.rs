//! The credential is found wherever and however a service echoes it.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const CREDENTIAL: &str = r#"ghp_canary/Cred"ent&ial\+0123"#;

#[test]
fn the_credential_is_found_raw_wherever_it_stands() {
    assert!(found(CREDENTIAL, CREDENTIAL));
    assert!(found(CREDENTIAL, &format!("Bearer {CREDENTIAL}, as you asked")));
    assert!(found(CREDENTIAL, &CREDENTIAL.to_uppercase()));
    assert!(!found(CREDENTIAL, "nothing of the kind"));
    assert!(!found(CREDENTIAL, CREDENTIAL.strip_prefix('g').unwrap()));
}

#[test]
fn the_credential_is_found_in_base64_at_every_alignment_in_both_alphabets() {
    for before in 0..7 {
        for after in 0..4 {
            let bytes = surrounded(CREDENTIAL, &vec![b'x'; before], &vec![b'y'; after]);
            for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                assert!(found(CREDENTIAL, &engine.encode(&bytes)), "{before} {after}");
            }
        }
    }
}

#[test]
fn the_credential_is_found_inside_two_encodings() {
    let echoed = STANDARD.encode(surrounded(CREDENTIAL, b"basic:", b"\n"));
    let folded: Vec<&str> =
        echoed.as_bytes().chunks(10).map(|line| std::str::from_utf8(line).unwrap()).collect();
    assert!(found(CREDENTIAL, &folded.join("\r\n")));
    assert!(found(CREDENTIAL, &percent_encoded(&percent_encoded(CREDENTIAL))));
    let json = serde_json::to_string(CREDENTIAL).unwrap();
    assert!(found(CREDENTIAL, &json));
    assert!(found(CREDENTIAL, &serde_json::to_string(&json).unwrap()));
    assert!(found(CREDENTIAL, &percent_encoded(&html_encoded(CREDENTIAL))));
}

#[test]
fn every_hit_is_replaced_and_counted_and_the_rest_stays() {
    let output = json!({
        "a": [CREDENTIAL, "kept", 7, true, null], "b": {"c": hex(CREDENTIAL)}, "d": "kept",
    });
    let redacted = redact(output, &[secret(CREDENTIAL)]).unwrap();
    let expected = json!({
        "a": [REDACTED, "kept", 7, true, null], "b": {"c": REDACTED}, "d": "kept",
    });
    assert_eq!(redacted, Redacted { value: expected, hits: 2 });
}

#[test]
fn a_number_that_holds_a_credential_of_digits_is_dropped() {
    let output = json!([9_120_261_124_120_i64, 1_202]);
    let redacted = redact(output, &[secret("20261124")]).unwrap();
    assert_eq!(redacted, Redacted { value: json!([null, 1_202]), hits: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_credential_is_found_in_any_encoding_at_any_offset(
        credential in "[!-~]{8,80}",
        before in proptest::collection::vec(any::<u8>(), 0..9),
        after in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let bytes = surrounded(&credential, &before, &after);
        for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            prop_assert!(found(&credential, &engine.encode(&bytes)));
        }
        let around = String::from_utf8_lossy(&before);
        for encoded in [
            credential.clone(),
            hex(&credential),
            hex(&credential).to_uppercase(),
            percent_encoded(&credential),
            html_encoded(&credential),
            serde_json::to_string(&credential).unwrap(),
        ] {
            prop_assert!(found(&credential, &encoded), "{}", encoded);
            let amid = format!("{around} {encoded} {around}");
            prop_assert!(found(&credential, &amid), "{}", amid);
        }
    }

    #[test]
    fn a_text_without_the_credential_stays(text in "[a-y ]{0,200}") {
        let redacted = redact(json!(text), &[secret("zzzz-zzzz-zzzz")]).unwrap();
        prop_assert_eq!(redacted, Redacted { value: json!(text), hits: 0 });
    }
}

fn secret(credential: &str) -> SecretBytes {
    SecretBytes::take(&mut credential.as_bytes().to_vec()).unwrap()
}

fn found(credential: &str, text: &str) -> bool {
    redact(json!([text]), &[secret(credential)]).unwrap().hits == 1
}

fn surrounded(credential: &str, before: &[u8], after: &[u8]) -> Vec<u8> {
    [before, credential.as_bytes(), after].concat()
}

fn hex(text: &str) -> String {
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn html_encoded(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;")
}
