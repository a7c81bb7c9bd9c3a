//! Steps into values: `.a`, `.[0]`, `.[]`, `.[1:3]`, `..`, and what goes through members.

use jaq_core::ValT as _;
use jaq_json::{Map, Val};

use super::{At, Outputs, Walk};
use crate::expression::{
    budget::NODE,
    program::{Expr, Step},
    value::{Seen, Stop, span},
};

/// What a step of a path looks for.
enum Keys {
    All,
    Each(Vec<Val>),
    Slices(Vec<Val>, Vec<Val>),
}

impl<'v> Walk<'v, '_> {
    pub(super) fn path(
        &self,
        head: &'v Expr,
        steps: &'v [(Step, bool)],
        at: &At<'v>,
        out: &mut Outputs<'v>,
    ) -> Result<(), Stop> {
        let mut values = self.all(head, at)?;
        for (step, optional) in steps {
            let keys = self.keys(step, at)?;
            let mut next = Vec::new();
            for value in values {
                match self.step(value, &keys, &mut next) {
                    Err(Stop::Inapplicable) if *optional => {}
                    done => done?,
                }
            }
            values = next;
        }
        out.append(&mut values);
        Ok(())
    }

    /// What a step looks for, evaluated on the input of the whole path.
    fn keys(&self, step: &'v Step, at: &At<'v>) -> Result<Keys, Stop> {
        let limit = |expr: &'v Option<Expr>| match expr {
            Some(expr) => self.all_own(expr, at),
            None => Ok(vec![Val::Null]),
        };
        Ok(match step {
            Step::Iterate => Keys::All,
            Step::Index(key) => Keys::Each(self.all_own(key, at)?),
            Step::Slice(from, to) => Keys::Slices(limit(from)?, limit(to)?),
        })
    }

    fn step(&self, value: Seen<'v>, keys: &Keys, out: &mut Outputs<'v>) -> Result<(), Stop> {
        self.budget.charge(NODE)?;
        match keys {
            Keys::All => out.append(&mut value.items(self.budget)?),
            Keys::Each(keys) => {
                for key in keys {
                    self.budget.charge(NODE)?;
                    out.push(value.index(key)?);
                }
            }
            Keys::Slices(from, to) => {
                let value = value.own(self.budget)?;
                for from in from {
                    for to in to {
                        out.push(Seen::Own(self.slice(&value, from, to)?));
                    }
                }
            }
        }
        Ok(())
    }

    fn slice(&self, value: &Val, from: &Val, to: &Val) -> Result<Val, Stop> {
        self.budget.charge(span(value))?;
        if matches!(value, Val::Null) {
            return Ok(Val::Null);
        }
        value.clone().range(Some(from)..Some(to)).map_err(|_| Stop::Inapplicable)
    }

    pub(super) fn recurse(&self, value: Seen<'v>, out: &mut Outputs<'v>) -> Result<(), Stop> {
        self.budget.charge(NODE)?;
        out.push(value.clone());
        match value.items(self.budget) {
            Ok(items) => items.into_iter().try_for_each(|item| self.recurse(item, out)),
            Err(Stop::Inapplicable) => Ok(()),
            Err(stop @ Stop::Bound(_)) => Err(stop),
        }
    }

    /// Each item becomes its values; each member its first value, or goes if it has none.
    pub(super) fn map_values(&self, inner: &'v Expr, at: &At<'v>) -> Result<Seen<'v>, Stop> {
        let of = |value: &Val| self.all_own(inner, &at.of(Seen::Own(value.clone())));
        match at.input.clone().own(self.budget)? {
            Val::Arr(items) => {
                let mut all = Vec::new();
                for item in items.iter() {
                    all.append(&mut of(item)?);
                }
                Ok(Seen::Own(all.into_iter().collect()))
            }
            Val::Obj(members) => {
                let mut map = Map::default();
                for (name, member) in members.iter() {
                    if let Some(value) = of(member)?.into_iter().next() {
                        self.budget.charge(span(name))?;
                        map.insert(name.clone(), value);
                    }
                }
                Ok(Seen::Own(Val::obj(map)))
            }
            Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => {
                Err(Stop::Inapplicable)
            }
        }
    }

    /// The value without some members.
    pub(super) fn delete(&self, paths: &[Vec<String>], at: &At<'v>) -> Result<Seen<'v>, Stop> {
        let mut value = at.input.clone().own(self.budget)?;
        for path in paths {
            value = self.without(value, path)?;
        }
        Ok(Seen::Own(value))
    }

    fn without(&self, value: Val, path: &[String]) -> Result<Val, Stop> {
        let Some((name, rest)) = path.split_first() else { return Ok(Val::Null) };
        self.budget.charge(span(&value))?;
        match value {
            Val::Null => Ok(Val::Null),
            Val::Obj(members) => {
                let name = Val::from(name.clone());
                let mut map = (*members).clone();
                if rest.is_empty() {
                    map.shift_remove(&name);
                } else if let Some(member) = map.get_mut(&name) {
                    *member = self.without(std::mem::take(member), rest)?;
                }
                Ok(Val::obj(map))
            }
            Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) | Val::Arr(_) => {
                Err(Stop::Inapplicable)
            }
        }
    }
}
