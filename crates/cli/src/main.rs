//! `writ`: one command for people, services and `writ dev`.
//!
//! Read next: `args` (what can be said), then `command` (what each does). Data goes to stdout,
//! everything else to stderr; a failure has a code, a cause and a remedy (`failure`).

mod args;
mod charter_snapshot;
mod command;
mod config_file;
mod dev;
mod failure;
mod join_file;
mod login;
mod output;
mod place;
mod proposal;
mod push;
mod session;
mod sign;
mod ssh_agent;
mod tenant;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = match config_file::expand(std::env::args_os().collect()) {
        Ok(line) => args::Args::parse_from(line),
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(failure.exit);
        }
    };
    // SECURITY: keys, inputs and outputs pass through this process: no core dump of it is written, and
    // no other process of the same user reads its memory.
    if let Err(error) = writ_confine::harden_self() {
        eprintln!("writ: cannot hide this process from others: {error}");
        return ExitCode::FAILURE;
    }
    output::set_up_logs(args.command.is_service(), args.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("writ: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit)
        }
    }
}
