//! JavaScript: Node.js where it can run, else QuickJS, a program of Writ's own.
//!
//! Both run an ECMAScript module that has `writ` (`input`, `output(value)`, `log(…)`), `console`,
//! `process.argv` and `process.env`.

use std::{collections::BTreeSet, path::Path};

use writ_model::CodeLanguage;

use super::{Interpreter, InterpreterError, first_of, loader::Loader};

const CANDIDATES: [&str; 3] = ["/usr/bin/node", "/usr/local/bin/node", "/opt/node/bin/node"];
/// The oldest that loads modules without a flag and still gets security fixes.
const OLDEST_NODE: u32 = 20;
/// V8 reserves address space for its heaps and its code before it uses any.
const NODE_ADDRESS_SPACE: u64 = 64 << 30;
const CODE_PATH: &str = "/step.mjs";
/// Where QuickJS lies in its root.
const QUICKJS: &str = "/usr/bin/writ-quickjs";
const PRELUDE: (&str, &str) = ("/prelude.cjs", include_str!("javascript/prelude.cjs"));

pub(super) fn discover(
    loader: &Loader,
    beside: Option<&Path>,
    in_cgroup: bool,
) -> Result<Interpreter, InterpreterError> {
    if in_cgroup && let Ok(node) = node(loader) {
        return Ok(node);
    }
    quickjs(loader, beside)
}

fn node(loader: &Loader) -> Result<Interpreter, InterpreterError> {
    let link = first_of(CodeLanguage::JavaScript, &CANDIDATES)?;
    let unusable = || InterpreterError::Answer { path: link.to_owned() };
    let executable = link.canonicalize().map_err(|_| unusable())?;
    let version = super::answer(&executable, &["--version"])?;
    let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_NODE) {
        return Err(unusable());
    }
    let arguments = ["--require", PRELUDE.0].map(str::to_owned).to_vec();
    let interpreter = of(loader, format!("Node.js {version}"), &executable, arguments)?;
    Ok(Interpreter { prelude: Some(PRELUDE), address_space: NODE_ADDRESS_SPACE, ..interpreter })
}

fn quickjs(loader: &Loader, beside: Option<&Path>) -> Result<Interpreter, InterpreterError> {
    let program = beside.map(|folder| folder.join("writ-quickjs")).filter(|path| path.exists());
    let program = program.ok_or_else(|| InterpreterError::NotFound {
        language: CodeLanguage::JavaScript,
        places: format!(
            "{} (of version {OLDEST_NODE} or later, with control groups), writ-quickjs beside \
             writ-jail",
            CANDIDATES.join(", ")
        ),
    })?;
    let version = super::answer(&program, &["--version"])?;
    let interpreter = of(loader, version, &program, Vec::new())?;
    Ok(Interpreter { executable: QUICKJS.into(), installed: Some(program), ..interpreter })
}

fn of(
    loader: &Loader,
    name: String,
    executable: &Path,
    arguments: Vec<String>,
) -> Result<Interpreter, InterpreterError> {
    let readable = loader.libraries(executable)?;
    Ok(Interpreter {
        language: CodeLanguage::JavaScript,
        name,
        executable: executable.to_owned(),
        installed: None,
        arguments,
        code_path: CODE_PATH,
        programs: BTreeSet::new(),
        loader: Loader::path().to_owned(),
        links: loader.links(&readable),
        readable,
        prelude: None,
        address_space: super::ADDRESS_SPACE,
    })
}
