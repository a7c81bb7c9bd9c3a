//! Starts a program behind a socket as a service manager does for a unit with `Accept=no`, and again when
//! it has ended: `sd_listen_fds(3)`.
//!
//! The socket is there for as long as the value is; connections made while nothing serves wait in it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

/// Becomes the program that its arguments name, with descriptor 0 as the one socket passed.
const PASS_SOCKET: &str =
    "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=jail; exec \"$@\"";

/// A program behind a socket.
pub struct SocketActivation {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SocketActivation {
    /// Listens at `path`, where everybody may connect, and has `command` (given words to run) serve.
    ///
    /// # Errors
    ///
    /// The path can't be listened at.
    pub fn start(
        path: &Path,
        words: &[&str],
        log: &Path,
        command: impl Fn(&[&str]) -> Command + Send + 'static,
    ) -> Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        let log = fs::File::options().create(true).append(true).open(log)?;
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let start = move || -> Result<Child> {
            let program = words.iter().map(String::as_str);
            let line: Vec<&str> =
                ["sh", "-c", PASS_SOCKET, "sh"].into_iter().chain(program).collect();
            let mut command = command(&line);
            command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener.try_clone()?)));
            Ok(command.stdout(Stdio::null()).stderr(log.try_clone()?).spawn()?)
        };
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let Ok(mut child) = start() else { return };
                serve(&mut child, &stopped);
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

/// Until it ends, or is to end.
fn serve(child: &mut Child, stopped: &AtomicBool) {
    while matches!(child.try_wait(), Ok(None)) {
        if stopped.load(Ordering::SeqCst) {
            // One that has ended by now needs no killing, only reaping.
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for SocketActivation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
