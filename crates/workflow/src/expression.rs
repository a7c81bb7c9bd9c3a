//! Runtime expressions: jq, in a subset that ends and stays small.
//!
//! In: the text between `${` and `}`. Out: an [`Expression`], every construct of which is on a
//! list of those that end (`read`), or a refusal that names the construct and what is taken; then,
//! by [`Evaluate`], a value.
//!
//! How time and memory are bounded (DESIGN §6), without a clock: each step, and each byte made or
//! looked at, is counted against a [`Budget`] before it is spent; results are bounded in size and
//! depth. Where a run stops does not depend on the machine that it runs on.

mod apply;
mod budget;
mod jaq;
mod program;
mod read;
mod template;
#[cfg(test)]
mod tests;
mod value;
mod variable;
mod walk;

use std::sync::Arc;

use serde_json::Value;
use writ_model::limits::STEP_OUTPUT_MAX;

pub(crate) use template::{Template, condition, expression};

pub use budget::Budget;
pub use jaq::Jaq;
pub use variable::{Variable, Variables};

use program::Expr;
use read::Refusal;

/// Deepest value that a run keeps: JSON parsers, ours among them, stop at 128.
pub(crate) const VALUE_DEPTH_MAX: usize = 96;

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    program: Arc<Expr>,
}

/// Which variables an expression may use, where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'s> {
    runtime: &'static [&'static str],
    /// What the enclosing `catch`es call their errors.
    caught: &'s [String],
}

impl<'s> Scope<'s> {
    /// The document's `input.from`.
    pub(crate) const DOCUMENT_INPUT: Self = Self { runtime: &["workflow", "runtime"], caught: &[] };
    /// The document's `output.as`.
    pub(crate) const DOCUMENT_OUTPUT: Self =
        Self { runtime: &["context", "input", "workflow", "runtime"], caught: &[] };

    /// A task.
    pub(crate) const fn task(caught: &'s [String]) -> Self {
        Self { runtime: &["context", "input", "task", "workflow", "runtime"], caught }
    }

    /// A task's `output.as` and `export.as`.
    pub(crate) const fn task_output(caught: &'s [String]) -> Self {
        Self { runtime: &["context", "input", "output", "task", "workflow", "runtime"], caught }
    }

    /// Whether a `catch` may call its error so.
    pub(crate) fn may_be_caught_as(name: &str) -> bool {
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let known = Self::task_output(&[]).runtime.contains(&name);
        letters && first && !known && !matches!(name, "secrets" | "authorization" | "__loc__")
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// jq found the operation impossible on this data. The text is not passed on: it quotes data.
    #[error("the expression does not apply to its data")]
    Failed,
    /// A condition gave something else than true or false.
    #[error("the condition is neither true nor false")]
    NotBoolean,
    /// What must be an object is not.
    #[error("the expression gave something else than an object")]
    NotObject,
    /// What must be a list is not.
    #[error("the expression gave something else than a list")]
    NotList,
    /// No output, or more than one.
    #[error("the expression gave {0} values instead of one")]
    Count(usize),
    /// What may be done between two effects was done.
    #[error("the expressions between two effects do more work than is allowed")]
    Exhausted,
    /// The result is too large.
    #[error("the result is larger than {STEP_OUTPUT_MAX} bytes")]
    TooLarge,
    /// The result is too deep.
    #[error("the result is nested deeper than {VALUE_DEPTH_MAX}")]
    TooDeep,
}

impl EvaluateError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed => "expression-failed",
            Self::NotBoolean => "expression-not-boolean",
            Self::NotObject => "expression-not-object",
            Self::NotList => "expression-not-list",
            Self::Count(_) => "expression-count",
            Self::Exhausted => "expression-exhausted",
            Self::TooLarge => "expression-too-large",
            Self::TooDeep => "expression-too-deep",
        }
    }
}

/// Runs expressions. The machine asks; a shell may bound it further.
pub trait Evaluate {
    /// Evaluates an expression to its one value, within a budget.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    fn evaluate(
        &self,
        expression: &Expression,
        input: &Value,
        variables: &Variables<'_>,
        budget: &Budget,
    ) -> Result<Value, EvaluateError>;
}

impl Expression {
    /// Reads the text of an expression, without `${` and `}`.
    fn read(source: &str, scope: &Scope<'_>) -> Result<Self, Refusal> {
        let mut visible = scope.runtime.to_vec();
        visible.extend(scope.caught.iter().map(String::as_str));
        let program = read::read(source, &visible)?;
        Ok(Self { source: source.to_owned(), program: Arc::new(program) })
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn program(&self) -> &Expr {
        &self.program
    }
}

/// About how long a value is as JSON, in bytes.
///
/// # Errors
///
/// [`EvaluateError::TooDeep`]: it is deeper than a run may keep.
pub(crate) fn measure(value: &Value) -> Result<usize, EvaluateError> {
    measure_at(value, 0)
}

fn measure_at(value: &Value, depth: usize) -> Result<usize, EvaluateError> {
    if depth > VALUE_DEPTH_MAX {
        return Err(EvaluateError::TooDeep);
    }
    let mut size = 2_usize;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => size = 4,
        Value::String(text) => size += text.len(),
        Value::Array(items) => {
            for item in items {
                size += measure_at(item, depth + 1)? + 1;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                size += name.len() + 4 + measure_at(member, depth + 1)?;
            }
        }
    }
    Ok(size)
}
