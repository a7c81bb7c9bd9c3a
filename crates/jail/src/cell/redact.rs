//! The second line of defense against an echo: the credential is looked for in what leaves.
//!
//! In: projected output and every secret of the call. Out: the output, with every text that holds the
//! credential replaced whole, and how many there were.
//!
//! It is looked for raw, in hex, and in base64 (three alignments, both alphabets), in any case,
//! in each text as it is and with up to two encodings undone (`decode`). Numbers are looked at
//! too: a credential may be all digits. Members' names come from the pack and are not, but for
//! [`redact_whole`].
//!
//! Not here: what leaves at all (`project`), which is the first line.

mod decode;

use aho_corasick::AhoCorasick;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use zeroize::Zeroizing;

use self::decode::DECODERS;
use super::Failed;
use crate::secret_memory::SecretBytes;

/// What stands where a credential stood.
const REDACTED: &str = "[redacted]";
/// How many encodings, one inside the other, are undone.
const DEPTH: usize = 2;

/// Output without the credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redacted {
    pub(super) value: Value,
    /// How many values held the credential.
    pub(super) hits: usize,
}

/// Replaces every text that holds the credential, and every number by null.
pub(super) fn redact(mut value: Value, secrets: &[SecretBytes]) -> Result<Redacted, Failed> {
    let finder = finder(secrets)?;
    let hits = clean(&mut value, &finder);
    Ok(Redacted { value, hits })
}

/// As [`redact`], for a value whose members nobody declared: their names are looked at too.
pub(super) fn redact_whole(value: Value, secrets: &[SecretBytes]) -> Result<Redacted, Failed> {
    let finder = finder(secrets)?;
    let mut named = 0;
    let mut value = rename(value, &finder, &mut named);
    let hits = named + clean(&mut value, &finder);
    Ok(Redacted { value, hits })
}

/// Renames members whose names hold the credential.
fn rename(value: Value, finder: &AhoCorasick, hits: &mut usize) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| rename(item, finder, hits)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, member)| {
                let member = rename(member, finder, hits);
                if holds(name.as_bytes(), finder, DEPTH) {
                    *hits += 1;
                    return (REDACTED.to_owned(), member);
                }
                (name, member)
            });
            Value::Object(members.collect())
        }
        other => other,
    }
}

fn finder(secrets: &[SecretBytes]) -> Result<AhoCorasick, Failed> {
    // Case makes no difference: it costs false hits nobody meets, and a credential that a
    // service changed the case of is still most of the credential.
    let patterns: Vec<_> = secrets.iter().flat_map(|secret| patterns(secret.expose())).collect();
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(patterns.iter().map(|pattern| pattern.as_slice()))
        .map_err(|_| Failed::new("redaction"))
}

/// Cleans a value in place; how many hits there were.
fn clean(value: &mut Value, finder: &AhoCorasick) -> usize {
    let replacement = match value {
        Value::Array(items) => return items.iter_mut().map(|item| clean(item, finder)).sum(),
        Value::Object(members) => {
            return members.values_mut().map(|member| clean(member, finder)).sum();
        }
        Value::String(text) if holds(text.as_bytes(), finder, DEPTH) => Value::from(REDACTED),
        Value::Number(number) if finder.is_match(&number.to_string()) => Value::Null,
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => return 0,
    };
    *value = replacement;
    1
}

fn holds(text: &[u8], finder: &AhoCorasick, depth: usize) -> bool {
    finder.is_match(text)
        || depth > 0
            && DECODERS
                .iter()
                .filter_map(|decode| decode(text))
                .any(|decoded| holds(&decoded, finder, depth - 1))
}

/// The credential, its hex, and what of its base64 does not depend on what stands around it.
fn patterns(credential: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let hex = credential.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let mut patterns = vec![Zeroizing::new(credential.to_vec()), Zeroizing::new(hex)];
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
mod tests;
