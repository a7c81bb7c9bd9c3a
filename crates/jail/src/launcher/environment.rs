//! Credentials in the environment are taken out of it before anything is forked.
//!
//! A forked jail would have them in its memory. So the launcher writes them to a file in memory, which
//! only cells are given, and starts itself anew without them: what the first image knew is gone with it.

use std::{
    env, io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::Command,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_getfd, fcntl_setfd, write},
};

use crate::vault::aws::credentials::{ENVIRONMENT, file_of_environment};

/// The argument that names the descriptor to the new image.
const ARGUMENT: &str = "--aws-environment";

/// Starts this executable anew without AWS credentials in its environment; returns if there are none.
///
/// # Errors
///
/// They could not be handed over; then nothing may start.
pub fn without_credentials() -> io::Result<()> {
    let Some(file) = file_of_environment(|name| env::var(name).ok()) else { return Ok(()) };
    let memory = memfd_create("aws-environment", MemfdFlags::CLOEXEC)?;
    let mut rest = file.as_bytes();
    while !rest.is_empty() {
        let written = write(&memory, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    let flags = fcntl_getfd(&memory)?;
    fcntl_setfd(&memory, flags - FdFlags::CLOEXEC)?;
    let mut again = Command::new(env::current_exe()?);
    again.args(env::args_os().skip(1)).arg(ARGUMENT).arg(memory.as_raw_fd().to_string());
    for (name, _) in ENVIRONMENT {
        again.env_remove(name);
    }
    Err(again.exec())
}
