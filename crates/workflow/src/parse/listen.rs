//! `listen`, for one kind of event: people's answer to what a run asks them to approve.
//!
//! What is asked for is in the event's `data`, since nothing else of an approval is for a document to
//! choose. How many people it takes is literal: it is signed when the document is published.

use writ_evidence::approval::QUORUM_MAX;

use super::{members::Members, task::Tasks};
use crate::{
    Diagnostic,
    document::{Approval, Kind},
    expression::Template,
    node::{Node, NodeValue},
};

/// The one event that can be listened for.
pub(crate) const EVENT: &str = "dev.writ.approval.v1";

const HELP: &str = "supported: an approval, such as `listen: {to: {one: {with: {type: \
                    dev.writ.approval.v1, data: {message: …, payload: …, quorum: 1}}}}}`";

impl Tasks<'_> {
    pub(super) fn listen(&self, node: &Node) -> Result<Kind, Diagnostic> {
        let refused = |at: &Node, cause: &str| Err(at.finding("unsupported-listen", cause, HELP));
        let mut members = Members::of(node, "`listen`")?;
        let to = members.required("to")?;
        if let Some(read) = members.optional("read").filter(|read| read.as_str() != Some("data")) {
            return refused(read, "answers are read as `data`");
        }
        members.finish("to, read")?;
        let (strategy, filter) = match &to.value {
            NodeValue::Map(_) => to.only_member("strategy")?,
            NodeValue::Scalar(_) | NodeValue::List(_) => {
                return refused(to, "`to` is not a mapping");
            }
        };
        if strategy.as_str() != Some("one") {
            return refused(strategy, "an approval is one event");
        }
        let mut filter = Members::of(filter, "`one`")?;
        let with = filter.required("with")?;
        filter.finish("with")?;
        let mut event = Members::of(with, "`with`")?;
        let kind = event.required("type")?;
        if kind.as_str() != Some(EVENT) {
            return refused(kind, "no event that can be listened for");
        }
        let data = event.required("data")?;
        event.finish("type, data")?;
        self.approval(data).map(|approval| Kind::Approval(Box::new(approval)))
    }

    fn approval(&self, data: &Node) -> Result<Approval, Diagnostic> {
        let mut members = Members::of(data, "an approval's `data`")?;
        let read = |node: &Node| Template::read(node, &self.scope());
        let message = read(members.required("message")?)?;
        let payload = members.optional("payload").map(read).transpose()?;
        let quorum = members.optional("quorum").map_or(Ok(1), quorum)?;
        members.finish("message, payload, quorum")?;
        Ok(Approval { message, payload, quorum })
    }
}

fn quorum(node: &Node) -> Result<u8, Diagnostic> {
    let people = match &node.value {
        NodeValue::Scalar(value) => value.as_u64().and_then(|people| u8::try_from(people).ok()),
        NodeValue::List(_) | NodeValue::Map(_) => None,
    };
    people.filter(|people| (1..=QUORUM_MAX).contains(people)).ok_or_else(|| {
        let cause = format!("not a number of people from 1 to {QUORUM_MAX}");
        node.finding("quorum", cause, "write it literally, such as `quorum: 2`")
    })
}
