//! A process with runs under way is killed (SIGKILL) at seeded instants and started again, until
//! every run has ended: no step is lost, and none happens twice that nobody allowed.
//!
//! The child is this test's own executable; what it does to the outside is a line in a file that
//! is on disk before the engine hears of it.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use writ_engine::{CloseError, Engine, Perform, Performed, Phase, Recovery, StartRun, Suspended};
use writ_evidence::{digest::RunKey, writ::ResumeDecision};
use writ_model::{RunId, StepId, UnixMillis};
use writ_workflow::{ActionCall, ApprovalWait, CodeRun, Outcome, bundle};
use zeroize::Zeroizing;

const FOLDER: &str = "WRIT_ENGINE_KILL_FOLDER";
const KILLS: u32 = 30;
const RUNS: u128 = 3;
/// How often each run goes through a call of each kind of recovery.
const ROUNDS: usize = 24;

#[test]
fn runs_survive_being_killed_at_any_instant() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(&PathBuf::from(folder));
    }
    let folder = TempDir::new().unwrap();
    let deadline = Instant::now() + Duration::from_mins(4);
    let (mut random, mut killed) = (0x5eed_u64, 0);

    while killed < KILLS {
        // So much is done in this life (its first line says that it is up), and a little more.
        let more = usize::try_from(draw(&mut random) % 10).unwrap();
        let lines = Log::read(folder.path()).0.len() + 1 + more;
        let mut child = spawn(folder.path());
        wait_for(folder.path(), lines, &mut child, deadline);
        std::thread::sleep(Duration::from_micros(draw(&mut random) % 4_000));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    let last = spawn(folder.path()).wait_with_output().unwrap();

    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stdout));
    assert!(killed >= 10, "the runs ended after only {killed} kills");
    let in_doubt = check(&Log::read(folder.path()));
    assert!(in_doubt >= 1, "no kill fell between an action and its event");
}

/// The process that is killed: this test, run again in the folder that it is given.
fn child(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    runtime.block_on(live(folder));
}

async fn live(folder: &Path) {
    let outside = Arc::new(Outside::open(folder));
    let path = folder.join("journal.db");
    let engine = Engine::open(&path, Zeroizing::new([7; 32]), Arc::clone(&outside)).unwrap();
    outside.write("up");
    engine.recover(async |_| Ok(())).await.unwrap();
    for run in runs() {
        engine.start(order(run)).await.unwrap();
    }
    while !runs().all(|run| engine.status(run).unwrap().phase.is_final()) {
        for doubt in engine.suspended().unwrap() {
            outside.decide(&engine, doubt).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for run in runs() {
        assert_eq!(engine.status(run).unwrap().phase, Phase::Completed);
        let output: Value = serde_json::from_str(&engine.output(run).unwrap().unwrap()).unwrap();
        assert_eq!(output, json!({ "value": ROUNDS * 3 }));
    }
}

/// What holds of the file at the end; returns how many decisions it took.
fn check(log: &Log) -> usize {
    for run in runs() {
        for (index, kind) in steps() {
            let step = format!("{run} {} ", step(index, kind));
            let called = log.count(&format!("call {step}"));
            let again = log.count(&format!("again {step}"));
            assert!(called >= 1, "{step}was lost");
            if kind == "once" {
                assert!(called <= 1 + again, "{step}happened {called} times, {again} allowed");
            }
        }
        assert!(log.count(&format!("close {run} ")) >= 1, "{run} was not closed");
    }
    log.count("again ")
}

fn runs() -> impl Iterator<Item = RunId> {
    (1..=RUNS).map(RunId::from_bits)
}

fn steps() -> impl Iterator<Item = (usize, &'static str)> {
    ["read", "keyed", "once"].into_iter().cycle().take(ROUNDS * 3).enumerate()
}

fn step(index: usize, kind: &str) -> StepId {
    // A `set` stands before every call.
    StepId { task: format!("/do/{}/{kind}{index}", index * 2 + 1), iteration: 0 }
}

fn order(id: RunId) -> StartRun {
    let mut document = "
document: {dsl: 1.0.0, namespace: secops, name: kill, version: 1.0.0}
do:"
    .to_owned();
    for (index, kind) in steps() {
        write!(
            document,
            r#"
  - set{index}: {{set: {{value: "${{ .value }}"}}}}
  - {kind}{index}:
      call: acme.things.{kind}:1.0.0@default
      with: {{connection: acme, n: "${{ .value }}"}}"#
        )
        .unwrap();
    }
    StartRun {
        id,
        workspace: "secops".parse().unwrap(),
        automation: "secops/kill".parse().unwrap(),
        acceptance: "acceptance".to_owned(),
        bundle: bundle::close(&document),
        run_key: RunKey::from_bytes(Zeroizing::new([9; 32])),
        input: json!({ "value": 0 }).to_string(),
    }
}

/// The outside: a file with a line for all that was done to it.
struct Outside {
    file: Mutex<File>,
    folder: PathBuf,
    /// Steps that a person has decided about in this life, in which each is in doubt once.
    decided: Mutex<BTreeSet<String>>,
}

impl Outside {
    fn open(folder: &Path) -> Self {
        let path = folder.join("outside.log");
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Self { file: Mutex::new(file), folder: folder.to_owned(), decided: Mutex::default() }
    }

    fn write(&self, line: &str) {
        let mut file = self.file.lock().unwrap();
        file.write_all(format!("{line} \n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }

    /// A person who says "again", once for each life that the step is in doubt in.
    async fn decide(&self, engine: &Engine<Self>, doubt: Suspended) {
        let step = format!("{} {}", doubt.run, doubt.step);
        if !self.decided.lock().unwrap().insert(step.clone()) {
            return;
        }
        let log = Log::read(&self.folder);
        let called = log.count(&format!("call {step} "));
        // One that was written down before a kill is the same decision, and not a second one.
        if log.count(&format!("again {step} {called} ")) == 0 {
            self.write(&format!("again {step} {called}"));
        }
        engine.resume(doubt.run, &doubt.step, doubt.attempt, ResumeDecision::Retry).await.unwrap();
    }
}

impl Perform for Outside {
    async fn call_action(&self, run: RunId, call: ActionCall) -> Performed {
        // Time on both sides of what happens, for a kill to fall into.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.write(&format!("call {run} {}", call.step));
        tokio::time::sleep(Duration::from_millis(1)).await;
        Performed::done(Ok(next(&call.parameters)))
    }

    /// None of these runs asks.
    async fn await_approval(&self, _run: RunId, _wait: ApprovalWait) -> Performed {
        Performed::Interrupted
    }

    /// None of these calls waits for anybody.
    async fn await_call_approval(&self, _run: RunId, _call: &ActionCall) -> Performed {
        Performed::Interrupted
    }

    async fn run_code(&self, _run: RunId, code: CodeRun) -> Performed {
        let arguments: Value = serde_json::from_str(&code.input.stdin).unwrap();
        Performed::done(Ok(next(arguments.as_object().unwrap())))
    }

    async fn recovery(&self, _run: RunId, call: &ActionCall) -> Recovery {
        match call.action.as_str() {
            "acme.things.read" => Recovery::Again,
            "acme.things.keyed" => Recovery::AgainWithSameKey,
            _ => Recovery::Ask,
        }
    }

    async fn close(&self, run: RunId, _outcome: &Outcome) -> Result<String, CloseError> {
        self.write(&format!("close {run}"));
        Ok("statement".to_owned())
    }

    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        UnixMillis(u64::try_from(since.as_millis()).unwrap())
    }
}

fn next(parameters: &Map<String, Value>) -> Value {
    json!({ "value": parameters.get("n").and_then(Value::as_i64).unwrap() + 1 })
}

/// The outside's file, line by line.
struct Log(Vec<String>);

impl Log {
    fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("outside.log")).unwrap_or_default();
        Self(text.lines().map(str::to_owned).collect())
    }

    fn count(&self, prefix: &str) -> usize {
        self.0.iter().filter(|line| line.starts_with(prefix)).count()
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runs_survive_being_killed_at_any_instant", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Waits until the outside has so many lines, so that a kill falls into the child's work however
/// busy the machine is.
fn wait_for(folder: &Path, lines: usize, child: &mut Child, deadline: Instant) {
    while Log::read(folder).0.len() < lines && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the child does nothing");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// `SplitMix64`.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
