//! Bash, with the tools of every Linux that work on text and need no network.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use writ_model::CodeLanguage;

use super::{Interpreter, InterpreterError, first_of, loader::Loader};

const CANDIDATES: [&str; 2] = ["/usr/bin/bash", "/bin/bash"];

/// What a script may call, where the machine has it: nothing that runs as another user, reaches a
/// network or a terminal, or asks about the machine.
const TOOLS: [&str; 42] = [
    "awk",
    "base64",
    "basename",
    "cat",
    "comm",
    "cp",
    "cut",
    "date",
    "diff",
    "dirname",
    "env",
    "expr",
    "fold",
    "grep",
    "head",
    "join",
    "jq",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "nl",
    "od",
    "paste",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sha1sum",
    "sha256sum",
    "sleep",
    "sort",
    "split",
    "tac",
    "tail",
    "tee",
    "touch",
    "tr",
    "uniq",
    "wc",
    "xargs",
];

pub(super) fn discover(loader: &Loader) -> Result<Interpreter, InterpreterError> {
    let executable = first_of(CodeLanguage::Bash, &CANDIDATES)?;
    let places = TOOLS.map(|tool| Path::new("/usr/bin").join(tool));
    let programs: BTreeSet<PathBuf> = places.into_iter().filter(|tool| tool.exists()).collect();
    let mut readable = loader.libraries(executable)?;
    for program in &programs {
        readable.extend(loader.libraries(program)?);
    }
    Ok(Interpreter {
        language: CodeLanguage::Bash,
        name: version(executable)?,
        executable: executable.to_owned(),
        installed: None,
        arguments: ["--noprofile", "--norc", "-euo", "pipefail"].map(str::to_owned).to_vec(),
        code_path: "/step.sh",
        programs,
        loader: Loader::path().to_owned(),
        links: loader.links(&readable),
        readable,
        prelude: None,
        address_space: super::ADDRESS_SPACE,
    })
}

fn version(bash: &Path) -> Result<String, InterpreterError> {
    let print = ["--noprofile", "--norc", "-c", "printf %s \"${BASH_VERSION%%(*}\""];
    Ok(format!("Bash {}", super::answer(bash, &print)?))
}
