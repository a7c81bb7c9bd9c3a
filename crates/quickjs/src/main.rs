//! `writ-quickjs MODULE [ARGUMENT…]`: runs one ECMAScript module in a sandbox without Node.js.
//!
//! The module sees what it would see of Writ under Node.js: `writ` (`input`, `output(value)`,
//! `log(…)`), `console`, `process.argv`, `process.env` and `process.exit`. There are no timers, no
//! other modules, and no way to anything outside but standard input, output, error and the file
//! that `$WRIT_OUTPUT` names.
//!
//! Exit status: the module's own, 0 at its end, 1 if it throws, 2 if it waits for what never comes.
//!
//! Not here: confinement. Nothing in this program is trusted to keep code in (`writ_confine`).

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read, Write},
    process::ExitCode,
};

use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Error, Function, Module, Runtime};

const PRELUDE: &str = include_str!("prelude.js");
/// Deepest that code may recurse, in bytes; the main thread's stack is larger.
const STACK: usize = 2 << 20;
const THROWN: u8 = 1;
const NEVER_ENDS: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(path) = arguments.next() else {
        return say("usage: writ-quickjs MODULE [ARGUMENT…]");
    };
    if path == "--version" {
        let version = concat!("QuickJS (writ-quickjs ", env!("CARGO_PKG_VERSION"), ")\n");
        let written = io::stdout().write_all(version.as_bytes());
        return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let code = match fs::read_to_string(&path) {
        Ok(code) => code,
        Err(error) => return say(&format!("cannot read `{path}`: {error}")),
    };
    match run(&path, code, arguments.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Thrown(text)) => say(&text),
        Err(Failed::NeverEnds) => {
            let _ = say("the module waits for what never comes");
            ExitCode::from(NEVER_ENDS)
        }
    }
}

enum Failed {
    Thrown(String),
    NeverEnds,
}

fn run(path: &str, code: String, arguments: Vec<String>) -> Result<(), Failed> {
    let cannot = |error: Error| Failed::Thrown(format!("cannot start: {error}"));
    let runtime = Runtime::new().map_err(cannot)?;
    runtime.set_max_stack_size(STACK);
    let context = Context::full(&runtime).map_err(cannot)?;
    context.with(|ctx| {
        let thrown = |error: CaughtError<'_>| match error {
            CaughtError::Error(Error::WouldBlock) => Failed::NeverEnds,
            other => Failed::Thrown(other.to_string()),
        };
        provide(&ctx, path, arguments).catch(&ctx).map_err(thrown)?;
        let module = Module::evaluate(ctx.clone(), path, code).catch(&ctx).map_err(thrown)?;
        module.finish::<()>().catch(&ctx).map_err(thrown)
    })
}

/// Gives the prelude what it is made of, and lets it make `writ`, `console` and `process`.
fn provide(ctx: &Ctx<'_>, path: &str, arguments: Vec<String>) -> rquickjs::Result<()> {
    let argv: Vec<String> =
        ["writ-quickjs".to_owned(), path.to_owned()].into_iter().chain(arguments).collect();
    let environment: BTreeMap<String, String> = env::vars().collect();
    let prelude: Function<'_> = ctx.eval(PRELUDE)?;
    prelude.call((
        Function::new(ctx.clone(), read_input)?,
        Function::new(ctx.clone(), write_output)?,
        Function::new(ctx.clone(), print)?,
        Function::new(ctx.clone(), exit)?,
        argv,
        environment,
    ))
}

fn read_input() -> rquickjs::Result<String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn write_output(text: String) -> rquickjs::Result<()> {
    let place =
        env::var_os("WRIT_OUTPUT").ok_or(io::ErrorKind::NotFound).map_err(io::Error::from)?;
    Ok(fs::write(place, text)?)
}

fn print(to_stderr: bool, line: String) -> rquickjs::Result<()> {
    let line = line + "\n";
    if to_stderr {
        io::stderr().write_all(line.as_bytes())?;
    } else {
        io::stdout().write_all(line.as_bytes())?;
    }
    Ok(())
}

fn exit(status: i32) {
    std::process::exit(status)
}

fn say(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(THROWN)
}
