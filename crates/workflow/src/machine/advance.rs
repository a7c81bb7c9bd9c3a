//! What tasks do: enter, do, leave, go on, until an effect is owed or the run has ended.

use serde_json::{Map, Value};
use writ_model::StepId;

use super::{
    ActionCall, ApprovalWait, CodeRun, Effect, Machine, Outcome, RunFacts,
    approval::asked,
    process,
    state::{Entered, Frame, FrameKind, Pending, WaitsFor},
    variables::About,
};
use crate::{
    Evaluate, EvaluateError, StepError, Variables,
    document::{Case, Kind, Raise, Task, Then},
    expression::{Expression, Template, measure},
};

/// Tasks that one run may do; past it the run faults, so that a loop of `then` ends.
pub(super) const TASKS_MAX: u32 = 10_000;

/// What moving on came to: an effect that is owed, nothing yet, or an error to be caught.
pub(super) type Moved = Result<Option<Effect>, Box<StepError>>;

/// What doing a task came to.
enum Done {
    /// It is done, with this raw output, and goes where it says.
    Output(Value, Option<Then>),
    /// It is done once the list below is.
    Below(Box<Frame>),
    /// It waits for this effect.
    Waits(Effect, WaitsFor),
}

impl<'a, E: Evaluate> Machine<'a, E> {
    pub(super) fn start(&mut self, input: Value, run: RunFacts) -> Vec<Effect> {
        if self.state.run.is_some() {
            return Vec::new();
        }
        self.state.run = Some(run);
        self.state.deadline = self.document.timeout.map(|after| self.now.plus(after));
        if let Err(error) = measure(&input) {
            return self.go_on(Err(Box::new(failure(&error, "/input"))));
        }
        self.state.raw_input = input;
        let raw = self.state.raw_input.clone();
        let input = &self.document.input_from;
        let made = self.transformed(input.as_ref(), raw, &self.document_variables());
        match made {
            Ok(input) => {
                self.state.input = input.clone();
                self.state.frames.push(frame("/do", input, FrameKind::List));
                self.go_on(Ok(None))
            }
            Err(error) => self.go_on(Err(Box::new(failure(&error, "/input/from")))),
        }
    }

    /// An action or code ended.
    pub(super) fn finished(
        &mut self,
        reported: &Pending,
        result: Result<Value, StepError>,
    ) -> Vec<Effect> {
        if !self.takes(reported) {
            return Vec::new();
        }
        let pointer = &reported.step.task;
        let left = match result {
            Ok(output) => match measure(&output) {
                Ok(_) => self.leave(output, None),
                Err(error) => Err(Box::new(failure(&error, pointer))),
            },
            Err(mut error) => {
                if let Some(expired) = self.expired(self.now) {
                    return self.go_on(Err(expired));
                }
                error.instance.get_or_insert_with(|| pointer.clone());
                Err(Box::new(error))
            }
        };
        self.go_on(left.map(|()| None))
    }

    pub(super) fn fired(&mut self, step: &StepId, attempt: u32) -> Vec<Effect> {
        let waited = |waits_for| Pending { step: step.clone(), attempt, waits_for };
        if self.takes(&waited(WaitsFor::Retry)) {
            return self.go_on(Ok(None));
        }
        if self.takes(&waited(WaitsFor::Deadline)) {
            // Clocks differ a little: the timer was set for the deadline, so it is over.
            let at = self.deadline().map_or(self.now, |deadline| deadline.max(self.now));
            let expired = self.expired(at);
            return self.go_on(expired.map_or(Ok(None), Err));
        }
        if self.takes(&waited(WaitsFor::Approval)) {
            return self.too_late(step);
        }
        if !self.takes(&waited(WaitsFor::Timer)) {
            return Vec::new();
        }
        let input = self.entered().map_or(Value::Null, |entered| entered.input.clone());
        let left = self.leave(input, None);
        self.go_on(left.map(|()| None))
    }

    /// Whether this is the effect in flight; if so, it no longer is.
    pub(super) fn takes(&mut self, reported: &Pending) -> bool {
        let expected = self.state.pending.as_ref() == Some(reported);
        if expected {
            self.state.pending = None;
        }
        expected
    }

    /// The task of the innermost list, once it was entered.
    pub(super) fn entered(&self) -> Option<&Entered> {
        self.state.frames.last()?.task.as_ref()
    }

    /// Goes on until an effect is owed or the run has ended. A loop, not a recursion: how often a
    /// run errs and goes on must not depend on the stack.
    pub(super) fn go_on(&mut self, mut moved: Moved) -> Vec<Effect> {
        loop {
            moved = match moved {
                Ok(Some(effect)) => return vec![effect],
                Err(error) => self.catch(*error),
                Ok(None) => match self.next_task() {
                    None => self.close_list(),
                    Some(task) => match self.expired(self.now) {
                        Some(error) => Err(error),
                        None => self.enter(task),
                    },
                },
            };
        }
    }

    fn next_task(&self) -> Option<&'a Task> {
        let frame = self.state.frames.last()?;
        self.document.task(&frame.list, frame.index)
    }

    /// A list is done: so is the task that it belongs to, or the run.
    fn close_list(&mut self) -> Moved {
        let innermost = self.state.frames.last();
        if innermost.is_some_and(|frame| matches!(frame.kind, FrameKind::For { .. })) {
            return self.next_item();
        }
        let value = self.state.frames.pop().map_or(Value::Null, |frame| frame.value);
        if self.state.frames.is_empty() {
            return self.complete(value).map(Some);
        }
        self.leave(value, None).map(|()| None)
    }

    fn complete(&mut self, value: Value) -> Result<Effect, Box<StepError>> {
        let output = self
            .transformed(self.document.output_as.as_ref(), value, &self.document_variables())
            .map_err(|error| Box::new(failure(&error, "/output/as")))?;
        Ok(self.finish(Outcome::Completed { output }))
    }

    pub(super) fn finish(&mut self, outcome: Outcome) -> Effect {
        self.state.outcome = Some(outcome.clone());
        Effect::Finish(outcome)
    }

    fn enter(&mut self, task: &'a Task) -> Moved {
        self.count_task(|_| task.pointer.clone())?;
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let raw = self.state.frames.last().map_or(Value::Null, |frame| frame.value.clone());
        // Carrying data from task to task is work too.
        self.budget.charge(measure(&raw).map_err(failed)?).map_err(failed)?;
        let about = About { task, input: &raw, output: None, entered: None };
        let variables = self.variables(about);
        if let Some(condition) = &task.condition
            && !self.holds(condition, &raw, &variables).map_err(failed)?
        {
            drop(variables);
            self.go(Then::Continue, raw);
            return Ok(None);
        }
        let input =
            self.transformed(task.input_from.as_ref(), raw.clone(), &variables).map_err(failed)?;
        drop(variables);
        let step = self.next_step(task);
        let deadline = task.timeout.map(|after| self.now.plus(after));
        let entered = Entered { step: step.clone(), raw, input, started_at: self.now, deadline };
        let done = self.perform(task, &entered)?;
        if let Some(frame) = self.state.frames.last_mut() {
            frame.task = Some(entered);
        }
        match done {
            Done::Output(output, then) => self.leave(output, then).map(|()| None),
            Done::Below(frame) => {
                let is_loop = matches!(frame.kind, FrameKind::For { .. });
                self.state.frames.push(*frame);
                if is_loop { self.begin_item() } else { Ok(None) }
            }
            Done::Waits(effect, waits_for) => {
                self.state.pending = Some(Pending { step, attempt: 1, waits_for });
                Ok(Some(effect))
            }
        }
    }

    /// Names this time of a task.
    fn next_step(&mut self, task: &Task) -> StepId {
        let count = self.state.entered.entry(task.pointer.clone()).or_default();
        let step = StepId { task: task.pointer.clone(), iteration: *count };
        *count = count.saturating_add(1);
        step
    }

    fn perform(&self, task: &Task, entered: &Entered) -> Result<Done, Box<StepError>> {
        let (step, input) = (entered.step.clone(), &entered.input);
        let about = About { task, input, output: None, entered: Some(entered) };
        let variables = self.variables(about);
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let fill = |template: &Template| {
            template.fill(self.evaluate, input, &variables, &self.budget).map_err(failed)
        };
        let deadline = self.deadline().into_iter().chain(entered.deadline).min();
        Ok(match &task.kind {
            Kind::Do { list } => Done::Below(Box::new(frame(list, input.clone(), FrameKind::List))),
            Kind::Set(template) => Done::Output(fill(template)?, None),
            Kind::Switch(cases) => {
                let chosen = self.choose(cases, input, &variables).map_err(failed)?;
                Done::Output(input.clone(), chosen)
            }
            Kind::Try(definition) => {
                let kind = FrameKind::Try { attempt: 1, started_at: self.now };
                Done::Below(Box::new(frame(&definition.body, input.clone(), kind)))
            }
            Kind::Raise(raise) => return Err(Box::new(raised(raise, &task.pointer, fill)?)),
            Kind::Wait(duration) => {
                let over = self.now.plus(*duration);
                let (at, waits_for) = Self::wait_until(over, WaitsFor::Timer, deadline);
                Done::Waits(Effect::StartTimer { step, attempt: 1, at }, waits_for)
            }
            Kind::Approval(approval) => {
                let shown = asked(approval, input, fill)?;
                let wait = ApprovalWait { step, attempt: 1, shown, until: deadline };
                Done::Waits(Effect::AwaitApproval(wait), WaitsFor::Approval)
            }
            Kind::Call { action, pack, connection, parameters } => {
                let call = ActionCall {
                    step,
                    attempt: 1,
                    action: action.clone(),
                    pack: pack.clone(),
                    connection: connection.clone(),
                    parameters: object(fill(parameters)?).map_err(failed)?,
                    until: deadline,
                };
                Done::Waits(Effect::CallAction(call), WaitsFor::Action)
            }
            Kind::Run(process) => {
                let run = CodeRun {
                    step,
                    attempt: 1,
                    language: process.language,
                    code: process.code.clone(),
                    digest: process.digest,
                    input: process::input(process, &task.pointer, fill)?,
                    returns: process.returns,
                    time_left: deadline.map(|over| over.until(self.now)),
                };
                Done::Waits(Effect::RunCode(run), WaitsFor::Code)
            }
            Kind::For(definition) => {
                Done::Below(Box::new(self.loop_frame(task, definition, entered).map_err(failed)?))
            }
        })
    }

    /// Where the first case that holds goes.
    fn choose(
        &self,
        cases: &[Case],
        input: &Value,
        variables: &Variables<'_>,
    ) -> Result<Option<Then>, EvaluateError> {
        for case in cases {
            let holds = match &case.when {
                Some(when) => self.holds(when, input, variables)?,
                None => true,
            };
            if holds {
                return Ok(Some(case.then));
            }
        }
        Ok(None)
    }

    /// A task is done: transform its output, export, and go where it says.
    pub(super) fn leave(
        &mut self,
        output: Value,
        chosen: Option<Then>,
    ) -> Result<(), Box<StepError>> {
        let Some(task) = self.next_task() else { return Ok(()) };
        let failed = |error: EvaluateError| Box::new(failure(&error, &task.pointer));
        let entered = self.entered();
        let input = entered.map_or(&Value::Null, |entered| &entered.input);
        let about = |output| About { task, input, output, entered };
        let transformed = match &task.output_as {
            None => output,
            Some(template) => template
                .fill(self.evaluate, &output, &self.variables(about(Some(&output))), &self.budget)
                .map_err(failed)?,
        };
        if let Some(export) = &task.export_as {
            let variables = self.variables(about(Some(&transformed)));
            let context = export.fill(self.evaluate, &transformed, &variables, &self.budget);
            drop(variables);
            self.state.context = context.map_err(failed)?;
        }
        self.go(chosen.unwrap_or(task.then), transformed);
        Ok(())
    }

    fn go(&mut self, then: Then, value: Value) {
        if matches!(then, Then::End) {
            self.state.frames.truncate(1);
        }
        if let Some(frame) = self.state.frames.last_mut() {
            frame.value = value;
            frame.task = None;
            frame.index = match then {
                Then::Continue => frame.index.saturating_add(1),
                Then::Task(index) => index,
                Then::Exit | Then::End => usize::MAX,
            };
        }
    }

    fn transformed(
        &self,
        template: Option<&Template>,
        value: Value,
        variables: &Variables<'_>,
    ) -> Result<Value, EvaluateError> {
        match template {
            Some(template) => template.fill(self.evaluate, &value, variables, &self.budget),
            None => Ok(value),
        }
    }

    /// Only `true` holds; what is neither true nor false is an error, not a guess.
    pub(super) fn holds(
        &self,
        condition: &Expression,
        input: &Value,
        variables: &Variables<'_>,
    ) -> Result<bool, EvaluateError> {
        let value = self.evaluate.evaluate(condition, input, variables, &self.budget)?;
        value.as_bool().ok_or(EvaluateError::NotBoolean)
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

fn object(value: Value) -> Result<Map<String, Value>, EvaluateError> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(EvaluateError::NotObject)
        }
    }
}
