//! Which CPython runs code steps, and what of the machine it needs to see.
//!
//! Asked once, at a launcher's start: the interpreter itself says where its standard library is
//! and, after loading its extension modules, which shared libraries they pulled in.
//!
//! Invariants:
//! * Only fixed places are looked in; neither `PATH` nor the environment chooses the interpreter.
//! * A directory is listed once: none lies beneath another.
//!
//! Not here: putting these into a root (`root`).

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

/// Where an interpreter is looked for; the distribution's own first, because it is in no home.
const CANDIDATES: [&str; 3] =
    ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/python3/bin/python3"];

/// Where glibc programs have their loader.
#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

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

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// There is none. Install the package `python3`.
    #[error("cannot find python3 in /usr/bin, /usr/local/bin or /opt/python3/bin")]
    NotFound,
    /// It could not be started.
    #[error("cannot start the interpreter `{}`", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// It did not answer, or is no CPython 3.
    #[error("the interpreter `{}` did not say where its parts are", path.display())]
    Answer {
        /// Which.
        path: PathBuf,
    },
}

impl InterpreterError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "interpreter-not-found",
            Self::Start { .. } | Self::Answer { .. } => "interpreter-unusable",
        }
    }
}

/// A CPython and everything it needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Major and minor version.
    pub version: (u32, u32),
    /// The program, no link.
    pub(crate) executable: PathBuf,
    /// The program that loads it, as its header names it.
    pub(crate) loader: PathBuf,
    /// The standard library and the places of shared libraries.
    pub(crate) directories: BTreeSet<PathBuf>,
    /// Links to make: where, and to what.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

#[derive(Deserialize)]
struct Answer {
    version: (u32, u32),
    executable: PathBuf,
    libraries: Vec<PathBuf>,
    stdlib: Vec<PathBuf>,
}

impl Interpreter {
    /// Finds the machine's interpreter and asks it what it needs.
    ///
    /// # Errors
    ///
    /// * [`InterpreterError::NotFound`], or why the first one found can't be used.
    pub fn discover() -> Result<Self, InterpreterError> {
        let found = CANDIDATES.iter().map(Path::new).find(|path| path.exists());
        Self::at(found.ok_or(InterpreterError::NotFound)?)
    }

    /// Asks this interpreter what it needs.
    ///
    /// # Errors
    ///
    /// * [`InterpreterError::Start`], [`InterpreterError::Answer`].
    pub fn at(path: &Path) -> Result<Self, InterpreterError> {
        let unusable = || InterpreterError::Answer { path: path.to_owned() };
        let output = Command::new(path)
            .args(["-I", "-S", "-B", "-c", QUESTION])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|source| InterpreterError::Start { path: path.to_owned(), source })?;
        let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| unusable())?;
        if answer.version.0 != 3 || answer.libraries.is_empty() {
            return Err(unusable());
        }
        let real_loader = fs::canonicalize(LOADER).map_err(|_| unusable())?;
        Ok(Self::from_answer(answer, &real_loader))
    }

    fn from_answer(answer: Answer, real_loader: &Path) -> Self {
        let libraries = answer.libraries.iter().map(PathBuf::as_path).chain([real_loader]);
        let places = libraries.filter_map(Path::parent).map(Path::to_owned);
        let directories = outermost(places.chain(answer.stdlib).collect());
        let loader = PathBuf::from(LOADER);
        let linked = !directories.iter().any(|dir| loader.starts_with(dir));
        let links = if linked { vec![(loader.clone(), real_loader.to_owned())] } else { vec![] };
        Self { version: answer.version, executable: answer.executable, loader, directories, links }
    }

    /// Every file and directory of the machine that must be visible.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let executable = Some(&self.executable)
            .filter(|path| !self.directories.iter().any(|dir| path.starts_with(dir)));
        executable.into_iter().chain(&self.directories).map(PathBuf::as_path)
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

        let interpreter = Interpreter::from_answer(answer, Path::new("/usr/lib/ld.so"));

        assert_eq!(interpreter.directories, BTreeSet::from(["/usr/lib".into()]));
    }

    #[test]
    fn a_loader_that_is_a_link_is_linked_to_where_it_is_bound() {
        let real = Path::new("/usr/lib/x86_64-linux-gnu/ld-linux.so.2");
        let answer = answer(&["/usr/lib/x86_64-linux-gnu/libc.so.6"], &["/usr/lib/python3.11"]);

        let interpreter = Interpreter::from_answer(answer, real);

        assert_eq!(interpreter.links, vec![(LOADER.into(), real.to_owned())]);
        assert_eq!(
            interpreter.paths().collect::<Vec<_>>(),
            ["/usr/bin/python3.11", "/usr/lib/python3.11", "/usr/lib/x86_64-linux-gnu"]
                .map(Path::new)
        );
    }

    #[test]
    fn something_that_is_no_interpreter_is_refused() {
        assert!(matches!(
            Interpreter::at(Path::new("/bin/true")),
            Err(InterpreterError::Answer { .. })
        ));
        assert!(matches!(
            Interpreter::at(Path::new("/nonexistent/python3")),
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
