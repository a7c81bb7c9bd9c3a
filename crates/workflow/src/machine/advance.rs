//! What tasks do: enter, do, leave, go on, until an effect is owed or the run has ended.

use serde_json::{Map, Value, json};
use writ_model::{StepId, UnixMillis};

use super::{
    ActionCall, CodeRun, Effect, Machine, Outcome, RunFacts,
    state::{Entered, Frame, FrameKind, Pending, WaitsFor},
};
use crate::{
    Evaluate, EvaluateError, StepError, Variables,
    document::{Kind, Raise, Task, Then},
    expression::{Expression, Template},
};

/// Tasks that one run may do; past it the run faults, so that a loop of `then` ends.
const TASKS_MAX: u32 = 10_000;

/// What doing a task came to.
enum Done {
    /// It is done, with this raw output, and goes where it says.
    Output(Value, Option<Then>),
    /// It is done once the list below is.
    Below(Box<Frame>),
    /// It waits for this effect.
    Waits(Effect, WaitsFor),
}

impl<E: Evaluate> Machine<'_, E> {
    pub(super) fn start(&mut self, input: Value, run: RunFacts) -> Vec<Effect> {
        if self.state.run.is_some() {
            return Vec::new();
        }
        self.state.run = Some(run);
        let document = self.document;
        match self.transformed(document.input_from.as_ref(), input, &Variables::new()) {
            Ok(input) => {
                self.state.input = input.clone();
                self.state.frames.push(frame("/do", input, FrameKind::List));
                self.advance()
            }
            Err(error) => self.fault(failure(&error, "/input/from")),
        }
    }

    pub(super) fn finished(
        &mut self,
        step: &StepId,
        attempt: u32,
        result: Result<Value, StepError>,
    ) -> Vec<Effect> {
        if !self.takes(step, attempt, WaitsFor::Result) {
            return Vec::new();
        }
        match result.map_err(Box::new).and_then(|output| self.leave(output, None)) {
            Ok(()) => self.advance(),
            Err(error) => self.fault(*error),
        }
    }

    pub(super) fn fired(&mut self, step: &StepId, attempt: u32) -> Vec<Effect> {
        if self.takes(step, attempt, WaitsFor::Retry) {
            return self.advance();
        }
        if !self.takes(step, attempt, WaitsFor::Timer) {
            return Vec::new();
        }
        let input = self.state.frames.last().and_then(|frame| frame.task.as_ref());
        let input = input.map_or(Value::Null, |task| task.input.clone());
        match self.leave(input, None) {
            Ok(()) => self.advance(),
            Err(error) => self.fault(*error),
        }
    }

    /// Whether this is the effect in flight; if so, it no longer is.
    fn takes(&mut self, step: &StepId, attempt: u32, waits_for: WaitsFor) -> bool {
        let expected = Pending { step: step.clone(), attempt, waits_for };
        if self.state.pending.as_ref() != Some(&expected) {
            return false;
        }
        self.state.pending = None;
        true
    }

    /// Goes on until an effect is owed or the run has ended.
    pub(super) fn advance(&mut self) -> Vec<Effect> {
        loop {
            let moved = match self.next_task() {
                None => self.close_list(),
                Some(task) => self.enter(&task),
            };
            match moved {
                Ok(Some(effect)) => return vec![effect],
                Ok(None) => {}
                Err(error) => return self.fault(*error),
            }
        }
    }

    fn next_task(&self) -> Option<Task> {
        let frame = self.state.frames.last()?;
        self.document.task(&frame.list, frame.index).cloned()
    }

    /// A list is done: so is the task that it belongs to, or the run.
    pub(super) fn close_list(&mut self) -> Result<Option<Effect>, Box<StepError>> {
        let Some(frame) = self.state.frames.pop() else { return Ok(Some(self.finish_now())) };
        if self.state.frames.is_empty() {
            return self.complete(frame.value).map(Some);
        }
        self.leave(frame.value, None).map(|()| None)
    }

    fn finish_now(&mut self) -> Effect {
        let outcome =
            self.state.outcome.clone().unwrap_or(Outcome::Completed { output: Value::Null });
        self.state.outcome = Some(outcome.clone());
        Effect::Finish(outcome)
    }

    fn complete(&mut self, value: Value) -> Result<Effect, Box<StepError>> {
        self.state.frames.clear();
        let document = self.document;
        let output = self
            .transformed(document.output_as.as_ref(), value, &self.variables(None, None))
            .map_err(|error| Box::new(failure(&error, "/output/as")))?;
        let outcome = Outcome::Completed { output };
        self.state.outcome = Some(outcome.clone());
        Ok(Effect::Finish(outcome))
    }

    fn enter(&mut self, task: &Task) -> Result<Option<Effect>, Box<StepError>> {
        self.state.tasks_done = self.state.tasks_done.saturating_add(1);
        if self.state.tasks_done > TASKS_MAX {
            let error = StepError::standard("runtime", 500, "too-many-tasks", &task.pointer);
            return Err(Box::new(error));
        }
        let raw = self.state.frames.last().map_or(Value::Null, |frame| frame.value.clone());
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let variables = self.variables(Some(&raw), Some(task));
        if let Some(condition) = &task.condition
            && !self.holds(condition, &raw, &variables).map_err(failed)?
        {
            self.go(Then::Continue, raw);
            return Ok(None);
        }
        let input =
            self.transformed(task.input_from.as_ref(), raw.clone(), &variables).map_err(failed)?;
        let count = self.state.entered.entry(task.pointer.clone()).or_default();
        let step = StepId { task: task.pointer.clone(), iteration: *count };
        *count = count.saturating_add(1);
        if let Some(frame) = self.state.frames.last_mut() {
            frame.task = Some(Entered { step: step.clone(), raw, input: input.clone() });
        }
        match self.perform(task, step.clone(), &input)? {
            Done::Output(output, then) => self.leave(output, then).map(|()| None),
            Done::Below(frame) => {
                self.state.frames.push(*frame);
                Ok(None)
            }
            Done::Waits(effect, waits_for) => {
                self.state.pending = Some(Pending { step, attempt: 1, waits_for });
                Ok(Some(effect))
            }
        }
    }

    fn perform(&self, task: &Task, step: StepId, input: &Value) -> Result<Done, Box<StepError>> {
        let variables = self.variables(Some(input), Some(task));
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let fill =
            |template: &Template| template.fill(self.evaluate, input, &variables).map_err(failed);
        match &task.kind {
            Kind::Do { list } => {
                Ok(Done::Below(Box::new(frame(list, input.clone(), FrameKind::List))))
            }
            Kind::Set(template) => Ok(Done::Output(fill(template)?, None)),
            Kind::Switch(cases) => {
                for case in cases {
                    let holds = match &case.when {
                        Some(when) => self.holds(when, input, &variables).map_err(failed)?,
                        None => true,
                    };
                    if holds {
                        return Ok(Done::Output(input.clone(), Some(case.then)));
                    }
                }
                Ok(Done::Output(input.clone(), None))
            }
            Kind::Try(definition) => {
                let kind = FrameKind::Try { attempts: 1, started_at: self.now };
                Ok(Done::Below(Box::new(frame(&definition.body, input.clone(), kind))))
            }
            Kind::Raise(raise) => Err(Box::new(raised(raise, &task.pointer, fill)?)),
            Kind::Wait(duration) => {
                let at = self.now.plus(*duration);
                Ok(Done::Waits(Effect::StartTimer { step, attempt: 1, at }, WaitsFor::Timer))
            }
            Kind::Call { action, version, connection, parameters } => {
                let call = ActionCall {
                    step,
                    attempt: 1,
                    action: action.clone(),
                    version: version.clone(),
                    connection: connection.clone(),
                    parameters: object(fill(parameters)?),
                };
                Ok(Done::Waits(Effect::CallAction(call), WaitsFor::Result))
            }
            Kind::Run { language, code, digest, arguments } => {
                let run = CodeRun {
                    step,
                    attempt: 1,
                    language: *language,
                    code: code.clone(),
                    digest: *digest,
                    arguments: object(fill(arguments)?),
                };
                Ok(Done::Waits(Effect::RunCode(run), WaitsFor::Result))
            }
        }
    }

    /// A task is done: transform its output, export, and go where it says.
    pub(super) fn leave(
        &mut self,
        output: Value,
        chosen: Option<Then>,
    ) -> Result<(), Box<StepError>> {
        let Some(task) = self.next_task() else { return Ok(()) };
        let entered = self.state.frames.last_mut().and_then(|frame| frame.task.take());
        let input = entered.map_or(Value::Null, |entered| entered.input);
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let mut variables = self.variables(Some(&input), Some(&task));
        variables.insert("output".to_owned(), output.clone());
        let output =
            self.transformed(task.output_as.as_ref(), output, &variables).map_err(failed)?;
        variables.insert("output".to_owned(), output.clone());
        if let Some(export) = &task.export_as {
            let context = export.fill(self.evaluate, &output, &variables).map_err(failed)?;
            self.state.context = context;
        }
        self.go(chosen.unwrap_or(task.then), output);
        Ok(())
    }

    fn go(&mut self, then: Then, value: Value) {
        let end = matches!(then, Then::End);
        if let Some(frame) = self.state.frames.last_mut() {
            frame.value = value.clone();
            frame.task = None;
            frame.index = match then {
                Then::Continue => frame.index.saturating_add(1),
                Then::Task(index) => index,
                Then::Exit | Then::End => usize::MAX,
            };
        }
        if end {
            self.state.frames.truncate(1);
            if let Some(root) = self.state.frames.first_mut() {
                root.value = value;
                root.task = None;
                root.index = usize::MAX;
            }
        }
    }

    fn transformed(
        &self,
        template: Option<&Template>,
        value: Value,
        variables: &Variables,
    ) -> Result<Value, EvaluateError> {
        match template {
            Some(template) => template.fill(self.evaluate, &value, variables),
            None => Ok(value),
        }
    }

    /// Only `true` holds; what is neither true nor false is an error, not a guess.
    pub(super) fn holds(
        &self,
        condition: &Expression,
        input: &Value,
        variables: &Variables,
    ) -> Result<bool, EvaluateError> {
        match self.evaluate.evaluate(condition, input, variables)? {
            Value::Bool(holds) => Ok(holds),
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => Err(EvaluateError::Failed),
        }
    }

    /// What expressions see beside their input.
    pub(super) fn variables(&self, input: Option<&Value>, task: Option<&Task>) -> Variables {
        let mut variables = Variables::new();
        let mut set = |name: &str, value: Value| variables.insert(name.to_owned(), value);
        set("context", self.state.context.clone());
        set("input", input.unwrap_or(&self.state.input).clone());
        set("output", Value::Null);
        set("error", Value::Null);
        set(
            "workflow",
            json!({
                "id": self.state.run.map(|run| run.id.to_string()),
                "definition": {
                    "document": {
                        "name": self.document.name.name(),
                        "namespace": self.document.name.workspace().as_str(),
                        "version": self.document.version,
                    },
                },
                "input": self.state.input,
                "startedAt": { "epoch": { "milliseconds": self.state.run.map(|run| run.started_at) } },
            }),
        );
        set("runtime", json!({ "name": "writ" }));
        let task = task
            .map_or(Value::Null, |task| json!({ "name": task.name, "reference": task.pointer }));
        set("task", task);
        for frame in &self.state.frames {
            if let FrameKind::Catch { variable, error } = &frame.kind {
                variables.insert(variable.clone(), error.to_value());
            }
        }
        variables
    }
}

pub(super) fn frame(list: &str, value: Value, kind: FrameKind) -> Frame {
    Frame { list: list.to_owned(), index: 0, value, kind, task: None }
}

pub(super) fn failure(error: &EvaluateError, pointer: &str) -> StepError {
    StepError {
        detail: Some(error.to_string()),
        ..StepError::standard("expression", 400, error.code(), pointer)
    }
}

fn raised(
    raise: &Raise,
    pointer: &str,
    fill: impl Fn(&Template) -> Result<Value, Box<StepError>>,
) -> Result<StepError, Box<StepError>> {
    let text = |template: &Option<Template>| -> Result<Option<String>, Box<StepError>> {
        let value = template.as_ref().map(&fill).transpose()?;
        Ok(value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    Ok(StepError {
        type_: raise.type_.clone(),
        status: raise.status,
        title: text(&raise.title)?,
        detail: text(&raise.detail)?,
        instance: Some(pointer.to_owned()),
        code: Some("raised".to_owned()),
        retry_after_s: None,
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// The latest of two instants.
pub(super) fn later(a: UnixMillis, b: UnixMillis) -> UnixMillis {
    a.max(b)
}
