//! Looks for a secret in bytes, in every spelling that a careless or hostile program would store it in.
//!
//! Raw, as JSON text, in base64 at each of three alignments and both alphabets, in hexadecimal of both cases,
//! percent-encoded.

use std::fmt::Write as _;

use aho_corasick::AhoCorasick;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// The name of a spelling in which `secret` stands in `bytes`.
#[must_use]
pub fn found_in(bytes: &[u8], secret: &str) -> Option<&'static str> {
    let spellings = spellings(secret);
    let texts = spellings.iter().map(|(_, text)| text.as_bytes());
    // A secret has a dozen spellings, far below what the automaton takes.
    let found = AhoCorasick::new(texts).ok()?.find(bytes)?;
    spellings.get(found.pattern().as_usize()).map(|(name, _)| *name)
}

fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let json = serde_json::Value::from(secret).to_string();
    let (mut lower, mut upper, mut percent) = (String::new(), String::new(), String::new());
    for byte in secret.bytes() {
        // Writing to a string can't fail.
        let _ = write!(lower, "{byte:02x}");
        let _ = write!(upper, "{byte:02X}");
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            percent.push(char::from(byte));
        } else {
            let _ = write!(percent, "%{byte:02X}");
        }
    }
    let mut all = vec![
        ("raw", secret.to_owned()),
        ("JSON", json.trim_matches('"').to_owned()),
        ("hexadecimal", lower),
        ("hexadecimal in capitals", upper),
        ("percent-encoded", percent),
    ];
    for skipped in 0..3 {
        // The characters that bytes before and after the secret would change are left out.
        let padded = [&b"\0\0"[..skipped], secret.as_bytes()].concat();
        for (name, text) in [
            ("base64", STANDARD_NO_PAD.encode(&padded)),
            ("base64url", URL_SAFE_NO_PAD.encode(&padded)),
        ] {
            let (begin, end) = ((skipped * 4).div_ceil(3), padded.len() / 3 * 4);
            all.push((name, text.get(begin..end).unwrap_or_default().to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn hexadecimal(text: &str) -> String {
        text.bytes().fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
    }

    const SECRET: &str = "canary/7c1f & \"more\" ü";

    #[test]
    fn every_spelling_is_found_wherever_it_stands() {
        for around in ["", "x", "xy", "xyz"] {
            let text = format!("{around}{SECRET}{around}");
            for spelled in [
                text.clone(),
                serde_json::json!({ "a": text }).to_string(),
                STANDARD.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                hexadecimal(&text),
                hexadecimal(&text).to_uppercase(),
                url::form_urlencoded::byte_serialize(text.as_bytes())
                    .collect::<String>()
                    .replace('+', "%20"),
            ] {
                assert!(found_in(spelled.as_bytes(), SECRET).is_some(), "{spelled}");
            }
        }
        assert_eq!(found_in(b"nothing of the kind", SECRET), None);
    }
}
