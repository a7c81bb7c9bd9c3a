//! Says things to the person or CI log that started the command.
//!
//! In: text. Out: that text and a line end on standard output. A closed pipe is not an error here:
//! the exit status still tells the truth.

use std::io::{self, Write as _};

/// Prints one message.
pub(crate) fn say(message: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{message}");
    let _ = output.flush();
}
