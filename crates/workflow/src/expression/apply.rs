//! jq's functions on values, each paid for by what it visits and makes.

mod text;

use jaq_json::{Map, Num, Val};

pub(super) use text::{
    base64, byte_length, ends_with, from_base64, from_json_text, html, index_of, join,
    last_index_of, lower, split, starts_with, strip_end, strip_start, to_json_text, to_number,
    to_text, trim, trim_end, trim_start, upper, uri,
};

use super::{
    budget::{Budget, NODE},
    program::By,
    value::{Seen, Stop, bounded, span, text as chars},
};

/// How deep `contains` goes; deeper values are not made.
const DEPTH_MAX: usize = 256;

type Made<'v> = Result<Seen<'v>, Stop>;

pub(super) fn length<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let length = match &value {
        Seen::Lent(serde_json::Value::Array(items)) => items.len(),
        Seen::Lent(serde_json::Value::Object(members)) => members.len(),
        Seen::Lent(_) | Seen::Own(_) => match value.own(budget)? {
            Val::Null => 0,
            Val::TStr(bytes) => {
                budget.charge(bytes.len())?;
                String::from_utf8_lossy(&bytes).chars().count()
            }
            Val::Arr(items) => items.len(),
            Val::Obj(members) => members.len(),
            number @ Val::Num(_) => return abs(Seen::Own(number), budget),
            Val::Bool(_) | Val::BStr(_) => return Err(Stop::Inapplicable),
        },
    };
    Ok(Seen::Own(Val::from(length)))
}

pub(super) fn keys_unsorted<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let value = value.own(budget)?;
    budget.charge(span(&value))?;
    match value {
        Val::Arr(items) => Ok(Seen::Own((0..items.len()).map(Val::from).collect())),
        Val::Obj(members) => Ok(Seen::Own(members.keys().cloned().collect())),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => {
            Err(Stop::Inapplicable)
        }
    }
}

pub(super) fn keys<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let keys = keys_unsorted(value, budget)?.own(budget)?;
    let mut keys = list(&keys)?.to_vec();
    let bytes: usize = keys.iter().map(span).sum();
    let rounds = usize::try_from(keys.len().checked_ilog2().unwrap_or(0)).unwrap_or(64);
    budget.charge(bytes.saturating_mul(rounds))?;
    keys.sort();
    Ok(Seen::Own(keys.into_iter().collect()))
}

pub(super) fn to_entries<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let Val::Obj(members) = value.own(budget)? else { return Err(Stop::Inapplicable) };
    let mut entries = Vec::new();
    for (name, member) in members.iter() {
        budget.charge(span(name).saturating_add(4 * NODE))?;
        let entry = [("key", name), ("value", member)];
        entries.push(object(entry.map(|(name, value)| (name, value.clone()))));
    }
    Ok(Seen::Own(entries.into_iter().collect()))
}

/// Entries may spell their names as other services do: `{"Key": …, "Value": …}`.
pub(super) fn from_entries<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let mut map = Map::default();
    for entry in value.items(budget)? {
        let Val::Obj(entry) = entry.own(budget)? else { return Err(Stop::Inapplicable) };
        let member = |name: &&str| entry.get(&Val::from((*name).to_owned())).cloned();
        let mut names = ["key", "k", "name", "Name", "Key", "K"].iter().filter_map(member);
        let name = names.find(|name| !matches!(name, Val::Null)).ok_or(Stop::Inapplicable)?;
        chars(&name)?;
        budget.charge(span(&name))?;
        let value = ["value", "v", "Value", "V"].iter().find_map(member);
        map.insert(name, value.unwrap_or_default());
    }
    Ok(Seen::Own(Val::obj(map)))
}

/// The sum of all items. The result grows in place, so that it costs what it holds.
pub(super) fn add<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let items = value.items(budget)?;
    let mut sum = Val::Null;
    let mut text: Option<String> = None;
    for item in items {
        let item = item.own(budget)?;
        budget.charge(span(&item))?;
        match (&mut text, &item) {
            (Some(text), Val::TStr(_)) => text.push_str(chars(&item)?),
            (None, Val::TStr(_)) if matches!(sum, Val::Null) => {
                text = Some(chars(&item)?.to_owned());
            }
            (Some(_), Val::Null) => {}
            (Some(_), _) => return Err(Stop::Inapplicable),
            (None, _) => sum = bounded((sum + item).map_err(|_| Stop::Inapplicable)?)?,
        }
    }
    Ok(Seen::Own(text.map_or(sum, Val::from)))
}

pub(super) fn any<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    Ok(Seen::Own(Val::Bool(value.items(budget)?.iter().any(Seen::holds))))
}

pub(super) fn all<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    Ok(Seen::Own(Val::Bool(value.items(budget)?.iter().all(Seen::holds))))
}

pub(super) fn flatten<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let value = value.own(budget)?;
    let mut flat = Vec::new();
    let mut rest: Vec<Val> = list(&value)?.iter().rev().cloned().collect();
    while let Some(item) = rest.pop() {
        budget.charge(NODE)?;
        if let Val::Arr(items) = &item {
            budget.charge(span(&item))?;
            rest.extend(items.iter().rev().cloned());
        } else {
            flat.push(item);
        }
    }
    Ok(Seen::Own(flat.into_iter().collect()))
}

pub(super) fn reverse<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let value = value.own(budget)?;
    budget.charge(span(&value))?;
    match &value {
        Val::Null => Ok(Seen::Own(Val::Arr(Vec::new().into()))),
        Val::Arr(items) => Ok(Seen::Own(items.iter().rev().cloned().collect())),
        Val::TStr(_) => Ok(Seen::Own(Val::from(chars(&value)?.chars().rev().collect::<String>()))),
        Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::Obj(_) => Err(Stop::Inapplicable),
    }
}

pub(super) fn floor<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    rounded(value, budget, f64::floor)
}

pub(super) fn ceil<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    rounded(value, budget, f64::ceil)
}

pub(super) fn round<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    rounded(value, budget, f64::round)
}

fn rounded<'v>(value: Seen<'v>, budget: &Budget, how: fn(f64) -> f64) -> Made<'v> {
    let value = value.own(budget)?;
    match &value {
        Val::Num(Num::Int(_) | Num::BigInt(_)) => Ok(Seen::Own(value)),
        Val::Num(Num::Float(float)) => {
            let whole = format!("{:.0}", how(*float));
            let number = Num::from_str_radix(&whole, 10).ok_or(Stop::Inapplicable)?;
            Ok(Seen::Own(bounded(Val::Num(number))?))
        }
        Val::Num(Num::Dec(_))
        | Val::Null
        | Val::Bool(_)
        | Val::BStr(_)
        | Val::TStr(_)
        | Val::Arr(_)
        | Val::Obj(_) => Err(Stop::Inapplicable),
    }
}

pub(super) fn abs<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let value = value.own(budget)?;
    if !matches!(value, Val::Num(_)) {
        return Err(Stop::Inapplicable);
    }
    if value < Val::from(0_usize) {
        return Ok(Seen::Own((-value).map_err(|_| Stop::Inapplicable)?));
    }
    Ok(Seen::Own(value))
}

pub(super) fn has(value: &Val, key: &Val, _: &Budget) -> Result<Val, Stop> {
    match (value, key) {
        (Val::Obj(members), Val::TStr(_)) => Ok(Val::Bool(members.contains_key(key))),
        (Val::Arr(items), Val::Num(number)) => {
            let at = number.as_isize().and_then(|at| usize::try_from(at).ok());
            Ok(Val::Bool(at.is_some_and(|at| at < items.len())))
        }
        (
            Val::Null
            | Val::Bool(_)
            | Val::Num(_)
            | Val::BStr(_)
            | Val::TStr(_)
            | Val::Arr(_)
            | Val::Obj(_),
            _,
        ) => Err(Stop::Inapplicable),
    }
}

pub(super) fn is_in(key: &Val, value: &Val, budget: &Budget) -> Result<Val, Stop> {
    has(value, key, budget)
}

pub(super) fn contains(value: &Val, part: &Val, budget: &Budget) -> Result<Val, Stop> {
    holds(value, part, budget, 0).map(Val::Bool)
}

pub(super) fn inside(part: &Val, value: &Val, budget: &Budget) -> Result<Val, Stop> {
    contains(value, part, budget)
}

fn holds(value: &Val, part: &Val, budget: &Budget, depth: usize) -> Result<bool, Stop> {
    if depth > DEPTH_MAX {
        return Err(super::EvaluateError::TooDeep.into());
    }
    budget.charge(NODE)?;
    match (value, part) {
        (Val::Obj(members), Val::Obj(parts)) => {
            for (name, part) in parts.iter() {
                budget.charge(span(name))?;
                let Some(member) = members.get(name) else { return Ok(false) };
                if !holds(member, part, budget, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Val::Arr(items), Val::Arr(parts)) => {
            for part in parts.iter() {
                let mut found = false;
                for item in items.iter() {
                    found = found || holds(item, part, budget, depth + 1)?;
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Val::TStr(_), Val::TStr(_)) => {
            budget.charge(span(value).saturating_add(span(part)))?;
            Ok(chars(value)?.contains(chars(part)?))
        }
        (
            Val::Null
            | Val::Bool(_)
            | Val::Num(_)
            | Val::BStr(_)
            | Val::TStr(_)
            | Val::Arr(_)
            | Val::Obj(_),
            _,
        ) => Ok(value == part),
    }
}

/// What items ordered by their keys come to.
pub(super) fn ordered(by: By, mut keyed: Vec<(Vec<Val>, Val)>) -> Val {
    let values = |keyed: Vec<(Vec<Val>, Val)>| keyed.into_iter().map(|(_, value)| value).collect();
    match by {
        By::Sort => {
            keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
            values(keyed)
        }
        By::Unique => {
            keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
            keyed.dedup_by(|(a, _), (b, _)| a == b);
            values(keyed)
        }
        By::Group => {
            keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
            let groups = keyed.chunk_by(|(a, _), (b, _)| a == b);
            groups.map(|group| group.iter().map(|(_, value)| value.clone()).collect()).collect()
        }
        By::Min => least(keyed.into_iter()),
        By::Max => {
            let last = keyed.into_iter().max_by(|(a, _), (b, _)| a.cmp(b));
            last.map(|(_, value)| value).unwrap_or_default()
        }
    }
}

fn least(keyed: impl Iterator<Item = (Vec<Val>, Val)>) -> Val {
    keyed.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, value)| value).unwrap_or_default()
}

fn list(value: &Val) -> Result<&[Val], Stop> {
    match value {
        Val::Arr(items) => Ok(items),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) | Val::Obj(_) => {
            Err(Stop::Inapplicable)
        }
    }
}

fn object<const N: usize>(members: [(&str, Val); N]) -> Val {
    Val::obj(members.into_iter().map(|(name, value)| (Val::from(name.to_owned()), value)).collect())
}
