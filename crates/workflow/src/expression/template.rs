//! A value in a document whose texts may be expressions: `${ … }`, whole, at any depth.

use serde_json::{Map, Value};
use writ_model::limits::STEP_OUTPUT_MAX;

use super::{Budget, Evaluate, EvaluateError, Expression, Scope, Variables, measure};
use crate::{
    Diagnostic,
    node::{Node, NodeValue},
};

/// A value with expressions in it.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    Literal(Value),
    Expression(Expression),
    List(Vec<Template>),
    Object(Vec<(String, Template)>),
}

impl Template {
    /// Reads a node; texts of the form `${ … }` are expressions.
    pub(crate) fn read(node: &Node, scope: &Scope<'_>) -> Result<Self, Diagnostic> {
        Ok(match &node.value {
            NodeValue::Scalar(Value::String(text)) => match strip(text) {
                Some(source) => Self::Expression(expression(node, source, scope)?),
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
                let items = items.iter().map(|item| Self::read(item, scope));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            NodeValue::Map(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let text = name.as_str().unwrap_or_default();
                        if text.contains("${") {
                            let help = "use one expression: ${ {(.name): .value} }";
                            return Err(name.finding("expression", "a name is computed", help));
                        }
                        Ok((text.to_owned(), Self::read(value, scope)?))
                    })
                    .collect::<Result<_, Diagnostic>>()?,
            ),
        })
    }

    /// Reads a transformation: a text is an expression, with or without `${ … }`.
    pub(crate) fn transformation(node: &Node, scope: &Scope<'_>) -> Result<Self, Diagnostic> {
        match node.as_str() {
            Some(_) => condition(node, scope).map(Self::Expression),
            None => Self::read(node, scope),
        }
    }

    /// The value with every expression evaluated; bounded as a whole, not only each part.
    pub(crate) fn fill(
        &self,
        evaluate: &impl Evaluate,
        input: &Value,
        variables: &Variables<'_>,
        budget: &Budget,
    ) -> Result<Value, EvaluateError> {
        let filled = self.part(evaluate, input, variables, budget)?;
        let size = measure(&filled)?;
        budget.charge(size)?;
        if size > STEP_OUTPUT_MAX { Err(EvaluateError::TooLarge) } else { Ok(filled) }
    }

    fn part(
        &self,
        evaluate: &impl Evaluate,
        input: &Value,
        variables: &Variables<'_>,
        budget: &Budget,
    ) -> Result<Value, EvaluateError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(expression) => {
                evaluate.evaluate(expression, input, variables, budget)?
            }
            Self::List(items) => {
                let items = items.iter().map(|item| item.part(evaluate, input, variables, budget));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Object(members) => {
                let mut object = Map::new();
                for (name, value) in members {
                    object.insert(name.clone(), value.part(evaluate, input, variables, budget)?);
                }
                Value::Object(object)
            }
        })
    }
}

/// Reads a node that must be an expression, with or without `${ … }`.
pub(crate) fn condition(node: &Node, scope: &Scope<'_>) -> Result<Expression, Diagnostic> {
    let help = "write a jq expression such as ${ .severity == \"high\" }";
    let text =
        node.as_str().ok_or_else(|| node.finding("expression", "not an expression", help))?;
    expression(node, strip(text).unwrap_or(text), scope)
}

pub(crate) fn expression(
    node: &Node,
    source: &str,
    scope: &Scope<'_>,
) -> Result<Expression, Diagnostic> {
    Expression::read(source, scope)
        .map_err(|refusal| node.finding(refusal.code, refusal.message, refusal.help))
}

fn strip(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}')
}
