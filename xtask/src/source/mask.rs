//! Blanks out what is not code: comments, strings and characters.
//!
//! In: Rust text. Out: text of the same lines in which every character of a comment or literal is
//! a space, and the plain string literals with their lines. Raw strings, nested comments and
//! lifetimes are told apart as the Rust reference does.

/// Text without its comments and literals.
pub(super) struct Masked {
    /// Spaces where they were.
    pub(super) text: String,
    /// Plain strings as they are written, quotes included: offset in the masked text, literal.
    pub(super) strings: Vec<(usize, String)>,
}

/// Replaces comments and literals with spaces.
pub(super) fn mask(text: &str) -> Masked {
    let mut masked = Masked { text: String::with_capacity(text.len()), strings: Vec::new() };
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let opaque = opaque_length(rest, previous);
        let length = opaque.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if opaque.is_some() {
            if first == '"' {
                masked.strings.push((masked.text.len(), taken.to_owned()));
            }
            masked.text.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' }));
        } else {
            masked.text.push_str(taken);
        }
        previous = if opaque.is_some() { ' ' } else { first };
        rest = after;
    }
    masked
}

/// Length in bytes of the comment or literal at the beginning of `rest`, if there is one.
fn opaque_length(rest: &str, previous: char) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if previous.is_alphanumeric() || previous == '_' {
        return None;
    }
    raw_string(rest).or_else(|| string(rest)).or_else(|| character(rest))
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let unhashed = body.trim_start_matches('#');
    let hashes = body.len() - unhashed.len();
    let content = unhashed.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = content.find(&close).map_or(content.len(), |at| at + close.len());
    Some(rest.len() - content.len() + end)
}

fn string(rest: &str) -> Option<usize> {
    let content = ["b\"", "c\"", "\""].iter().find_map(|open| rest.strip_prefix(open))?;
    Some(rest.len() - content.len() + escaped_end(content, '"'))
}

fn character(rest: &str) -> Option<usize> {
    let content = ["b'", "'"].iter().find_map(|open| rest.strip_prefix(open))?;
    let mut characters = content.chars();
    let is_literal = match characters.next()? {
        '\\' => true,
        _ => characters.next() == Some('\''),
    };
    is_literal.then(|| rest.len() - content.len() + escaped_end(content, '\''))
}

/// Length up to and including the first `close` that no backslash escapes.
fn escaped_end(content: &str, close: char) -> usize {
    let mut escaped = false;
    for (at, character) in content.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == close {
            return at + character.len_utf8();
        }
    }
    content.len()
}
