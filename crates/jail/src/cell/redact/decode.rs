//! Undoes one encoding of a text, so that what is inside can be looked for.
//!
//! Each decoder takes a text and gives it decoded, or nothing if decoding changes nothing. They
//! are lenient: what is not an escape stays as it is. The result is only ever searched.

/// Undoes one encoding; `None` if there is nothing to undo.
pub(super) type Decode = fn(&[u8]) -> Option<Vec<u8>>;

/// All of them.
pub(super) const DECODERS: [Decode; 4] = [unfold, percent, json, html];

/// Line breaks and spaces that an encoder put in, as MIME's base64 has them.
fn unfold(text: &[u8]) -> Option<Vec<u8>> {
    let joined: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    (joined.len() < text.len()).then_some(joined)
}

/// `%2B` (RFC 3986 §2.1).
fn percent(text: &[u8]) -> Option<Vec<u8>> {
    replace(text, b'%', |rest| Some((hex(rest, 2)?, 2)))
}

/// `\/`, `\"`, `\\` and `\u002b` (RFC 8259 §7), as in JSON within a text, and `\x2b`.
fn json(text: &[u8]) -> Option<Vec<u8>> {
    replace(text, b'\\', |rest| match rest.split_first()? {
        (b'u', digits) => Some((hex(digits, 4)?, 5)),
        (b'x', digits) => Some((hex(digits, 2)?, 3)),
        (escaped, _) if escaped.is_ascii_punctuation() => Some((u32::from(*escaped), 1)),
        _ => None,
    })
}

/// `&amp;`, `&#43;` and `&#x2b;` (HTML §13.5, the ASCII ones that encoders write).
fn html(text: &[u8]) -> Option<Vec<u8>> {
    /// Longest reference looked at, `&` and `;` aside.
    const LONGEST: usize = 10;
    replace(text, b'&', |rest| {
        let length = rest.iter().take(LONGEST + 1).position(|byte| *byte == b';')?;
        let name = std::str::from_utf8(rest.get(..length)?).ok()?;
        let character = match name {
            "amp" | "AMP" => u32::from(b'&'),
            "lt" | "LT" => u32::from(b'<'),
            "gt" | "GT" => u32::from(b'>'),
            "quot" | "QUOT" => u32::from(b'"'),
            "apos" => u32::from(b'\''),
            "sol" => u32::from(b'/'),
            "plus" => u32::from(b'+'),
            "equals" => u32::from(b'='),
            "lowbar" => u32::from(b'_'),
            "percnt" => u32::from(b'%'),
            _ => {
                let number = name.strip_prefix('#')?;
                match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                }
            }
        };
        Some((character, length + 1))
    })
}

/// Replaces each escape that starts with `mark`; `read` gets what follows the mark and gives the
/// character and how much of it the escape took. Only ASCII characters matter: credentials have
/// no others.
fn replace(text: &[u8], mark: u8, read: impl Fn(&[u8]) -> Option<(u32, usize)>) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escape = if *first == mark { read(after) } else { None };
        let ascii = escape.and_then(|(character, taken)| {
            let character = u8::try_from(character).ok().filter(u8::is_ascii)?;
            Some((character, after.get(taken..)?))
        });
        let (byte, following) = ascii.unwrap_or((*first, after));
        decoded.push(byte);
        rest = following;
    }
    (decoded.len() < text.len()).then_some(decoded)
}

fn hex(digits: &[u8], length: usize) -> Option<u32> {
    let digits = digits.get(..length)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_undone_and_nothing_else_is_touched() {
        for (decode, encoded, expected) in [
            (unfold as Decode, "a b\r\n\tc", Some("abc")),
            (unfold, "abc", None),
            (percent, "a%2Bb%2f%zz%4", Some("a+b/%zz%4")),
            (percent, "100%", None),
            (json, r#"a\/b\"\\c\u002B\n"#, Some(r#"a/b"\c+\n"#)),
            (json, r"\u00", None),
            (html, "a&amp;b&#43;c&#x2F;&nothing;&", Some("a&b+c/&nothing;&")),
            (html, "a & b; c", None),
        ] {
            let decoded = decode(encoded.as_bytes());
            assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{encoded}");
        }
    }
}
