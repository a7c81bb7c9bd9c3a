//! Which interpreters run code steps, and what of the machine each needs to see.
//!
//! Asked once, at a launcher's start: CPython itself says where its standard library is; of the
//! others the dynamic loader says which shared libraries they need.
//!
//! Invariants:
//! * Only fixed places are looked in; neither `PATH` nor the environment chooses an interpreter.
//! * What an interpreter may read and execute is a list of this file's making: of `readable`
//!   nothing can be executed, and of two places none lies beneath the other.
//!
//! Not here: putting these into a root (`root`).

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use writ_model::CodeLanguage;

mod bash;
mod javascript;
mod loader;
mod python;

use loader::Loader;

/// Address space beyond the memory limit where a control group counts memory proper: allocators
/// and thread stacks reserve far more than they use.
const ADDRESS_SPACE: u64 = 1 << 30;

/// Why there is no interpreter.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InterpreterError {
    /// There is none. Install the package that it comes in.
    #[error("cannot find an interpreter of {language}: {places}")]
    NotFound {
        /// Of which language.
        language: CodeLanguage,
        /// Where was looked, and what else it would take.
        places: String,
    },
    /// It could not be started.
    #[error("cannot start `{}`", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// It did not answer, or is not what its name says.
    #[error("`{}` did not say where its parts are", path.display())]
    Answer {
        /// Which.
        path: PathBuf,
    },
}

impl InterpreterError {
    fn start(path: &Path, source: io::Error) -> Self {
        Self::Start { path: path.to_owned(), source: Arc::new(source) }
    }

    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "interpreter-not-found",
            Self::Start { .. } | Self::Answer { .. } => "interpreter-unusable",
        }
    }
}

/// An interpreter and everything it needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What it runs.
    pub language: CodeLanguage,
    /// What it is, with its version: `CPython 3.11`.
    pub name: String,
    /// The program, no link, as its root has it.
    pub(crate) executable: PathBuf,
    /// Where the machine has it, if elsewhere: what is beneath `/tmp`, say, can't be seen there.
    pub(crate) installed: Option<PathBuf>,
    /// What it is started with, before the code's path.
    pub(crate) arguments: Vec<String>,
    /// Where the code lies in its root.
    pub(crate) code_path: &'static str,
    /// Further programs that it may execute.
    pub(crate) programs: BTreeSet<PathBuf>,
    /// The program that loads it, as its header names it.
    pub(crate) loader: PathBuf,
    /// Files and directories that may be read: the standard library, shared libraries.
    pub(crate) readable: BTreeSet<PathBuf>,
    /// Links to make: where, and to what.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// A file beside the code: its path and its text.
    pub(crate) prelude: Option<(&'static str, &'static str)>,
    /// Address space beyond the memory limit, in a control group.
    pub(crate) address_space: u64,
}

/// What was found for each language, once.
#[derive(Debug)]
pub struct Interpreters {
    found: Vec<(CodeLanguage, Result<Interpreter, InterpreterError>)>,
}

impl Interpreters {
    /// Looks for all of them. JavaScript is run by Node.js where there is one and `in_cgroup`
    /// holds (it needs more address space than may be had without), else by `writ-quickjs`, which
    /// is looked for in `beside`, the folder of Writ's own executables.
    #[must_use]
    pub fn discover(beside: Option<&Path>, in_cgroup: bool) -> Self {
        let found = CodeLanguage::ALL.map(|language| {
            let found = Loader::find().and_then(|loader| match language {
                CodeLanguage::Bash => bash::discover(&loader),
                CodeLanguage::JavaScript => javascript::discover(&loader, beside, in_cgroup),
                CodeLanguage::Python => python::discover(&loader),
            });
            (language, found)
        });
        Self { found: found.into() }
    }

    /// The interpreter of a language.
    ///
    /// # Errors
    ///
    /// [`InterpreterError`]: why there is none here.
    pub fn of(&self, language: CodeLanguage) -> Result<&Interpreter, InterpreterError> {
        let found = self.found.iter().find(|(known, _)| *known == language);
        match found {
            Some((_, found)) => found.as_ref().map_err(Clone::clone),
            None => Err(InterpreterError::NotFound { language, places: String::new() }),
        }
    }

    /// What each language has.
    pub fn all(
        &self,
    ) -> impl Iterator<Item = (CodeLanguage, Result<&Interpreter, &InterpreterError>)> {
        self.found.iter().map(|(language, found)| (*language, found.as_ref()))
    }
}

impl Interpreter {
    /// Every file and directory that must be visible: where the machine has it, and where its root
    /// does.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&Path, &Path)> {
        let executable = self.executable.as_path();
        let executable = (self.installed.as_deref().unwrap_or(executable), executable);
        let same = |path| (path, path);
        let programs = self.programs.iter().map(PathBuf::as_path).map(same);
        let alone = [executable].into_iter().chain(programs);
        let alone =
            alone.filter(|(_, path)| !self.readable.iter().any(|dir| path.starts_with(dir)));
        alone.chain(self.readable.iter().map(PathBuf::as_path).map(same))
    }
}

/// What a program says when it is started with these arguments.
fn answer(program: &Path, arguments: &[&str]) -> Result<String, InterpreterError> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|source| InterpreterError::start(program, source))?;
    let text = String::from_utf8(output.stdout).unwrap_or_default().trim().to_owned();
    if !output.status.success() || text.is_empty() {
        return Err(InterpreterError::Answer { path: program.to_owned() });
    }
    Ok(text)
}

/// The first of these that exists.
fn first_of(
    language: CodeLanguage,
    places: &[&'static str],
) -> Result<&'static Path, InterpreterError> {
    let found = places.iter().copied().map(Path::new).find(|path| path.exists());
    found.ok_or_else(move || InterpreterError::NotFound { language, places: places.join(", ") })
}
