//! How much work expressions may do between two effects: counted, never timed.
//!
//! One unit is about one byte that is made or looked at; a visit of a node costs [`NODE`]. What is
//! counted does not depend on the machine, so a replay stops exactly where the run did.

use std::cell::Cell;

use super::EvaluateError;

/// What looking at one value costs, whatever its size.
pub(super) const NODE: usize = 16;

/// What is left of the work that may be done.
#[derive(Debug)]
pub struct Budget {
    left: Cell<usize>,
}

impl Budget {
    /// What one event of a run may cost: some tenths of a second, some tens of MiB.
    pub const EVENT: usize = 64 * 1024 * 1024;

    /// A budget of so many units.
    #[must_use]
    pub const fn new(units: usize) -> Self {
        Self { left: Cell::new(units) }
    }

    /// Whether nothing more will be paid for.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// Spends units.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Exhausted`]: fewer are left; from then on nothing is.
    pub fn charge(&self, units: usize) -> Result<(), EvaluateError> {
        let left = self.left.get().checked_sub(units);
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(EvaluateError::Exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_budget_pays_for_nothing_more() {
        let budget = Budget::new(10);
        assert_eq!(budget.charge(4), Ok(()));
        assert_eq!(budget.charge(7), Err(EvaluateError::Exhausted));
        assert_eq!(budget.charge(1), Err(EvaluateError::Exhausted));
    }
}
