//! A value in a document whose texts may be expressions: `${ … }`, whole, at any depth.

use serde_json::{Map, Value};

use super::{Evaluate, EvaluateError, Expression, Variables};
use crate::{
    Diagnostic,
    node::{Node, NodeValue},
};

/// A value with expressions in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    Literal(Value),
    Expression(Expression),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

impl Template {
    /// Reads a node; texts of the form `${ … }` are expressions.
    pub(crate) fn read(node: &Node) -> Result<Self, Diagnostic> {
        Ok(match &node.value {
            NodeValue::Scalar(Value::String(text)) => match strip(text) {
                Some(source) => Self::Expression(expression(node, source)?),
                None if text.contains("${") => {
                    return Err(node.finding(
                        "expression",
                        "an expression stands inside other text",
                        "make the whole text one expression: ${ \"Alert \\(.number)\" }",
                    ));
                }
                None => Self::Literal(Value::String(text.clone())),
            },
            NodeValue::Scalar(value) => Self::Literal(value.clone()),
            NodeValue::List(items) => {
                Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?)
            }
            NodeValue::Map(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        Ok((name.as_str().unwrap_or_default().to_owned(), Self::read(value)?))
                    })
                    .collect::<Result<_, Diagnostic>>()?,
            ),
        })
    }

    /// The value with every expression evaluated.
    pub(crate) fn fill(
        &self,
        evaluate: &impl Evaluate,
        input: &Value,
        variables: &Variables,
    ) -> Result<Value, EvaluateError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(expression) => evaluate.evaluate(expression, input, variables)?,
            Self::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.fill(evaluate, input, variables))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Object(members) => {
                let mut object = Map::new();
                for (name, value) in members {
                    object.insert(name.clone(), value.fill(evaluate, input, variables)?);
                }
                Value::Object(object)
            }
        })
    }
}

/// Reads a node that must be an expression, with or without `${ … }`.
pub(crate) fn condition(node: &Node) -> Result<Expression, Diagnostic> {
    let help = "write a jq expression such as ${ .severity == \"high\" }";
    let text =
        node.as_str().ok_or_else(|| node.finding("expression", "not an expression", help))?;
    expression(node, strip(text).unwrap_or(text))
}

fn expression(node: &Node, source: &str) -> Result<Expression, Diagnostic> {
    Expression::parse(source).map_err(|why| {
        let code = if why.contains("$secrets") { "secrets-refused" } else { "expression" };
        node.finding(code, why, "")
    })
}

fn strip(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}')
}
