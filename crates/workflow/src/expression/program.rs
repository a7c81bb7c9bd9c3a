//! What an expression is once it is read: jq's constructs that end, and nothing else.
//!
//! There is no recursion, no range and no definition here, so every loop is over a value that
//! exists or over commas that were written; how far it may go is for [`super::Budget`] to say.

use jaq_core::ops::{Cmp, Math};
use jaq_json::Val;
use regex::Regex;
use serde_json::Value;

use super::{
    budget::Budget,
    value::{Seen, Stop},
};

/// A function of its input alone.
pub(super) type Zero = for<'v> fn(Seen<'v>, &Budget) -> Result<Seen<'v>, Stop>;
/// A function of its input and one argument.
pub(super) type One = fn(&Val, &Val, &Budget) -> Result<Val, Stop>;

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    /// `.`
    Id,
    /// `..`: the value and every value in it.
    Recurse,
    Literal(Value),
    /// `"… \(…) …"`, each inner value written by the format.
    Text(Zero, Vec<Piece>),
    Array(Option<Box<Expr>>),
    Object(Vec<(Expr, Expr)>),
    Negate(Box<Expr>),
    Pipe(Box<Expr>, Box<Expr>),
    /// `… as $x | …`
    Bind(Box<Expr>, Pattern, Box<Expr>),
    Comma(Box<Expr>, Box<Expr>),
    /// `… // …`
    Alternative(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Math(Box<Expr>, Math, Box<Expr>),
    Compare(Box<Expr>, Cmp, Box<Expr>),
    /// `…?`
    Try(Box<Expr>),
    If(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    Variable(String),
    Path(Box<Expr>, Vec<(Step, bool)>),
    Fold(Box<Fold>),
    /// `type`
    Type,
    Empty,
    Error,
    Zero(Zero),
    One(One, Box<Expr>),
    /// `test("…")`, whose pattern is literal and matches in linear time.
    Test(Regex),
    /// `map_values(f)`
    MapValues(Box<Expr>),
    /// `sort_by(f)` and its like.
    By(By, Box<Expr>),
    /// `first(f)`, `last(f)`, `limit(n; f)`.
    Take(Take, Box<Expr>),
    /// `del(.a, .b.c)`: members by literal names.
    Delete(Vec<Vec<String>>),
}

/// A part of a text.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Expr(Expr),
}

/// A step of a path.
#[derive(Debug)]
pub(super) enum Step {
    Index(Expr),
    Iterate,
    Slice(Option<Expr>, Option<Expr>),
}

/// What `as` binds.
#[derive(Debug)]
pub(super) enum Pattern {
    Variable(String),
    Array(Vec<Pattern>),
    Object(Vec<(String, Pattern)>),
}

/// `reduce` and `foreach`.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) source: Expr,
    pub(super) pattern: Pattern,
    pub(super) start: Expr,
    pub(super) update: Expr,
    /// `foreach` gives a value at each step: the state, or this of it.
    pub(super) each: Option<Expr>,
}

/// What a key orders.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Sort,
    Group,
    Unique,
    Min,
    Max,
}

/// Which outputs are taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Take {
    First,
    Last,
    Limit(usize),
}
