//! What an automation is, once it is parsed: lists of tasks, each by its JSON Pointer.
//!
//! Invariants: every `then` names a task of its own list; every expression compiles; every action
//! and piece of code that can be reached is in the footprint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use writ_model::{ActionName, AutomationName, CodeLanguage, ConnectionName, Digest, ProcessReturn};

use crate::expression::{Expression, Template};

/// A parsed and checked document.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) name: AutomationName,
    pub(crate) version: String,
    pub(crate) title: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) input_from: Option<Template>,
    pub(crate) output_as: Option<Template>,
    /// How long a run may take.
    pub(crate) timeout: Option<Duration>,
    /// Task lists by pointer; the first is `/do`.
    pub(crate) lists: BTreeMap<String, Vec<Task>>,
    pub(crate) footprint: Footprint,
}

impl Document {
    /// Its name, `namespace/name`; the namespace is the workspace.
    #[must_use]
    pub const fn name(&self) -> &AutomationName {
        &self.name
    }

    /// Its own version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its title, for people.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What it is for, for people.
    #[must_use]
    pub fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    /// What it may touch.
    #[must_use]
    pub const fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    pub(crate) fn task(&self, list: &str, index: usize) -> Option<&Task> {
        self.lists.get(list)?.get(index)
    }
}

/// What a document may touch, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Actions and the connections through which they are called.
    pub actions: BTreeSet<ActionUse>,
    /// Code that steps run.
    pub code: BTreeSet<CodeUse>,
    /// Tasks that ask people to approve, by pointer.
    pub approvals: Vec<ApprovalUse>,
}

/// A task that asks people to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalUse {
    /// The task's JSON Pointer.
    pub task: String,
    /// How many people it takes.
    pub quorum: u8,
    /// Actions that are called only after it.
    pub behind: Vec<ActionUse>,
}

/// An action that a document calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionUse {
    /// The action.
    pub action: ActionName,
    /// What says what it does.
    pub pack: PackRef,
    /// The connection.
    pub connection: ConnectionName,
}

/// What says what an action does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackRef {
    /// An acknowledged pack of this version.
    Version(String),
    /// The document itself: the text of an [`HttpCall`](writ_model::HttpCall).
    Inline(Arc<str>),
}

/// Code that a document runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeUse {
    /// Its language.
    pub language: CodeLanguage,
    /// SHA-256 of its text.
    pub digest: Digest,
}

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) pointer: String,
    pub(crate) condition: Option<Expression>,
    pub(crate) input_from: Option<Template>,
    pub(crate) output_as: Option<Template>,
    pub(crate) export_as: Option<Template>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) then: Then,
    pub(crate) kind: Kind,
}

/// Where the flow goes after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Continue,
    Exit,
    End,
    /// Index of a task in the same list.
    Task(usize),
}

/// What a task does.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Do { list: String },
    Set(Template),
    Switch(Vec<Case>),
    Try(Box<Try>),
    Raise(Raise),
    Wait(Duration),
    Call { action: ActionName, pack: PackRef, connection: ConnectionName, parameters: Template },
    Run(Box<Process>),
    For(Box<For>),
    Approval(Box<Approval>),
}

/// What people are asked to approve.
#[derive(Debug, Clone)]
pub(crate) struct Approval {
    /// In words.
    pub(crate) message: Template,
    /// What it is about; the task's input unless given.
    pub(crate) payload: Option<Template>,
    pub(crate) quorum: u8,
}

/// A list that is done once for each item.
#[derive(Debug, Clone)]
pub(crate) struct For {
    /// What expressions call the item.
    pub(crate) each: String,
    /// What they call its index.
    pub(crate) at: String,
    pub(crate) items: Expression,
    pub(crate) condition: Option<Expression>,
    pub(crate) list: String,
}

/// Code and what it is given.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) language: CodeLanguage,
    pub(crate) code: String,
    pub(crate) digest: Digest,
    pub(crate) stdin: Option<Template>,
    /// An object goes to standard input as JSON; a list are arguments.
    pub(crate) arguments: Option<Template>,
    pub(crate) environment: Option<Template>,
    pub(crate) returns: ProcessReturn,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) when: Option<Expression>,
    pub(crate) then: Then,
}

/// `try` and its `catch`.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) body: String,
    pub(crate) filter: BTreeMap<String, Value>,
    pub(crate) variable: String,
    pub(crate) when: Option<Expression>,
    pub(crate) except_when: Option<Expression>,
    pub(crate) retry: Option<Retry>,
    pub(crate) handler: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Retry {
    pub(crate) when: Option<Expression>,
    pub(crate) except_when: Option<Expression>,
    pub(crate) delay: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) max_retries: Option<u32>,
    pub(crate) max_duration: Option<Duration>,
}

/// How the delay grows with each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backoff {
    Constant,
    Linear,
    Exponential,
}

#[derive(Debug, Clone)]
pub(crate) struct Raise {
    pub(crate) type_: String,
    pub(crate) status: u16,
    pub(crate) title: Option<Template>,
    pub(crate) detail: Option<Template>,
}
