//! Runtime expressions: jq by jaq, in a subset that ends and stays small.
//!
//! In: the text between `${` and `}`. Out: an [`Expression`] whose every construct is on a list of
//! those that end, or a refusal that names the construct; then, by [`Evaluate`], a value.
//!
//! How time and memory are bounded (DESIGN §6), without a clock:
//! * no recursion, no `reduce`, no ranges: every loop is over a value that exists (`total`);
//! * the product of all growth in an expression is at most 64 times its input;
//! * an expression that uses a variable inside a loop may see at most 32 KiB;
//! * a result over [`STEP_OUTPUT_MAX`] bytes is an error, found while it is written.

mod jaq;
mod template;
mod total;

use std::collections::BTreeMap;

use serde_json::Value;
use writ_model::limits::STEP_OUTPUT_MAX;

pub(crate) use template::{Template, condition};

pub use jaq::Jaq;

/// Data that an expression with a variable inside a loop may see, in bytes.
const QUADRATIC_MAX: usize = 32 * 1024;

/// The variables that an expression sees, by name without `$`.
pub type Variables = BTreeMap<String, Value>;

/// A checked expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    source: String,
    quadratic: bool,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// jq found the operation impossible on this data. The text is not passed on: it quotes data.
    #[error("the expression does not apply to its data")]
    Failed,
    /// No output, or more than one.
    #[error("the expression gave {0} values instead of one")]
    Count(usize),
    /// The data is too much for an expression with a variable inside a loop.
    #[error(
        "the expression uses a variable inside a loop and sees more than {QUADRATIC_MAX} bytes"
    )]
    TooMuchData,
    /// The result is too large.
    #[error("the expression's result is larger than {STEP_OUTPUT_MAX} bytes")]
    TooLarge,
}

impl EvaluateError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed => "expression-failed",
            Self::Count(_) => "expression-count",
            Self::TooMuchData => "expression-too-much-data",
            Self::TooLarge => "expression-too-large",
        }
    }
}

/// Runs expressions. The machine asks; a shell may bound it further.
pub trait Evaluate {
    /// Evaluates an expression to its one value.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    fn evaluate(
        &self,
        expression: &Expression,
        input: &Value,
        variables: &Variables,
    ) -> Result<Value, EvaluateError>;
}

impl Expression {
    /// Checks the text of an expression, without `${` and `}`.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let quadratic = total::check(source)?;
        Ok(Self { source: source.to_owned(), quadratic })
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
