//! A shell for tests: it performs no effect, answers each as it is told, and keeps the time.

use serde_json::Value;
use writ_model::{RunId, UnixMillis};
use writ_workflow::{Document, Effect, Event, Jaq, Outcome, RunFacts, State, StepError, on};

/// One run.
pub(crate) struct World {
    pub(crate) document: Document,
    pub(crate) state: State,
    pub(crate) now: UnixMillis,
}

impl World {
    pub(crate) fn new(source: impl AsRef<str>) -> Self {
        Self::of(parse(source.as_ref()))
    }

    pub(crate) fn of(document: Document) -> Self {
        Self { document, state: State::new(), now: UnixMillis(1_000_000) }
    }

    pub(crate) fn start_event(input: Value) -> Event {
        let run = RunFacts { id: RunId::from_bits(7), started_at: UnixMillis(1_000_000) };
        Event::Start { input, run }
    }

    pub(crate) fn start(&mut self, input: Value) -> Vec<Effect> {
        let event = Self::start_event(input);
        self.take(event)
    }

    pub(crate) fn take(&mut self, event: Event) -> Vec<Effect> {
        let state = std::mem::take(&mut self.state);
        let (state, effects) = on(&self.document, state, event, self.now, &Jaq);
        self.state = state;
        effects
    }

    /// Answers the one effect that is owed.
    pub(crate) fn answer(
        &mut self,
        mut effects: Vec<Effect>,
        result: impl Fn(&str) -> Result<Value, StepError>,
    ) -> Vec<Effect> {
        assert_eq!(effects.len(), 1, "{effects:?}");
        let Some(event) = self.event_for(effects.remove(0), result) else { return Vec::new() };
        self.take(event)
    }

    /// The event that answers an effect; none if the run has ended.
    pub(crate) fn event_for(
        &mut self,
        effect: Effect,
        result: impl Fn(&str) -> Result<Value, StepError>,
    ) -> Option<Event> {
        Some(match effect {
            Effect::CallAction(call) => {
                let result = result(&call.step.task);
                Event::ActionFinished { step: call.step, attempt: call.attempt, result }
            }
            Effect::RunCode(code) => {
                let result = result(&code.step.task);
                Event::CodeFinished { step: code.step, attempt: code.attempt, result }
            }
            Effect::AwaitApproval(wait) => {
                let result = result(&wait.step.task);
                Event::ApprovalDecided { step: wait.step, attempt: wait.attempt, result }
            }
            Effect::StartTimer { step, attempt, at } => {
                self.now = self.now.max(at);
                Event::TimerFired { step, attempt }
            }
            Effect::Finish(_) => return None,
        })
    }

    /// Runs a document that owes no effect but its end.
    pub(crate) fn run(&mut self, input: Value) -> Vec<Effect> {
        self.start(input)
    }
}

/// A document with these tasks.
pub(crate) fn document(tasks: &str) -> String {
    format!(
        "document: {{dsl: '1.0.3', namespace: secops, name: test, version: '1.0.0'}}\ndo:{tasks}\n"
    )
}

pub(crate) fn parse(source: &str) -> Document {
    writ_workflow::parse(source).unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}\n{source}", findings.join("\n"))
    })
}

#[track_caller]
pub(crate) fn output_of(effects: &[Effect]) -> Value {
    match effects {
        [Effect::Finish(Outcome::Completed { output })] => output.clone(),
        other => panic!("not completed: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn fault_of(effects: &[Effect]) -> StepError {
    match effects {
        [Effect::Finish(Outcome::Faulted { error })] => error.clone(),
        other => panic!("not faulted: {other:?}"),
    }
}

pub(crate) fn action_error(status: u16, retry_after_s: Option<u64>) -> StepError {
    StepError {
        type_: "https://serverlessworkflow.io/spec/1.0.0/errors/communication".to_owned(),
        status,
        title: None,
        detail: None,
        instance: None,
        code: Some("action-failed".to_owned()),
        retry_after_s,
    }
}
