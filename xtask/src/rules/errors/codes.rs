//! Finds the stable codes in the code itself, by one convention: a code is what is called `code`.
//!
//! In: the Rust files under `crates/*/src`, without tests. Out: each code with a place that says it,
//! and each place where a code is said in a way that can't be read here. A string is a code where it is
//!
//! * the argument for a parameter `code` of type `&str` or `String` (`Failed::new("cell-died")`);
//! * in the body of a function that is called `code` or `…_code` and returns text;
//! * the value of a field `code` or of a variable `code`.
//!
//! Invariants:
//! * An argument for a `code` is a string, a constant, or something that is called `code` itself; so no
//!   code reaches a person without being seen here.
//! * A string in a pattern, behind `==` or in `get(…)` is a question, not a code.
//!
//! Not here: codes that a pack brings (`service-…`); what a page must say.

use std::collections::{BTreeMap, BTreeSet};

use super::super::tree::Tree;
use crate::source::Token;

mod parse;

use parse::{Function, arguments, functions, until_end};

/// A code, and where it is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    /// The code.
    pub(super) code: String,
    /// File.
    pub(super) path: String,
    /// Line.
    pub(super) line: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Codes {
    /// Codes, in the order of files.
    pub(super) said: Vec<Said>,
    /// Places where a code is said in a way that can't be read: file, line, what stands there.
    pub(super) unread: Vec<(String, usize, String)>,
}

/// One production file.
struct Unit<'a> {
    path: &'a str,
    /// The crate's folder.
    of: &'a str,
    tokens: Vec<Token>,
    functions: Vec<Function>,
    /// Types that the file has functions for.
    implements: BTreeSet<String>,
}

/// Finds every code.
pub(super) fn find(tree: &Tree) -> Codes {
    let units: Vec<Unit<'_>> = tree
        .rust()
        .filter_map(|(file, source)| {
            let (of, inner) = file.path.strip_prefix("crates/")?.split_once('/')?;
            let is_product = inner.starts_with("src/") && !tree.is_test(&file.path);
            let tokens = is_product.then(|| source.production_with_strings())?;
            let functions = functions(&tokens);
            let implements = functions.iter().filter_map(|f| f.owner.clone()).collect();
            Some(Unit { path: &file.path, of, tokens, functions, implements })
        })
        .collect();
    let world = World { constants: constants(&units), takers: takers(&units) };
    let mut codes = Codes::default();
    for unit in &units {
        bodies(unit, &mut codes);
        named_values(unit, &mut codes);
        world.calls(unit, &mut codes);
    }
    codes
}

/// Constant strings by crate and name.
type Constants<'a> = BTreeMap<(&'a str, &'a str), &'a Token>;

/// A function that takes a code, with the crate that it is of.
type Taker<'a> = (&'a str, &'a Function);
/// All of them, by name.
type Takers<'a> = BTreeMap<&'a str, Vec<Taker<'a>>>;

struct World<'a> {
    constants: Constants<'a>,
    takers: Takers<'a>,
}

/// Strings in functions that are called `code`.
fn bodies(unit: &Unit<'_>, codes: &mut Codes) {
    for function in unit.functions.iter().filter(|function| function.answers_code()) {
        let body = unit.tokens.get(function.body.clone()).unwrap_or_default();
        codes.add(unit, &only_codes(body));
    }
}

/// `code: "…"` and `let code = "…";`.
fn named_values(unit: &Unit<'_>, codes: &mut Codes) {
    for (at, window) in unit.tokens.windows(3).enumerate() {
        let [before, name, sign] = window else { continue };
        let is_field = matches!(before.text.as_str(), "{" | ",") && sign.text == ":";
        let is_variable = before.text == "let" && sign.text == "=";
        if name.text == "code" && (is_field || is_variable) {
            codes.add(unit, &only_codes(until_end(&unit.tokens, at + 3)));
        }
    }
}

impl World<'_> {
    /// Arguments for parameters that are called `code`.
    fn calls(&self, unit: &Unit<'_>, codes: &mut Codes) {
        for (at, name) in unit.tokens.iter().enumerate() {
            let Some(takers) = self.takers.get(name.text.as_str()) else { continue };
            let before = |back: usize| {
                at.checked_sub(back).and_then(|at| unit.tokens.get(at)).map_or("", |t| &t.text)
            };
            let position = match before(1) {
                "fn" => None,
                "." => takers.iter().find(|(_, f)| f.is_method).and_then(|(_, f)| f.takes_code),
                "::" => behind_path(unit, takers, before(2)),
                _ => free(unit, takers, &name.text),
            };
            let Some(position) = position else { continue };
            let called = unit.tokens.get(at + 1).is_some_and(|next| next.text == "(");
            if called {
                let arguments = arguments(&unit.tokens, at + 1);
                if let Some(argument) = arguments.get(position) {
                    self.argument(unit, argument, codes);
                }
            } else if before(1) == "::" && before(2).starts_with(char::is_uppercase) {
                codes.unread(unit, name.line, format!("`{}` is not called here", name.text));
            }
        }
    }

    fn argument(&self, unit: &Unit<'_>, argument: &[Token], codes: &mut Codes) {
        let strings = values(argument);
        let constant = argument.iter().find_map(|token| {
            self.constants.get(&(unit.of, token.text.as_str())).map(|found| (*found).clone())
        });
        let is_called_code =
            argument.iter().any(|token| token.text == "code" || token.text.ends_with("_code"));
        if !strings.is_empty() {
            codes.add(unit, &strings);
        } else if let Some(constant) = constant {
            codes.add(unit, &[constant]);
        } else if !is_called_code {
            let line = argument.first().map_or(0, |token| token.line);
            let text: Vec<&str> = argument.iter().map(|token| token.text.as_str()).collect();
            codes.unread(unit, line, format!("`{}` stands for a code", text.join("")));
        }
    }
}

/// `Type::name`, `Self::name`, `module::name`.
fn behind_path(unit: &Unit<'_>, takers: &[Taker<'_>], path: &str) -> Option<usize> {
    let fits = |(of, function): &&Taker<'_>| match &function.owner {
        Some(owner) if path == "Self" => unit.implements.contains(owner),
        Some(owner) => owner == path,
        None => *of == unit.of && !path.starts_with(char::is_uppercase),
    };
    takers.iter().find(fits).and_then(|(_, function)| function.takes_code)
}

/// `name`: the file's own before the crate's; a variable of that name hides both.
fn free(unit: &Unit<'_>, takers: &[Taker<'_>], name: &str) -> Option<usize> {
    let own = |f: &&Function| f.owner.is_none() && f.name == name;
    if let Some(function) = unit.functions.iter().find(own) {
        return function.takes_code;
    }
    let is_variable = unit.tokens.windows(2).any(|pair| {
        matches!(pair, [keyword, variable] if keyword.text == "let" && variable.text == name)
    });
    let crates = takers.iter().find(|(of, f)| f.owner.is_none() && *of == unit.of);
    crates.filter(|_| !is_variable).and_then(|(_, function)| function.takes_code)
}

fn takers<'a>(units: &'a [Unit<'a>]) -> Takers<'a> {
    let mut takers = Takers::new();
    for unit in units {
        for function in unit.functions.iter().filter(|function| function.takes_code.is_some()) {
            takers.entry(&function.name).or_default().push((unit.of, function));
        }
    }
    takers
}

impl Codes {
    fn add(&mut self, unit: &Unit<'_>, strings: &[Token]) {
        for token in strings {
            let text = token.string().unwrap_or_default();
            if is_code(text) {
                let (path, line) = (unit.path.to_owned(), token.line);
                self.said.push(Said { code: text.to_owned(), path, line });
            } else {
                self.unread(unit, token.line, format!("`{text}` is no code"));
            }
        }
    }

    fn unread(&mut self, unit: &Unit<'_>, line: usize, what: String) {
        self.unread.push((unit.path.to_owned(), line, what));
    }
}

/// Lower-case words with hyphens between them.
pub(super) fn is_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

fn constants<'a>(units: &'a [Unit<'a>]) -> Constants<'a> {
    let mut constants = BTreeMap::new();
    for unit in units {
        for (at, window) in unit.tokens.windows(2).enumerate() {
            if let [keyword, name] = window
                && keyword.text == "const"
                && let [value] = strings(until_end(&unit.tokens, at + 2)).as_slice()
                && value.string().is_some_and(is_code)
            {
                constants.insert((unit.of, name.text.as_str()), *value);
            }
        }
    }
    constants
}

fn strings(tokens: &[Token]) -> Vec<&Token> {
    tokens.iter().filter(|token| token.string().is_some()).collect()
}

/// The strings that an expression may come to: none of a pattern, none that is compared with.
fn values(tokens: &[Token]) -> Vec<Token> {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |t| &t.text);
    let mut values = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.string().is_some()) {
        let (next, second) = (text(at.checked_add(1)), text(at.checked_add(2)));
        let (before, first) = (text(at.checked_sub(1)), text(at.checked_sub(2)));
        let is_pattern = (next == "=" && second == ">") || next == "|" || next == "if";
        let is_last_of_pattern = before == "|" && first.starts_with('"');
        let is_asked =
            before == "=" && matches!(first, "=" | "!") || before == "(" && first == "get";
        if !is_pattern && !is_last_of_pattern && !is_asked {
            values.push(token.clone());
        }
    }
    values
}

/// What of them can be a code: a body may say other things too.
fn only_codes(tokens: &[Token]) -> Vec<Token> {
    let mut found = values(tokens);
    found.retain(|token| token.string().is_some_and(is_code));
    found
}

#[cfg(test)]
mod tests;
