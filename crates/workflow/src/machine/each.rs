//! `for`: its list is done once for each item; what one time gives is what the next is given.

use serde_json::Value;

use super::{
    Machine,
    advance::{Moved, failure, frame},
    state::{Entered, Frame, FrameKind},
    variables::About,
};
use crate::{
    Evaluate, EvaluateError, StepError,
    document::{For, Kind, Task},
};

impl<E: Evaluate> Machine<'_, E> {
    /// The frame that a loop starts with. It may turn out to have nothing to do.
    pub(super) fn loop_frame(
        &self,
        task: &Task,
        definition: &For,
        entered: &Entered,
    ) -> Result<Frame, EvaluateError> {
        let input = &entered.input;
        let about = About { task, input, output: None, entered: Some(entered) };
        let variables = self.variables(about);
        let items = self.evaluate.evaluate(&definition.items, input, &variables, &self.budget)?;
        let Value::Array(items) = items else { return Err(EvaluateError::NotList) };
        let (each, at) = (definition.each.clone(), definition.at.clone());
        let kind = FrameKind::For { each, at, items, index: 0 };
        Ok(frame(&definition.list, input.clone(), kind))
    }

    /// The list was done for one item: on to the next.
    pub(super) fn next_item(&mut self) -> Moved {
        if let Some(frame) = self.state.frames.last_mut()
            && let FrameKind::For { index, .. } = &mut frame.kind
        {
            *index = index.saturating_add(1);
            frame.index = 0;
            frame.task = None;
        }
        self.begin_item()
    }

    /// Does the list for the item that the loop is at, or leaves the loop.
    pub(super) fn begin_item(&mut self) -> Moved {
        // A time around is work, even of a list without tasks.
        self.count_task(Self::loop_pointer)?;
        let goes_on = self.goes_on().map_err(|error| {
            let pointer = self.loop_pointer();
            Box::new(failure(&error, &pointer))
        })?;
        if goes_on {
            return Ok(None);
        }
        let value = self.state.frames.pop().map_or(Value::Null, |frame| frame.value);
        self.leave(value, None).map(|()| None)
    }

    fn goes_on(&self) -> Result<bool, EvaluateError> {
        let [.., below, inner] = self.state.frames.as_slice() else { return Ok(false) };
        let FrameKind::For { items, index, .. } = &inner.kind else { return Ok(false) };
        let Some(task) = self.document.task(&below.list, below.index) else { return Ok(false) };
        let Kind::For(definition) = &task.kind else { return Ok(false) };
        if *index >= items.len() {
            return Ok(false);
        }
        let Some(condition) = &definition.condition else { return Ok(true) };
        let entered = below.task.as_ref();
        let about = About { task, input: &inner.value, output: None, entered };
        self.holds(condition, &inner.value, &self.variables(about))
    }

    fn loop_pointer(&self) -> String {
        let below = self.state.frames.iter().rev().nth(1);
        let entered = below.and_then(|frame| frame.task.as_ref());
        entered.map_or_else(|| "/".to_owned(), |entered| entered.step.task.clone())
    }

    /// Counts one more thing that the run does.
    pub(super) fn count_task(
        &mut self,
        pointer: impl FnOnce(&Self) -> String,
    ) -> Result<(), Box<StepError>> {
        self.state.tasks_done = self.state.tasks_done.saturating_add(1);
        if self.state.tasks_done > super::advance::TASKS_MAX {
            let pointer = pointer(self);
            return Err(Box::new(StepError::standard("runtime", 500, "too-many-tasks", &pointer)));
        }
        Ok(())
    }
}
