//! Runs named steps one after the other and remembers how long each took.
//!
//! In: a name and a piece of work. Out: the first failure, with the step's name; a table of times.
//!
//! Invariant: nothing runs after a step that failed.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::report::say;

/// The steps done so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs one step.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say(&format!("==> {name}"));
        let started = Instant::now();
        let value = work().with_context(|| format!("step `{name}` failed"))?;
        let took = started.elapsed();
        say(&format!("<== {name} ({:.1} s)", took.as_secs_f64()));
        self.done.push((name, took));
        Ok(value)
    }

    /// The table of times.
    pub(crate) fn summary(&self) -> String {
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        let rows = self.done.iter().copied().chain([("total", total)]);
        let rows = rows.map(|(name, took)| format!("  {:>8.1} s  {name}", took.as_secs_f64()));
        format!("\nsteps, all passed:\n{}", rows.collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failed_step_is_named_with_its_reason() {
        let failed: anyhow::Result<()> = Steps::default().run("paint", || bail!("no paint left"));

        assert_eq!(format!("{:#}", failed.unwrap_err()), "step `paint` failed: no paint left");
    }

    #[test]
    fn the_summary_lists_the_steps_that_passed_and_no_other() {
        let mut steps = Steps::default();
        steps.run("first", || Ok(())).unwrap();
        let _ = steps.run::<()>("second", || bail!("broken"));

        let summary = steps.summary();

        assert!(summary.contains("first"));
        assert!(!summary.contains("second"));
    }
}
