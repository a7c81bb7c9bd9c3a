//! Where words go: data to stdout, everything else to stderr.

use std::io::{self, Write as _};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Logs for services; for people only warnings, unless `WRIT_LOG` says otherwise.
pub(crate) fn set_up_logs(service: bool) {
    let default = if service { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("WRIT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Prints a line of data.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    writeln!(io::stdout(), "{}", text.as_ref())
        .map_err(|error| Failure::because("stdout", "cannot write the answer", &error))
}

/// Prints data as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::because("stdout", "cannot write the answer", &error))?;
    line(text)
}

/// Says something to the person, beside the data.
pub(crate) fn say(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}
