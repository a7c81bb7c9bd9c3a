//! Timeouts: of tasks, and of the run.
//!
//! What was done, in time or late, is done: a late answer of an action is taken, because the world
//! has changed, and forgetting that would invite doing it twice. What failed late has timed out, a
//! wait is cut short, code is given the time that is left, and nothing begins late.

use writ_model::UnixMillis;

use super::{Machine, state::WaitsFor};
use crate::StepError;

impl<E> Machine<'_, E> {
    /// The first instant at which something that is being done has timed out.
    pub(super) fn deadline(&self) -> Option<UnixMillis> {
        let tasks = self.state.frames.iter().filter_map(|frame| frame.task.as_ref()?.deadline);
        tasks.chain(self.state.deadline).min()
    }

    /// When a wait until `at` is over, and what it waits for.
    pub(super) fn wait_until(
        at: UnixMillis,
        waits_for: WaitsFor,
        deadline: Option<UnixMillis>,
    ) -> (UnixMillis, WaitsFor) {
        match deadline {
            Some(deadline) if deadline < at => (deadline, WaitsFor::Deadline),
            Some(_) | None => (at, waits_for),
        }
    }

    /// The error of what has timed out at `at`, the outermost if several have; everything within
    /// it is let go of.
    pub(super) fn expired(&mut self, at: UnixMillis) -> Option<Box<StepError>> {
        let is_over = |deadline: Option<UnixMillis>| deadline.is_some_and(|over| over <= at);
        if is_over(self.state.deadline) {
            self.state.frames.clear();
            return Some(timed_out("/"));
        }
        let (index, pointer) =
            self.state.frames.iter().enumerate().find_map(|(index, frame)| {
                let entered = frame.task.as_ref().filter(|entered| is_over(entered.deadline))?;
                Some((index, entered.step.task.clone()))
            })?;
        self.state.frames.truncate(index.saturating_add(1));
        Some(timed_out(&pointer))
    }
}

pub(super) fn timed_out(pointer: &str) -> Box<StepError> {
    Box::new(StepError::standard("timeout", 408, "timed-out", pointer))
}
