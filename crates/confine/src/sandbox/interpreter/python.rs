//! CPython: asked where its standard library is, and which libraries its modules pull in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use writ_model::CodeLanguage;

use super::{Interpreter, InterpreterError, first_of, loader::Loader};

/// The distribution's own first, because it is in no home.
const CANDIDATES: [&str; 3] =
    ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/python3/bin/python3"];

/// Loads every extension module that comes with the interpreter, except those that talk to
/// terminals and displays, and prints what was needed for it.
const QUESTION: &str = "
import importlib, json, os, sys, sysconfig
dynload = os.path.join(sysconfig.get_path('platstdlib'), 'lib-dynload')
for name in sorted(os.listdir(dynload)) if os.path.isdir(dynload) else []:
    module = name.split('.')[0]
    if module.endswith(('_tkinter', 'readline', '_curses', '_curses_panel')) or 'test' in module:
        continue
    try:
        importlib.import_module(module)
    except Exception:
        pass
with open('/proc/self/maps') as maps:
    mapped = {line.split(None, 5)[5].strip() for line in maps if '/' in line}
print(json.dumps({
    'version': list(sys.version_info[:2]),
    'executable': os.readlink('/proc/self/exe'),
    'libraries': sorted(p for p in mapped if '.so' in os.path.basename(p)),
    'stdlib': sorted({os.path.realpath(sysconfig.get_path(k)) for k in ('stdlib', 'platstdlib')}),
}))
";

#[derive(Deserialize)]
struct Answer {
    version: (u32, u32),
    executable: PathBuf,
    libraries: Vec<PathBuf>,
    stdlib: Vec<PathBuf>,
}

pub(super) fn discover(loader: &Loader) -> Result<Interpreter, InterpreterError> {
    at(first_of(CodeLanguage::Python, &CANDIDATES)?, loader)
}

/// Asks this interpreter what it needs.
fn at(path: &Path, loader: &Loader) -> Result<Interpreter, InterpreterError> {
    let unusable = || InterpreterError::Answer { path: path.to_owned() };
    let text = super::answer(path, &["-I", "-S", "-B", "-c", QUESTION])?;
    let answer: Answer = serde_json::from_str(&text).map_err(|_| unusable())?;
    if answer.version.0 != 3 || answer.libraries.is_empty() {
        return Err(unusable());
    }
    Ok(from_answer(answer, loader))
}

fn from_answer(answer: Answer, loader: &Loader) -> Interpreter {
    let libraries = answer.libraries.iter().map(PathBuf::as_path).chain([loader.real()]);
    let places = libraries.filter_map(Path::parent).map(Path::to_owned);
    let readable = outermost(places.chain(answer.stdlib).collect());
    let (major, minor) = answer.version;
    Interpreter {
        language: CodeLanguage::Python,
        name: format!("CPython {major}.{minor}"),
        links: loader.links(&readable),
        loader: Loader::path().to_owned(),
        executable: answer.executable,
        installed: None,
        // Isolated from environment and user, without `site`, writing no bytecode.
        arguments: ["-I", "-S", "-B", "-X", "utf8"].map(str::to_owned).to_vec(),
        code_path: "/step.py",
        programs: BTreeSet::new(),
        readable,
        prelude: None,
        address_space: super::ADDRESS_SPACE,
    }
}

/// Those that lie beneath no other.
fn outermost(directories: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let all: Vec<PathBuf> = directories.iter().cloned().collect();
    let beneath = |dir: &PathBuf| all.iter().any(|other| dir != other && dir.starts_with(other));
    directories.into_iter().filter(|dir| !beneath(dir)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_beneath_another_is_not_listed() {
        let answer = answer(&["/usr/lib/libz.so.1"], &["/usr/lib/python3.14"]);

        let interpreter = from_answer(answer, &Loader::at("/usr/lib/ld.so"));

        assert_eq!(interpreter.readable, BTreeSet::from(["/usr/lib".into()]));
    }

    #[test]
    fn a_loader_that_is_a_link_is_linked_to_where_it_is_bound() {
        let real = Path::new("/usr/lib/x86_64-linux-gnu/ld-linux.so.2");
        let answer = answer(&["/usr/lib/x86_64-linux-gnu/libc.so.6"], &["/usr/lib/python3.11"]);
        let loader = Loader::at(real);

        let interpreter = from_answer(answer, &loader);

        assert_eq!(interpreter.links, vec![(Loader::path().to_owned(), real.to_owned())]);
        assert_eq!(
            interpreter.paths().map(|(path, _)| path).collect::<Vec<_>>(),
            ["/usr/bin/python3.11", "/usr/lib/python3.11", "/usr/lib/x86_64-linux-gnu"]
                .map(Path::new)
        );
    }

    #[test]
    fn something_that_is_no_interpreter_is_refused() {
        let loader = Loader::at("/usr/lib/ld.so");
        assert!(matches!(
            at(Path::new("/bin/true"), &loader),
            Err(InterpreterError::Answer { .. })
        ));
        assert!(matches!(
            at(Path::new("/nonexistent/python3"), &loader),
            Err(InterpreterError::Start { .. })
        ));
    }

    fn answer(libraries: &[&str], stdlib: &[&str]) -> Answer {
        Answer {
            version: (3, 11),
            executable: "/usr/bin/python3.11".into(),
            libraries: libraries.iter().map(PathBuf::from).collect(),
            stdlib: stdlib.iter().map(PathBuf::from).collect(),
        }
    }
}
