//! Where a run is: a stack of task lists, and the one effect in flight.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use writ_model::{StepId, UnixMillis};

use super::{Outcome, RunFacts, SEMANTICS_VERSION};
use crate::StepError;

/// The machine's state, without the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(super) version: u32,
    pub(super) run: Option<RunFacts>,
    /// When the run has timed out.
    pub(super) deadline: Option<UnixMillis>,
    /// What the run was given; `$workflow.input`.
    pub(super) raw_input: Value,
    /// What the document's `input.from` made of it.
    pub(super) input: Value,
    /// What tasks exported last; `$context`.
    pub(super) context: Value,
    pub(super) frames: Vec<Frame>,
    /// How often each task was entered.
    pub(super) entered: BTreeMap<String, u32>,
    pub(super) pending: Option<Pending>,
    pub(super) tasks_done: u32,
    pub(super) outcome: Option<Outcome>,
}

/// A task list that is being done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    pub(super) list: String,
    pub(super) index: usize,
    /// The raw input of the task at `index`.
    pub(super) value: Value,
    pub(super) kind: FrameKind,
    /// The task at `index`, once it was entered.
    pub(super) task: Option<Entered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FrameKind {
    /// The document's own list, or that of a `do`.
    List,
    /// The list of a `try`.
    Try {
        /// Which time the list is done, from 1.
        attempt: u32,
        started_at: UnixMillis,
    },
    /// The list of a `catch`, which sees the error.
    Catch { variable: String, error: StepError },
    /// The list of a `for`, at one of the items.
    For { each: String, at: String, items: Vec<Value>, index: usize },
}

/// A task that was entered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entered {
    pub(super) step: StepId,
    pub(super) raw: Value,
    /// What `input.from` made of it; `$input`.
    pub(super) input: Value,
    pub(super) started_at: UnixMillis,
    /// When it has timed out.
    pub(super) deadline: Option<UnixMillis>,
}

/// The effect in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) step: StepId,
    pub(super) attempt: u32,
    pub(super) waits_for: WaitsFor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WaitsFor {
    Action,
    Code,
    Timer,
    Retry,
    /// People's answer.
    Approval,
    /// A wait that is cut short: something times out before it is over.
    Deadline,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state of a run that has not started.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            version: SEMANTICS_VERSION,
            run: None,
            deadline: None,
            raw_input: Value::Null,
            input: Value::Null,
            context: Value::Null,
            frames: Vec::new(),
            entered: BTreeMap::new(),
            pending: None,
            tasks_done: 0,
            outcome: None,
        }
    }

    /// Which rules the state was made by.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// How the run ended, if it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Whether an effect is in flight.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }
}
