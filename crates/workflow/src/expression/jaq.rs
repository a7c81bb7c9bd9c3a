//! The evaluator: jq whose grammar, values and operators are jaq's, and whose steps are counted.
//!
//! jaq's own evaluator cannot be stopped, by steps or by memory; so the walk over an expression is
//! ours (`walk`) and jaq's is what it is tested against.

use serde_json::Value;
use writ_model::limits::STEP_OUTPUT_MAX;

use super::{
    Budget, Evaluate, EvaluateError, Expression, Variables, measure,
    value::{Seen, Stop, to_json},
    walk::{At, Walk},
};

/// jq by jaq. Deterministic: nothing that reads a clock, an environment or chance is taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jaq;

impl Evaluate for Jaq {
    fn evaluate(
        &self,
        expression: &Expression,
        input: &Value,
        variables: &Variables<'_>,
        budget: &Budget,
    ) -> Result<Value, EvaluateError> {
        let walk = Walk { budget, variables };
        let at = At { input: Seen::Lent(input), bound: None };
        let mut outputs = Vec::new();
        walk.run(expression.program(), &at, &mut outputs).map_err(error)?;
        let count = outputs.len();
        let (Some(output), 1) = (outputs.pop(), count) else {
            return Err(EvaluateError::Count(count));
        };
        let output = match output {
            Seen::Lent(value) => {
                let size = measure(value)?;
                budget.charge(size)?;
                value.clone()
            }
            Seen::Own(value) => to_json(&value, budget).map_err(error)?,
        };
        if measure(&output)? > STEP_OUTPUT_MAX { Err(EvaluateError::TooLarge) } else { Ok(output) }
    }
}

fn error(stop: Stop) -> EvaluateError {
    match stop {
        Stop::Inapplicable => EvaluateError::Failed,
        Stop::Bound(error) => error,
    }
}
