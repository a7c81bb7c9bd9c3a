//! How attacks are made: what is given to the runner, asked of a service or said to a command, and how what came
//! of it is read.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use writ_api::{CandidateVerdict, RunPhase, RunnerReport, RunnerTask};
use writ_evidence::{
    charter::UnverifiedEntry,
    digest::sha256,
    idc::UnverifiedIdc,
    jws::UnverifiedJws,
    statement::{Says, Statement},
    writ::run_id,
};
use writ_model::{Digest, RunId};
use writ_testkit::{
    hostile::{Draft, ForgedOrder},
    keys::Login,
    part::Part,
};

use crate::{
    setting::{Setting, input},
    table::{Evidence, Shown},
};

/// How long the runner's log may lag.
const PATIENCE: Duration = Duration::from_secs(15);

impl Setting {
    /// An order for the main job by the owner, right but for what `change` does before it is signed.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Draft)) -> Result<ForgedOrder> {
        self.order_by(&self.login("owner")?, change)
    }

    /// The same by somebody.
    pub(crate) fn order_by(
        &self,
        login: &Login,
        change: impl FnOnce(&mut Draft),
    ) -> Result<ForgedOrder> {
        let mut draft = self.forger.draft(login, &input())?;
        change(&mut draft);
        self.forger.sign(&draft, login)
    }

    /// The owner's order, changed before it is signed, is relayed.
    pub(crate) fn signed_with(&self, change: impl FnOnce(&mut Draft)) -> Result<Shown> {
        self.relayed(self.order(change)?)
    }

    /// Somebody's order, right but for who signs it, is relayed.
    pub(crate) fn signed_by(&self, login: &Login) -> Result<Shown> {
        self.relayed(self.order_by(login, |_| ())?)
    }

    /// Gives the runner an order; how it was refused.
    pub(crate) fn relayed(&self, order: ForgedOrder) -> Result<Shown> {
        let from = self.relay.reported();
        let writ = sha256(order.writ.as_bytes());
        let ForgedOrder { writ: compact, idc, sealed } = order;
        self.relay.give(vec![RunnerTask::Start { writ: compact, idc, sealed }]);
        let code = self.refused(from, run_id(writ))?;
        Ok(self.refusal(from, code))
    }

    /// The code with which a run was refused since then.
    pub(crate) fn refused(&self, from: usize, run: RunId) -> Result<String> {
        let (phase, code) = self.relay.wait(from, |report| match report {
            RunnerReport::Status(status) if status.run == run && status.phase.is_final() => {
                Some((status.phase, status.code.clone()))
            }
            _ => None,
        })?;
        ensure!(phase == RunPhase::Refused, "the attack succeeded: {run} is {phase:?}");
        code.context("a refusal without a code")
    }

    /// What remains of a refusal: the jail's signature on it, or what the runner says.
    pub(crate) fn refusal(&self, from: usize, code: String) -> Shown {
        let signed = self.relay.said(from, |report| {
            let Says::Refusal(refusal) = says(report)? else { return None };
            (refusal.code == code).then_some(())
        });
        let evidence = if signed.is_some() { Evidence::Signed } else { Evidence::Status };
        Shown::refused(code, evidence)
    }

    /// Gives the runner a task about a writ; how it was refused.
    pub(crate) fn task(
        &self,
        writ: String,
        idc: &UnverifiedIdc,
        task: impl FnOnce(String, UnverifiedIdc) -> RunnerTask,
    ) -> Result<Shown> {
        let from = self.relay.reported();
        match self.told(writ, idc, task)? {
            Some(code) => Ok(self.refusal(from, code)),
            None => bail!("the attack succeeded: the runner did as it was told"),
        }
    }

    /// Gives the runner a task about a writ; the code that it was refused with, if it was.
    pub(crate) fn told(
        &self,
        writ: String,
        idc: &UnverifiedIdc,
        task: impl FnOnce(String, UnverifiedIdc) -> RunnerTask,
    ) -> Result<Option<String>> {
        let from = self.relay.reported();
        let digest = sha256(writ.as_bytes());
        self.relay.give(vec![task(writ, idc.clone())]);
        self.relay.wait(from, |report| match report {
            RunnerReport::ResumeDone { writ, refused }
            | RunnerReport::TestDone { writ, refused }
                if *writ == digest =>
            {
                Some(refused.as_ref().map(|(code, _)| code.clone()))
            }
            _ => None,
        })
    }

    /// Asks the witness to cosign a candidate; how it refused.
    pub(crate) fn cosign(&self, candidate: UnverifiedEntry) -> Result<Shown> {
        let from = self.relay.reported();
        match self.cosigned(candidate)? {
            CandidateVerdict::Refused { code, .. } => Ok(self.refusal(from, code)),
            CandidateVerdict::Cosigned(_) => bail!("the attack succeeded: it was cosigned"),
        }
    }

    /// Asks the witness to cosign a candidate.
    pub(crate) fn cosigned(&self, candidate: UnverifiedEntry) -> Result<CandidateVerdict> {
        let from = self.relay.reported();
        let asked = candidate.digest();
        self.relay.give(vec![RunnerTask::Cosign { candidate: Box::new(candidate) }]);
        self.relay.wait(from, |report| match report {
            RunnerReport::Candidate { digest, verdict } if *digest == asked => {
                Some(verdict.clone())
            }
            _ => None,
        })
    }

    /// Gives the runner tasks that it can only complain about in its log; the code there.
    pub(crate) fn logged(&self, tasks: Vec<RunnerTask>) -> Result<Shown> {
        let from = self.runner_log()?.len();
        self.relay.give(tasks);
        let code = self.log_code(from)?;
        Ok(Shown::refused(code, Evidence::Log))
    }

    /// The code of the next complaint in the runner's log after so many bytes.
    pub(crate) fn log_code(&self, from: usize) -> Result<String> {
        code_in_log(from, || self.runner_log())
    }

    /// Runs `writ`, which must fail; the code that it fails with.
    pub(crate) fn command(&self, words: &[&str]) -> Result<Shown> {
        let said = self.world.refused(words)?;
        let code = said.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        let (code, _) = code.with_context(|| format!("no code in: {said}"))?;
        Ok(Shown::refused(code, Evidence::Command))
    }

    /// Waits until the runner has as long a charter as the control plane has; one that has ended is started again, as a
    /// service manager does.
    pub(crate) fn caught_up(&mut self) -> Result<()> {
        let served = self.world.writ(&["--json", "charter", "log"])?;
        let served: Vec<serde_json::Value> = serde_json::from_str(&served)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !self.runner.as_mut().is_some_and(Part::lives) {
                self.restart_runner(|_| Ok(()))?;
            }
            if self.chain().is_ok_and(|chain| chain.len() == served.len()) {
                // Its jail folds it within the same moment.
                thread::sleep(Duration::from_millis(150));
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the runner does not catch up")
    }

    /// The charter as the runner has it.
    pub(crate) fn chain(&self) -> Result<Vec<UnverifiedEntry>> {
        let text = fs::read_to_string(self.world.folder.join(".writ/runner/charter.jsonl"))?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }
}

/// The code of the next complaint in a log after so many bytes.
pub(crate) fn code_in_log(from: usize, log: impl Fn() -> Result<String>) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let log = log()?;
        let new = log.get(from..).unwrap_or_default();
        if let Some(code) = new.lines().find_map(code_in) {
            return Ok(code);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing is complained of in the log")
}

/// What a statement among the reports says.
pub(crate) fn says(report: &RunnerReport) -> Option<Says> {
    let RunnerReport::Statement { statement } = report else { return None };
    let statement: Statement = UnverifiedJws::parse(statement).ok()?.peek().ok()?;
    Some(statement.says)
}

/// The `code` field of a log line.
fn code_in(line: &str) -> Option<String> {
    let complains = line.contains(" WARN ") || line.contains(" ERROR ");
    let (_, rest) = line.split_once("code=").filter(|_| complains)?;
    let code = rest.split_whitespace().next()?;
    Some(code.trim_matches('"').to_owned())
}

/// A compact object with one character of its signature exchanged.
pub(crate) fn altered(compact: &str) -> String {
    let at = compact.rfind('.').unwrap_or_default() + 5;
    let flipped = if compact.get(at..=at) == Some("A") { "B" } else { "A" };
    let (before, after) = compact.split_at(at);
    format!("{before}{flipped}{}", after.get(1..).unwrap_or_default())
}

/// A digest that is none of anything.
pub(crate) const fn nowhere() -> Digest {
    Digest::from_bytes([7; 32])
}
