//! What leaves a cell: declared members only, and never the credential, whatever a service answers.
//!
//! The input is a projection and an answer, each JSON, with a byte 0xFF between them.
#![no_main]

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use writ_jail::{cell::leaves, secret_memory::SecretBytes};
use writ_model::pack::Projection;

const CREDENTIAL: &str = "canary-credential-0123456789";

thread_local! {
    /// Secret memory belongs to one thread; libFuzzer has one.
    static SECRET: SecretBytes = {
        let mut bytes = CREDENTIAL.as_bytes().to_vec();
        SecretBytes::take(&mut bytes).unwrap_or_else(|_| panic!("no secret memory here"))
    };
}

fn hex() -> String {
    CREDENTIAL.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn declared(shape: &Projection, value: &Value) -> bool {
    match (shape, value) {
        (_, Value::Null) => true,
        (Projection::String { .. }, Value::String(_)) => true,
        (Projection::Integer { .. }, Value::Number(_)) => true,
        (Projection::Boolean { .. }, Value::Bool(_)) => true,
        (Projection::Object { members }, Value::Object(given)) => given
            .iter()
            .all(|(name, value)| members.get(name).is_some_and(|shape| declared(shape, value))),
        (Projection::Array { items, .. }, Value::Array(given)) => {
            given.iter().all(|item| declared(items, item))
        }
        _ => false,
    }
}

/// Every text of a value; member names are the pack's.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let mut halves = data.splitn(2, |byte| *byte == 0xFF);
    let (Some(shape), Some(answer)) = (halves.next(), halves.next()) else { return };
    let Ok(shape) = serde_json::from_slice::<Projection>(shape) else { return };
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
    let Ok(output) = SECRET.with(|secret| leaves(&shape, &answer, secret)) else { return };
    assert!(declared(&shape, &output), "an undeclared member left: {output}");
    let mut found = Vec::new();
    texts(&output, &mut found);
    for text in found {
        let lower = text.to_ascii_lowercase();
        assert!(!lower.contains(CREDENTIAL), "raw");
        assert!(!lower.contains(&hex()), "hex");
        for encoded in [STANDARD_NO_PAD.encode(CREDENTIAL), URL_SAFE_NO_PAD.encode(CREDENTIAL)] {
            assert!(!text.contains(&encoded), "base64");
        }
    }
});
