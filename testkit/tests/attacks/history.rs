//! The charter as the control plane serves it: made up, cut, reordered, forked, kept back.

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use serde_json::json;
use writ_api::{CharterPage, RunnerTask, RunnerTasks};
use writ_evidence::{
    charter::{self, Change, CosignatureClaims, Subject, UnverifiedEntry, WitnessQuorum},
    key::{Algorithm, SigningKey},
};
use writ_testkit::{
    keys::{new_key, now},
    part::{Part, runner_words},
    relay::{Answer, Asked},
    tenant::Tenant,
};

use crate::{
    append::Next,
    charter::workspace,
    http::Ask,
    setting::{Setting, copy_folder},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [unwitnessed(), unrooted(), rewritten(), to_newcomers(), kept_back()];
    Theme { title: "The charter's history", attacks: attacks.into_iter().flatten().collect() }
}

const FORK: &str = "DESIGN §14: back-date, roll back, fork or withhold the charter";
const NEWCOMERS: &str = "DESIGN §14: give a new runner or CLI a made-up chain";

/// A row whose attack is an entry that the runner is given to fold.
macro_rules! entry {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $make:expr) => {
        Attack {
            id: $id,
            source: FORK,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Log,
            run: |setting| {
                let make: fn(&Setting) -> Result<UnverifiedEntry> = $make;
                let entries = vec![make(setting)?];
                setting.logged(vec![RunnerTask::Charter { entries }])
            },
        }
    };
}

fn with_cosignature(mut entry: UnverifiedEntry, cosignature: String) -> UnverifiedEntry {
    if let UnverifiedEntry::Writ { cosignatures, .. } = &mut entry {
        cosignatures.push(cosignature);
    }
    entry
}

fn unwitnessed() -> Vec<Attack> {
    vec![
        entry!(
            "entry-without-witness",
            "charter-witness",
            "A sound change is served as an entry although no witness has seen it.",
            "an entry counts with as many cosignatures as root keys asked for",
            |setting| Next::of(setting)?.signed(&setting.login("owner")?, workspace("unseen")?)
        ),
        entry!(
            "entry-own-witness",
            "charter-witness",
            "The control plane cosigns a change itself.",
            "witnesses are jails that a root-signed entry named",
            |setting| {
                let next = Next::of(setting)?;
                let entry = next.signed(&setting.login("owner")?, workspace("own")?)?;
                let claims = CosignatureClaims {
                    ten: setting.forger.ten(),
                    seq: setting.chain()?.len() as u64,
                    prev: next.head,
                    digest: entry.digest(),
                    at: now(),
                };
                let own = charter::sign_cosignature(&claims, &new_key()?, &SystemRandom::new())?;
                Ok(with_cosignature(entry, own))
            }
        ),
        entry!(
            "entry-cosignature-of-another",
            "charter-cosignature",
            "A cosignature is taken from one entry and put to another.",
            "a cosignature is over number, entry before, digest and time",
            |setting| {
                let cosigned = setting.chain()?.into_iter().rev().find_map(|entry| match entry {
                    UnverifiedEntry::Writ { cosignatures, .. } => cosignatures.first().cloned(),
                    UnverifiedEntry::Roots { .. } => None,
                });
                let cosignature = cosigned.context("nothing was cosigned")?;
                let entry =
                    Next::of(setting)?.signed(&setting.login("owner")?, workspace("moved")?)?;
                Ok(with_cosignature(entry, cosignature))
            }
        ),
    ]
}

/// A root-class change that changes nothing.
fn same_witness(setting: &Setting) -> Change {
    let witnesses = [setting.forger.runner().id].into_iter().collect();
    Change::WitnessSet(WitnessQuorum { witnesses, threshold: 1, max_staleness_s: None })
}

fn unrooted() -> Vec<Attack> {
    vec![
        entry!(
            "roots-too-few",
            "charter-roots",
            "One of two root keys signs what takes both.",
            "root-class changes need k of n root signatures",
            |setting| Next::of(setting)?.rooted(same_witness(setting), &[&setting.roots[0]])
        ),
        entry!(
            "roots-one-twice",
            "charter-roots",
            "One root key signs twice.",
            "signatures of distinct keys are counted",
            |setting| {
                let root = &setting.roots[0];
                Next::of(setting)?.rooted(same_witness(setting), &[root, root])
            }
        ),
        entry!(
            "roots-of-before",
            "charter-roots",
            "The root key that was exchanged signs, with one of those after it.",
            "the keys before sign the keys after, and then sign nothing more",
            |setting| {
                let before = std::fs::read(setting.world.folder.join(".writ/root.key"))?;
                let before = SigningKey::from_pkcs8(Algorithm::EdDsa, &before)?;
                Next::of(setting)?.rooted(same_witness(setting), &[&before, &setting.roots[1]])
            }
        ),
        entry!(
            "roots-make-an-owner",
            "charter-change",
            "Root keys sign a change that is not theirs: a workspace.",
            "root keys sign root-class changes only",
            |setting| {
                let roots = [&setting.roots[0], &setting.roots[1]];
                Next::of(setting)?.rooted(workspace("rooted")?, &roots)
            }
        ),
    ]
}

type Change0 = fn(&mut Vec<UnverifiedEntry>);

/// Changes the entries that runners and clients are served.
pub(crate) fn served(
    change: impl Fn(&mut Vec<UnverifiedEntry>) + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut Answer) + Send + Sync + 'static {
    move |asked, answer| {
        if asked.path.ends_with("/runner/take") {
            let Ok(mut given) = serde_json::from_slice::<RunnerTasks>(&answer.body) else { return };
            for task in &mut given.tasks {
                if let RunnerTask::Charter { entries } = task {
                    change(entries);
                }
            }
            let empty = |task: &RunnerTask| matches!(task, RunnerTask::Charter { entries } if entries.is_empty());
            given.tasks.retain(|task| !empty(task));
            answer.body = serde_json::to_vec(&given).unwrap_or_default();
        } else if asked.method == "GET" && asked.path.contains("/charter") {
            let Ok(mut page) = serde_json::from_slice::<CharterPage>(&answer.body) else { return };
            change(&mut page.entries);
            answer.body = serde_json::to_vec(&page).unwrap_or_default();
        }
    }
}

/// A runner that has lost its copy of the charter starts and is served a changed one; what it complains of.
fn to_restarted(setting: &mut Setting, change: Change0) -> Result<Shown> {
    setting.relay.plot(served(change));
    let from = setting.runner_log()?.len();
    setting.restart_runner(lost_charter)?;
    let code = setting.log_code(from)?;
    setting.behave();
    setting.caught_up()?;
    Ok(Shown::refused(code, Evidence::Log))
}

fn lost_charter(folder: &std::path::Path) -> Result<()> {
    Ok(std::fs::remove_file(folder.join("runner/charter.jsonl"))?)
}

fn rewritten() -> Vec<Attack> {
    vec![
        Attack {
            id: "history-entry-dropped",
            source: FORK,
            what: "A restarted runner is served a charter without one of its entries.",
            code: "charter-cosignature",
            rule: "an entry, its writ and its cosignatures name the entry before",
            evidence: Evidence::Log,
            run: |setting| to_restarted(setting, |entries| drop(entries.remove(4))),
        },
        Attack {
            id: "history-reordered",
            source: FORK,
            what: "A restarted runner is served two entries in another order.",
            code: "charter-cosignature",
            rule: "an entry, its writ and its cosignatures name the entry before",
            evidence: Evidence::Log,
            run: |setting| to_restarted(setting, |entries| entries.swap(4, 5)),
        },
        Attack {
            id: "history-entry-altered",
            source: FORK,
            what: "A restarted runner is served an entry with another body.",
            code: "charter-content",
            rule: "a writ is over the digest of the body",
            evidence: Evidence::Log,
            run: |setting| {
                to_restarted(setting, |entries| {
                    let altered = entries.iter_mut().find_map(|entry| match entry {
                        UnverifiedEntry::Writ { body, .. } if body.contains("\"approver\"") => {
                            Some(body)
                        }
                        _ => None,
                    });
                    if let Some(body) = altered {
                        *body = body.replace("\"approver\"", "\"owner\"");
                    }
                })
            },
        },
        Attack {
            id: "history-rolled-back",
            source: FORK,
            what: "A restarted runner that has lost its copy is served the charter as it was some entries ago.",
            code: "charter-behind",
            rule: "a jail decides nothing before it was shown the newest head that it has seen",
            evidence: Evidence::Log,
            run: |setting| {
                setting.relay.plot(served(|entries| {
                    // All but the last three; later pages are dropped whole.
                    let whole = entries.first().and_then(|first| first.body().ok());
                    let keep = if whole.is_some_and(|body| body.seq == 0) {
                        entries.len().saturating_sub(3)
                    } else {
                        0
                    };
                    entries.truncate(keep);
                }));
                let from = setting.runner_log()?.len();
                setting.restart_runner(lost_charter)?;
                let code = setting.log_code(from)?;
                setting.behave();
                setting.caught_up()?;
                Ok(Shown::refused(code, Evidence::Log))
            },
        },
        Attack {
            id: "history-another-tenant",
            source: FORK,
            what: "A running runner is given entry 0 of another tenant.",
            code: "charter-not-next",
            rule: "an entry follows the head",
            evidence: Evidence::Log,
            run: |setting| {
                let entries = Tenant::found()?.entries;
                setting.logged(vec![RunnerTask::Charter { entries }])
            },
        },
    ]
}

fn to_newcomers() -> Vec<Attack> {
    vec![
        Attack {
            id: "newcomer-runner",
            source: NEWCOMERS,
            what: "A new runner is served the charter of a tenant that the control plane has made up.",
            code: "charter-tenant",
            rule: "a tenant is the digest of its entry 0, which the join file names",
            evidence: Evidence::Log,
            run: |setting| {
                let made_up = RunnerTasks {
                    tasks: vec![RunnerTask::Charter { entries: Tenant::found()?.entries }],
                };
                let body = serde_json::to_vec(&made_up)?;
                setting.relay.plot(move |asked, answer| {
                    if asked.path.ends_with("/runner/take") && answer.status == 401 {
                        (answer.status, answer.body) = (200, body.clone());
                    }
                });
                let folder = setting.world.folder.join("newcomer");
                std::fs::create_dir_all(&folder)?;
                let mut words = runner_words(&setting.world, &folder);
                words.extend(["--tenant".to_owned(), setting.world.setting("tenant")?]);
                words.extend(["--server-url".to_owned(), setting.world.setting("server_url")?]);
                let newcomer = Part::start(&setting.world, "newcomer", &words)?;
                let code = crate::moves::code_in_log(0, || newcomer.log())?;
                Ok(Shown::refused(code, Evidence::Log))
            },
        },
        Attack {
            id: "newcomer-command-line",
            source: NEWCOMERS,
            what: "A person's command is served the charter of a tenant that the control plane has made up.",
            code: "charter-tenant",
            rule: "a tenant is the digest of its entry 0, which the invitation names",
            evidence: Evidence::Command,
            run: |setting| {
                let made_up = Tenant::found()?.entries;
                setting.relay.plot(served(move |entries| entries.clone_from(&made_up)));
                setting.command(&["charter", "log"])
            },
        },
        Attack {
            id: "newcomer-invited",
            source: FORK,
            what: "Somebody who was invited is served the charter as it was before the invitation.",
            code: "charter-behind",
            rule: "an invitation names a head; a charter that does not hold it is not believed",
            evidence: Evidence::Command,
            run: invited,
        },
        Attack {
            id: "newcomer-gateway",
            source: NEWCOMERS,
            what: "Somebody who is no runner brings the gateway the charter of a made-up tenant, with his own key in it.",
            code: "charter-not-next",
            rule: "the gateway folds from its own anchor",
            evidence: Evidence::Answer,
            run: |setting| {
                let body = json!({ "entries": Tenant::found()?.entries });
                let ask = Ask::post("/link/hello", body).at("link_url");
                setting.refused_with(&ask)
            },
        },
        Attack {
            id: "command-line-entry-dropped",
            source: FORK,
            what: "A person's command is served the charter without one of its entries.",
            code: "charter-cosignature",
            rule: "clients fold the charter themselves",
            evidence: Evidence::Command,
            run: |setting| {
                setting.relay.plot(served(|entries| {
                    if entries.len() > 4 {
                        entries.remove(4);
                    }
                }));
                setting.command(&["charter", "log"])
            },
        },
        Attack {
            id: "command-line-unwitnessed",
            source: FORK,
            what: "A person's command is served a revocation less, and another entry that no witness has seen.",
            code: "charter-witness",
            rule: "clients fold the charter themselves",
            evidence: Evidence::Command,
            run: |setting| {
                let mut chain = setting.chain()?;
                if let Some(UnverifiedEntry::Writ { cosignatures, .. }) =
                    chain.iter_mut().rfind(|entry| matches!(entry, UnverifiedEntry::Writ { .. }))
                {
                    cosignatures.clear();
                }
                setting.relay.plot(served(move |entries| {
                    if !entries.is_empty() {
                        entries.clone_from(&chain);
                    }
                }));
                setting.command(&["charter", "log"])
            },
        },
        Attack {
            id: "jail-of-another-tenant",
            source: "DESIGN §3.3: a join file sets its anchor, once",
            what: "A runner is started for another tenant with a jail that has joined this one.",
            code: "anchor-set",
            rule: "a jail's trust anchor is set once",
            evidence: Evidence::Command,
            run: |setting| {
                let folder = setting.world.folder.join(".writ");
                setting.stop_runner();
                let mut words = runner_words(&setting.world, &folder);
                words.extend(["--tenant".to_owned(), crate::moves::nowhere().to_string()]);
                words.extend(["--server-url".to_owned(), setting.world.setting("server_url")?]);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let shown = setting.command(&words);
                setting.restart_runner(|_| Ok(()))?;
                shown
            },
        },
    ]
}

/// A second folder of the owner's, with the head of an invitation in its settings.
fn invited(setting: &mut Setting) -> Result<Shown> {
    let (own, folder) = (setting.world.folder.join(".writ"), setting.world.folder.join("invited"));
    let chain = setting.chain()?;
    let head = chain.last().context("no charter")?.digest();
    copy_folder(&own.join("sessions"), &folder.join(".writ/sessions"))?;
    let settings = std::fs::read_to_string(own.join("dev.toml"))?;
    let settings = format!("{settings}\n[head]\nseq = {}\ndigest = \"{head}\"\n", chain.len() - 1);
    std::fs::write(folder.join(".writ/dev.toml"), settings)?;
    let look = || {
        let mut command = std::process::Command::new(setting.world.executable());
        let output = command.args(["charter", "log"]).current_dir(&folder).output();
        output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let honest = look()?;
    ensure!(!honest.contains("error["), "an honest charter was refused: {honest}");
    let earlier = chain.len() - 3;
    setting.relay.plot(served(move |entries| {
        let first = entries.first().and_then(|entry| entry.body().ok()).map_or(0, |body| body.seq);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        entries.truncate(earlier.saturating_sub(first));
    }));
    let said = look()?;
    let code = said.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
    let (code, _) = code.with_context(|| format!("no code in: {said}"))?;
    Ok(Shown::refused(code, Evidence::Command))
}

fn kept_back() -> Vec<Attack> {
    vec![Attack {
        id: "revocation-withheld",
        source: "DESIGN §3.3: withholding shows",
        what: "A suspension is kept from the runner, and an order of somebody who has seen it is relayed.",
        code: "writ-charter-head",
        rule: "a jail refuses a writ whose head is neither its own nor an ancestor of it",
        evidence: Evidence::Signed,
        run: |setting| {
            setting.relay.plot(served(Vec::clear));
            let bob = Subject::User(writ_model::Principal {
                iss: setting.forger.issuer().0.to_owned(),
                sub: "bob".to_owned(),
            });
            let next = Next::of(setting)?;
            let login = setting.login("owner")?;
            let entry = next.signed(&login, Change::SubjectSuspend(bob.clone()))?;
            let head = entry.digest();
            let body = json!({ "entry": entry });
            let (status, said) = setting.ask(&Ask::post(setting.tenant_path("/charter"), body))?;
            ensure!(status == 200, "{said}");
            if setting.chain()?.last().is_some_and(|last| last.digest() == head) {
                bail!("it was not withheld");
            }
            let shown = setting.signed_with(|draft| draft.claims.charter = head);
            setting.behave();
            setting.caught_up()?;
            setting.append(&Next::of(setting)?.signed(&login, Change::SubjectRestore(bob))?)?;
            shown
        },
    }]
}
