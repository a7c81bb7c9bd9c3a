//! Configuration files: the options of the services, in TOML, a table for each service.
//!
//! `writ server --config FILE` takes what `[server]` says as if it had been said on the command line;
//! what is said there goes first. There is one list of keys: the options themselves.
//!
//! Invariant: a file with a table, a key or a value that no service takes is refused as a whole.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use clap::{CommandFactory as _, Parser as _};
use toml::{Table, Value};

use crate::{args::Args, failure::Failure};

/// The services that have a table.
pub(crate) const SERVICES: [&str; 3] = ["server", "gateway", "runner"];
/// Options that belong to one start alone, or to every command.
const NOT_KEYS: [&str; 7] = ["anew", "config", "enroll", "help", "json", "session", "log-format"];

/// The command line with what its `--config` says put in.
pub(crate) fn expand(mut given: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let service = given.get(1).and_then(|word| word.to_str()).map(str::to_owned);
    let Some(service) = service.filter(|word| SERVICES.contains(&word.as_str())) else {
        return Ok(given);
    };
    let Some(path) = value_of(&given, "--config") else { return Ok(given) };
    let file = read(Path::new(&path))?;
    check(&file, &path)?;
    let mut added = Vec::new();
    for (key, value) in table(&file, &service) {
        let option = option(key);
        if value_of(&given, &option).is_none() && !given.contains(&OsString::from(&option)) {
            added.extend(words(&option, value, &path)?);
        }
    }
    given.splice(2..2, added);
    Ok(given)
}

/// Reads and checks a file; gives the services that it configures.
pub(crate) fn checked(path: &Path) -> Result<Vec<&'static str>, Failure> {
    let file = read(path)?;
    let shown = path.as_os_str();
    check(&file, shown)?;
    let mut configured = Vec::new();
    for service in SERVICES.into_iter().filter(|service| file.contains_key(*service)) {
        let mut line: Vec<OsString> = vec!["writ".into(), service.into()];
        for (key, value) in table(&file, service) {
            line.extend(words(&option(key), value, shown)?);
        }
        Args::try_parse_from(line).map_err(|error| {
            let text = error.to_string();
            let cause = text.split("\n\nUsage").next().unwrap_or_default();
            refused(shown, &format!("[{service}]: {}", cause.trim_start_matches("error: ").trim()))
        })?;
        configured.push(service);
    }
    Ok(configured)
}

/// A file with every key in it, each with what it says.
pub(crate) fn example() -> String {
    let tables = SERVICES.map(|service| {
        let keys = keys(service).into_iter();
        let lines = keys.map(|(key, help, takes)| format!("# {help}\n{key} = {takes}"));
        let lines: Vec<String> = [format!("[{service}]")].into_iter().chain(lines).collect();
        lines.join("\n")
    });
    tables.join("\n\n")
}

/// Key, help and the kind of value of each option of a service.
fn keys(service: &str) -> Vec<(String, String, &'static str)> {
    let command = Args::command();
    let options = command.find_subcommand(service).map(clap::Command::get_arguments);
    let options = options.into_iter().flatten().filter_map(|argument| {
        let name = argument.get_long().filter(|name| !NOT_KEYS.contains(name))?;
        let takes = match argument.get_action() {
            clap::ArgAction::SetTrue => "true",
            clap::ArgAction::Append => "[\"…\"]",
            _ => "\"…\"",
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        Some((name.replace('-', "_"), help, takes))
    });
    options.collect()
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::because("config", &format!("cannot read `{}`", path.display()), &error)
    })?;
    text.parse::<Table>().map_err(|error| refused(path.as_os_str(), error.to_string().trim()))
}

/// Whether every table and key is one that a service has.
fn check(file: &Table, path: &OsStr) -> Result<(), Failure> {
    for (service, value) in file {
        if !SERVICES.contains(&service.as_str()) {
            let cause = format!("there is no `{service}`; there are {}", SERVICES.join(", "));
            return Err(refused(path, &cause));
        }
        let Value::Table(given) = value else {
            return Err(refused(path, &format!("`{service}` is no table; write [{service}]")));
        };
        let known: Vec<String> = keys(service).into_iter().map(|(key, ..)| key).collect();
        if let Some(key) = given.keys().find(|key| !known.contains(key)) {
            let cause = format!("[{service}] has no `{key}`; it has {}", known.join(", "));
            return Err(refused(path, &cause));
        }
    }
    Ok(())
}

fn table<'t>(file: &'t Table, service: &str) -> impl Iterator<Item = (&'t String, &'t Value)> {
    file.get(service).and_then(Value::as_table).into_iter().flatten()
}

fn option(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

/// A key and its value as words of a command line.
fn words(option: &str, value: &Value, path: &OsStr) -> Result<Vec<OsString>, Failure> {
    let one = |text: &str| OsString::from(format!("{option}={text}"));
    match value {
        Value::String(text) => Ok(vec![one(text)]),
        Value::Integer(number) => Ok(vec![one(&number.to_string())]),
        Value::Boolean(true) => Ok(vec![option.into()]),
        Value::Boolean(false) => Ok(Vec::new()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let texts = texts.ok_or_else(|| refused(path, &format!("`{option}`: not all text")))?;
            Ok(texts.into_iter().map(one).collect())
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => {
            Err(refused(path, &format!("`{option}` takes text, a list of texts, or true")))
        }
    }
}

/// The value of an option, as `--option value` or `--option=value`.
fn value_of(given: &[OsString], option: &str) -> Option<OsString> {
    let with_sign = format!("{option}=");
    let mut words = given.iter();
    while let Some(word) = words.next() {
        if word.as_os_str() == option {
            return words.next().cloned();
        }
        if let Some(value) = word.to_str().and_then(|word| word.strip_prefix(&with_sign)) {
            return Some(value.into());
        }
    }
    None
}

fn refused(path: &OsStr, cause: &str) -> Failure {
    Failure::new("config", format!("`{}`: {cause}", Path::new(path).display()))
        .with_remedy("`writ config example` prints every key with what it says")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn expanded(words: &[&str], config: &tempfile::NamedTempFile) -> Result<Vec<String>, String> {
        let given = words.iter().map(|word| OsString::from(*word));
        let config = [OsString::from("--config"), config.path().into()];
        let all = expand(given.chain(config).collect()).map_err(|failure| failure.to_string())?;
        let texts = all.into_iter().map(|word| word.into_string().unwrap());
        Ok(texts.take_while(|word| word != "--config").collect())
    }

    #[test]
    fn a_table_says_what_the_command_line_does_not() {
        let config = file(
            "[server]\nlisten = '127.0.0.1:1'\nbehind_proxy = true\nissuer_cidr = ['a', 'b']\n\
             [runner]\ndata = 'x'",
        );
        let line = expanded(&["writ", "server", "--listen", "127.0.0.1:2"], &config).unwrap();
        let expected = ["--behind-proxy", "--issuer-cidr=a", "--issuer-cidr=b"];
        assert_eq!(line.get(2..5).unwrap(), expected);
        assert!(!line.iter().any(|word| word.contains("127.0.0.1:1") || word.contains("--data")));
    }

    #[test]
    fn other_commands_take_no_file_and_values_are_no_options() {
        let config = file("[server]\nlisten = '--data'");
        assert_eq!(expanded(&["writ", "runs"], &config).unwrap(), ["writ", "runs"]);
        let line = expanded(&["writ", "server"], &config).unwrap();
        assert_eq!(line.get(2).unwrap(), "--listen=--data");
    }

    #[test]
    fn what_no_service_takes_is_refused_with_what_it_takes() {
        for (text, expected) in [
            ("[serverr]", "there are server, gateway, runner"),
            ("[server]\nlisen = 'x'", "[server] has no `lisen`; it has data, listen"),
            ("[runner]\nenroll = 'x'", "[runner] has no `enroll`"),
            ("server = 1", "write [server]"),
            ("[server", "config"),
            ("[server]\nlisten = 1.5", "takes text"),
            ("[gateway]\nlisten = 'nowhere'", "invalid"),
            ("[server]\ndata = 'x'", "required"),
        ] {
            let said = checked(file(text).path()).unwrap_err().to_string();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn every_key_is_in_the_documentation() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        assert!(fs::read_to_string(page).unwrap().contains(&example()));
    }
}
