//! jq's functions on texts.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jaq_json::{Num, Val};

use super::Made;
use crate::expression::{
    budget::Budget,
    value::{Seen, Stop, span, text as chars, to_jaq, to_json},
};

/// Longest text that `tonumber` reads.
const NUMBER_MAX: usize = 64;

fn own<'v>(text: String) -> Seen<'v> {
    Seen::Own(Val::from(text))
}

/// A text of a value: the value itself if it is one, else its JSON.
pub(in crate::expression) fn to_text<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    match value.own(budget)? {
        text @ Val::TStr(_) => Ok(Seen::Own(text)),
        other @ (Val::Null
        | Val::Bool(_)
        | Val::Num(_)
        | Val::BStr(_)
        | Val::Arr(_)
        | Val::Obj(_)) => to_json_text(Seen::Own(other), budget),
    }
}

pub(in crate::expression) fn to_json_text<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let json = to_json(&value.own(budget)?, budget)?.to_string();
    budget.charge(json.len())?;
    Ok(own(json))
}

pub(in crate::expression) fn from_json_text<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let text = value.own(budget)?;
    budget.charge(span(&text))?;
    let json = serde_json::from_str(chars(&text)?).map_err(|_| Stop::Inapplicable)?;
    Ok(Seen::Own(to_jaq(&json, budget)?))
}

pub(in crate::expression) fn to_number<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let value = value.own(budget)?;
    if matches!(value, Val::Num(_)) {
        return Ok(Seen::Own(value));
    }
    let text = chars(&value)?;
    if text.len() > NUMBER_MAX {
        return Err(Stop::Inapplicable);
    }
    let number: serde_json::Number = serde_json::from_str(text).map_err(|_| Stop::Inapplicable)?;
    Ok(Seen::Own(to_jaq(&number.into(), budget)?))
}

/// A function of a text's characters.
fn of<'v>(value: Seen<'v>, budget: &Budget, how: impl Fn(&str) -> String) -> Made<'v> {
    let value = value.own(budget)?;
    // No function here makes more than six bytes of one.
    budget.charge(span(&value).saturating_mul(6))?;
    Ok(own(how(chars(&value)?)))
}

pub(in crate::expression) fn lower<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(value, budget, str::to_ascii_lowercase)
}

pub(in crate::expression) fn upper<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(value, budget, str::to_ascii_uppercase)
}

pub(in crate::expression) fn trim<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(value, budget, |text| text.trim().to_owned())
}

pub(in crate::expression) fn trim_start<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(value, budget, |text| text.trim_start().to_owned())
}

pub(in crate::expression) fn trim_end<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(value, budget, |text| text.trim_end().to_owned())
}

pub(in crate::expression) fn base64<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(to_text(value, budget)?, budget, |text| STANDARD.encode(text))
}

pub(in crate::expression) fn from_base64<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    let text = to_text(value, budget)?.own(budget)?;
    budget.charge(span(&text))?;
    let bytes = STANDARD.decode(chars(&text)?).map_err(|_| Stop::Inapplicable)?;
    Ok(own(String::from_utf8(bytes).map_err(|_| Stop::Inapplicable)?))
}

/// RFC 3986 §2.3: all but the unreserved characters are encoded.
pub(in crate::expression) fn uri<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(to_text(value, budget)?, budget, |text| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a text cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

pub(in crate::expression) fn html<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    of(to_text(value, budget)?, budget, |text| {
        let mut escaped = String::new();
        for c in text.chars() {
            match c {
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '&' => escaped.push_str("&amp;"),
                '\'' => escaped.push_str("&#39;"),
                '"' => escaped.push_str("&quot;"),
                c => escaped.push(c),
            }
        }
        escaped
    })
}

pub(in crate::expression) fn byte_length<'v>(value: Seen<'v>, budget: &Budget) -> Made<'v> {
    Ok(Seen::Own(Val::from(chars(&value.own(budget)?)?.len())))
}

type Made1 = Result<Val, Stop>;

fn both<T>(
    value: &Val,
    part: &Val,
    budget: &Budget,
    how: impl Fn(&str, &str) -> T,
) -> Result<T, Stop> {
    budget.charge(span(value).saturating_add(span(part)))?;
    Ok(how(chars(value)?, chars(part)?))
}

pub(in crate::expression) fn starts_with(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    both(value, part, budget, |value, part| Val::Bool(value.starts_with(part)))
}

pub(in crate::expression) fn ends_with(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    both(value, part, budget, |value, part| Val::Bool(value.ends_with(part)))
}

/// The text without a prefix; anything without it is left alone, as in jq.
pub(in crate::expression) fn strip_start(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    let rest = both(value, part, budget, |value, part| {
        value.strip_prefix(part).map(|rest| Val::from(rest.to_owned()))
    });
    left_alone(rest, value)
}

/// The text without a suffix; anything without it is left alone, as in jq.
pub(in crate::expression) fn strip_end(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    let rest = both(value, part, budget, |value, part| {
        value.strip_suffix(part).map(|rest| Val::from(rest.to_owned()))
    });
    left_alone(rest, value)
}

fn left_alone(rest: Result<Option<Val>, Stop>, value: &Val) -> Made1 {
    match rest {
        Ok(Some(rest)) => Ok(rest),
        Ok(None) | Err(Stop::Inapplicable) => Ok(value.clone()),
        Err(stop @ Stop::Bound(_)) => Err(stop),
    }
}

pub(in crate::expression) fn split(value: &Val, separator: &Val, budget: &Budget) -> Made1 {
    // At worst a value of each character.
    budget.charge(span(value).saturating_mul(4))?;
    let (text, separator) = (chars(value)?, chars(separator)?);
    Ok(match (text, separator) {
        ("", _) => std::iter::empty().collect(),
        (_, "") => text.chars().map(|c| Val::from(c.to_string())).collect(),
        (_, _) => text.split(separator).map(|part| Val::from(part.to_owned())).collect(),
    })
}

pub(in crate::expression) fn join(value: &Val, separator: &Val, budget: &Budget) -> Made1 {
    let separator = chars(separator)?;
    let mut joined = String::new();
    for (at, item) in Seen::Own(value.clone()).items(budget)?.into_iter().enumerate() {
        let part = match item.own(budget)? {
            Val::Null => Val::from(String::new()),
            Val::Arr(_) | Val::Obj(_) | Val::BStr(_) => return Err(Stop::Inapplicable),
            plain @ (Val::Bool(_) | Val::Num(_) | Val::TStr(_)) => {
                to_text(Seen::Own(plain), budget)?.own(budget)?
            }
        };
        budget.charge(span(&part).saturating_add(separator.len()))?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(chars(&part)?);
    }
    Ok(Val::from(joined))
}

pub(in crate::expression) fn index_of(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    both(value, part, budget, |value, part| place(value, part, value.find(part)))
}

pub(in crate::expression) fn last_index_of(value: &Val, part: &Val, budget: &Budget) -> Made1 {
    both(value, part, budget, |value, part| place(value, part, value.rfind(part)))
}

/// A place in characters; nothing is nowhere.
fn place(value: &str, part: &str, at: Option<usize>) -> Val {
    let before = at.filter(|_| !part.is_empty()).and_then(|at| value.get(..at));
    before.map_or(Val::Null, |before| Val::Num(Num::from_integral(before.chars().count())))
}
