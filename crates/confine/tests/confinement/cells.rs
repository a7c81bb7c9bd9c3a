//! Jail and cell: forked closures with an empty root.

use std::{
    fs::{self, File},
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    mem::forget,
    os::{
        fd::{AsFd, AsRawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    panic::resume_unwind,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{AddressFamily, SocketType, socket},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use writ_confine::{
    Channel, ChildProcess, ConfineError, Confined, Exit, Profile, fork_worker, spawn,
};
use writ_model::{IsolationMode, MeasureName};

use crate::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    a_confined_process_starts_with_every_measure,
    a_cell_answers_messages_and_takes_descriptors,
    descriptors_that_are_not_kept_are_closed,
    a_cell_finds_no_file,
    a_cell_that_makes_a_socket_is_killed,
    a_cell_that_executes_a_program_is_killed,
    a_cell_that_starts_a_process_or_thread_is_killed,
    an_async_runtime_runs_in_a_cell,
    cryptography_works_in_jail_and_cell,
    a_jail_appends_to_its_state_file_and_a_cell_does_not,
    the_kernel_agrees_about_user_capabilities_and_filter,
    another_process_of_the_same_user_cannot_read_its_memory,
    a_cell_dies_with_its_launcher,
    dropping_the_handle_kills,
    a_panic_ends_the_child_alone,
    a_process_with_threads_starts_nothing,
    a_measure_that_fails_refuses_the_start_and_names_itself,
    a_degraded_start_says_what_is_missing,
    a_worker_keeps_only_what_it_is_given,
];

const SIGSYS: Exit = Exit::Signal(libc::SIGSYS);
const SIGKILL: Exit = Exit::Signal(libc::SIGKILL);

fn a_confined_process_starts_with_every_measure() {
    let mut confined = spawn(&Profile::jail(), || 7).unwrap();

    assert_eq!(end_of(&mut confined.process), Exit::Code(7));
    assert_eq!(confined.report.missing().count(), 0, "{}", confined.report);
    assert_eq!(confined.report.measures.len(), 15);
    assert_eq!(confined.report.mode, IsolationMode::Full);
    assert!(confined.report.uid_shared);
}

fn a_cell_answers_messages_and_takes_descriptors() {
    let (ours, theirs) = Channel::pair().unwrap();
    let profile = Profile::cell().keep(theirs.as_fd().as_raw_fd());
    let mut cell = spawn(&profile, move || {
        while let Ok(Some((message, Some(descriptor)))) = theirs.receive() {
            File::from(descriptor).write_all(&message).unwrap();
            theirs.send(b"written", None).unwrap();
        }
        0
    })
    .unwrap();
    let (mut reader, writer) = pipe().unwrap();

    ours.send(b"hello", Some(writer.as_fd())).unwrap();
    drop(writer);
    let answer = ours.receive().unwrap().unwrap().0;
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    drop(ours);

    assert_eq!((answer.as_slice(), text.as_str()), (b"written".as_slice(), "hello"));
    assert_eq!(end_of(&mut cell.process), Exit::Code(0));
}

fn descriptors_that_are_not_kept_are_closed() {
    let (_reader, mut writer) = pipe().unwrap();
    let closed = ended(&Profile::cell(), move || {
        let written = writer.write(b"x");
        forget(writer);
        i32::from(written.is_ok())
    });

    let (mut reader, mut writer) = pipe().unwrap();
    let profile = Profile::cell().keep(writer.as_raw_fd());
    let kept = ended(&profile, move || i32::from(writer.write(b"x").is_err()));

    assert_eq!((closed, kept), (Exit::Code(0), Exit::Code(0)));
    assert_eq!(reader.read(&mut [0; 2]).unwrap(), 1);
}

fn a_cell_finds_no_file() {
    for path in ["/etc/passwd", "/proc/self/status", "/dev/null", "/", "."] {
        let exit = ended(&Profile::cell(), || match open(path, OFlags::RDONLY, Mode::empty()) {
            Err(Errno::NOENT) => 0,
            _ => 1,
        });
        assert_eq!(exit, Exit::Code(0), "{path}");
    }
}

fn a_cell_that_makes_a_socket_is_killed() {
    for family in [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX] {
        let exit =
            ended(&Profile::cell(), || i32::from(socket(family, SocketType::STREAM, None).is_ok()));
        assert_eq!(exit, SIGSYS, "{family:?}");
    }
}

fn a_cell_that_executes_a_program_is_killed() {
    for profile in [Profile::cell(), Profile::jail()] {
        let exit = ended(&profile, || {
            let _error = Command::new("/bin/true").exec();
            1
        });
        assert_eq!(exit, SIGSYS);
    }
}

fn a_cell_that_starts_a_process_or_thread_is_killed() {
    let process = ended(&Profile::cell(), || i32::from(Command::new("/bin/true").spawn().is_ok()));
    let thread = ended(&Profile::cell(), || i32::from(thread::Builder::new().spawn(|| ()).is_ok()));

    assert_eq!((process, thread), (SIGSYS, SIGSYS));
}

fn an_async_runtime_runs_in_a_cell() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let profile = Profile::cell().keep(theirs.as_raw_fd());
    let mut cell = spawn(&profile, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let echoed = runtime.block_on(async {
            theirs.set_nonblocking(true)?;
            let mut socket = tokio::net::UnixStream::from_std(theirs)?;
            let mut buffer = [0; 5];
            tokio::time::timeout(Duration::from_secs(5), socket.read_exact(&mut buffer)).await??;
            tokio::time::sleep(Duration::from_millis(5)).await;
            socket.write_all(&buffer).await
        });
        i32::from(echoed.is_err())
    })
    .unwrap();

    ours.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    ours.read_exact(&mut echo).unwrap();

    assert_eq!(&echo, b"hello");
    assert_eq!(end_of(&mut cell.process), Exit::Code(0));
}

fn cryptography_works_in_jail_and_cell() {
    for profile in [Profile::jail(), Profile::cell()] {
        let exit = ended(&profile, || {
            let key = Ed25519KeyPair::generate().unwrap();
            let public = UnparsedPublicKey::new(&ED25519, key.public_key());
            public.verify(b"said", key.sign(b"said").as_ref()).unwrap();
            // The first message of a handshake draws keys of every group that TLS offers.
            let config = rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            let name = "service.example".try_into().unwrap();
            let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            let mut hello = Vec::new();
            client.write_tls(&mut hello).unwrap();
            i32::from(hello.len() < 200)
        });
        assert_eq!(exit, Exit::Code(0));
    }
}

fn a_jail_appends_to_its_state_file_and_a_cell_does_not() {
    let path = std::env::temp_dir().join(format!("writ-state-{}", std::process::id()));
    let append = |profile: Profile| {
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        ended(&profile.keep(file.as_raw_fd()), move || {
            file.write_all(b"entry\n").unwrap();
            i32::from(file.sync_data().is_err())
        })
    };

    let jail = append(Profile::jail());
    let written = fs::read_to_string(&path).unwrap();
    let cell = append(Profile::cell());
    fs::remove_file(&path).unwrap();

    assert_eq!((jail, written.as_str()), (Exit::Code(0), "entry\n"));
    assert_eq!(cell, SIGSYS);
}

fn the_kernel_agrees_about_user_capabilities_and_filter() {
    let (cell, _lives) = sleeping(&Profile::cell());
    let status = fs::read_to_string(format!("/proc/{}/status", cell.process.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>()
    };
    let own = rustix::process::geteuid().as_raw();
    let outside = if own == 0 { "65534".to_owned() } else { own.to_string() };

    assert_eq!(field("Uid:"), [outside.as_str(); 4]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), (vec!["1"], vec!["2"]));
    assert_eq!(field("NSpid:").last(), Some(&"1"));
    if own == 0 {
        assert!(field("Groups:").is_empty(), "{:?}", field("Groups:"));
        for space in ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"] {
            let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{space}")).unwrap();
            assert_ne!(link(&cell.process.pid().to_string()), link("self"), "{space}");
        }
    }
}

fn another_process_of_the_same_user_cannot_read_its_memory() {
    if rustix::process::geteuid().is_root() {
        return; // Root may read everything; the second run is the one that counts.
    }
    let (cell, _lives) = sleeping(&Profile::cell());

    for file in ["mem", "environ", "maps", "fd"] {
        let path = format!("/proc/{}/{file}", cell.process.pid());
        let opened = open(path.as_str(), OFlags::RDONLY, Mode::empty());
        assert_eq!(opened.err(), Some(Errno::ACCESS), "{path}");
    }
}

fn a_cell_dies_with_its_launcher() {
    let (lives, held) = pipe().unwrap();
    let (mut ready, mut say_ready) = pipe().unwrap();
    let keep = [held.as_raw_fd(), say_ready.as_raw_fd()];
    let launcher = fork_worker(&keep, move || {
        let profile = Profile::cell().keep(held.as_raw_fd());
        let _cell = spawn(&profile, move || sleep_holding(&held)).unwrap();
        say_ready.write_all(b"x").unwrap();
        sleep_holding(&say_ready)
    })
    .unwrap();
    ready.read_exact(&mut [0]).unwrap();
    assert!(!closes_within(&lives, Duration::from_millis(50)));

    launcher.kill();

    assert!(closes_within(&lives, Duration::from_secs(5)), "the cell outlived its launcher");
}

fn dropping_the_handle_kills() {
    let (cell, lives) = sleeping(&Profile::cell());
    assert!(!closes_within(&lives, Duration::from_millis(50)));

    drop(cell);

    assert!(closes_within(&lives, Duration::from_secs(5)));
}

fn a_panic_ends_the_child_alone() {
    let exit = ended(&Profile::cell(), || resume_unwind(Box::new("on purpose")));

    assert_eq!(exit, Exit::Code(101));
}

fn a_process_with_threads_starts_nothing() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let waiting = thread::spawn(move || stopped.recv());

    let refused = spawn(&Profile::cell(), || 0);
    let refused_worker = fork_worker(&[], || 0);
    drop(stop);
    let _disconnected = waiting.join().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while fs::read_dir("/proc/self/task").unwrap().count() > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }

    assert!(matches!(refused, Err(ConfineError::MultiThreaded { threads: 2 })));
    assert!(matches!(refused_worker, Err(ConfineError::MultiThreaded { .. })));
}

fn a_measure_that_fails_refuses_the_start_and_names_itself() {
    // A process under landlock may not mount, so its child gets no root of its own.
    let exit = in_landlocked_worker(|| match spawn(&Profile::cell(), || 0) {
        Err(ConfineError::Measure { measure: MeasureName::EmptyRoot, why, remedy }) => {
            i32::from(why.is_empty() || remedy.is_empty())
        }
        _ => 2,
    });

    assert_eq!(exit, Exit::Code(0));
}

fn a_degraded_start_says_what_is_missing() {
    let exit = in_landlocked_worker(|| {
        let profile = Profile::cell().with_isolation(IsolationMode::Degraded);
        let mut cell = spawn(&profile, || 5).unwrap();
        let ran = cell.process.wait().unwrap() == Exit::Code(5);
        let missing: Vec<_> = cell.report.missing().map(|measure| measure.name).collect();
        let said = cell.report.mode == IsolationMode::Degraded
            && !cell.report.is_complete()
            && missing == [MeasureName::EmptyRoot];
        i32::from(!(ran && said))
    });

    assert_eq!(exit, Exit::Code(0));
}

fn a_worker_keeps_only_what_it_is_given() {
    let (mut reader, mut kept) = pipe().unwrap();
    let (_other_reader, mut dropped) = pipe().unwrap();
    let mut worker = fork_worker(&[kept.as_raw_fd()], move || {
        let written = dropped.write(b"x");
        forget(dropped);
        i32::from(kept.write(b"x").is_err() || written.is_ok())
    })
    .unwrap();

    assert_eq!(end_of(&mut worker), Exit::Code(0));
    assert_eq!(reader.read(&mut [0; 2]).unwrap(), 1);
}

fn ended(profile: &Profile, child: impl FnOnce() -> i32) -> Exit {
    end_of(&mut spawn(profile, child).unwrap().process)
}

/// How the process ended; a process that does not end fails the test instead of holding it up.
fn end_of(process: &mut ChildProcess) -> Exit {
    let mut watched = [PollFd::from_borrowed_fd(process.pidfd(), PollFlags::IN)];
    let ready = poll(&mut watched, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap();
    assert_eq!(ready, 1, "the process does not end");
    process.wait().unwrap()
}

/// A confined process that sleeps, and a pipe that closes when it ends.
fn sleeping(profile: &Profile) -> (Confined, PipeReader) {
    let (lives, held) = pipe().unwrap();
    let profile = profile.clone().keep(held.as_raw_fd());
    let confined = spawn(&profile, move || sleep_holding(&held)).unwrap();
    (confined, lives)
}

fn sleep_holding(_held: &PipeWriter) -> i32 {
    thread::sleep(Duration::from_mins(1));
    0
}

fn closes_within(lives: &PipeReader, time: Duration) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(lives.as_fd(), PollFlags::IN)];
    poll(&mut watched, Some(&Timespec::try_from(time).unwrap())).unwrap() == 1
}

fn in_landlocked_worker(work: impl FnOnce() -> i32) -> Exit {
    use landlock::{
        ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    };
    let mut worker = fork_worker(&[], || {
        let everything = AccessFs::from_all(ABI::V1);
        let beneath = PathBeneath::new(PathFd::new("/").unwrap(), everything);
        let rules = Ruleset::default().handle_access(everything).unwrap().create().unwrap();
        rules.add_rule(beneath).unwrap().restrict_self().unwrap();
        work()
    })
    .unwrap();
    let exit = end_of(&mut worker);
    assert_ne!(exit, SIGKILL);
    exit
}
