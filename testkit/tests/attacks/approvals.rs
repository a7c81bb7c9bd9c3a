//! Approvals that nobody gave, cancellations and resumptions that nobody ordered.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use writ_api::{RunnerTask, asked_in};
use writ_evidence::{
    approval::{ApprovalAsked, ApprovalDecision},
    writ::{Order, ResumeDecision},
};
use writ_model::{KeyedDigest, RunId, RunnerGroupId, StepId};
use writ_testkit::keys::{Login, new_key};

use crate::{
    http::Ask,
    setting::{IN_PAYLOAD, Setting},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [by_whom(), of_what(), once(), ended(), of_another_run()];
    Theme {
        title: "Approvals and orders about runs",
        attacks: attacks.into_iter().flatten().collect(),
    }
}

const SOURCE: &str = "DESIGN §14: fake an approval, reuse one, or approve as the requester";

/// An answer to what a run asks, to be made wrong.
#[derive(Clone)]
pub(crate) struct Reply {
    aud: RunnerGroupId,
    res: RunId,
    step: StepId,
    attempt: u32,
    payload: KeyedDigest,
}

fn asked(status: &Value) -> Option<ApprovalAsked> {
    let statements: Vec<String> = serde_json::from_value(status["statements"].clone()).ok()?;
    asked_in(&statements).into_iter().map(|known| known.asked).next()
}

impl Reply {
    /// Orders a run that asks, as the owner; the right answer to what it asks.
    pub(crate) fn to_new(setting: &Setting, automation: &str) -> Result<Self> {
        let run = setting.begin(automation, &json!({ "ticket": IN_PAYLOAD }))?;
        let status = setting.until(run, |status| asked(status).is_some())?;
        let ApprovalAsked { step, attempt, payload, .. } =
            asked(&status).context("asks nothing")?;
        Ok(Self { aud: setting.forger.group(), res: run, step, attempt, payload })
    }

    /// The run that asks.
    pub(crate) const fn run(&self) -> RunId {
        self.res
    }

    pub(crate) fn sign(&self, setting: &Setting, login: &Login) -> Result<String> {
        let Self { aud, res, step, attempt, payload } = self.clone();
        let decision = ApprovalDecision::Approve;
        let order = Order::RunApprove { aud, res, step, attempt, payload, decision };
        setting.about(login, order)
    }

    /// The answer is relayed; how it was refused.
    fn refused(&self, setting: &Setting, login: &Login) -> Result<Shown> {
        let (run, writ) = (self.res, self.sign(setting, login)?);
        setting.task(writ, &login.idc, |writ, idc| RunnerTask::Approve { run, writ, idc })
    }
}

/// A row whose attack is an answer to a run of its own that asks one person.
macro_rules! reply {
    ($id:literal, $code:literal, $who:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let mut reply = Reply::to_new(setting, "secops/tell-one")?;
                let change: fn(&Setting, &mut Reply) -> Result<()> = $change;
                change(setting, &mut reply)?;
                reply.refused(setting, &setting.login($who)?)
            },
        }
    };
}

fn by_whom() -> Vec<Attack> {
    vec![
        reply!(
            "approval-by-requester",
            "approval-self",
            "owner",
            "The requester's own approval is relayed, with another key than the run was ordered with.",
            "nobody approves what they have ordered, by whatever login",
            |_, _| Ok(())
        ),
        reply!(
            "approval-by-viewer",
            "policy-denied",
            "eve",
            "A viewer's approval is relayed.",
            "`run.approve` is a right of its own",
            |_, _| Ok(())
        ),
        Attack {
            id: "approval-own-key",
            source: SOURCE,
            what: "The control plane signs an approval itself, under an approver's credential.",
            code: "writ-signature",
            rule: "a writ is verified by the key that its credential commits to",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("bob")?;
                login.key = new_key()?;
                Reply::to_new(setting, "secops/tell-one")?.refused(setting, &login)
            },
        },
        Attack {
            id: "approval-by-requester-at-the-server",
            source: "PEERS 2.13: a second resume path skipped the condition",
            what: "The requester approves through the interface for other orders about runs.",
            code: "writ-run",
            rule: "each interface takes its own operation, and the jail decides all of them alike",
            evidence: Evidence::Answer,
            run: |setting| {
                let login = setting.login("owner")?;
                let reply = Reply::to_new(setting, "secops/tell-one")?;
                let body = json!({ "writ": reply.sign(setting, &login)?, "idc": login.idc });
                let path = setting.tenant_path(&format!("/runs/{}/resume", reply.res));
                setting.refused_with(&Ask::post(path, body))
            },
        },
        Attack {
            id: "approval-as-resumption",
            source: "PEERS 2.13: a second resume path skipped the condition",
            what: "The requester's approval is given to the runner as an order to resume.",
            code: "writ-operation",
            rule: "the operation is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let reply = Reply::to_new(setting, "secops/tell-one")?;
                let (run, writ) = (reply.res, reply.sign(setting, &login)?);
                setting.task(writ, &login.idc, |writ, idc| RunnerTask::Resume { run, writ, idc })
            },
        },
    ]
}

fn of_what() -> Vec<Attack> {
    vec![
        reply!(
            "approval-other-iteration",
            "approval-unknown",
            "bob",
            "An approval is relayed for a later iteration of the same task.",
            "task, iteration and attempt are signed",
            |_, reply| {
                reply.step.iteration += 1;
                Ok(())
            }
        ),
        reply!(
            "approval-other-attempt",
            "approval-unknown",
            "bob",
            "An approval is relayed for a later attempt.",
            "task, iteration and attempt are signed",
            |_, reply| {
                reply.attempt += 1;
                Ok(())
            }
        ),
        reply!(
            "approval-other-payload",
            "approval-payload",
            "bob",
            "What the approver was shown is not what the run asks.",
            "an approval is over the keyed digest of what was shown",
            |setting, reply| {
                reply.payload = Reply::to_new(setting, "secops/tell-one")?.payload;
                Ok(())
            }
        ),
        reply!(
            "approval-other-group",
            "writ-audience",
            "bob",
            "An approval for another runner group is relayed to this one.",
            "a jail takes orders for its own group only",
            |_, reply| {
                reply.aud = RunnerGroupId::from_bits(7);
                Ok(())
            }
        ),
        reply!(
            "approval-before-asked",
            "approval-unknown",
            "bob",
            "An approval is relayed to a run that asks nothing yet.",
            "what is approved was stated by the jail before",
            |setting, reply| {
                reply.res = setting.begin("secops/waits", &json!({}))?;
                setting.until(reply.res, |status| status["phase"] == "running").map(drop)
            }
        ),
        Attack {
            id: "approval-of-another-run",
            source: SOURCE,
            what: "An approval of one run is relayed with the name of another.",
            code: "writ-run",
            rule: "the run is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("bob")?;
                let one = Reply::to_new(setting, "secops/tell-one")?;
                let run = Reply::to_new(setting, "secops/tell-one")?.res;
                let writ = one.sign(setting, &login)?;
                setting.task(writ, &login.idc, |writ, idc| RunnerTask::Approve { run, writ, idc })
            },
        },
        Attack {
            id: "approval-too-late",
            source: "DESIGN §5: each used once, while it is asked",
            what: "An approval is kept back until the time to answer has passed.",
            code: "run-not-open",
            rule: "silence is no approval: the run has ended",
            evidence: Evidence::Status,
            run: |setting| {
                let reply = Reply::to_new(setting, "secops/brief")?;
                setting.until(reply.res, |status| status["phase"] == "faulted")?;
                reply.refused(setting, &setting.login("bob")?)
            },
        },
    ]
}

fn once() -> Vec<Attack> {
    vec![
        Attack {
            id: "approval-one-person-twice",
            source: SOURCE,
            what: "Two people must approve; the approval of one is relayed twice, by two logins.",
            code: "approval-twice",
            rule: "people are counted, not signatures",
            evidence: Evidence::Signed,
            run: |setting| {
                let reply = Reply::to_new(setting, "secops/tell")?;
                approve(setting, &reply, "bob")?;
                reply.refused(setting, &setting.login("bob")?)
            },
        },
        Attack {
            id: "approval-relayed-twice",
            source: SOURCE,
            what: "Two people must approve; the one approval that was given is relayed again and again.",
            code: "",
            rule: "a writ is answered once; asked again, the jail gives the same receipt and counts nothing",
            evidence: Evidence::Same,
            run: |setting| {
                let reply = Reply::to_new(setting, "secops/tell")?;
                let (writ, login) = approve(setting, &reply, "bob")?;
                let run = reply.res;
                for _ in 0..3 {
                    let told = setting.told(writ.clone(), &login.idc, |writ, idc| {
                        RunnerTask::Approve { run, writ, idc }
                    })?;
                    ensure!(told.is_none(), "a sound approval was refused: {told:?}");
                }
                let phase = setting.status(run)?["phase"].clone();
                ensure!(phase == "running", "the run is {phase}");
                Ok(Shown::nothing(Evidence::Same))
            },
        },
    ]
}

/// The control: an approver's own approval, relayed as it is, has the run go on.
pub(crate) fn control(setting: &mut Setting) -> Result<()> {
    let reply = Reply::to_new(setting, "secops/tell-one")?;
    let login = setting.login("bob")?;
    let body = json!({ "writ": reply.sign(setting, &login)?, "idc": login.idc });
    let path = setting.tenant_path(&format!("/runs/{}/approve", reply.res));
    let (status, said) = setting.ask(&Ask::post(path, body))?;
    ensure!(status == 202, "{said}");
    setting.until(reply.res, |status| status["phase"] == "completed")?;
    setting.ordered(1);
    Ok(())
}

/// An approval that counts, through the server.
fn approve(setting: &Setting, reply: &Reply, who: &str) -> Result<(String, Login)> {
    let login = setting.login(who)?;
    let writ = reply.sign(setting, &login)?;
    let body = json!({ "writ": writ, "idc": login.idc });
    let path = setting.tenant_path(&format!("/runs/{}/approve", reply.res));
    let (status, said) = setting.ask(&Ask::post(path, body))?;
    ensure!(status == 202, "{said}");
    setting.until(reply.res, |status| {
        let statements: Vec<String> =
            serde_json::from_value(status["statements"].clone()).unwrap_or_default();
        asked_in(&statements).iter().any(|known| !known.answers.is_empty())
    })?;
    Ok((writ, login))
}

const RUNS: &str = "DESIGN §3.2: every change of the world is a writ";

fn waiting(setting: &Setting) -> Result<RunId> {
    let run = setting.begin("secops/waits", &json!({}))?;
    setting.until(run, |status| status["phase"] == "running")?;
    Ok(run)
}

fn cancel_by(setting: &Setting, login: &Login) -> Result<Shown> {
    let run = waiting(setting)?;
    let order = Order::RunCancel { aud: setting.forger.group(), res: run };
    let writ = setting.about(login, order)?;
    setting.task(writ, &login.idc, |writ, idc| RunnerTask::Cancel { run, writ, idc })
}

fn ended() -> Vec<Attack> {
    vec![
        Attack {
            id: "cancel-by-viewer",
            source: "PEERS 2.8: a right to read let a user start a run again",
            what: "A viewer's order to cancel a run is relayed.",
            code: "policy-denied",
            rule: "to cancel takes the right to say how a run goes on",
            evidence: Evidence::Signed,
            run: |setting| cancel_by(setting, &setting.login("eve")?),
        },
        Attack {
            id: "cancel-own-key",
            source: RUNS,
            what: "The control plane signs an order to cancel a run itself.",
            code: "writ-signature",
            rule: "a writ is verified by the key that its credential commits to",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("owner")?;
                login.key = new_key()?;
                cancel_by(setting, &login)
            },
        },
        Attack {
            id: "cancel-without-a-run",
            source: RUNS,
            what: "An order to cancel a run that is none is relayed.",
            code: "run-not-open",
            rule: "a jail knows the runs that it has accepted",
            evidence: Evidence::Status,
            run: |setting| {
                let (login, run) = (setting.login("owner")?, RunId::from_bits(7));
                let order = Order::RunCancel { aud: setting.forger.group(), res: run };
                let writ = setting.about(&login, order)?;
                setting.task(writ, &login.idc, |writ, idc| RunnerTask::Cancel { run, writ, idc })
            },
        },
        Attack {
            id: "resume-by-viewer",
            source: "PEERS 2.8: a right to read let a user start a run again",
            what: "A viewer's order to do a step again is relayed.",
            code: "policy-denied",
            rule: "`run.resume` is a right of its own",
            evidence: Evidence::Signed,
            run: |setting| {
                let (login, run) = (setting.login("eve")?, waiting(setting)?);
                let writ = setting.about(&login, resumption(setting, run))?;
                setting.task(writ, &login.idc, |writ, idc| RunnerTask::Resume { run, writ, idc })
            },
        },
    ]
}

fn resumption(setting: &Setting, res: RunId) -> Order {
    let step = StepId { task: "/do/0/wait".to_owned(), iteration: 0 };
    let decision = ResumeDecision::Fail;
    Order::RunResume { aud: setting.forger.group(), res, step, attempt: 1, decision }
}

fn of_another_run() -> Vec<Attack> {
    vec![
        Attack {
            id: "cancel-of-another-run",
            source: "DESIGN §14: replay or re-target a writ",
            what: "An order that has cancelled one run is relayed again with the name of another.",
            code: "writ-run",
            rule: "the run is signed, and a receipt answers for its own run only",
            evidence: Evidence::Signed,
            run: |setting| {
                let (login, one, run) =
                    (setting.login("owner")?, waiting(setting)?, waiting(setting)?);
                let order = Order::RunCancel { aud: setting.forger.group(), res: one };
                let writ = setting.about(&login, order)?;
                let body = json!({ "writ": writ, "idc": login.idc });
                let path = setting.tenant_path(&format!("/runs/{one}/cancel"));
                let (status, said) = setting.ask(&Ask::post(path, body))?;
                ensure!(status == 202, "{said}");
                setting.until(one, |status| status["phase"] == "faulted")?;
                let shown = setting.task(writ, &login.idc, |writ, idc| RunnerTask::Cancel {
                    run,
                    writ,
                    idc,
                })?;
                still_running(setting, run)?;
                Ok(shown)
            },
        },
        Attack {
            id: "cancel-by-an-old-approval",
            source: "DESIGN §14: replay or re-target a writ",
            what: "An approval that has counted is relayed as an order to cancel another run.",
            code: "writ-operation",
            rule: "the operation is signed, and a receipt answers for its own operation only",
            evidence: Evidence::Signed,
            run: |setting| {
                let reply = Reply::to_new(setting, "secops/tell")?;
                let (writ, login) = approve(setting, &reply, "bob")?;
                let run = waiting(setting)?;
                let shown = setting.task(writ, &login.idc, |writ, idc| RunnerTask::Cancel {
                    run,
                    writ,
                    idc,
                })?;
                still_running(setting, run)?;
                Ok(shown)
            },
        },
    ]
}

/// Sound orders that the control plane gives the runner and keeps to itself.
pub(crate) fn off_the_log() -> Vec<Attack> {
    vec![Attack {
        id: "resume-of-another-run",
        source: "DESIGN §14: replay or re-target a writ",
        what: "An order that has resumed one run is relayed again with the name of another.",
        code: "writ-run",
        rule: "the run is signed, and a receipt answers for its own run only",
        evidence: Evidence::Signed,
        run: |setting| {
            let (login, one, run) = (setting.login("owner")?, waiting(setting)?, waiting(setting)?);
            let writ = setting.about(&login, resumption(setting, one))?;
            let told = setting.told(writ.clone(), &login.idc, |writ, idc| RunnerTask::Resume {
                run: one,
                writ,
                idc,
            })?;
            // The jail takes it; the engine has nothing to do again.
            ensure!(told.as_deref() == Some("resume"), "{told:?}");
            setting.task(writ, &login.idc, |writ, idc| RunnerTask::Resume { run, writ, idc })
        },
    }]
}

fn still_running(setting: &Setting, run: RunId) -> Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(300));
    let status = setting.status(run)?;
    if status["phase"] == "running" {
        return Ok(());
    }
    bail!("the attack succeeded: {status}")
}
