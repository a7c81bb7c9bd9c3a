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

/// Prints a line for people.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    data(plain(text.as_ref()))
}

/// Prints data exactly as it is.
pub(crate) fn data(text: impl AsRef<str>) -> Result<(), Failure> {
    writeln!(io::stdout(), "{}", text.as_ref())
        .map_err(|error| Failure::because("stdout", "cannot write the answer", &error))
}

/// A text in which nothing commands a terminal or deceives a reader; lines and columns stay.
///
/// SECURITY: a server's reasons and names that others chose stand in what people read here. An escape
/// sequence in them could overwrite the lines before it, and make a refusal look like a success.
pub(crate) fn plain(text: &str) -> String {
    written_out(text, &['\n', '\t'])
}

/// As [`plain`], with ends of lines written out too: the text stays on its line.
pub(crate) fn plain_line(text: &str) -> String {
    written_out(text, &[])
}

fn written_out(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if deceives(c) && !kept.contains(&c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a terminal does something else with a character than show it.
fn deceives(c: char) -> bool {
    let formats = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || formats
}

/// Prints data as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::because("stdout", "cannot write the answer", &error))?;
    data(text)
}

/// Says something to the person, beside the data.
pub(crate) fn say(text: impl AsRef<str>) {
    eprintln!("{}", plain(text.as_ref()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_deceive_a_reader_is_written_out() {
        assert_eq!(plain_line("isolate \u{1b}[2Kweb-17"), "isolate \\u{1b}[2Kweb-17");
        assert_eq!(plain_line("a\u{202e}b\nc\u{9b}"), "a\\u{202e}b\\u{a}c\\u{9b}");
        assert_eq!(plain_line("Größe 東京 ✓"), "Größe 東京 ✓");
        assert_eq!(plain("two\nlines\r, a\ttab"), "two\nlines\\u{d}, a\ttab");
    }
}
