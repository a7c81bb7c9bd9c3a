//! YAML (and so JSON) as a tree that knows where each value stands.

use std::fmt;

use serde::{
    Deserialize,
    de::{self, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::Diagnostic;

/// Deepest nesting of a document: what reads it recurses.
const DEPTH_MAX: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) value: NodeValue,
}

#[derive(Debug, Clone)]
pub(crate) enum NodeValue {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Parses a document of YAML or JSON.
    pub(crate) fn parse(source: &str) -> Result<Self, Diagnostic> {
        let budget = serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX };
        let options = serde_saphyr::options! { budget: budget };
        serde_saphyr::from_str_with_options(source, options).map_err(|error| {
            let (line, column) =
                error.location().map_or((1, 1), |location| (location.line(), location.column()));
            let text = error.to_string();
            Diagnostic {
                line,
                column,
                code: "yaml",
                message: text.lines().next().unwrap_or("not YAML").to_owned(),
                help: "a document is one YAML or JSON mapping".to_owned(),
            }
        })
    }

    /// A finding about this node.
    pub(crate) fn finding(
        &self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            line: self.line,
            column: self.column,
            code,
            message: message.into(),
            help: help.into(),
        }
    }

    /// The name and value of an item `- name: value`.
    pub(crate) fn only_member(&self, what: &str) -> Result<(&Node, &Node), Diagnostic> {
        let NodeValue::Map(members) = &self.value else {
            let cause = format!("not a named {what}");
            return Err(self.finding("item", cause, "write `- name: {…}`"));
        };
        let [(name, value)] = members.as_slice() else {
            let cause = format!("an item holds not exactly one {what}");
            return Err(self.finding("item", cause, "start a new item with `-`"));
        };
        Ok((name, value))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar(value) => value.as_str(),
            NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Scalar(value) => value.clone(),
            NodeValue::List(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Map(members) => {
                let members = members.iter().map(|(name, value)| {
                    (name.as_str().unwrap_or_default().to_owned(), value.to_json())
                });
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<NodeValue>::deserialize(reader)?;
        Ok(Self {
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = NodeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<NodeValue, D::Error> {
        reader.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<NodeValue, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(|number| NodeValue::Scalar(number.into())).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<NodeValue, E> {
        Ok(NodeValue::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NodeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(NodeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<NodeValue, A::Error> {
        let mut map: Vec<(Node, Node)> = Vec::new();
        // A name is text even where YAML 1.1 would read a truth value (`on`).
        while let Some(name) = members.next_key::<Spanned<String>>()? {
            if map.iter().any(|(known, _)| known.as_str() == Some(&name.value)) {
                return Err(de::Error::custom("the same name stands twice"));
            }
            let (line, column) = (name.referenced.line(), name.referenced.column());
            let value = NodeValue::Scalar(Value::String(name.value));
            map.push((Node { line, column, value }, members.next_value()?));
        }
        Ok(NodeValue::Map(map))
    }
}
