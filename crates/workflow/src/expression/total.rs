//! Does this jq end, and how much can it grow? Decided on its syntax, before it ever runs.
//!
//! A construct is taken if it is on the list here. `weight` bounds how many times larger than its
//! input a result can be; `many` says whether a term can give several values, and two such terms
//! must not be multiplied with each other.

use jaq_core::{
    load::{
        lex::{Lexer, StrPart},
        parse::{BinaryOp, Parser, Pattern, Term},
    },
    ops::Math,
    path::Part,
};

/// Most growth of one expression.
const WEIGHT_MAX: u32 = 64;
/// Longest expression, in bytes.
const LENGTH_MAX: usize = 4096;

/// Functions that give one value no larger than a few times what they are given.
const ONE: &[(&str, u32)] = &[
    ("not", 1),
    ("length", 1),
    ("utf8bytelength", 1),
    ("keys", 1),
    ("keys_unsorted", 1),
    ("values", 1),
    ("has", 1),
    ("in", 1),
    ("contains", 1),
    ("inside", 1),
    ("index", 1),
    ("rindex", 1),
    ("startswith", 1),
    ("endswith", 1),
    ("ltrimstr", 1),
    ("rtrimstr", 1),
    ("trim", 1),
    ("ltrim", 1),
    ("rtrim", 1),
    ("split", 2),
    ("join", 2),
    ("ascii_downcase", 1),
    ("ascii_upcase", 1),
    ("test", 1),
    ("tostring", 2),
    ("tonumber", 1),
    ("tojson", 2),
    ("fromjson", 1),
    ("type", 1),
    ("any", 1),
    ("all", 1),
    ("flatten", 1),
    ("first", 1),
    ("last", 1),
    ("nth", 1),
    ("reverse", 1),
    ("sort", 1),
    ("sort_by", 1),
    ("group_by", 2),
    ("unique", 1),
    ("unique_by", 1),
    ("min", 1),
    ("max", 1),
    ("min_by", 1),
    ("max_by", 1),
    ("map", 1),
    ("map_values", 1),
    ("select", 1),
    ("add", 1),
    ("to_entries", 3),
    ("from_entries", 1),
    ("with_entries", 3),
    ("del", 1),
    ("floor", 1),
    ("ceil", 1),
    ("round", 1),
    ("abs", 1),
    ("isvalid", 1),
    ("strings", 1),
    ("numbers", 1),
    ("booleans", 1),
    ("nulls", 1),
    ("arrays", 1),
    ("objects", 1),
    ("iterables", 1),
    ("scalars", 1),
    ("true", 1),
    ("false", 1),
    ("null", 1),
    ("empty", 1),
    ("error", 1),
    ("@text", 2),
    ("@json", 2),
    ("@base64", 2),
    ("@uri", 3),
    ("@html", 6),
    ("tojson", 2),
    ("ascii", 1),
    ("todate", 1),
    ("fromdate", 1),
    ("fromdateiso8601", 1),
    ("todateiso8601", 1),
];

/// Functions whose argument is applied to each element of their input.
const LOOPS: &[&str] = &[
    "map",
    "map_values",
    "select",
    "any",
    "all",
    "sort_by",
    "group_by",
    "unique_by",
    "min_by",
    "max_by",
    "with_entries",
    "first",
    "last",
    "add",
    "del",
];

/// Variables that the runtime sets (Serverless Workflow 1.0, runtime expressions).
const VARIABLES: &[&str] =
    &["$context", "$input", "$output", "$task", "$workflow", "$runtime", "$error"];

#[derive(Clone, Copy)]
struct Shape {
    weight: u32,
    many: bool,
    quadratic: bool,
}

const LEAF: Shape = Shape { weight: 1, many: false, quadratic: false };

/// Checks an expression; says whether it uses a variable inside a loop.
pub(super) fn check(source: &str) -> Result<bool, String> {
    if source.len() > LENGTH_MAX {
        return Err(format!("the expression is longer than {LENGTH_MAX} bytes"));
    }
    let unreadable = || "the expression is not jq".to_owned();
    let tokens = Lexer::new(source).lex().map_err(|_| unreadable())?;
    let term = Parser::new(&tokens).parse(Parser::term).map_err(|_| unreadable())?;
    let mut checker = Checker { bound: Vec::new(), depth: 0 };
    let shape = checker.term(&term, false)?;
    if shape.weight > WEIGHT_MAX {
        return Err(format!("the expression can grow its input more than {WEIGHT_MAX} times"));
    }
    Ok(shape.quadratic)
}

struct Checker {
    /// Variables that the expression binds itself.
    bound: Vec<String>,
    depth: usize,
}

impl Checker {
    fn term(&mut self, term: &Term<&str>, in_loop: bool) -> Result<Shape, String> {
        self.depth += 1;
        if self.depth > 2000 {
            return Err("the expression is too complex".to_owned());
        }
        match term {
            Term::Id | Term::Num(_) | Term::Arr(None) => Ok(LEAF),
            Term::Str(format, parts) => self.text(format.as_ref(), parts, in_loop),
            Term::Arr(Some(inner)) => {
                self.term(inner, in_loop).map(|shape| Shape { many: false, ..shape })
            }
            Term::Obj(members) => {
                let mut shape = LEAF;
                for (name, value) in members {
                    let name = self.term(name, in_loop)?;
                    shape = product(shape, name)?;
                    if let Some(value) = value {
                        let value = self.term(value, in_loop)?;
                        shape = product(shape, value)?;
                    }
                }
                Ok(shape)
            }
            Term::Neg(inner) => self.term(inner, in_loop),
            Term::BinOp(left, operator, right) => self.operator(left, operator, right, in_loop),
            Term::TryCatch(body, handler) => {
                let body = self.term(body, in_loop)?;
                match handler {
                    Some(handler) => Ok(either(body, self.term(handler, in_loop)?)),
                    None => Ok(body),
                }
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut shape = LEAF;
                for (condition, result) in branches {
                    let condition = self.term(condition, in_loop)?;
                    shape.many |= condition.many;
                    shape.quadratic |= condition.quadratic;
                    shape = either(shape, self.term(result, in_loop)?);
                }
                match otherwise {
                    Some(otherwise) => Ok(either(shape, self.term(otherwise, in_loop)?)),
                    None => Ok(shape),
                }
            }
            Term::Call(name, arguments) => self.call(name, arguments, in_loop),
            Term::Var(name) => self.variable(name, in_loop),
            Term::Path(head, path) => {
                let mut shape = self.term(head, in_loop)?;
                for (part, _) in &path.0 {
                    shape = self.part(shape, part, in_loop)?;
                }
                Ok(shape)
            }
            Term::Recurse => refuse("`..`"),
            Term::Label(..) | Term::Break(_) => refuse("`label` and `break`"),
            Term::Fold(name, ..) => refuse(&format!("`{name}`")),
            Term::Def(..) => refuse("`def`"),
        }
    }

    fn text(
        &mut self,
        format: Option<&&str>,
        parts: &[StrPart<&str, Term<&str>>],
        in_loop: bool,
    ) -> Result<Shape, String> {
        let mut shape = LEAF;
        for part in parts {
            if let StrPart::Term(term) = part {
                let inner = self.term(term, in_loop)?;
                shape = product(shape, Shape { weight: inner.weight.saturating_mul(2), ..inner })?;
            }
        }
        if let Some(format) = format {
            let known = function(format).ok_or_else(|| unknown(format))?;
            shape.weight = shape.weight.saturating_mul(known);
        }
        Ok(shape)
    }

    fn operator(
        &mut self,
        left: &Term<&str>,
        operator: &BinaryOp<&str>,
        right: &Term<&str>,
        in_loop: bool,
    ) -> Result<Shape, String> {
        match operator {
            BinaryOp::Pipe(binding) => {
                let first = self.term(left, in_loop)?;
                let names = binding.as_ref().map(names).transpose()?.unwrap_or_default();
                let bound = names.len();
                self.bound.extend(names);
                let second = self.term(right, in_loop || first.many);
                self.bound.truncate(self.bound.len() - bound);
                let second = second?;
                if binding.is_some() && first.many && second.many {
                    return Err("the expression multiplies two lists".to_owned());
                }
                Ok(Shape {
                    weight: first.weight.saturating_mul(second.weight),
                    many: first.many || second.many,
                    quadratic: first.quadratic || second.quadratic,
                })
            }
            BinaryOp::Comma => {
                let shape = either(self.term(left, in_loop)?, self.term(right, in_loop)?);
                Ok(Shape { many: true, ..shape })
            }
            BinaryOp::Alt => Ok(either(self.term(left, in_loop)?, self.term(right, in_loop)?)),
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
                let shape = product(self.term(left, in_loop)?, self.term(right, in_loop)?)?;
                Ok(Shape { weight: 1, ..shape })
            }
            BinaryOp::Math(math) => {
                // A number times a text repeats the text; only small literals may multiply.
                if matches!(math, Math::Mul) {
                    let factor = literal(left).or_else(|| literal(right)).ok_or_else(|| {
                        "`*` needs a literal number of at most 16 on one side".to_owned()
                    })?;
                    let shape = product(self.term(left, in_loop)?, self.term(right, in_loop)?)?;
                    return Ok(Shape { weight: shape.weight.saturating_mul(factor), ..shape });
                }
                product(self.term(left, in_loop)?, self.term(right, in_loop)?)
            }
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                refuse("assignment")
            }
        }
    }

    fn call(
        &mut self,
        name: &str,
        arguments: &[Term<&str>],
        in_loop: bool,
    ) -> Result<Shape, String> {
        let known = function(name).ok_or_else(|| unknown(name))?;
        let looping = in_loop || LOOPS.contains(&name);
        let mut weight = 1_u32;
        let mut quadratic = false;
        for argument in arguments {
            let shape = self.term(argument, looping)?;
            if shape.many && !LOOPS.contains(&name) {
                return Err(format!("an argument of `{name}` gives several values"));
            }
            weight = weight.saturating_mul(shape.weight);
            quadratic |= shape.quadratic;
        }
        Ok(Shape { weight: weight.saturating_mul(known), many: false, quadratic })
    }

    fn variable(&self, name: &str, in_loop: bool) -> Result<Shape, String> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(Shape { quadratic: in_loop, ..LEAF });
        }
        if VARIABLES.contains(&name) {
            return Ok(Shape { quadratic: in_loop, ..LEAF });
        }
        if name == "$secrets" {
            return Err(
                "`$secrets` cannot be read by any expression: a credential is used only by \
                        naming a connection"
                    .to_owned(),
            );
        }
        Err(format!("there is no variable `{name}`; there are {}", VARIABLES.join(", ")))
    }

    fn part(
        &mut self,
        shape: Shape,
        part: &Part<Term<&str>>,
        in_loop: bool,
    ) -> Result<Shape, String> {
        match part {
            Part::Index(index) => {
                let index = self.term(index, in_loop || shape.many)?;
                if index.many {
                    return Err("an index gives several values".to_owned());
                }
                Ok(Shape { quadratic: shape.quadratic || index.quadratic, ..shape })
            }
            Part::Range(None, None) => Ok(Shape { many: true, ..shape }),
            Part::Range(from, to) => {
                let mut shape = shape;
                for bound in [from, to].into_iter().flatten() {
                    let bound = self.term(bound, in_loop || shape.many)?;
                    if bound.many {
                        return Err("a slice gives several values".to_owned());
                    }
                    shape.quadratic |= bound.quadratic;
                }
                Ok(shape)
            }
        }
    }
}

fn function(name: &str) -> Option<u32> {
    ONE.iter().find(|(known, _)| *known == name).map(|(_, weight)| *weight)
}

fn refuse<T>(construct: &str) -> Result<T, String> {
    Err(format!("{construct} may not end, and is not taken in expressions"))
}

fn unknown(name: &str) -> String {
    format!("`{name}` is not among the functions that expressions may call")
}

/// Both terms at once: sizes add, and at most one may give several values.
fn product(left: Shape, right: Shape) -> Result<Shape, String> {
    if left.many && right.many {
        return Err("the expression multiplies two lists".to_owned());
    }
    let many = left.many || right.many;
    // One side is repeated for each value of the other.
    Ok(Shape {
        weight: left.weight.saturating_add(right.weight),
        many,
        quadratic: left.quadratic || right.quadratic || many,
    })
}

fn either(left: Shape, right: Shape) -> Shape {
    Shape {
        weight: left.weight.saturating_add(right.weight),
        many: left.many || right.many,
        quadratic: left.quadratic || right.quadratic,
    }
}

fn literal(term: &Term<&str>) -> Option<u32> {
    match term {
        Term::Num(text) => text.parse::<u32>().ok().filter(|factor| (1..=16).contains(factor)),
        Term::Id
        | Term::Recurse
        | Term::Str(..)
        | Term::Arr(_)
        | Term::Obj(_)
        | Term::Neg(_)
        | Term::BinOp(..)
        | Term::Label(..)
        | Term::Break(_)
        | Term::Fold(..)
        | Term::TryCatch(..)
        | Term::IfThenElse(..)
        | Term::Def(..)
        | Term::Call(..)
        | Term::Var(_)
        | Term::Path(..) => None,
    }
}

fn names(pattern: &Pattern<&str>) -> Result<Vec<String>, String> {
    match pattern {
        Pattern::Var(name) => Ok(vec![(*name).to_owned()]),
        Pattern::Arr(inner) => {
            let mut all = Vec::new();
            for pattern in inner {
                all.extend(names(pattern)?);
            }
            Ok(all)
        }
        Pattern::Obj(_) => refuse("an object pattern"),
    }
}
