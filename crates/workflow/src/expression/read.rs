//! Reads the text of an expression into an [`Expr`], or names what is not taken.
//!
//! The grammar is jaq's; which of its constructs and functions are taken is decided here, by
//! listing them (`named`), so that what is new in jaq is refused until somebody adds it.

mod named;

use jaq_core::{
    load::{
        lex::{Lexer, StrPart, Tok, Token},
        parse::{BinaryOp, Parser, Pattern as JaqPattern, Term},
    },
    path::{Opt, Part},
};
use serde_json::{Number, Value};

use super::{
    apply,
    program::{Expr, Fold, Pattern, Piece, Step},
};

/// Longest expression, in bytes.
const LENGTH_MAX: usize = 4096;
/// Deepest nesting of brackets in the text, and of constructs once it is read.
const NESTING_MAX: usize = 64;
const DEPTH_MAX: usize = 128;
/// Most words, numbers and signs; the parser recurses over a run of them.
const TOKENS_MAX: usize = 1000;
/// Longest literal number, in characters.
const NUMBER_MAX: usize = 32;

/// Why an expression is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: String,
}

impl Refusal {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code: "expression", message: message.into(), help: help.into() }
    }
}

/// Reads an expression; `visible` are the variables that it may use, without `$`.
pub(super) fn read(source: &str, visible: &[&str]) -> Result<Expr, Refusal> {
    if source.len() > LENGTH_MAX {
        let message = format!("the expression is longer than {LENGTH_MAX} bytes");
        return Err(Refusal::new(message, "use several tasks, or a `run: script` step"));
    }
    // The parser recurses; what it recurses over is bounded before it starts.
    if nesting(source) > NESTING_MAX {
        return Err(too_deep());
    }
    let unreadable = || Refusal::new("the expression is not jq", "see the jq manual");
    let tokens = Lexer::new(source).lex().map_err(|_| unreadable())?;
    if count(&tokens) > TOKENS_MAX {
        return Err(Refusal::new("the expression is too long", "use several tasks"));
    }
    let term = Parser::new(&tokens).parse(Parser::term).map_err(|_| unreadable())?;
    let bound = visible.iter().map(|name| format!("${name}")).collect();
    Reader { bound, depth: 0 }.term(&term)
}

fn too_deep() -> Refusal {
    Refusal::new("the expression is nested too deep", "use several tasks")
}

/// How many tokens there are, those in brackets and texts too.
fn count(tokens: &[Token<&str>]) -> usize {
    let in_one = |token: &Token<&str>| match &token.1 {
        Tok::Block(inner) => count(inner),
        Tok::Str(parts) => parts
            .iter()
            .map(|part| match part {
                StrPart::Term(token) => count(std::slice::from_ref(token)),
                StrPart::Str(_) | StrPart::Char(_) => 0,
            })
            .sum(),
        Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym => 0,
    };
    tokens.iter().map(|token| in_one(token) + 1).sum()
}

/// Deepest nesting of brackets; those in texts count too, which errs on the safe side.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Reads one expression.
struct Reader {
    /// Variables in scope, with `$`; the innermost last.
    bound: Vec<String>,
    depth: usize,
}

impl Reader {
    fn term(&mut self, term: &Term<&str>) -> Result<Expr, Refusal> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let expr = self.construct(term)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn boxed(&mut self, term: &Term<&str>) -> Result<Box<Expr>, Refusal> {
        self.term(term).map(Box::new)
    }

    fn construct(&mut self, term: &Term<&str>) -> Result<Expr, Refusal> {
        Ok(match term {
            Term::Id => Expr::Id,
            Term::Recurse => Expr::Recurse,
            Term::Num(text) => number(text)?,
            Term::Str(format, parts) => self.text(format.as_deref(), parts)?,
            Term::Arr(None) => Expr::Array(None),
            Term::Arr(Some(inner)) => Expr::Array(Some(self.boxed(inner)?)),
            Term::Obj(members) => self.object(members)?,
            Term::Neg(inner) => Expr::Negate(self.boxed(inner)?),
            Term::BinOp(left, operator, right) => self.operator(left, operator, right)?,
            Term::TryCatch(body, None) => Expr::Try(self.boxed(body)?),
            Term::TryCatch(_, Some(_)) => return Err(unbounded("`catch`")),
            Term::IfThenElse(branches, otherwise) => {
                let branches = branches
                    .iter()
                    .map(|(condition, result)| Ok((self.term(condition)?, self.term(result)?)))
                    .collect::<Result<_, Refusal>>()?;
                let otherwise = otherwise.as_ref().map(|term| self.boxed(term)).transpose()?;
                Expr::If(branches, otherwise)
            }
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Var(name) => self.variable(name)?,
            Term::Path(head, path) => {
                let head = self.boxed(head)?;
                let steps = path.0.iter().map(|(part, optional)| {
                    Ok((self.step(part)?, matches!(optional, Opt::Optional)))
                });
                Expr::Path(head, steps.collect::<Result<_, Refusal>>()?)
            }
            Term::Fold(name, source, pattern, parts) => self.fold(name, source, pattern, parts)?,
            Term::Label(..) | Term::Break(_) => return Err(unbounded("`label`")),
            Term::Def(..) => return Err(unbounded("`def`")),
        })
    }

    fn text(
        &mut self,
        format: Option<&str>,
        parts: &[StrPart<&str, Term<&str>>],
    ) -> Result<Expr, Refusal> {
        let format = match format {
            Some(name) => named::format(name).ok_or_else(|| named::unknown(name, 0))?,
            None => apply::to_text,
        };
        let mut pieces = Vec::new();
        for part in parts {
            match (part, pieces.last_mut()) {
                (StrPart::Str(text), Some(Piece::Text(before))) => before.push_str(text),
                (StrPart::Char(c), Some(Piece::Text(before))) => before.push(*c),
                (StrPart::Str(text), _) => pieces.push(Piece::Text((*text).to_owned())),
                (StrPart::Char(c), _) => pieces.push(Piece::Text(c.to_string())),
                (StrPart::Term(term), _) => pieces.push(Piece::Expr(self.term(term)?)),
            }
        }
        Ok(match pieces.as_mut_slice() {
            [] => Expr::Literal(Value::String(String::new())),
            [Piece::Text(text)] => Expr::Literal(Value::String(std::mem::take(text))),
            _ => Expr::Text(format, pieces),
        })
    }

    fn object(&mut self, members: &[(Term<&str>, Option<Term<&str>>)]) -> Result<Expr, Refusal> {
        let mut read = Vec::new();
        for (name, value) in members {
            read.push(match (name, value) {
                (name, Some(value)) => (self.term(name)?, self.term(value)?),
                (Term::Var(variable), None) => {
                    let name = variable.trim_start_matches('$').to_owned();
                    (Expr::Literal(Value::String(name)), self.variable(variable)?)
                }
                (name, None) => {
                    let path = vec![(Step::Index(self.term(name)?), false)];
                    (self.term(name)?, Expr::Path(Box::new(Expr::Id), path))
                }
            });
        }
        Ok(Expr::Object(read))
    }

    fn operator(
        &mut self,
        left: &Term<&str>,
        operator: &BinaryOp<&str>,
        right: &Term<&str>,
    ) -> Result<Expr, Refusal> {
        let left = self.boxed(left)?;
        Ok(match operator {
            BinaryOp::Pipe(None) => Expr::Pipe(left, self.boxed(right)?),
            BinaryOp::Pipe(Some(pattern)) => {
                let (pattern, right) = self.bind(pattern, |reader| reader.boxed(right))?;
                Expr::Bind(left, pattern, right)
            }
            BinaryOp::Comma => Expr::Comma(left, self.boxed(right)?),
            BinaryOp::Alt => Expr::Alternative(left, self.boxed(right)?),
            BinaryOp::Or => Expr::Or(left, self.boxed(right)?),
            BinaryOp::And => Expr::And(left, self.boxed(right)?),
            BinaryOp::Math(math) => Expr::Math(left, *math, self.boxed(right)?),
            BinaryOp::Cmp(cmp) => Expr::Compare(left, *cmp, self.boxed(right)?),
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                return Err(Refusal::new(
                    "assignment is not taken in expressions",
                    "make the value anew: `. + {name: value}`, `map(…)`, `map_values(…)`",
                ));
            }
        })
    }

    /// Reads a pattern, then something that sees what it binds.
    fn bind<T>(
        &mut self,
        pattern: &JaqPattern<&str>,
        inner: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<(Pattern, T), Refusal> {
        let outer = self.bound.len();
        let pattern = self.pattern(pattern, 0)?;
        let inner = inner(self)?;
        self.bound.truncate(outer);
        Ok((pattern, inner))
    }

    fn pattern(&mut self, pattern: &JaqPattern<&str>, depth: usize) -> Result<Pattern, Refusal> {
        if depth > NESTING_MAX {
            return Err(too_deep());
        }
        Ok(match pattern {
            JaqPattern::Var(name) => {
                self.bound.push((*name).to_owned());
                Pattern::Variable(name.trim_start_matches('$').to_owned())
            }
            JaqPattern::Arr(items) => {
                let items = items.iter().map(|item| self.pattern(item, depth + 1));
                Pattern::Array(items.collect::<Result<_, _>>()?)
            }
            JaqPattern::Obj(members) => {
                let mut read = Vec::new();
                for (name, member) in members {
                    let name = named::literal_text(name).ok_or_else(|| {
                        Refusal::new("a pattern's name is computed", "write the name literally")
                    })?;
                    read.push((name, self.pattern(member, depth + 1)?));
                }
                Pattern::Object(read)
            }
        })
    }

    fn fold(
        &mut self,
        name: &str,
        source: &Term<&str>,
        pattern: &JaqPattern<&str>,
        parts: &[Term<&str>],
    ) -> Result<Expr, Refusal> {
        let (start, update, each) = match (name, parts) {
            ("reduce", [start, update]) => (start, update, None),
            ("foreach", [start, update]) => (start, update, Some(&Term::Id)),
            ("foreach", [start, update, each]) => (start, update, Some(each)),
            _ => return Err(named::unknown(name, parts.len())),
        };
        let source = self.term(source)?;
        let start = self.term(start)?;
        let (pattern, (update, each)) = self.bind(pattern, |reader| {
            let update = reader.term(update)?;
            Ok((update, each.map(|each| reader.term(each)).transpose()?))
        })?;
        Ok(Expr::Fold(Box::new(Fold { source, pattern, start, update, each })))
    }

    fn variable(&self, name: &str) -> Result<Expr, Refusal> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(Expr::Variable(name.trim_start_matches('$').to_owned()));
        }
        if matches!(name, "$secrets" | "$authorization") {
            return Err(Refusal {
                code: "secrets-refused",
                message: format!("`{name}` cannot be read by any expression"),
                help: "a credential is used only by naming a connection".to_owned(),
            });
        }
        let known = self.bound.join(", ");
        Err(Refusal::new(
            format!("there is no variable `{name}` here"),
            format!("there are {known}"),
        ))
    }

    fn step(&mut self, part: &Part<Term<&str>>) -> Result<Step, Refusal> {
        let mut bound =
            |term: &Option<Term<&str>>| term.as_ref().map(|term| self.term(term)).transpose();
        Ok(match part {
            Part::Index(index) => Step::Index(self.term(index)?),
            Part::Range(None, None) => Step::Iterate,
            Part::Range(from, to) => {
                let from = bound(from)?;
                Step::Slice(from, bound(to)?)
            }
        })
    }
}

fn number(text: &str) -> Result<Expr, Refusal> {
    let refused = || Refusal::new("a number is not JSON's", "write it as JSON does");
    if text.len() > NUMBER_MAX {
        return Err(refused());
    }
    let exact = serde_json::from_str::<Number>(text).ok();
    // jq also takes `.5` and `5.`.
    let number = exact.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    number.map(|number| Expr::Literal(Value::Number(number))).ok_or_else(refused)
}

fn unbounded(construct: &str) -> Refusal {
    Refusal::new(
        format!("{construct} is not taken in expressions"),
        "expressions are jq without definitions, labels, ranges and recursion",
    )
}
