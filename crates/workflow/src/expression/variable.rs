//! Variables that expressions see: run data is lent, descriptions are made when they are asked for.

use std::{cell::LazyCell, collections::BTreeMap, fmt};

use serde_json::Value;

/// The variables that an expression sees, by name without `$`.
pub type Variables<'v> = BTreeMap<&'v str, Variable<'v>>;

/// The value of a variable.
pub enum Variable<'v> {
    /// Run data.
    Lent(&'v Value),
    /// Made when it is first asked for.
    Made(LazyCell<Value, Box<dyn FnOnce() -> Value + 'v>>),
}

impl<'v> Variable<'v> {
    /// A value that is made when it is first asked for.
    pub fn made(make: impl FnOnce() -> Value + 'v) -> Self {
        Self::Made(LazyCell::new(Box::new(make)))
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        match self {
            Self::Lent(value) => value,
            Self::Made(value) => value,
        }
    }
}

impl fmt::Debug for Variable<'_> {
    // Run data does not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variable")
    }
}
