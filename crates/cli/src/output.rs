//! Where words go: data to stdout, everything else to stderr.

use std::{
    env,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::{args::LogFormat, failure::Failure};

/// Libraries that could log what passes through them: never more of them than this, whatever `WRIT_LOG`
/// says.
const CAPPED: [&str; 6] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tokio_util"];

/// Logs for services; for people only warnings, unless `WRIT_LOG` says otherwise.
pub(crate) fn set_up_logs(service: bool, format: LogFormat) {
    let default = if service { "info" } else { "warn" };
    let asked = env::var("WRIT_LOG").ok().filter(|asked| !asked.is_empty());
    let asked = asked.unwrap_or_else(|| default.to_owned());
    let capped: Vec<String> = CAPPED.iter().map(|target| format!("{target}=info")).collect();
    let filter = EnvFilter::try_new(format!("{asked},{}", capped.join(",")))
        .unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
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

/// Has the person type a word before something is signed; without a terminal nothing is.
pub(crate) fn confirm(word: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let cause = "nobody is there to confirm it";
        return Err(Failure::new("not-confirmed", cause).with_remedy("say `--yes`"));
    }
    say(format!("type `{word}` to sign that"));
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::because("stdin", "cannot read the answer", &error))?;
    if line.trim() == word {
        return Ok(());
    }
    Err(Failure::new("not-confirmed", "nothing was signed"))
}
