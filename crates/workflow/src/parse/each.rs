//! `for`: a list that is done once for each item of a collection.

use super::{catch::variable, members::Members, task::Tasks};
use crate::{
    Diagnostic,
    document::{For, Kind},
    expression::condition,
    node::Node,
};

impl Tasks<'_> {
    pub(super) fn each(
        &mut self,
        pointer: &str,
        node: &Node,
        task: &mut Members<'_>,
    ) -> Result<Kind, Diagnostic> {
        let mut members = Members::of(node, "`for`")?;
        let named = |node: Option<&Node>, otherwise: &str| match node {
            Some(node) => variable(node),
            None => Ok(otherwise.to_owned()),
        };
        let each = named(members.optional("each"), "item")?;
        let at = named(members.optional("at"), "index")?;
        let items = condition(members.required("in")?, &self.scope())?;
        members.finish("each, in, at")?;
        if each == at {
            let cause = "the item and its index have one name";
            return Err(node.finding("variable", cause, "give `each` and `at` different names"));
        }
        let names = [each.clone(), at.clone()];
        self.bound.extend(names);
        let body = self.body(pointer, task);
        self.bound.truncate(self.bound.len().saturating_sub(2));
        let (condition, list) = body?;
        Ok(Kind::For(Box::new(For { each, at, items, condition, list })))
    }

    /// What sees the item.
    fn body(
        &mut self,
        pointer: &str,
        task: &mut Members<'_>,
    ) -> Result<(Option<crate::Expression>, String), Diagnostic> {
        let while_ = task.optional("while");
        let while_ = while_.map(|node| condition(node, &self.scope())).transpose()?;
        let list = format!("{pointer}/do");
        self.list(list.clone(), task.required("do")?)?;
        Ok((while_, list))
    }
}
