//! The evaluator: jaq over checked expressions, results written out within bounds.

use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::Val;
use serde_json::Value;
use writ_model::limits::STEP_OUTPUT_MAX;

use super::{Evaluate, EvaluateError, Expression, QUADRATIC_MAX, Variables};

/// jq by jaq. Deterministic: the functions that read a clock or the environment are not on the
/// list of what an expression may call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jaq;

impl Evaluate for Jaq {
    fn evaluate(
        &self,
        expression: &Expression,
        input: &Value,
        variables: &Variables,
    ) -> Result<Value, EvaluateError> {
        if expression.quadratic {
            let seen = input.to_string().len()
                + variables.values().map(|value| value.to_string().len()).sum::<usize>();
            if seen > QUADRATIC_MAX {
                return Err(EvaluateError::TooMuchData);
            }
        }
        run(expression.source(), input, variables)
    }
}

fn run(source: &str, input: &Value, variables: &Variables) -> Result<Value, EvaluateError> {
    let failed = |()| EvaluateError::Failed;
    let arena = Arena::default();
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let modules = Loader::new(definitions)
        .load(&arena, File { code: source, path: () })
        .map_err(|_| failed(()))?;
    let names: Vec<String> = variables.keys().map(|name| format!("${name}")).collect();
    let filter = Compiler::default()
        .with_funs(functions)
        .with_global_vars(names.iter().map(String::as_str))
        .compile(modules)
        .map_err(|_| failed(()))?;
    let values = variables.values().map(to_jaq).collect::<Result<Vec<Val>, _>>()?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new(values));
    let mut outputs = filter.id.run((context, to_jaq(input)?)).map(unwrap_valr);
    let first = outputs.next().ok_or(EvaluateError::Count(0))?.map_err(|_| failed(()))?;
    if outputs.next().is_some() {
        return Err(EvaluateError::Count(2));
    }
    from_jaq(&first)
}

fn to_jaq(value: &Value) -> Result<Val, EvaluateError> {
    jaq_json::read::parse_single(value.to_string().as_bytes()).map_err(|_| EvaluateError::Failed)
}

/// Writes the result as JSON, and stops at the limit: shared parts can make it far larger written
/// than it is in memory.
fn from_jaq(value: &Val) -> Result<Value, EvaluateError> {
    let mut text = Bounded(String::new());
    std::fmt::Write::write_fmt(&mut text, format_args!("{value}"))
        .map_err(|_| EvaluateError::TooLarge)?;
    serde_json::from_str(&text.0).map_err(|_| EvaluateError::Failed)
}

struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        if self.0.len() + part.len() > STEP_OUTPUT_MAX {
            return Err(std::fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}
