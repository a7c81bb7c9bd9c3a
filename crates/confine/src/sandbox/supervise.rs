//! Watches a sandbox until it ends: feeds stdin, drains stdout and stderr, enforces the bounds.
//!
//! One loop over `poll`, in the launcher's worker. The sandbox can stall, flood, close or hand on
//! its pipes as it likes.
//!
//! Invariants:
//! * Never waits for the sandbox longer than its wall-clock limit.
//! * Holds at most the limits' worth of what it says, and one chunk.
//! * Once process 1 has ended nothing more is waited for, even if somebody still holds a pipe.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionbio},
};

use super::{OUTPUT_FILE, SandboxOutcome, SandboxResult, Sandboxed, WrittenOutput, output};
use crate::{ConfineError, Exit, sandbox::output::Fetched};

/// How much is read at once. Pipes hold 64 KiB.
const CHUNK: usize = 16 * 1024;

/// Why the supervisor killed the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Time,
    Output,
}

impl Sandboxed {
    /// What confines the code.
    #[must_use]
    pub fn report(&self) -> &writ_model::IsolationReport {
        &self.report
    }

    /// Feeds the code its input and waits for its end.
    ///
    /// # Errors
    ///
    /// * [`ConfineError::Pipe`]: a pipe or the output file failed, for a reason that the code
    ///   has no hand in. The sandbox is killed.
    /// * [`ConfineError::Wait`]: something else reaped the process.
    pub fn supervise(mut self, input: &[u8]) -> Result<SandboxResult, ConfineError> {
        let deadline = Instant::now() + self.limits.wall;
        let mut stdin = Feed::new(self.stdin, input).map_err(ConfineError::Pipe)?;
        let mut stdout =
            Drain::new(self.stdout, self.limits.output_bytes).map_err(ConfineError::Pipe)?;
        let mut stderr =
            Drain::new(self.stderr, self.limits.log_bytes).map_err(ConfineError::Pipe)?;
        let cut = loop {
            stdin.feed().map_err(ConfineError::Pipe)?;
            stdout.drain().map_err(ConfineError::Pipe)?;
            stderr.drain().map_err(ConfineError::Pipe)?;
            let exit = self.process.try_wait().map_err(ConfineError::Wait)?;
            if stdout.overflowed {
                break Some(Cut::Output);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match (exit, left.is_zero()) {
                (Some(_), _) => break None,
                (None, true) => break Some(Cut::Time),
                (None, false) => {}
            }
            wait(self.process.pidfd(), &stdin, [&stdout, &stderr], left)
                .map_err(ConfineError::Pipe)?;
        };
        self.process.kill();
        let exit = self.process.wait().map_err(ConfineError::Wait)?;
        // What was written between the last look and the end.
        stdout.drain().map_err(ConfineError::Pipe)?;
        stderr.drain().map_err(ConfineError::Pipe)?;
        let cut = cut.or(stdout.overflowed.then_some(Cut::Output));
        let fetched = output::fetch(&self.scratch, OUTPUT_FILE, self.limits.output_bytes)
            .map_err(ConfineError::Pipe)?;
        let memory_kills = self.cgroup.as_ref().map_or(0, crate::Cgroup::out_of_memory_kills);
        let outcome = outcome(exit, cut, memory_kills, fetched == Fetched::TooLarge);
        Ok(SandboxResult {
            outcome,
            stdout: stdout.held,
            stderr_cut: stderr.overflowed,
            stderr: stderr.held,
            written: match fetched {
                Fetched::Content(content) => WrittenOutput::Content(content),
                Fetched::NotAFile => WrittenOutput::NotAFile,
                Fetched::Absent | Fetched::TooLarge => WrittenOutput::Absent,
            },
            report: self.report,
        })
    }
}

fn outcome(exit: Exit, cut: Option<Cut>, memory_kills: u64, too_large: bool) -> SandboxOutcome {
    match (cut, exit) {
        (Some(Cut::Time), _) => SandboxOutcome::TimedOut,
        (Some(Cut::Output), _) => SandboxOutcome::TooMuchOutput,
        (None, Exit::Signal(_)) if memory_kills > 0 => SandboxOutcome::OutOfMemory,
        (None, Exit::Signal(signal)) => SandboxOutcome::Signaled { signal },
        (None, Exit::Code(_)) if too_large => SandboxOutcome::TooMuchOutput,
        (None, Exit::Code(code)) => SandboxOutcome::Exited { code },
    }
}

/// Sleeps until there is something to do, at most for `left`.
fn wait(
    pidfd: std::os::fd::BorrowedFd<'_>,
    stdin: &Feed<'_>,
    drains: [&Drain; 2],
    left: Duration,
) -> io::Result<()> {
    let mut watched = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    if let Some(pipe) = &stdin.pipe {
        watched.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT));
    }
    for pipe in drains.into_iter().filter_map(|drain| drain.pipe.as_ref()) {
        watched.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
    }
    let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut watched, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Bytes on their way in.
struct Feed<'a> {
    pipe: Option<PipeWriter>,
    rest: &'a [u8],
}

impl<'a> Feed<'a> {
    fn new(pipe: PipeWriter, input: &'a [u8]) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe: Some(pipe), rest: input })
    }

    /// Writes what fits; closes the pipe when all is written or nobody reads.
    fn feed(&mut self) -> io::Result<()> {
        while let Some(pipe) = &mut self.pipe {
            match pipe.write(self.rest) {
                Ok(written) => self.rest = self.rest.get(written..).unwrap_or_default(),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe => self.rest = &[],
                    _ => return Err(error),
                },
            }
            if self.rest.is_empty() {
                self.pipe = None;
            }
        }
        Ok(())
    }
}

/// Bytes on their way out.
struct Drain {
    pipe: Option<PipeReader>,
    held: Vec<u8>,
    limit: usize,
    /// Whether more came than is held.
    overflowed: bool,
}

impl Drain {
    fn new(pipe: PipeReader, limit: usize) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe: Some(pipe), held: Vec::new(), limit, overflowed: false })
    }

    /// Reads what is there, a bounded number of times so that a flood can't hold up the loop.
    fn drain(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        for _ in 0..64 {
            let Some(pipe) = &mut self.pipe else { return Ok(()) };
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(read) => self.hold(chunk.get(..read).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.held.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.held.extend_from_slice(kept);
        self.overflowed |= bytes.len() > room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_the_supervisor_goes_before_the_signal_it_used() {
        assert_eq!(outcome(Exit::Signal(9), Some(Cut::Time), 0, false), SandboxOutcome::TimedOut);
        assert_eq!(
            outcome(Exit::Signal(9), Some(Cut::Output), 1, false),
            SandboxOutcome::TooMuchOutput
        );
    }

    #[test]
    fn a_kill_that_the_memory_counter_saw_is_a_want_of_memory() {
        assert_eq!(outcome(Exit::Signal(9), None, 1, false), SandboxOutcome::OutOfMemory);
        assert_eq!(
            outcome(Exit::Signal(9), None, 0, false),
            SandboxOutcome::Signaled { signal: 9 }
        );
    }

    #[test]
    fn what_is_over_the_limit_is_not_held() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut drain = Drain::new(reader, 5).unwrap();

        writer.write_all(b"1234567").unwrap();
        drain.drain().unwrap();

        assert_eq!((drain.held.as_slice(), drain.overflowed), (b"12345".as_slice(), true));
    }
}
