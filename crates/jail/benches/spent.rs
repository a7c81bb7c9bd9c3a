//! What the jail's state file costs with up to ten million used writs in it: starting with it, spending another one
//! durably, and its memory. `cargo xtask bench state` runs it; nothing passes or fails.
//!
//! The file is filled with the records that the jail itself writes, without its `fdatasync` for each, and then opened
//! and used as the jail does, by a process of its own for each row. `COUNT` in the environment is the most writs, for
//! a quick look.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that fails says where"
)]

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use writ_jail::state::{Record, StateFile};
use writ_model::UnixTime;

const NOON: UnixTime = UnixTime(1_764_000_000);
/// When every writ of the file has expired.
const LATER: UnixTime = UnixTime(1_764_001_000);
/// Spent durably, one after the other, for each row.
const SPENT: u32 = 400;
/// Names the time at which a child opens the file.
const AT: &str = "WRIT_BENCH_AT";

fn main() {
    let folder = env::var("WRIT_BENCH_FOLDER");
    if let (Ok(folder), Ok(at)) = (&folder, env::var(AT)) {
        return row(Path::new(folder), UnixTime(at.parse().unwrap()));
    }
    let most: u64 =
        env::var("COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mut written = 0;
    for count in [0, most / 10, most / 2, most] {
        fill(&path, written, count);
        written = count;
        in_child(folder.path(), NOON);
    }
    in_child(folder.path(), LATER);
}

fn in_child(folder: &Path, now: UnixTime) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.env("WRIT_BENCH_FOLDER", folder).env(AT, now.0.to_string());
    assert!(child.status().unwrap().success());
}

fn row(folder: &Path, now: UnixTime) {
    let path = folder.join("state");
    let bytes = fs::metadata(&path).unwrap().len();
    let sync = synced(folder);
    let before = resident_mib();
    let began = Instant::now();
    let mut state = open(&path, now);
    let started = began.elapsed();
    let known = state.memory().used.len();
    let mut took = Vec::new();
    for number in 0..SPENT {
        let jti = format!("spent-while-measured-{known}-{number}");
        let began = Instant::now();
        state.forget_expired(now);
        assert!(!state.memory().used.knows(&jti));
        state.append(vec![used(jti, now)]).unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    say(&format!(
        "| jail state, {known} used writs remembered of a file of {} MiB | one more: p50 {} ({:.2} of the bare {}), \
         p99 {}; {} MiB of memory; started in {} |",
        bytes >> 20,
        shown(p50),
        p50.as_secs_f64() / sync.as_secs_f64(),
        shown(sync),
        shown(p99),
        resident_mib().saturating_sub(before),
        shown(started),
    ));
}

fn open(path: &Path, now: UnixTime) -> StateFile {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    StateFile::open(file.unwrap(), now).unwrap()
}

/// Writs of from one number to another, spread over the eight minutes for which one is remembered.
fn fill(path: &Path, from: u64, to: u64) {
    let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut file = BufWriter::new(file);
    for number in from..to {
        let jti = format!("{number:-<43}");
        let until = NOON.plus(1 + number % 480);
        serde_json::to_writer(&mut file, &[Record::Used { jti, until, by: None, attests: None }])
            .unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
}

fn used(jti: String, now: UnixTime) -> Record {
    Record::Used { jti, until: now.plus(480), by: None, attests: None }
}

/// What the disk takes for as many bytes, appended and synced: the floor.
fn synced(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("floor")).unwrap();
    let mut took = Vec::new();
    for _ in 0..SPENT {
        let began = Instant::now();
        file.write_all(&[7; 90]).unwrap();
        file.sync_data().unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

/// Memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn shown(took: Duration) -> String {
    if took < Duration::from_millis(100) {
        format!("{:.1} µs", took.as_secs_f64() * 1e6)
    } else {
        format!("{:.2} s", took.as_secs_f64())
    }
}

fn say(line: &str) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
