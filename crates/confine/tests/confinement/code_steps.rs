//! The sandbox: CPython with hostile code in it.

use std::{
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use writ_confine::{
    Channel, fork_worker,
    sandbox::{SandboxOutcome, run, spawn},
};
use writ_model::MeasureName;

use crate::{
    Test,
    setting::{groups, log, python, run_code},
    tests,
};

pub(crate) const TESTS: &[Test] = tests![
    code_turns_input_json_into_output_json,
    the_output_file_goes_before_stdout,
    the_standard_library_loads,
    a_failing_step_has_its_code_and_its_log,
    the_report_of_a_sandbox_is_complete,
    the_network_is_refused,
    there_is_no_proc_and_no_file_of_the_machine,
    nothing_outside_tmp_can_be_written,
    no_other_program_can_be_executed,
    calls_into_the_kernel_are_refused,
    it_has_no_capability_and_no_new_privileges,
    it_has_no_descriptor_and_no_environment_of_ours,
    input_that_is_not_read_holds_nothing_up,
    a_process_left_behind_is_gone,
    a_broker_channel_reaches_the_code,
    a_sandbox_dies_with_its_launcher,
    nothing_is_left_in_the_control_groups,
];

fn code_turns_input_json_into_output_json() {
    let code = "
import json, sys
order = json.load(sys.stdin)
print('a line before')
print(json.dumps({'total': sum(order['prices']), 'who': order['who']}))
";
    let result = run_code(code, br#"{"prices":[1,2,39],"who":"caf\u00e9"}"#);

    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
    assert_eq!(result.output(), Some(br#"{"total": 42, "who": "caf\u00e9"}"#.as_slice()));
}

fn the_output_file_goes_before_stdout() {
    let code = "
import os
print('{\"from\": \"stdout\"}')
open(os.environ['WRIT_OUTPUT'], 'w').write('{\"from\": \"file\"}')
";
    let result = run_code(code, b"");

    assert_eq!(result.output(), Some(br#"{"from": "file"}"#.as_slice()), "{}", log(&result));
    assert_eq!(result.stdout, b"{\"from\": \"stdout\"}\n");
}

fn the_standard_library_loads() {
    check(
        "
import json, re, ssl, hashlib, hmac, base64, ctypes, zlib, decimal, datetime, urllib.request
import csv, ipaddress, email, xml.etree.ElementTree, sqlite3, asyncio, concurrent.futures, tempfile
import subprocess, multiprocessing, lzma, bz2, uuid, random, secrets, statistics, html, logging
assert hashlib.sha256(b'').hexdigest().startswith('e3b0')
assert sqlite3.connect('/tmp/x.db').execute('select 1 + 1').fetchone() == (2,)
async def two(): await asyncio.sleep(0.01); return 2
assert asyncio.run(two()) == 2
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda n: n * n, range(4))) == [0, 1, 4, 9]
with tempfile.TemporaryFile() as f: f.write(b'x')
",
    );
}

fn a_failing_step_has_its_code_and_its_log() {
    let result = run_code("import sys; print('so far', file=sys.stderr); sys.exit(3)", b"");

    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 3 });
    assert_eq!((result.stderr.as_slice(), result.stderr_cut), (b"so far\n".as_slice(), false));
    assert_eq!(result.output(), None);
}

fn the_report_of_a_sandbox_is_complete() {
    let with_group = run_code("pass", b"").report;
    let without = run(python("pass"), None, b"").unwrap().report;

    assert!(with_group.is_complete() && without.is_complete(), "{with_group}\n{without}");
    assert_eq!(with_group.is_active(MeasureName::Cgroup), groups().is_some());
    assert!(!without.is_active(MeasureName::Cgroup));
}

fn the_network_is_refused() {
    check(
        "
import socket, urllib.request
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try: socket.socket(family, kind)
        except PermissionError: pass
        else: raise SystemExit(f'{family} {kind} made')
try: urllib.request.urlopen('http://169.254.169.254/', timeout=2)
except OSError: pass
else: raise SystemExit('fetched')
try: a, b = socket.socketpair(); a.connect('/tmp/x')
except OSError: pass
else: raise SystemExit('connected')
",
    );
}

fn there_is_no_proc_and_no_file_of_the_machine() {
    check(
        "
import os
for path in ('/proc', '/proc/self/status', '/sys', '/etc', '/etc/passwd', '/root', '/home', '/var',
             '/bin/sh', '/usr/bin/env', '/run', '/dev/shm', '/dev/tty', '/dev/kmsg', '/dev/vda'):
    assert not os.path.lexists(path), path
for attempt in (lambda: open('/etc/passwd'), lambda: os.listdir('/'), lambda: os.listdir('/usr')):
    try: attempt()
    except OSError: pass
    else: raise SystemExit('could be read')
up = '/tmp'
for _ in range(40): up += '/..'
assert not os.path.exists(up + '/etc')
assert sorted(os.listdir('/tmp')) == []
",
    );
}

fn nothing_outside_tmp_can_be_written() {
    check(
        "
import os, sys
lib = os.path.dirname(os.__file__)
for path in ('/x', '/step.py', '/usr/x', lib + '/x.py', lib + '/os.py', '/dev/x', sys.executable or '/usr/bin/python3'):
    try: open(path, 'w')
    except OSError: pass
    else: raise SystemExit(path)
for attempt in (lambda: os.chmod('/step.py', 0o777), lambda: os.rename('/step.py', '/tmp/s'),
                lambda: os.mkdir('/d'), lambda: os.remove('/step.py'), lambda: os.link('/step.py', '/tmp/l')):
    try: attempt()
    except OSError: pass
    else: raise SystemExit('changed')
open('/tmp/fine', 'w').write('fine')
open('/dev/null', 'w').write('fine')
assert len(open('/dev/urandom', 'rb').read(8)) == 8
",
    );
}

fn no_other_program_can_be_executed() {
    check(
        "
import ctypes, os, shutil, subprocess
for command in (['/bin/sh', '-c', 'true'], ['ls']):
    try: subprocess.run(command)
    except OSError: pass
    else: raise SystemExit('ran')
loader = [p for p in ('/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1') if os.path.exists(p)][0]
shutil.copy(loader, '/tmp/program'); os.chmod('/tmp/program', 0o755)
try: os.execv('/tmp/program', ['program'])
except PermissionError: pass
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.memfd_create(b'x', 0)
assert fd < 0 and ctypes.get_errno() == 1, fd
",
    );
}

fn calls_into_the_kernel_are_refused() {
    let numbers = [
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_fsopen,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_io_uring_setup,
        libc::SYS_kexec_load,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_init_module,
        libc::SYS_seccomp,
        libc::SYS_setuid,
        libc::SYS_capset,
        libc::SYS_personality,
        libc::SYS_execveat,
        libc::SYS_mknodat,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_open_by_handle_at,
    ];
    let code = format!(
        "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for number in {numbers:?}:
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    assert result == -1 and ctypes.get_errno() == 1, (number, result, ctypes.get_errno())
for flag in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x02000000, 0x04000000, 0x08000000):
    assert libc.syscall({clone}, flag | 17, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 1, hex(flag)
assert libc.syscall({clone3}, 0, 0) == -1 and ctypes.get_errno() == 38
assert libc.ioctl(0, 0x5412, b'x') == -1
",
        clone = libc::SYS_clone,
        clone3 = libc::SYS_clone3,
    );
    check(&code);
}

fn it_has_no_capability_and_no_new_privileges() {
    check(
        "
import ctypes, os, struct
assert os.getuid() == 0 and os.getpid() == 1, (os.getuid(), os.getpid())
for attempt in (lambda: os.setuid(1), lambda: os.setgroups([0]), lambda: os.chroot('/tmp'),
                lambda: os.mknod('/tmp/dev', 0o020666, os.makedev(1, 1)), lambda: os.nice(-5)):
    try: attempt()
    except OSError: pass
    else: raise SystemExit('could')
",
    );
}

fn it_has_no_descriptor_and_no_environment_of_ours() {
    check(
        "
import os
def is_open(fd):
    try: os.fstat(fd); return True
    except OSError: return False
assert [fd for fd in range(256) if is_open(fd)] == [0, 1, 2]
assert set(os.environ) <= {'HOME', 'TMPDIR', 'LANG', 'WRIT_OUTPUT', 'LC_CTYPE'}, dict(os.environ)
assert os.uname().nodename == 'confined'
",
    );
}

fn input_that_is_not_read_holds_nothing_up() {
    let input = vec![b'x'; 1 << 20];
    let ignored = run_code("print(1)", &input);
    let closed = run_code("import os\nos.close(0)\nprint(1)", &input);
    let read = run_code("import sys\nprint(len(sys.stdin.read()))", &input);

    assert_eq!(ignored.output(), Some(b"1".as_slice()));
    assert_eq!(closed.output(), Some(b"1".as_slice()));
    assert_eq!(read.output(), Some(b"1048576".as_slice()));
}

fn a_process_left_behind_is_gone() {
    if groups().is_none() {
        return; // There, no process can be started in the first place.
    }
    let start = Instant::now();
    let result = run_code("import os, time\nif os.fork() == 0: time.sleep(30)\nprint(1)", b"");

    assert_eq!(result.output(), Some(b"1".as_slice()), "{}", log(&result));
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn a_broker_channel_reaches_the_code() {
    let (ours, theirs) = Channel::pair().unwrap();
    let mut spec = python(
        "
import os, socket
broker = socket.socket(fileno=int(os.environ['WRIT_BROKER_FD']))
broker.sendall(b'\\0\\0\\0\\5hello')
",
    );
    spec.broker = Some(theirs.into_fd());

    let result = run(spec, groups().as_ref(), b"").unwrap();

    assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
    assert_eq!(ours.receive().unwrap().unwrap().0, b"hello");
}

fn a_sandbox_dies_with_its_launcher() {
    let (ours, theirs) = Channel::pair().unwrap();
    ours.set_timeout(Some(Duration::from_secs(10))).unwrap();
    let code = "
import os, socket, time
socket.socket(fileno=int(os.environ['WRIT_BROKER_FD'])).sendall(b'\\0\\0\\0\\1x') or time.sleep(60)
";
    let mut spec = python(code);
    let theirs = theirs.into_fd();
    let keep = [theirs.as_raw_fd()];
    spec.broker = Some(theirs);
    let launcher = fork_worker(&keep, move || match spawn(spec, None) {
        Ok(sandbox) => i32::from(sandbox.supervise(b"").is_err()),
        Err(_) => 1,
    })
    .unwrap();
    assert_eq!(ours.receive().unwrap().unwrap().0, b"x");

    launcher.kill();

    assert!(ours.receive().unwrap().is_none(), "the sandbox outlived its launcher");
}

fn nothing_is_left_in_the_control_groups() {
    for controller in ["memory", "pids", "cpu"] {
        let mut folders = vec![std::path::PathBuf::from(format!("/sys/fs/cgroup/{controller}"))];
        let own = format!("writ-sandbox-{}-", std::process::id());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(!name.starts_with(&own), "{name} is left");
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
            }
        }
    }
}

/// Runs code that asserts for itself, with a control group if there is one, and without.
fn check(code: &str) {
    let code = format!("{code}\nprint('done')\n");
    for groups in [groups(), None] {
        let result = run(python(&code), groups.as_ref(), b"").unwrap();
        assert_eq!(result.outcome, SandboxOutcome::Exited { code: 0 }, "{}", log(&result));
        assert_eq!(result.output(), Some(b"done".as_slice()));
    }
}
