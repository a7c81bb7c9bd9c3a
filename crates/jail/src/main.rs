//! `writ-jail`: the launchers, the jail and its cells, the sandbox launcher, and the local vault.
//!
//! Read next: `launcher` (which process is what), then `jail` (the conversation), then `flow`
//! (what is decided). Nothing here is for people but `secret` and `doctor`, which `writ` calls.

use std::process::ExitCode;

use clap::Parser as _;
use writ_jail::{command::Command, secret_memory::ZeroizingAllocator};

#[global_allocator]
static HEAP: ZeroizingAllocator = ZeroizingAllocator;

fn main() -> ExitCode {
    // SECURITY: a panic message can quote data; only its place is said. `panic = abort` follows.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        eprintln!("writ-jail: internal error at {place}");
    }));
    match Command::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("writ-jail: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text.push_str(": ");
                text.push_str(&inner.to_string());
                source = inner.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
