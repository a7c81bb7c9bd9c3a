//! Pure crates cannot name a clock, randomness, a file, a socket, the environment, a thread or
//! `async`, nor a collection whose order differs from run to run.
//!
//! In: the production tokens of the pure crates. Out: each banned word and each path of the standard
//! library that leads to one, through `use` trees too.
//!
//! Invariant: whatever is passed in is the caller's; only naming the source is banned.
//!
//! Not here: what a dependency of a pure crate does inside.

use super::direction::PURE;
use super::finding::Finding;
use super::tree::{File, Tree};
use crate::source::{Token, is_word};

/// Words that are banned wherever they stand.
const WORDS: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "OsRng",
    "SystemRandom",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "async",
    "await",
    "getrandom",
    "libc",
    "rand",
    "rustix",
    "thread_rng",
    "tokio",
];

/// Modules of the standard library that are banned as a whole.
const MODULES: &[&str] = &["env", "fs", "os", "process", "thread"];
/// Modules of which only some names are allowed.
const PARTLY: &[(&str, &[&str])] = &[
    ("time", &["Duration", "TryFromFloatSecsError"]),
    (
        "net",
        &[
            "AddrParseError",
            "IpAddr",
            "Ipv4Addr",
            "Ipv6Addr",
            "SocketAddr",
            "SocketAddrV4",
            "SocketAddrV6",
        ],
    ),
];
/// Functions that open something.
const DOORS: &[&str] = &["stderr", "stdin", "stdout"];

/// Finds what the pure crates may not name.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let pure = tree.rust().filter(|(file, _)| is_pure(&file.path) && !tree.is_test(&file.path));
    pure.flat_map(|(file, source)| of_file(file, &source.production())).collect()
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

fn of_file(file: &File, tokens: &[Token]) -> Vec<Finding> {
    let numbered = tokens.iter().enumerate();
    let words = numbered.filter(|(at, token)| {
        WORDS.contains(&token.text.as_str()) && !is_passed_in(tokens.get(*at..).unwrap_or_default())
    });
    let words = words.map(|(_, token)| (token.line, token.text.clone()));
    let paths = standard_paths(tokens).into_iter().filter(|(_, path)| is_banned(path));
    let mut found: Vec<_> =
        words.chain(paths.map(|(line, path)| (line, path.join("::")))).collect();
    found.sort();
    found
        .into_iter()
        .map(|(line, name)| Finding {
            path: file.path.clone(),
            line,
            rule: "purity",
            what: format!("a pure crate names `{name}`"),
            remedy: "let the caller pass the value in (or use a BTree collection)",
            fails: true,
        })
        .collect()
}

/// Whether the tokens begin with the interface through which a caller passes randomness in. Naming
/// it draws nothing.
fn is_passed_in(tokens: &[Token]) -> bool {
    matches!(tokens, [module, sign, name, ..]
        if module.text == "rand" && sign.text == "::" && name.text == "SecureRandom")
}

fn is_banned(path: &[String]) -> bool {
    let mut parts = path.iter().skip(1).map(String::as_str);
    let Some(module) = parts.next() else { return true };
    let name = parts.next();
    if module == "*" || MODULES.contains(&module) {
        return true;
    }
    if module == "io" {
        return name.is_some_and(|name| DOORS.contains(&name) || name == "*");
    }
    let partly = PARTLY.iter().find(|(partly, _)| *partly == module);
    partly.is_some_and(|(_, allowed)| name.is_none_or(|name| !allowed.contains(&name)))
}

/// Every path that begins with `std` or `core`, with its line; `use` trees are unfolded. A path of
/// one part is a renaming of the whole library.
fn standard_paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let begins = token.text == "std" || token.text == "core";
        let next = tokens.get(at + 1).map(|next| next.text.as_str());
        if begins && matches!(next, Some("::" | "as")) && !is_inner_part(tokens, at) {
            unfold(tokens.get(at..).unwrap_or_default(), &[], &mut paths);
        }
    }
    paths
}

/// Whether the token at `at` continues a path that began with another word, as in `a::std`.
fn is_inner_part(tokens: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    before(1).is_some_and(|token| token.text == "::")
        && before(2).is_some_and(|token| is_word(&token.text) && token.text != "use")
}

/// Unfolds the path or tree at the beginning of `tokens`; returns what comes behind it.
fn unfold<'a>(
    tokens: &'a [Token],
    prefix: &[String],
    paths: &mut Vec<(usize, Vec<String>)>,
) -> &'a [Token] {
    let Some((first, mut rest)) = tokens.split_first() else { return tokens };
    if first.text == "{" {
        while let Some(next) = rest.first().filter(|next| next.text != "}") {
            rest = match next.text.as_str() {
                "," => rest.get(1..).unwrap_or_default(),
                _ => unfold(rest, prefix, paths),
            };
        }
        return rest.get(1..).unwrap_or_default();
    }
    let mut path = prefix.to_vec();
    if first.text != "self" {
        path.push(first.text.clone());
    }
    match rest {
        [sign, next, ..]
            if sign.text == "::"
                && (is_word(&next.text) || matches!(next.text.as_str(), "{" | "*")) =>
        {
            return unfold(rest.get(1..).unwrap_or_default(), &path, paths);
        }
        [word, _, ..] if word.text == "as" => rest = rest.get(2..).unwrap_or_default(),
        _ => {}
    }
    paths.push((first.line, path));
    rest
}

#[cfg(test)]
mod tests;
