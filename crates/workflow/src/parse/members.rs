//! A mapping being read: what was asked for is taken, what is left over is refused.

use crate::{
    Diagnostic,
    node::{Node, NodeValue},
};

/// The members of a mapping that were not read yet.
pub(super) struct Members<'a> {
    node: &'a Node,
    what: &'static str,
    left: Vec<(&'a Node, &'a Node)>,
}

impl<'a> Members<'a> {
    /// Starts reading a mapping.
    pub(super) fn of(node: &'a Node, what: &'static str) -> Result<Self, Diagnostic> {
        match &node.value {
            NodeValue::Map(members) => {
                let left = members.iter().map(|(name, value)| (name, value)).collect();
                Ok(Self { node, what, left })
            }
            NodeValue::Scalar(_) | NodeValue::List(_) => Err(node.finding(
                "mapping",
                format!("{what} is not a mapping"),
                "write `name: value` lines",
            )),
        }
    }

    /// A member, if it is there.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'a Node> {
        let at = self.left.iter().position(|(known, _)| known.as_str() == Some(name))?;
        Some(self.left.swap_remove(at).1)
    }

    /// A member that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<&'a Node, Diagnostic> {
        let (node, what) = (self.node, self.what);
        self.optional(name).ok_or_else(|| {
            node.finding("missing", format!("{what} has no `{name}`"), format!("add `{name}`"))
        })
    }

    /// The name of a member that is left, for finding out what a task is.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.left.iter().filter_map(|(name, _)| name.as_str())
    }

    /// Refuses what is left over.
    pub(super) fn finish(self, supported: &str) -> Result<(), Diagnostic> {
        let what = self.what;
        match self.left.iter().min_by_key(|(name, _)| (name.line, name.column)) {
            None => Ok(()),
            Some((name, _)) => {
                let text = name.as_str().unwrap_or_default();
                let message = format!("{what} takes no `{text}`");
                Err(name.finding("unsupported", message, format!("supported: {supported}")))
            }
        }
    }
}
