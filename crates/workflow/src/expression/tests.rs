//! Expressions: like jaq where both speak, refused or stopped where jaq would not end.

mod hostile;
mod like_jaq;

use serde_json::Value;

use super::{Budget, Evaluate as _, EvaluateError, Expression, Jaq, Scope, Variable, Variables};

/// Reads an expression as a task with a caught `error` would.
fn read(source: &str) -> Result<Expression, super::Refusal> {
    let caught = ["error".to_owned()];
    Expression::read(source, &Scope::task_output(&caught))
}

fn evaluate(source: &str, input: &Value) -> Result<Value, EvaluateError> {
    let expression = read(source).unwrap_or_else(|refusal| panic!("{source}: {refusal:?}"));
    let variables = Variables::from([("input", Variable::Lent(input))]);
    Jaq.evaluate(&expression, input, &variables, &Budget::new(Budget::EVENT))
}
