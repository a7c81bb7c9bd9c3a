//! The first line of defense against an echo: only declared, typed fields leave.
//!
//! In: a pack's projection and the answer's JSON. Out: a value of exactly the declared shape, or
//! `response-shape`. A longer text or list fails the call; nothing is cut.

use serde_json::{Map, Value};
use writ_model::pack::Projection;

use super::Failed;

/// Longest text, in characters, unless the projection says otherwise.
const LENGTH_MAX: usize = 4096;
/// Most items, unless the projection says otherwise.
const ITEMS_MAX: usize = 100;

/// Keeps what the projection declares of a whole answer. An answer with no body is one without
/// members, so it fails if any is required.
pub(super) fn project_answer(shape: &Projection, answer: &Value) -> Result<Value, Failed> {
    if let (Projection::Object { members }, Value::Null) = (shape, answer) {
        for member in members.values() {
            project(member, answer)?;
        }
    }
    project(shape, answer)
}

/// Keeps what the projection declares; a value of another type fails the call.
fn project(shape: &Projection, value: &Value) -> Result<Value, Failed> {
    let mismatch = || Failed::new("response-shape");
    match (shape, value) {
        (
            Projection::String { required: true, .. }
            | Projection::Integer { required: true }
            | Projection::Boolean { required: true },
            Value::Null,
        ) => Err(mismatch()),
        (_, Value::Null) => Ok(Value::Null),
        (Projection::String { max_length, .. }, Value::String(text)) => {
            if text.chars().count() > max_length.unwrap_or(LENGTH_MAX) {
                return Err(mismatch());
            }
            Ok(value.clone())
        }
        (Projection::Integer { .. }, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Projection::Boolean { .. }, Value::Bool(_)) => Ok(value.clone()),
        (Projection::Object { members }, Value::Object(given)) => {
            let mut object = Map::new();
            for (name, shape) in members {
                let member = given.get(name).unwrap_or(&Value::Null);
                object.insert(name.clone(), project(shape, member)?);
            }
            Ok(Value::Object(object))
        }
        (Projection::Array { items, max_items }, Value::Array(given)) => {
            if given.len() > max_items.unwrap_or(ITEMS_MAX) {
                return Err(mismatch());
            }
            given.iter().map(|item| project(items, item)).collect()
        }
        _ => Err(mismatch()),
    }
}

#[cfg(test)]
mod tests;
