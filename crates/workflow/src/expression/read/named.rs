//! The functions that expressions may call, by name and number of arguments.

use std::borrow::Cow;

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Term},
    },
    ops::Cmp,
    path::Part,
};
use regex::RegexBuilder;
use serde_json::Value;

use super::{Reader, Refusal};
use crate::expression::{
    apply,
    program::{By, Expr, One, Step, Take, Zero},
};

/// Functions of their input alone.
const ZERO: &[(&str, Zero)] = &[
    ("length", apply::length),
    ("utf8bytelength", apply::byte_length),
    ("keys", apply::keys),
    ("keys_unsorted", apply::keys_unsorted),
    ("to_entries", apply::to_entries),
    ("from_entries", apply::from_entries),
    ("add", apply::add),
    ("any", apply::any),
    ("all", apply::all),
    ("flatten", apply::flatten),
    ("reverse", apply::reverse),
    ("tostring", apply::to_text),
    ("tonumber", apply::to_number),
    ("tojson", apply::to_json_text),
    ("fromjson", apply::from_json_text),
    ("ascii_downcase", apply::lower),
    ("ascii_upcase", apply::upper),
    ("trim", apply::trim),
    ("ltrim", apply::trim_start),
    ("rtrim", apply::trim_end),
    ("floor", apply::floor),
    ("ceil", apply::ceil),
    ("round", apply::round),
    ("abs", apply::abs),
];

/// How values are written into texts.
const FORMATS: &[(&str, Zero)] = &[
    ("@text", apply::to_text),
    ("@json", apply::to_json_text),
    ("@base64", apply::base64),
    ("@base64d", apply::from_base64),
    ("@uri", apply::uri),
    ("@html", apply::html),
];

/// Functions of their input and one argument.
const ONE: &[(&str, One)] = &[
    ("has", apply::has),
    ("contains", apply::contains),
    ("startswith", apply::starts_with),
    ("endswith", apply::ends_with),
    ("ltrimstr", apply::strip_start),
    ("rtrimstr", apply::strip_end),
    ("split", apply::split),
    ("join", apply::join),
    ("index", apply::index_of),
    ("rindex", apply::last_index_of),
];

/// Functions that are run for what they order or pick.
const BY: &[(&str, By)] = &[
    ("sort_by", By::Sort),
    ("group_by", By::Group),
    ("unique_by", By::Unique),
    ("min_by", By::Min),
    ("max_by", By::Max),
];

/// What else is taken, for the help.
const OTHERS: &str = "not, type, map, map_values, select, with_entries, values, nulls, booleans, numbers, strings, \
    arrays, objects, sort, sort_by, \
    group_by, unique, unique_by, min, min_by, max, max_by, first, last, nth, limit, in, inside, \
    test, del, empty, error, true, false, null, reduce, foreach";

/// A format, by its name with `@`.
pub(super) fn format(name: &str) -> Option<Zero> {
    find(FORMATS, name)
}

/// Refuses a function by name.
pub(super) fn unknown(name: &str, arguments: usize) -> Refusal {
    let all = ZERO.iter().map(|(name, _)| *name).chain(ONE.iter().map(|(name, _)| *name));
    let all: Vec<&str> = all.chain(FORMATS.iter().map(|(name, _)| *name)).collect();
    Refusal::new(
        format!("`{name}` with {arguments} arguments is not taken in expressions"),
        format!("supported: {}, {OTHERS}", all.join(", ")),
    )
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
}

impl Reader {
    pub(super) fn call(&mut self, name: &str, arguments: &[Term<&str>]) -> Result<Expr, Refusal> {
        let found = match arguments {
            [] => constant(name),
            [argument] => self.with_one(name, argument)?,
            [flags, inner] => self.with_two(name, flags, inner)?,
            _ => None,
        };
        found.ok_or_else(|| unknown(name, arguments.len()))
    }

    fn with_one(&mut self, name: &str, argument: &Term<&str>) -> Result<Option<Expr>, Refusal> {
        // These two want the argument's text, not its value.
        match name {
            "test" => return regex(argument, None).map(Some),
            "del" => return deleted(argument).map(Some),
            _ => {}
        }
        if !is_unary(name) {
            return Ok(None);
        }
        let inner = self.boxed(argument)?;
        if let Some(by) = find(BY, name) {
            return Ok(Some(Expr::By(by, inner)));
        }
        if let Some(function) = find(ONE, name) {
            return Ok(Some(Expr::One(function, inner)));
        }
        Ok(Some(match name {
            "map" => each(inner),
            "map_values" => Expr::MapValues(inner),
            "select" => Expr::If(vec![(*inner, Expr::Id)], Some(Box::new(Expr::Empty))),
            "with_entries" => {
                let entries = Box::new(Expr::Zero(apply::to_entries));
                let mapped = Expr::Pipe(entries, Box::new(each(inner)));
                Expr::Pipe(Box::new(mapped), Box::new(Expr::Zero(apply::from_entries)))
            }
            "any" => Expr::Pipe(Box::new(each(inner)), Box::new(Expr::Zero(apply::any))),
            "all" => Expr::Pipe(Box::new(each(inner)), Box::new(Expr::Zero(apply::all))),
            "add" => {
                let all = Box::new(Expr::Array(Some(inner)));
                Expr::Pipe(all, Box::new(Expr::Zero(apply::add)))
            }
            "first" => Expr::Take(Take::First, inner),
            "last" => Expr::Take(Take::Last, inner),
            "nth" => Expr::Path(Box::new(Expr::Id), vec![(Step::Index(*inner), false)]),
            // The argument's value is what is asked; `.` is what is looked for.
            "in" => Expr::One(apply::is_in, inner),
            "inside" => Expr::One(apply::inside, inner),
            _ => return Ok(None),
        }))
    }

    fn with_two(
        &mut self,
        name: &str,
        first: &Term<&str>,
        second: &Term<&str>,
    ) -> Result<Option<Expr>, Refusal> {
        match name {
            "test" => regex(first, Some(second)).map(Some),
            "limit" => {
                let Term::Num(count) = first else {
                    let help = "write `limit(10; …)`";
                    return Err(Refusal::new("`limit` has a computed count", help));
                };
                let count = count.parse().map_err(|_| unknown(name, 2))?;
                Ok(Some(Expr::Take(Take::Limit(count), self.boxed(second)?)))
            }
            "any" => Ok(Some(self.all_of(first, second, apply::any)?)),
            "all" => Ok(Some(self.all_of(first, second, apply::all)?)),
            _ => Ok(None),
        }
    }

    /// `any(source; condition)` and its like.
    fn all_of(
        &mut self,
        source: &Term<&str>,
        condition: &Term<&str>,
        function: Zero,
    ) -> Result<Expr, Refusal> {
        let each = Expr::Pipe(self.boxed(source)?, self.boxed(condition)?);
        let each = Expr::Array(Some(Box::new(each)));
        Ok(Expr::Pipe(Box::new(each), Box::new(Expr::Zero(function))))
    }
}

/// Whether a name is that of a function of one argument, before the argument is read.
fn is_unary(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "map",
        "map_values",
        "select",
        "with_entries",
        "any",
        "all",
        "add",
        "first",
        "last",
        "nth",
        "in",
        "inside",
    ];
    NAMES.contains(&name) || find(BY, name).is_some() || find(ONE, name).is_some()
}

/// `map(f)`.
fn each(inner: Box<Expr>) -> Expr {
    let items = Expr::Path(Box::new(Expr::Id), vec![(Step::Iterate, false)]);
    Expr::Array(Some(Box::new(Expr::Pipe(Box::new(items), inner))))
}

fn constant(name: &str) -> Option<Expr> {
    let item = |at: i64| {
        let at = Step::Index(Expr::Literal(Value::from(at)));
        Expr::Path(Box::new(Expr::Id), vec![(at, false)])
    };
    let by_itself = |by| Expr::By(by, Box::new(Expr::Id));
    let only = |kind: &str| {
        let kind = Box::new(Expr::Literal(Value::String(kind.to_owned())));
        let condition = Expr::Compare(Box::new(Expr::Type), Cmp::Eq, kind);
        Expr::If(vec![(condition, Expr::Id)], Some(Box::new(Expr::Empty)))
    };
    if let Some(function) = find(ZERO, name).or_else(|| format(name)) {
        return Some(Expr::Zero(function));
    }
    Some(match name {
        "true" => Expr::Literal(Value::Bool(true)),
        "false" => Expr::Literal(Value::Bool(false)),
        "null" => Expr::Literal(Value::Null),
        "not" => {
            let otherwise = Box::new(Expr::Literal(Value::Bool(true)));
            Expr::If(vec![(Expr::Id, Expr::Literal(Value::Bool(false)))], Some(otherwise))
        }
        "type" => Expr::Type,
        "empty" => Expr::Empty,
        "error" => Expr::Error,
        "values" => {
            let null = Box::new(Expr::Literal(Value::Null));
            let condition = Expr::Compare(Box::new(Expr::Id), Cmp::Ne, null);
            Expr::If(vec![(condition, Expr::Id)], Some(Box::new(Expr::Empty)))
        }
        "nulls" => only("null"),
        "booleans" => only("boolean"),
        "numbers" => only("number"),
        "strings" => only("string"),
        "arrays" => only("array"),
        "objects" => only("object"),
        "first" => item(0),
        "last" => item(-1),
        "sort" => by_itself(By::Sort),
        "unique" => by_itself(By::Unique),
        "min" => by_itself(By::Min),
        "max" => by_itself(By::Max),
        _ => return None,
    })
}

/// A text without interpolation.
pub(super) fn literal_text(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    parts
        .iter()
        .map(|part| match part {
            StrPart::Str(text) => Some(Cow::Borrowed(*text)),
            StrPart::Char(c) => Some(Cow::Owned(c.to_string())),
            StrPart::Term(_) => None,
        })
        .collect()
}

fn regex(pattern: &Term<&str>, flags: Option<&Term<&str>>) -> Result<Expr, Refusal> {
    let help = "write `test(\"^[a-z]+$\")`, or `test(\"…\"; \"i\")` with flags of i, x, s";
    let refused = |what: &str| Refusal::new(format!("{what} of `test`"), help);
    let pattern = literal_text(pattern).ok_or_else(|| refused("a computed pattern"))?;
    let flags = match flags {
        Some(flags) => literal_text(flags).ok_or_else(|| refused("computed flags"))?,
        None => String::new(),
    };
    let mut builder = RegexBuilder::new(&pattern);
    // Compiled size is what a text is multiplied by when it is matched.
    builder.size_limit(64 * 1024).nest_limit(32);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'x' => builder.ignore_whitespace(true),
            's' => builder.dot_matches_new_line(true),
            _ => return Err(refused("an unknown flag")),
        };
    }
    builder.build().map(Expr::Test).map_err(|_| refused("a pattern that cannot be compiled"))
}

/// The members that `del` names.
fn deleted(term: &Term<&str>) -> Result<Expr, Refusal> {
    let mut paths = Vec::new();
    let mut rest = vec![term];
    while let Some(term) = rest.pop() {
        if let Term::BinOp(left, BinaryOp::Comma, right) = term {
            rest.extend([&**right, &**left]);
            continue;
        }
        paths.push(member(term).ok_or_else(|| {
            Refusal::new("`del` of something else than members", "write `del(.a, .b.c)`")
        })?);
    }
    Ok(Expr::Delete(paths))
}

fn member(term: &Term<&str>) -> Option<Vec<String>> {
    let Term::Path(head, path) = term else { return None };
    let Term::Id = **head else { return None };
    path.0
        .iter()
        .map(|(part, _)| match part {
            Part::Index(name) => literal_text(name),
            Part::Range(..) => None,
        })
        .collect()
}
