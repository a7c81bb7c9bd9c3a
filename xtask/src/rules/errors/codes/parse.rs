//! Functions, calls and expressions in a file's tokens, as far as finding codes needs them.
//!
//! In: tokens with strings. Out: where each function's body is, which parameter of it is called `code`,
//! the arguments of a call, the end of an expression.
//!
//! Not here: types are not resolved; a function is known by its name and the type that it belongs to.

use std::ops::Range;

use crate::source::{Token, end_of_group, is_word};

/// One function with a body.
#[derive(Debug)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The type of the `impl` around it.
    pub(super) owner: Option<String>,
    /// Whether it is called on a value.
    pub(super) is_method: bool,
    /// Which argument is called `code` and is text; a receiver is not counted.
    pub(super) takes_code: Option<usize>,
    /// Its body.
    pub(super) body: Range<usize>,
    returns_text: bool,
}

impl Function {
    /// Whether what it returns is a code, by its name.
    pub(super) fn answers_code(&self) -> bool {
        self.returns_text && (self.name == "code" || self.name.ends_with("_code"))
    }
}

/// Every function, in order.
pub(super) fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    let mut owners: Vec<(Range<usize>, String)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "impl" if begins_item(tokens, at) => owners.extend(implemented(tokens, at)),
            "fn" => {
                let inside = owners.iter().rev().find(|(body, _)| body.contains(&at));
                let owner = inside.map(|(_, owner)| owner.clone());
                found.extend(function(tokens, at, owner));
            }
            _ => {}
        }
    }
    found
}

/// Whether the `impl` at `at` is a block of its own, not a type in a signature.
fn begins_item(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    before.is_none_or(|token| matches!(token.text.as_str(), "}" | "{" | ";" | "]" | "unsafe"))
}

/// The body of an `impl`, and its type's name.
fn implemented(tokens: &[Token], at: usize) -> Option<(Range<usize>, String)> {
    let mut name = None;
    let mut here = skip_generics(tokens, at + 1);
    loop {
        let token = tokens.get(here)?;
        match token.text.as_str() {
            "{" => return Some((here..end_of_group(tokens, here), name?)),
            "<" => here = skip_generics(tokens, here),
            "where" => {
                here += tokens.get(here..)?.iter().position(|token| token.text == "{")?;
            }
            word => {
                if is_word(word) && !matches!(word, "for" | "dyn" | "mut") {
                    name = Some(word.to_owned());
                }
                here += 1;
            }
        }
    }
}

fn function(tokens: &[Token], at: usize, owner: Option<String>) -> Option<Function> {
    let name = tokens.get(at + 1).filter(|token| is_word(&token.text))?.text.clone();
    let open = skip_generics(tokens, at + 2);
    let parameters = arguments(tokens, open);
    let is_method =
        parameters.first().is_some_and(|first| first.iter().any(|token| token.text == "self"));
    let position = parameters.iter().position(|parameter| is_code_text(parameter));
    let after = end_of_group(tokens, open);
    let length = tokens.get(after..)?.iter().position(|t| matches!(t.text.as_str(), "{" | ";"))?;
    let returned = tokens.get(after..after + length)?;
    Some(Function {
        name,
        owner,
        is_method,
        takes_code: position.map(|position| position - usize::from(is_method)),
        body: after + length..end_of_group(tokens, after + length),
        returns_text: returned.iter().any(|t| matches!(t.text.as_str(), "str" | "String")),
    })
}

/// `code: &str`, `code: &'static str`, `code: String`.
fn is_code_text(parameter: &[Token]) -> bool {
    match parameter {
        [name, colon, .., last] if name.text == "code" && colon.text == ":" => {
            matches!(last.text.as_str(), "str" | "String")
        }
        _ => false,
    }
}

/// What stands between the commas of the group that opens at `open`.
pub(super) fn arguments(tokens: &[Token], open: usize) -> Vec<&[Token]> {
    let end = end_of_group(tokens, open).saturating_sub(1);
    let mut arguments = Vec::new();
    let mut at = open + 1;
    while at < end {
        let argument = until_end(tokens, at);
        arguments.push(argument);
        at += argument.len() + 1;
    }
    arguments
}

/// The expression that begins at `start`: up to a comma, a semicolon, or the end of its group. A type's
/// own commas, as in `Map<A, B>`, end a piece too; no parameter behind one is asked for by position.
pub(super) fn until_end(tokens: &[Token], start: usize) -> &[Token] {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "," | ";" | ")" | "]" | "}" => break,
            "(" | "[" | "{" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    tokens.get(start..at).unwrap_or_default()
}

/// Behind the `<…>` at `at`, if one opens there. The `>` of an arrow closes nothing.
fn skip_generics(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut arrow = false;
    for (here, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "<" => depth += 1,
            ">" if !arrow => depth = depth.saturating_sub(1),
            _ => {}
        }
        arrow = matches!(token.text.as_str(), "-" | "=");
        if depth == 0 {
            return if here == at && token.text != "<" { at } else { here + 1 };
        }
    }
    tokens.len()
}
