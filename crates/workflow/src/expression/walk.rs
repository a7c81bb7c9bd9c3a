//! Walks an expression over a value: every visit, loop and copy is paid for before it happens.
//!
//! In: an [`Expr`], its input and the variables. Out: its values, in jq's order. Values that came
//! before an error stay, as in jq: `(1, error)?` gives 1.
//!
//! Invariant: [`Stop::Bound`] is never caught, so no `?` can outlive the budget.
//!
//! Here: which values flow where. `path`: steps into values. `make`: values that are made anew.

mod make;
mod path;

use std::rc::Rc;

use jaq_json::Val;

use super::{
    Variable, Variables,
    budget::{Budget, NODE},
    measure,
    program::{Expr, Fold, Pattern, Take},
    value::{Seen, Stop, weigh},
};

/// What an expression reads beside its input.
pub(super) struct Walk<'v, 'd> {
    pub(super) budget: &'v Budget,
    pub(super) variables: &'v Variables<'d>,
}

/// Where an expression is evaluated.
#[derive(Clone)]
pub(super) struct At<'v> {
    pub(super) input: Seen<'v>,
    pub(super) bound: Bound<'v>,
}

impl<'v> At<'v> {
    fn of(&self, input: Seen<'v>) -> Self {
        Self { input, bound: self.bound.clone() }
    }
}

/// Variables that the expression bound, the innermost first.
type Bound<'v> = Option<Rc<Binding<'v>>>;

pub(super) struct Binding<'v> {
    name: &'v str,
    value: Seen<'v>,
    outer: Bound<'v>,
}

type Outputs<'v> = Vec<Seen<'v>>;

impl<'v> Walk<'v, '_> {
    /// Adds an expression's values to `out`.
    pub(super) fn run(
        &self,
        expr: &'v Expr,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.budget.charge(NODE)?;
        match expr {
            Expr::Id => out.push(at.input.clone()),
            Expr::Literal(value) => out.push(Seen::Lent(value)),
            Expr::Variable(name) => out.push(self.variable(name, at)?),
            Expr::Type => {
                out.push(Seen::Own(Val::from(at.input.kind().name().to_owned())));
            }
            Expr::Empty => {}
            Expr::Error => return Err(Stop::Inapplicable),
            Expr::Pipe(left, right) => {
                self.each(left, at, |value| self.run(right, &at.of(value), out))?;
            }
            Expr::Bind(left, pattern, right) => self.each(left, at, |value| {
                let bound = self.bind(pattern, &value, at.bound.clone())?;
                self.run(right, &At { input: at.input.clone(), bound }, out)
            })?,
            Expr::Comma(left, right) => {
                self.run(left, at, out)?;
                self.run(right, at, out)?;
            }
            Expr::Alternative(left, right) => self.alternative(left, right, at, out)?,
            Expr::Or(left, right) => self.decide(true, (left, right), at, out)?,
            Expr::And(left, right) => self.decide(false, (left, right), at, out)?,
            Expr::Try(body) => self.attempt(body, at, out)?,
            Expr::If(branches, otherwise) => {
                self.branch(branches, otherwise.as_deref(), at, out)?;
            }
            Expr::Fold(fold) => self.fold(fold, at, out)?,
            Expr::Take(take, inner) => self.take(*take, inner, at, out)?,
            Expr::Recurse => self.recurse(at.input.clone(), out)?,
            Expr::Path(head, steps) => self.path(head, steps, at, out)?,
            Expr::MapValues(inner) => out.push(self.map_values(inner, at)?),
            Expr::Delete(paths) => out.push(self.delete(paths, at)?),
            Expr::Negate(inner) => self.negate(inner, at, out)?,
            Expr::Math(left, math, right) => self.calculate(*math, (left, right), at, out)?,
            Expr::Compare(left, cmp, right) => self.compare(*cmp, (left, right), at, out)?,
            Expr::Array(inner) => out.push(self.array(inner.as_deref(), at)?),
            Expr::Object(members) => self.object(members, &jaq_json::Map::default(), at, out)?,
            Expr::Text(format, pieces) => self.text((*format, pieces), "", at, out)?,
            Expr::Zero(function) => out.push(function(at.input.clone(), self.budget)?),
            Expr::One(function, argument) => self.one(*function, argument, at, out)?,
            Expr::Test(regex) => out.push(self.test(regex, at)?),
            Expr::By(by, key) => out.push(self.by(*by, key, at)?),
        }
        Ok(())
    }

    /// All values of an expression.
    fn all(&self, expr: &'v Expr, at: &At<'v>) -> Result<Outputs<'v>, Stop> {
        let mut out = Vec::new();
        self.run(expr, at, &mut out)?;
        Ok(out)
    }

    /// All values of an expression, as jaq's.
    fn all_own(&self, expr: &'v Expr, at: &At<'v>) -> Result<Vec<Val>, Stop> {
        let values = self.all(expr, at)?.into_iter();
        values.map(|value| Ok(value.own(self.budget)?)).collect()
    }

    /// Does something with each value, also with those before an error.
    fn each(
        &self,
        expr: &'v Expr,
        at: &At<'v>,
        mut then: impl FnMut(Seen<'v>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut values = Vec::new();
        let end = self.run(expr, at, &mut values);
        for value in values {
            then(value)?;
        }
        end
    }

    /// Every pair of two expressions' values, in jaq's order.
    fn pairs(
        &self,
        (left, right): (&'v Expr, &'v Expr),
        at: &At<'v>,
        mut then: impl FnMut(Seen<'v>, Seen<'v>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.each(left, at, |left| self.each(right, at, |right| then(left.clone(), right)))
    }

    fn variable(&self, name: &str, at: &At<'v>) -> Result<Seen<'v>, Stop> {
        let mut bound = at.bound.as_ref();
        while let Some(binding) = bound {
            self.budget.charge(1)?;
            if binding.name == name {
                return Ok(binding.value.clone());
            }
            bound = binding.outer.as_ref();
        }
        // Which names there are was settled when the expression was read.
        let Some(variable) = self.variables.get(name) else { return Ok(Seen::NULL) };
        if let Variable::Made(value) = variable {
            // Making it copied what it holds.
            self.budget.charge(measure(value)? / 8)?;
        }
        Ok(Seen::Lent(variable.value()))
    }

    fn bind(
        &self,
        pattern: &'v Pattern,
        value: &Seen<'v>,
        outer: Bound<'v>,
    ) -> Result<Bound<'v>, Stop> {
        self.budget.charge(NODE)?;
        let mut bound = outer;
        match pattern {
            Pattern::Variable(name) => {
                let binding = Binding { name, value: value.clone(), outer: bound };
                bound = Some(Rc::new(binding));
            }
            Pattern::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    bound = self.bind(item, &value.index(&Val::from(at))?, bound)?;
                }
            }
            Pattern::Object(members) => {
                for (name, member) in members {
                    bound = self.bind(member, &value.index(&Val::from(name.clone()))?, bound)?;
                }
            }
        }
        Ok(bound)
    }

    fn attempt(&self, body: &'v Expr, at: &At<'v>, out: &mut Outputs<'v>) -> Result<(), Stop> {
        match self.run(body, at, out) {
            Ok(()) | Err(Stop::Inapplicable) => Ok(()),
            Err(stop @ Stop::Bound(_)) => Err(stop),
        }
    }

    fn alternative(
        &self,
        left: &'v Expr,
        right: &'v Expr,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let mut values = Vec::new();
        let end = self.run(left, at, &mut values);
        values.retain(Seen::holds);
        if end.is_ok() && values.is_empty() {
            return self.run(right, at, out);
        }
        out.append(&mut values);
        end
    }

    /// `or` is decided by a left side that holds, `and` by one that does not.
    fn decide(
        &self,
        decided: bool,
        (left, right): (&'v Expr, &'v Expr),
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        self.each(left, at, |value| {
            if value.holds() == decided {
                out.push(Seen::Own(Val::Bool(decided)));
                return Ok(());
            }
            self.each(right, at, |value| {
                out.push(Seen::Own(Val::Bool(value.holds())));
                Ok(())
            })
        })
    }

    fn branch(
        &self,
        branches: &'v [(Expr, Expr)],
        otherwise: Option<&'v Expr>,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let Some(((condition, result), rest)) = branches.split_first() else {
            return self.run(otherwise.unwrap_or(&Expr::Id), at, out);
        };
        self.each(condition, at, |value| {
            if value.holds() {
                self.run(result, at, out)
            } else {
                self.branch(rest, otherwise, at, out)
            }
        })
    }

    fn fold(&self, fold: &'v Fold, at: &At<'v>, out: &mut Outputs<'v>) -> Result<(), Stop> {
        for start in self.all(&fold.start, at)? {
            let mut states = vec![start];
            self.each(&fold.source, at, |item| {
                let bound = self.bind(&fold.pattern, &item, at.bound.clone())?;
                let mut next = Vec::new();
                for input in std::mem::take(&mut states) {
                    let at = At { input, bound: bound.clone() };
                    self.run(&fold.update, &at, &mut next)?;
                }
                for state in &next {
                    // Depth and size are what a fold can pile up.
                    if let Seen::Own(state) = state {
                        weigh(state, self.budget)?;
                    }
                    if let Some(each) = &fold.each {
                        let at = At { input: state.clone(), bound: bound.clone() };
                        self.run(each, &at, out)?;
                    }
                }
                states = next;
                Ok(())
            })?;
            if fold.each.is_none() {
                out.append(&mut states);
            }
        }
        Ok(())
    }

    fn take(
        &self,
        take: Take,
        inner: &'v Expr,
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let mut values = Vec::new();
        let end = self.run(inner, at, &mut values);
        let wanted = match take {
            Take::First => 1,
            Take::Limit(count) => count,
            Take::Last => {
                end?;
                out.extend(values.pop());
                return Ok(());
            }
        };
        // jq never reaches an error after the last value that is wanted.
        if values.len() < wanted || matches!(end, Err(Stop::Bound(_))) {
            end?;
        }
        out.extend(values.into_iter().take(wanted));
        Ok(())
    }
}
