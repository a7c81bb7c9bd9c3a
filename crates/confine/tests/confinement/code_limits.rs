//! The sandbox's bounds: what crosses one is stopped, and harms nobody.

use std::time::{Duration, Instant};

use writ_confine::sandbox::{SandboxLimits, SandboxOutcome, SandboxResult, WrittenOutput, run};

use crate::{
    Test,
    setting::{groups, log, python, run_code},
    tests,
};

const MEMORY_BOMB: &str = "
held = []
while True: held.append(bytearray(1 << 20))
";

pub(crate) const TESTS: &[Test] = tests![
    a_memory_bomb_is_stopped,
    a_memory_bomb_is_stopped_without_a_control_group,
    a_fork_bomb_is_bounded,
    without_a_control_group_only_threads_start,
    an_endless_loop_times_out,
    an_endless_loop_in_a_child_process_times_out,
    processor_time_is_limited,
    huge_stdout_is_cut_and_ends_the_step,
    a_flood_of_log_is_cut_and_harmless,
    an_output_file_that_is_a_link_or_pipe_or_too_large_is_not_read,
    files_are_bounded,
];

fn a_memory_bomb_is_stopped() {
    let result = run_limited(MEMORY_BOMB, |limits| limits.memory_bytes = 64 << 20);

    match groups() {
        Some(_) => assert_eq!(result.outcome, SandboxOutcome::OutOfMemory, "{}", log(&result)),
        None => assert_memory_error(&result),
    }
}

fn a_memory_bomb_is_stopped_without_a_control_group() {
    let mut spec = python(MEMORY_BOMB);
    spec.limits.memory_bytes = 64 << 20;

    assert_memory_error(&run(spec, None, b"").unwrap());
}

fn a_fork_bomb_is_bounded() {
    if groups().is_none() {
        return; // Covered by `without_a_control_group_only_threads_start`.
    }
    let code = "
import os, time
born = 0
while True:
    try: pid = os.fork()
    except OSError: break
    if pid == 0: time.sleep(30)
    born += 1
print(born)
";
    let start = Instant::now();
    let result = run_limited(code, |limits| limits.processes = 10);

    assert_eq!(result.output(), Some(b"9".as_slice()), "{}", log(&result));
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn without_a_control_group_only_threads_start() {
    let code = "
import os, subprocess, threading
try: os.fork()
except PermissionError: pass
else: raise SystemExit('forked')
def count():
    try: threading.Thread(target=stop.wait).start(); return True
    except RuntimeError: return False
stop = threading.Event()
started = 0
while count(): started += 1
stop.set()
print(started)
";
    let mut spec = python(code);
    spec.limits.processes = 6;
    let result = run(spec, None, b"").unwrap();

    assert_eq!(result.output(), Some(b"5".as_slice()), "{}", log(&result));
}

fn an_endless_loop_times_out() {
    assert_times_out("while True: pass");
    assert_times_out(
        "import time, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)",
    );
}

fn an_endless_loop_in_a_child_process_times_out() {
    if groups().is_some() {
        assert_times_out(
            "import os\nwhile True:\n  if os.fork() == 0:\n    while True: pass\n  os.wait()",
        );
    }
}

fn assert_times_out(code: &str) {
    let start = Instant::now();
    let result = run_limited(code, |limits| limits.wall = Duration::from_millis(400));

    assert_eq!(result.outcome, SandboxOutcome::TimedOut, "{}", log(&result));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

fn processor_time_is_limited() {
    let result = run_limited("while True: pass", |limits| limits.cpu = Duration::from_secs(1));

    assert_eq!(result.outcome, SandboxOutcome::Signaled { signal: libc::SIGKILL });
}

fn huge_stdout_is_cut_and_ends_the_step() {
    let result = run_limited("while True: print('x' * 100000)", |limits| {
        limits.output_bytes = 50_000;
    });
    let exact = run_limited("print('x' * 49999)", |limits| limits.output_bytes = 50_000);
    let one_more = run_limited("print('x' * 50000)", |limits| limits.output_bytes = 50_000);

    assert_eq!(result.outcome, SandboxOutcome::TooMuchOutput);
    assert_eq!(result.stdout.len(), 50_000);
    assert_eq!((exact.outcome, exact.stdout.len()), (SandboxOutcome::Exited { code: 0 }, 50_000));
    assert_eq!(one_more.outcome, SandboxOutcome::TooMuchOutput);
}

fn a_flood_of_log_is_cut_and_harmless() {
    let code = "
import sys
for _ in range(200): print('x' * 10000, file=sys.stderr)
print(1)
";
    let result = run_limited(code, |limits| limits.log_bytes = 1000);

    assert_eq!(result.output(), Some(b"1".as_slice()));
    assert_eq!((result.stderr.len(), result.stderr_cut), (1000, true));
}

fn an_output_file_that_is_a_link_or_pipe_or_too_large_is_not_read() {
    for make in [
        "os.symlink('/etc/passwd', out)",
        "os.symlink('/tmp/other', out)",
        "os.mkdir(out)",
        "open(out, 'w').write('1'); os.chmod(out, 0)",
    ] {
        let code = format!(
            "import os\nout = os.environ['WRIT_OUTPUT']\nopen('/tmp/other', 'w').write('1')\nprint('0')\n{make}\n"
        );
        let result = run_code(&code, b"");

        // Root may read a file without permissions; it is a file like any other.
        let readable = make.contains("chmod") && rustix::process::geteuid().is_root();
        let expected =
            if readable { WrittenOutput::Content(b"1".to_vec()) } else { WrittenOutput::NotAFile };
        assert_eq!(result.written, expected, "{make}: {}", log(&result));
    }
    let large = run_limited(
        "import os\nopen(os.environ['WRIT_OUTPUT'], 'w').write('1' * 101)\nprint('0')",
        |limits| limits.output_bytes = 100,
    );

    assert_eq!(large.outcome, SandboxOutcome::TooMuchOutput);
    assert_eq!(large.written, WrittenOutput::Absent);
}

fn files_are_bounded() {
    let code = "
import os
def fill(name):
    total = 0
    try:
        with open('/tmp/' + name, 'wb', buffering=0) as f:
            while True: total += f.write(b'x' * 65536)
    except OSError: return total
total = sum(fill(str(n)) for n in range(4))
assert 0 < total <= 4 << 20, total
made = 0
try:
    while True:
        open(f'/tmp/n{made}', 'w').close()
        made += 1
except OSError: pass
assert made <= 4096, made
";
    let result = run_limited(
        &format!("import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{code}"),
        |limits| limits.scratch_bytes = 4 << 20,
    );

    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
}

fn assert_memory_error(result: &SandboxResult) {
    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 1 });
    assert!(log(result).contains("MemoryError"), "{}", log(result));
}

fn run_limited(code: &str, limit: impl FnOnce(&mut SandboxLimits)) -> SandboxResult {
    let mut spec = python(code);
    limit(&mut spec.limits);
    run(spec, groups().as_ref(), b"").unwrap()
}
