//! What expressions see beside their input: `$context`, `$input`, `$output`, `$task`, `$workflow`,
//! `$runtime`, the errors of the `catch`es
//! and the items of the `for`s around them.
//!
//! Which of them an expression may name is settled when the document is read.

use serde_json::{Value, json};
use writ_model::UnixMillis;

use super::{
    Machine,
    state::{Entered, FrameKind, State},
};
use crate::{Document, Variable, Variables, document::Task};

/// The task that an expression belongs to, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct About<'v> {
    pub(super) task: &'v Task,
    /// `$input`.
    pub(super) input: &'v Value,
    /// `$output`, once there is one.
    pub(super) output: Option<&'v Value>,
    pub(super) entered: Option<&'v Entered>,
}

impl<E> Machine<'_, E> {
    /// For the document's own `input.from` and `output.as`.
    pub(super) fn document_variables(&self) -> Variables<'_> {
        of_run(self.document, self.state)
    }

    /// For an expression of a task.
    pub(super) fn variables<'v>(&'v self, about: About<'v>) -> Variables<'v> {
        let mut variables = of_run(self.document, self.state);
        variables.insert("input", Variable::Lent(about.input));
        if let Some(output) = about.output {
            variables.insert("output", Variable::Lent(output));
        }
        variables.insert("task", Variable::made(move || described(about)));
        for frame in &self.state.frames {
            match &frame.kind {
                FrameKind::Catch { variable, error } => {
                    variables.insert(variable, Variable::made(|| error.to_value()));
                }
                FrameKind::For { each, at, items, index } => {
                    let item = items.get(*index).unwrap_or(&Value::Null);
                    variables.insert(each, Variable::Lent(item));
                    variables.insert(at, Variable::made(|| (*index).into()));
                }
                FrameKind::List | FrameKind::Try { .. } => {}
            }
        }
        variables
    }
}

fn of_run<'v>(document: &'v Document, state: &'v State) -> Variables<'v> {
    Variables::from([
        ("context", Variable::Lent(&state.context)),
        ("input", Variable::Lent(&state.input)),
        ("workflow", Variable::made(|| workflow(document, state))),
        ("runtime", Variable::made(|| json!({ "name": "writ" }))),
    ])
}

fn workflow(document: &Document, state: &State) -> Value {
    json!({
        "id": state.run.map(|run| run.id.to_string()),
        "definition": {
            "document": {
                "namespace": document.name().workspace().as_str(),
                "name": document.name().name(),
                "version": document.version(),
            },
        },
        "input": state.raw_input,
        "startedAt": state.run.map(|run| instant(run.started_at)),
    })
}

fn described(about: About<'_>) -> Value {
    json!({
        "name": about.task.name,
        "reference": about.task.pointer,
        "input": about.entered.map(|entered| &entered.raw),
        "startedAt": about.entered.map(|entered| instant(entered.started_at)),
    })
}

fn instant(at: UnixMillis) -> Value {
    json!({ "epoch": { "seconds": at.0 / 1000, "milliseconds": at.0 } })
}
