//! Values that are made anew: arithmetic, comparisons, arrays, objects, texts, order.

use jaq_core::ops::{Cmp, Math};
use jaq_json::{Map, Num, Val};
use regex::Regex;

use super::{At, Outputs, Walk};
use crate::expression::{
    apply,
    budget::NODE,
    program::{By, Expr, One, Piece, Zero},
    value::{Seen, Stop, ValueKind, bounded, span, text, weigh},
};

impl<'v> Walk<'v, '_> {
    pub(super) fn negate(
        &self,
        inner: &'v Expr,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.each(inner, at, |value| {
            let negative = -value.own(self.budget)?;
            out.push(Seen::Own(negative.map_err(|_| Stop::Inapplicable)?));
            Ok(())
        })
    }

    pub(super) fn calculate(
        &self,
        math: Math,
        sides: (&'v Expr, &'v Expr),
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.pairs(sides, at, |left, right| {
            let (left, right) = (left.own(self.budget)?, right.own(self.budget)?);
            out.push(Seen::Own(self.math(math, left, right)?));
            Ok(())
        })
    }

    fn math(&self, math: Math, left: Val, right: Val) -> Result<Val, Stop> {
        let spans = span(&left).saturating_add(span(&right));
        match (math, &left, &right) {
            // A text times a number is the text that many times over.
            (Math::Mul, Val::Num(number), text @ Val::TStr(_))
            | (Math::Mul, text @ Val::TStr(_), Val::Num(number)) => {
                let times = match number {
                    Num::Int(times) => usize::try_from(*times).unwrap_or(0),
                    Num::BigInt(_) => usize::MAX,
                    Num::Float(_) | Num::Dec(_) => 0,
                };
                self.budget.charge(span(text).saturating_mul(times))?;
            }
            // Merging visits each side once; subtracting sorts one and looks the other up in it.
            (Math::Mul, Val::Obj(_), _) | (Math::Sub, Val::Arr(_), _) => {
                let weight = weigh(&left, self.budget)?.saturating_add(weigh(&right, self.budget)?);
                self.budget.charge(weight)?;
            }
            // Splitting makes a value of each part, at worst of each character.
            (Math::Div, _, _) => self.budget.charge(spans.saturating_mul(4))?,
            (Math::Add | Math::Sub | Math::Mul | Math::Rem, _, _) => self.budget.charge(spans)?,
        }
        let value = math.run(left, right);
        Ok(bounded(value.map_err(|_| Stop::Inapplicable)?)?)
    }

    pub(super) fn compare(
        &self,
        cmp: Cmp,
        sides: (&'v Expr, &'v Expr),
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.pairs(sides, at, |left, right| {
            out.push(Seen::Own(Val::Bool(self.compared(cmp, left, right)?)));
            Ok(())
        })
    }

    fn compared(&self, cmp: Cmp, left: Seen<'v>, right: Seen<'v>) -> Result<bool, Stop> {
        let (a, b) = (left.kind(), right.kind());
        if a != b || a < ValueKind::Number {
            return Ok(cmp.run(&a, &b));
        }
        let (left, right) = (left.own(self.budget)?, right.own(self.budget)?);
        weigh(&left, self.budget)?;
        weigh(&right, self.budget)?;
        Ok(cmp.run(&left, &right))
    }

    pub(super) fn array(&self, inner: Option<&'v Expr>, at: &At<'v>) -> Result<Seen<'v>, Stop> {
        let values = inner.map(|inner| self.all_own(inner, at)).transpose()?;
        Ok(Seen::Own(values.unwrap_or_default().into_iter().collect()))
    }

    pub(super) fn object(
        &self,
        members: &'v [(Expr, Expr)],
        made: &Map,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let Some(((name, value), rest)) = members.split_first() else {
            out.push(Seen::Own(Val::obj(made.clone())));
            return Ok(());
        };
        self.pairs((name, value), at, |name, value| {
            let name = name.own(self.budget)?;
            text(&name)?;
            self.budget.charge(made.len().saturating_add(1).saturating_mul(NODE))?;
            let mut made = made.clone();
            made.insert(name, value.own(self.budget)?);
            self.object(rest, &made, at, out)
        })
    }

    pub(super) fn text(
        &self,
        (format, pieces): (Zero, &'v [Piece]),
        made: &str,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let Some((piece, rest)) = pieces.split_first() else {
            out.push(Seen::Own(Val::from(made.to_owned())));
            return Ok(());
        };
        let mut longer = |part: &str| {
            self.budget.charge(made.len().saturating_add(part.len()))?;
            self.text((format, rest), &format!("{made}{part}"), at, out)
        };
        match piece {
            Piece::Text(part) => longer(part),
            Piece::Expr(expr) => self.each(expr, at, |value| {
                longer(text(&format(value, self.budget)?.own(self.budget)?)?)
            }),
        }
    }

    pub(super) fn one(
        &self,
        function: One,
        argument: &'v Expr,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.each(argument, at, |argument| {
            let input = at.input.clone().own(self.budget)?;
            let value = function(&input, &argument.own(self.budget)?, self.budget)?;
            out.push(Seen::Own(value));
            Ok(())
        })
    }

    pub(super) fn test(&self, regex: &Regex, at: &At<'v>) -> Result<Seen<'v>, Stop> {
        let value = at.input.clone().own(self.budget)?;
        let text = text(&value)?;
        // Matching is linear in the text, times the size of the pattern.
        let states = regex.as_str().len().saturating_add(NODE);
        self.budget.charge(text.len().saturating_mul(states))?;
        Ok(Seen::Own(Val::Bool(regex.is_match(text))))
    }

    /// `sort_by(f)` and its like: a key may have several values, which order it in turn.
    pub(super) fn by(&self, by: By, key: &'v Expr, at: &At<'v>) -> Result<Seen<'v>, Stop> {
        if at.input.kind() != ValueKind::Array {
            return Err(Stop::Inapplicable);
        }
        let mut keyed: Vec<(Vec<Val>, Val)> = Vec::new();
        let mut weight = 0_usize;
        for item in at.input.clone().items(self.budget)? {
            let item = Seen::Own(item.own(self.budget)?);
            let keys = self.all_own(key, &at.of(item.clone()))?;
            for key in &keys {
                weight = weight.saturating_add(weigh(key, self.budget)?);
            }
            keyed.push((keys, item.own(self.budget)?));
        }
        let rounds = keyed.len().checked_ilog2().unwrap_or(0);
        self.budget.charge(weight.saturating_mul(usize::try_from(rounds).unwrap_or(64)))?;
        Ok(Seen::Own(apply::ordered(by, keyed)))
    }
}
