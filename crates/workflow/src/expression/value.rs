//! Values while an expression runs: lent from the run's data, or jaq's own.
//!
//! Paths into run data stay references, so `.alert.id` of a large input costs what it looks at and
//! not what the input weighs. Whatever is made, converted or compared is paid for first.

use jaq_json::{Map, Num, Val};
use serde_json::{Number, Value};

use super::{
    EvaluateError,
    budget::{Budget, NODE},
};

/// Deepest value that an expression may make on its way.
const DEPTH_MAX: usize = 256;
/// Longest integer, in digits; jaq's own grow without bound.
const DIGITS_MAX: usize = 64;

/// Why an expression stops.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// jq found the operation impossible on this data; `?` takes it.
    Inapplicable,
    /// A bound of ours; nothing takes it.
    Bound(EvaluateError),
}

impl From<EvaluateError> for Stop {
    fn from(error: EvaluateError) -> Self {
        Self::Bound(error)
    }
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Seen<'v> {
    Lent(&'v Value),
    Own(Val),
}

/// What a value is, in jq's order of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueKind {
    Null,
    False,
    True,
    Number,
    Text,
    Array,
    Object,
}

impl ValueKind {
    /// What `type` calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::False | Self::True => "boolean",
            Self::Number => "number",
            Self::Text => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl Seen<'_> {
    pub(super) const NULL: Self = Self::Own(Val::Null);

    pub(super) fn kind(&self) -> ValueKind {
        match self {
            Self::Lent(Value::Null) | Self::Own(Val::Null) => ValueKind::Null,
            Self::Lent(Value::Bool(false)) | Self::Own(Val::Bool(false)) => ValueKind::False,
            Self::Lent(Value::Bool(true)) | Self::Own(Val::Bool(true)) => ValueKind::True,
            Self::Lent(Value::Number(_)) | Self::Own(Val::Num(_)) => ValueKind::Number,
            Self::Lent(Value::String(_)) | Self::Own(Val::TStr(_) | Val::BStr(_)) => {
                ValueKind::Text
            }
            Self::Lent(Value::Array(_)) | Self::Own(Val::Arr(_)) => ValueKind::Array,
            Self::Lent(Value::Object(_)) | Self::Own(Val::Obj(_)) => ValueKind::Object,
        }
    }

    /// jq's truth: everything but `false` and `null`.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.kind(), ValueKind::Null | ValueKind::False)
    }

    /// The value as jaq's, paid for if it must be copied.
    pub(super) fn own(self, budget: &Budget) -> Result<Val, EvaluateError> {
        match self {
            Self::Lent(value) => to_jaq(value, budget),
            Self::Own(value) => Ok(value),
        }
    }

    /// `.[]`.
    pub(super) fn items(self, budget: &Budget) -> Result<Vec<Self>, Stop> {
        let charge = |count: usize| budget.charge(count.saturating_mul(NODE));
        match self {
            Self::Lent(Value::Array(items)) => {
                charge(items.len())?;
                Ok(items.iter().map(Self::Lent).collect())
            }
            Self::Lent(Value::Object(members)) => {
                charge(members.len())?;
                Ok(members.values().map(Self::Lent).collect())
            }
            Self::Own(Val::Arr(items)) => {
                charge(items.len())?;
                Ok(items.iter().cloned().map(Self::Own).collect())
            }
            Self::Own(Val::Obj(members)) => {
                charge(members.len())?;
                Ok(members.values().cloned().map(Self::Own).collect())
            }
            Self::Lent(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))
            | Self::Own(Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_)) => {
                Err(Stop::Inapplicable)
            }
        }
    }

    /// `.[key]`: a member by text, an item by whole number; `null` has neither and gives `null`.
    pub(super) fn index(&self, key: &Val) -> Result<Self, Stop> {
        match (self, key) {
            (Self::Own(Val::Null) | Self::Lent(Value::Null), Val::TStr(_) | Val::Num(_)) => {
                Ok(Self::NULL)
            }
            (Self::Lent(Value::Object(members)), Val::TStr(_)) => {
                Ok(members.get(text(key)?).map_or(Self::NULL, Self::Lent))
            }
            (Self::Own(Val::Obj(members)), Val::TStr(_)) => {
                Ok(members.get(key).cloned().map_or(Self::NULL, Self::Own))
            }
            (Self::Lent(Value::Array(items)), Val::Num(number)) => {
                let at = position(number, items.len())?;
                Ok(at.and_then(|at| items.get(at)).map_or(Self::NULL, Self::Lent))
            }
            (Self::Own(Val::Arr(items)), Val::Num(number)) => {
                let at = position(number, items.len())?;
                Ok(at.and_then(|at| items.get(at)).cloned().map_or(Self::NULL, Self::Own))
            }
            (Self::Lent(_) | Self::Own(_), _) => Err(Stop::Inapplicable),
        }
    }
}

/// The place that a number, counted from the end if negative, names among `len`.
fn position(number: &Num, len: usize) -> Result<Option<usize>, Stop> {
    let at = number.as_isize().ok_or(Stop::Inapplicable)?;
    if at >= 0 { Ok(Some(at.unsigned_abs())) } else { Ok(len.checked_sub(at.unsigned_abs())) }
}

/// A text's characters.
pub(super) fn text(value: &Val) -> Result<&str, Stop> {
    match value {
        Val::TStr(bytes) => std::str::from_utf8(bytes).map_err(|_| Stop::Inapplicable),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::Arr(_) | Val::Obj(_) => {
            Err(Stop::Inapplicable)
        }
    }
}

/// What copying the outermost layer of a value costs.
pub(super) fn span(value: &Val) -> usize {
    match value {
        Val::Null | Val::Bool(_) | Val::Num(_) => NODE,
        Val::BStr(bytes) | Val::TStr(bytes) => NODE.saturating_add(bytes.len()),
        Val::Arr(items) => NODE.saturating_mul(items.len().saturating_add(1)),
        Val::Obj(members) => NODE.saturating_mul(members.len().saturating_mul(2).saturating_add(1)),
    }
}

/// Pays for a walk through all of a value; returns what it cost.
///
/// Parts that are shared in memory are paid for each time, because comparing and writing them
/// visits them each time.
pub(super) fn weigh(value: &Val, budget: &Budget) -> Result<usize, EvaluateError> {
    weigh_at(value, budget, 0)
}

fn weigh_at(value: &Val, budget: &Budget, depth: usize) -> Result<usize, EvaluateError> {
    if depth > DEPTH_MAX {
        return Err(EvaluateError::TooDeep);
    }
    let mut total = span(value);
    budget.charge(total)?;
    match value {
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => {}
        Val::Arr(items) => {
            for item in items.iter() {
                total = total.saturating_add(weigh_at(item, budget, depth + 1)?);
            }
        }
        Val::Obj(members) => {
            for (name, member) in members.iter() {
                total = total.saturating_add(weigh_at(name, budget, depth + 1)?);
                total = total.saturating_add(weigh_at(member, budget, depth + 1)?);
            }
        }
    }
    Ok(total)
}

/// A number of jaq's that has not grown past what is taken.
pub(super) fn bounded(value: Val) -> Result<Val, EvaluateError> {
    match &value {
        Val::Num(Num::BigInt(big)) if big.to_string().len() > DIGITS_MAX => {
            Err(EvaluateError::TooLarge)
        }
        Val::Num(_)
        | Val::Null
        | Val::Bool(_)
        | Val::BStr(_)
        | Val::TStr(_)
        | Val::Arr(_)
        | Val::Obj(_) => Ok(value),
    }
}

fn number(number: &Number) -> Val {
    let whole = number.as_i64().and_then(|whole| isize::try_from(whole).ok());
    Val::Num(whole.map_or_else(
        || {
            let text = number.to_string();
            Num::from_str_radix(&text, 10).unwrap_or_else(|| Num::from_dec_str(&text))
        },
        Num::Int,
    ))
}

/// Run data as jaq's.
pub(super) fn to_jaq(value: &Value, budget: &Budget) -> Result<Val, EvaluateError> {
    budget.charge(NODE)?;
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(holds) => Val::Bool(*holds),
        Value::Number(value) => number(value),
        Value::String(text) => {
            budget.charge(text.len())?;
            Val::from(text.clone())
        }
        Value::Array(items) => {
            items.iter().map(|item| to_jaq(item, budget)).collect::<Result<Val, _>>()?
        }
        Value::Object(members) => {
            let mut map = Map::default();
            for (name, member) in members {
                budget.charge(NODE.saturating_add(name.len()))?;
                map.insert(Val::from(name.clone()), to_jaq(member, budget)?);
            }
            Val::obj(map)
        }
    })
}

/// jaq's as run data.
pub(super) fn to_json(value: &Val, budget: &Budget) -> Result<Value, Stop> {
    weigh(value, budget)?;
    written(value)
}

fn written(value: &Val) -> Result<Value, Stop> {
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(holds) => Value::Bool(*holds),
        Val::Num(number) => {
            // JSON has no number for what is not finite.
            let number = serde_json::from_str::<Number>(&number.to_string());
            Value::Number(number.map_err(|_| Stop::Inapplicable)?)
        }
        Val::TStr(_) => Value::String(text(value)?.to_owned()),
        Val::BStr(_) => return Err(Stop::Inapplicable),
        Val::Arr(items) => Value::Array(items.iter().map(written).collect::<Result<_, _>>()?),
        Val::Obj(members) => {
            let mut object = serde_json::Map::new();
            for (name, member) in members.iter() {
                object.insert(text(name)?.to_owned(), written(member)?);
            }
            Value::Object(object)
        }
    })
}
