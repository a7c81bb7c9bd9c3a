//! What code is given: standard input, arguments and variables, from the task's templates.

use serde_json::Value;
use writ_model::ProcessInput;

use crate::{EvaluateError, StepError, document::Process, expression::Template};

/// Fills the templates of a process.
pub(super) fn input(
    process: &Process,
    pointer: &str,
    fill: impl Fn(&Template) -> Result<Value, Box<StepError>>,
) -> Result<ProcessInput, Box<StepError>> {
    let mut input = ProcessInput::default();
    let arguments = process.arguments.as_ref().map(&fill).transpose()?;
    let stdin = process.stdin.as_ref().map(&fill).transpose()?;
    let on_stdin = match arguments {
        Some(Value::Array(items)) => {
            input.arguments = items.into_iter().map(text).collect();
            None
        }
        Some(value @ Value::Object(_)) => Some(value.to_string()),
        None => None,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(Box::new(super::advance::failure(&EvaluateError::NotObject, pointer)));
        }
    };
    // An empty object, where nothing is said: code that reads JSON gets JSON.
    let nothing = || if input.arguments.is_empty() { "{}".to_owned() } else { String::new() };
    input.stdin = stdin.map(text).or(on_stdin).unwrap_or_else(nothing);
    if let Some(environment) = &process.environment
        && let Value::Object(variables) = fill(environment)?
    {
        input.environment =
            variables.into_iter().map(|(name, value)| (name, text(value))).collect();
    }
    if input.is_valid() {
        return Ok(input);
    }
    Err(Box::new(StepError::standard("validation", 400, "process-arguments", pointer)))
}

/// Text as it is, everything else as JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}
