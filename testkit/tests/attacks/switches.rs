//! What was stopped, and what is sent a second time.

use anyhow::{Result, ensure};
use serde_json::json;
use writ_api::{RunPhase, RunnerReport, RunnerTask, RunnerTasks};
use writ_evidence::{
    charter::{Change, Subject},
    digest::sha256,
    writ::{Order, run_id},
};
use writ_model::{Principal, UnixTime};
use writ_testkit::{
    hostile::ForgedOrder,
    keys::{Login, now},
};

use crate::{
    append::Next,
    http::Ask,
    setting::{Setting, copy_folder, input},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [stopped(), again(), tests()].into_iter().flatten();
    Theme { title: "Suspension, and doing things twice", attacks: attacks.collect() }
}

const KILL: &str = "DESIGN §3.3: the kill switch";

/// While something is suspended, a sound order is relayed.
fn while_suspended(setting: &Setting, subject: &Subject, login: &Login) -> Result<Shown> {
    let owner = setting.login("owner")?;
    let change = |change| -> Result<()> {
        let next = Next::of(setting)?;
        let entry = if matches!(subject, Subject::Runner(_)) {
            next.rooted(change, &[&setting.roots[0], &setting.roots[1]])?
        } else {
            next.signed(&owner, change)?
        };
        setting.append(&entry)
    };
    change(Change::SubjectSuspend(subject.clone()))?;
    let shown = setting.signed_by(login);
    change(Change::SubjectRestore(subject.clone()))?;
    shown
}

macro_rules! suspended {
    ($id:literal, $attack:literal, $rule:literal, $subject:expr) => {
        Attack {
            id: $id,
            source: KILL,
            what: $attack,
            code: "suspended",
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("cyd")?;
                let subject: fn(&Setting, &Login) -> Result<Subject> = $subject;
                while_suspended(setting, &subject(setting, &login)?, &login)
            },
        }
    };
}

fn stopped() -> Vec<Attack> {
    vec![
        suspended!(
            "suspended-user",
            "The order of somebody who was suspended is relayed, with a login that is fresh.",
            "a suspended person signs nothing, by whatever key",
            |setting, _| {
                let iss = setting.forger.issuer().0.to_owned();
                Ok(Subject::User(Principal { iss, sub: "cyd".to_owned() }))
            }
        ),
        suspended!(
            "suspended-key",
            "An order is relayed that a stolen key signed, which its holder has had suspended.",
            "a suspended key signs nothing, by whatever token",
            |_, login| Ok(Subject::Key(login.key.public().thumbprint()))
        ),
        suspended!(
            "suspended-connection",
            "An order is relayed that uses a connection which was suspended.",
            "nothing begins by or through what is suspended",
            |_, _| Ok(Subject::Connection("secops/github".parse()?))
        ),
        suspended!(
            "suspended-automation",
            "An order is relayed for an automation that was suspended.",
            "nothing begins by or through what is suspended",
            |_, _| Ok(Subject::Automation("secops/leaked-secret".parse()?))
        ),
        suspended!(
            "suspended-workspace",
            "An order is relayed for a workspace that was suspended.",
            "nothing begins by or through what is suspended",
            |_, _| Ok(Subject::Workspace("secops".parse()?))
        ),
        suspended!(
            "suspended-tenant",
            "An order is relayed although the whole tenant was suspended.",
            "nothing begins by or through what is suspended",
            |_, _| Ok(Subject::Tenant)
        ),
        Attack {
            id: "suspended-runner",
            source: KILL,
            what: "An order is given to a runner that root keys have suspended.",
            code: "suspended",
            rule: "a suspended runner's jail begins nothing",
            evidence: Evidence::Signed,
            run: |setting| {
                let runner = Subject::Runner(setting.forger.runner().id);
                while_suspended(setting, &runner, &setting.login("owner")?)
            },
        },
    ]
}

const REPLAY: &str = "DESIGN §14: replay; start a run twice";

/// Orders the main job as a client does, and waits for its end.
fn run_once(setting: &mut Setting) -> Result<ForgedOrder> {
    let order = setting.order(|_| ())?;
    post(setting, &order)?;
    completed(setting, &order)?;
    setting.ordered(3);
    Ok(order)
}

fn post(setting: &Setting, order: &ForgedOrder) -> Result<()> {
    let ForgedOrder { writ, idc, sealed } = order;
    let runner = setting.forger.runner().id;
    let sealed = json!([{ "runner": runner, "sealed": sealed }]);
    let body = json!({ "writ": writ, "idc": idc, "sealed": sealed });
    let (status, said) = setting.ask(&Ask::post(setting.tenant_path("/runs"), body))?;
    ensure!(status == 202, "a sound order was refused: {said}");
    Ok(())
}

fn completed(setting: &Setting, order: &ForgedOrder) -> Result<()> {
    let run = run_id(sha256(order.writ.as_bytes()));
    setting.until(run, |status| status["phase"] == "completed").map(drop)
}

fn task(order: &ForgedOrder) -> RunnerTask {
    let ForgedOrder { writ, idc, sealed } = order.clone();
    RunnerTask::Start { writ, idc, sealed }
}

/// The order is given to the runner once more; it says what became of it the first time.
fn same_again(setting: &Setting, order: &ForgedOrder) -> Result<Shown> {
    let from = setting.relay.reported();
    let run = run_id(sha256(order.writ.as_bytes()));
    setting.relay.give(vec![task(order)]);
    let phase = setting.relay.wait(from, |report| match report {
        RunnerReport::Status(status) if status.run == run => Some(status.phase),
        _ => None,
    })?;
    ensure!(phase == RunPhase::Completed, "the run is {phase:?}");
    Ok(Shown::nothing(Evidence::Same))
}

fn again() -> Vec<Attack> {
    vec![
        Attack {
            id: "replay-after-its-end",
            source: REPLAY,
            what: "An order whose run has ended is given to the runner again.",
            code: "",
            rule: "a run's id is its writ's digest: there is one run",
            evidence: Evidence::Same,
            run: |setting| {
                let order = run_once(setting)?;
                same_again(setting, &order)
            },
        },
        Attack {
            id: "replay-after-restart",
            source: REPLAY,
            what: "The runner is restarted, and given an order again whose run has ended.",
            code: "",
            rule: "journal and jail remember across restarts",
            evidence: Evidence::Same,
            run: |setting| {
                let order = run_once(setting)?;
                setting.restart_runner(|_| Ok(()))?;
                same_again(setting, &order)
            },
        },
        Attack {
            id: "replay-in-one-answer",
            source: REPLAY,
            what: "An order is given to the runner five times in one answer.",
            code: "",
            rule: "a run's id is its writ's digest: there is one run",
            evidence: Evidence::Same,
            run: |setting| {
                setting.relay.plot(|asked, answer| {
                    let given = serde_json::from_slice::<RunnerTasks>(&answer.body);
                    if let (true, Ok(mut given)) = (asked.path.ends_with("/runner/take"), given) {
                        given.tasks =
                            given.tasks.into_iter().flat_map(|task| vec![task; 5]).collect();
                        answer.body = serde_json::to_vec(&given).unwrap_or_default();
                    }
                });
                run_once(setting)?;
                Ok(Shown::nothing(Evidence::Same))
            },
        },
        Attack {
            id: "replay-restored-data",
            source: "DESIGN §14: restore an old backup",
            what: "The runner's data are restored to before a run, and its order is given again.",
            code: "writ-replayed",
            rule: "the jail's own state is no part of the runner's data",
            evidence: Evidence::Signed,
            run: |setting| {
                let backup = setting.world.folder.join("backup");
                let of = backup.clone();
                setting.restart_runner(|folder| copy_folder(&folder.join("runner"), &of))?;
                let order = run_once(setting)?;
                setting.restart_runner(|folder| {
                    std::fs::remove_dir_all(folder.join("runner"))?;
                    copy_folder(&backup, &folder.join("runner"))
                })?;
                setting.relayed(order)
            },
        },
        Attack {
            id: "replay-same-id",
            source: REPLAY,
            what: "An order takes the unique id of one that was done.",
            code: "writ-replayed",
            rule: "a `jti` counts once",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let draft = setting.forger.draft(&login, &input())?;
                let first = setting.forger.sign(&draft, &login)?;
                post(setting, &first)?;
                completed(setting, &first)?;
                setting.ordered(3);
                setting.signed_with(|again| again.claims.jti.clone_from(&draft.claims.jti))
            },
        },
    ]
}

const TEST: &str = "DESIGN §3.2: `connection.test`";

/// An order to test the connection to GitHub, right but for what `change` does.
fn test_order(
    setting: &Setting,
    login: &Login,
    change: impl FnOnce(&mut writ_evidence::writ::WritClaims),
) -> Result<ForgedOrder> {
    let mut draft = setting.forger.draft(login, &input())?;
    let (aud, res) = (setting.forger.group(), "secops/github".parse()?);
    draft.claims.order = Order::ConnectionTest { aud, res };
    change(&mut draft.claims);
    setting.forger.sign(&draft, login)
}

fn refused_test(setting: &Setting, order: ForgedOrder) -> Result<Shown> {
    setting.task(order.writ, &order.idc, |writ, idc| RunnerTask::TestConnection { writ, idc })
}

fn tests() -> Vec<Attack> {
    vec![
        Attack {
            id: "test-expired",
            source: TEST,
            what: "An order to test a connection is kept back, and relayed after its five minutes.",
            code: "writ-expired",
            rule: "a writ counts until `exp`",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let order = test_order(setting, &login, |claims| {
                    (claims.iat, claims.exp) = (UnixTime(now().0 - 600), UnixTime(now().0 - 400));
                })?;
                refused_test(setting, order)
            },
        },
        Attack {
            id: "test-by-viewer",
            source: TEST,
            what: "A viewer's order to read a credential and reach its hosts is relayed.",
            code: "policy-denied",
            rule: "`connection.use` and nothing less",
            evidence: Evidence::Signed,
            run: |setting| {
                let order = test_order(setting, &setting.login("eve")?, |_| ())?;
                refused_test(setting, order)
            },
        },
        Attack {
            id: "test-of-another-workspace",
            source: "PEERS 2.5: a foreign credential's id with a caller's own address",
            what: "A builder of another workspace names this one's connection.",
            code: "policy-denied",
            rule: "`connection.use` is a right in the connection's workspace",
            evidence: Evidence::Signed,
            run: |setting| {
                let order = test_order(setting, &setting.login("dan")?, |_| ())?;
                refused_test(setting, order)
            },
        },
        Attack {
            id: "test-same-id",
            source: REPLAY,
            what: "A test takes the unique id of one that was made.",
            code: "writ-replayed",
            rule: "a `jti` counts once",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let mut jti = String::new();
                let first = test_order(setting, &login, |claims| jti.clone_from(&claims.jti))?;
                let body = json!({ "writ": first.writ, "idc": first.idc });
                let path = setting.tenant_path("/connections/test");
                let (status, said) = setting.ask(&Ask::post(path, body))?;
                ensure!(status == 202, "{said}");
                let writ = sha256(first.writ.as_bytes());
                setting.relay.wait(0, |report| match report {
                    RunnerReport::TestDone { writ: done, .. } if *done == writ => Some(()),
                    _ => None,
                })?;
                let again = test_order(setting, &login, |claims| {
                    claims.jti = jti;
                    claims.exp = claims.iat.plus(60);
                })?;
                refused_test(setting, again)
            },
        },
    ]
}
