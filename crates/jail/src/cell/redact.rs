//! The second line of defense against an echo: the credential is looked for in what leaves, raw
//! and as base64 in every alignment and both alphabets; a text that holds it is replaced whole.

use aho_corasick::AhoCorasick;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::Failed;
use crate::secret_memory::SecretBytes;

/// What stands where a credential stood.
const REDACTED: &str = "[redacted]";

/// Replaces every text, and every member's name, that holds the credential.
pub(super) fn redact(value: Value, credential: &SecretBytes) -> Result<Value, Failed> {
    let patterns = patterns(credential.expose());
    let finder = AhoCorasick::new(patterns.iter().map(|pattern| pattern.as_slice()))
        .map_err(|_| Failed::new("redaction"))?;
    Ok(clean(value, &finder))
}

fn clean(value: Value, finder: &AhoCorasick) -> Value {
    match value {
        Value::String(text) if finder.is_match(&text) => Value::String(REDACTED.to_owned()),
        Value::Array(items) => items.into_iter().map(|item| clean(item, finder)).collect(),
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (name, clean(value, finder))).collect(),
        ),
        other => other,
    }
}

/// The credential, and what of its base64 does not depend on what stands around it.
fn patterns(credential: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut patterns = vec![Zeroizing::new(credential.to_vec())];
    for before in 0..3 {
        let mut shifted = Zeroizing::new(vec![0; before]);
        shifted.extend_from_slice(credential);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(&*shifted));
            // The first characters hold bits of what stands before, the last of what follows.
            let from = (before * 8).div_ceil(6);
            let to = shifted.len() * 8 / 6;
            if let Some(stable) = text.as_bytes().get(from..to) {
                patterns.push(Zeroizing::new(stable.to_vec()));
            }
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CREDENTIAL: &[u8] = b"ghp_canary/Credential+0123";

    fn redacted(text: &str) -> bool {
        let secret = SecretBytes::take(&mut CREDENTIAL.to_vec()).unwrap();
        let cleaned = redact(json!({"a": [text, "kept"]}), &secret).unwrap();
        cleaned == json!({"a": [REDACTED, "kept"]})
    }

    #[test]
    fn the_credential_is_found_raw_wherever_it_stands() {
        let raw = std::str::from_utf8(CREDENTIAL).unwrap();
        assert!(redacted(raw));
        assert!(redacted(&format!("Bearer {raw}, as you asked")));
        assert!(!redacted("nothing of the kind"));
    }

    #[test]
    fn the_credential_is_found_in_base64_at_every_alignment_in_both_alphabets() {
        for before in 0..7 {
            for after in 0..4 {
                let mut bytes = vec![b'x'; before];
                bytes.extend_from_slice(CREDENTIAL);
                bytes.extend(vec![b'y'; after]);
                assert!(redacted(&STANDARD_NO_PAD.encode(&bytes)), "{before} {after}");
                assert!(redacted(&URL_SAFE_NO_PAD.encode(&bytes)), "{before} {after}");
            }
        }
    }
}
