//! The audit log: what was done must be in it, and stay in it.
//!
//! The control plane keeps the log. Whoever verifies has an export of it, the tenant's trust anchor, and at most a
//! head or a checkpoint that somebody else has seen.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use serde_json::Value;
use writ_api::RunnerTask;
use writ_evidence::{
    audit::{AuditRecord, RecordKind},
    charter::{Change, Subject},
    checkpoint::{self, CheckpointClaims},
    jws::UnverifiedJws,
    merkle,
    statement::{Says, Statement},
};
use writ_testkit::keys::new_key;

use crate::{
    append::Next,
    charter::workspace,
    http::Ask,
    moves::nowhere,
    setting::Setting,
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [removed(), rewritten(), cut_off(), while_it_is_made()].into_iter().flatten();
    Theme { title: "The audit log", attacks: attacks.collect() }
}

/// What is carried out behind the log's back. It comes last of all: nothing heals the log after it.
pub(crate) fn off_the_log() -> Theme {
    let mut attacks = crate::approvals::off_the_log();
    attacks.push(Attack {
        id: "audit-order-kept-out",
        source: SOURCE,
        what: "The control plane has relayed orders that it kept out of the log.",
        code: "audit-bad",
        rule: "the jail's receipt names the writ, which the log lacks",
        evidence: Evidence::Verify,
        run: |setting| {
            thread::sleep(Duration::from_millis(500));
            setting.world.writ(&["audit", "export", "audit"])?;
            let shown = setting.command(&["audit", "verify", "audit"])?;
            Ok(Shown { evidence: Evidence::Verify, ..shown })
        },
    });
    Theme { title: "Orders kept out of the log", attacks }
}

const SOURCE: &str = "DESIGN §14: drop a receipt unseen; rewrite the audit log";

/// The codes of every refusal that stands in the log.
pub(crate) fn refusals(setting: &Setting) -> Result<Vec<String>> {
    setting.world.writ(&["audit", "export", "audit"])?;
    let log = Log::read(&setting.world.folder.join("audit"))?;
    let refusals = log.records.iter().filter(|record| record.kind == RecordKind::Refusal);
    let code = |record: &AuditRecord| -> Result<String> {
        let statement: Statement = UnverifiedJws::parse(&record.body)?.peek()?;
        let Says::Refusal(refusal) = statement.says else { bail!("no refusal") };
        Ok(refusal.code)
    };
    refusals.map(code).collect()
}

/// An exported log.
#[derive(Clone)]
struct Log {
    records: Vec<AuditRecord>,
    checkpoints: Vec<String>,
}

impl Log {
    /// An export of the log as it is, once a witness has signed all of it and all that it counted has arrived: what
    /// is told a second time takes a moment.
    fn of(setting: &Setting) -> Result<Self> {
        let mut last = anyhow::anyhow!("the witness does not sign the log");
        for _ in 0..100 {
            setting.world.writ(&["audit", "export", "audit"])?;
            match setting.world.writ(&["audit", "verify", "audit"]) {
                Ok(said) if !said.contains("no witness has signed") => {
                    return Self::read(&setting.world.folder.join("audit"));
                }
                Ok(_) => {}
                Err(error) => last = error,
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(last)
    }

    fn read(folder: &Path) -> Result<Self> {
        let lines = |name: &str| fs::read_to_string(folder.join(name));
        let records = lines("records.jsonl")?;
        let checkpoints = lines("checkpoints.jsonl")?;
        Ok(Self {
            records: records.lines().map(serde_json::from_str).collect::<Result<_, _>>()?,
            checkpoints: checkpoints.lines().map(serde_json::from_str).collect::<Result<_, _>>()?,
        })
    }

    fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let lines = |texts: Vec<serde_json::Result<String>>| -> Result<String> {
            let texts = texts.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(texts.iter().fold(String::new(), |all, text| all + text + "\n"))
        };
        let records = lines(self.records.iter().map(serde_json::to_string).collect())?;
        let checkpoints = lines(self.checkpoints.iter().map(serde_json::to_string).collect())?;
        fs::write(folder.join("records.jsonl"), records)?;
        Ok(fs::write(folder.join("checkpoints.jsonl"), checkpoints)?)
    }

    fn newest(&self, kind: RecordKind) -> Result<usize> {
        let found = self.records.iter().rposition(|record| record.kind == kind);
        found.with_context(|| format!("no {kind:?} in the log"))
    }

    /// The newest of a kind that is not the very last of all.
    fn inner(&self, kind: RecordKind) -> Result<usize> {
        let found = self.records.iter().take(self.records.len() - 1);
        let found = found.collect::<Vec<_>>().iter().rposition(|record| record.kind == kind);
        found.with_context(|| format!("no {kind:?} within the log"))
    }

    /// Keeps so many records, and the checkpoints over them.
    fn cut(&mut self, size: usize) {
        self.records.truncate(size);
        self.checkpoints.retain(|compact| claims(compact).is_ok_and(|c| c.size <= size as u64));
    }
}

fn claims(compact: &str) -> Result<CheckpointClaims> {
    Ok(UnverifiedJws::parse(compact)?.peek()?)
}

/// An altered export is verified, which must fail.
fn verified(
    setting: &Setting,
    change: impl FnOnce(&mut Log) -> Result<()>,
    more: &[&str],
) -> Result<Shown> {
    let mut log = Log::of(setting)?;
    change(&mut log)?;
    log.write(&setting.world.folder.join("altered"))?;
    let shown = setting.command(&[&["audit", "verify", "altered"], more].concat())?;
    Ok(Shown { evidence: Evidence::Verify, ..shown })
}

/// A row whose attack is an altered export.
macro_rules! altered {
    ($id:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: "audit-bad",
            rule: $rule,
            evidence: Evidence::Verify,
            run: |setting| {
                let change: fn(&mut Log) -> Result<()> = $change;
                verified(setting, change, &[])
            },
        }
    };
}

fn removed() -> Vec<Attack> {
    vec![
        altered!(
            "audit-receipt-dropped",
            "A receipt is taken out of the log.",
            "each jail numbers its statements, and each names the one before",
            |log| {
                let at = log.inner(RecordKind::Receipt)?;
                log.records.remove(at);
                Ok(())
            }
        ),
        altered!(
            "audit-refusal-dropped",
            "A refusal is taken out of the log, so that an attack was never tried.",
            "each jail numbers its statements, and each names the one before",
            |log| {
                let at = log.inner(RecordKind::Refusal)?;
                log.records.remove(at);
                Ok(())
            }
        ),
        altered!(
            "audit-writ-dropped",
            "The order is taken out of the log whose run was accepted.",
            "an acceptance names its writ, which the log holds",
            |log| {
                let at = log.inner(RecordKind::Writ)?;
                log.records.remove(at);
                Ok(())
            }
        ),
        altered!(
            "audit-revocation-dropped",
            "An entry of the charter is taken out of the log.",
            "the log's charter folds, each entry after the one before",
            |log| {
                let at = log.records.iter().position(|record| {
                    record.kind == RecordKind::Charter && record.body.contains("subject.suspend")
                });
                log.records.remove(at.context("nothing was suspended")?);
                Ok(())
            }
        ),
        altered!(
            "audit-decision-dropped",
            "A note of the control plane's own is taken out of the log, which no jail has signed.",
            "the witness signed the tree over all records",
            |log| {
                let at = log.inner(RecordKind::Decision)?;
                log.records.remove(at);
                Ok(())
            }
        ),
    ]
}

fn rewritten() -> Vec<Attack> {
    vec![
        altered!(
            "audit-reordered",
            "Two records change places.",
            "the witness signed the tree over all records, in their order",
            |log| {
                let at = log.inner(RecordKind::Decision)?;
                log.records.swap(at, at - 1);
                Ok(())
            }
        ),
        altered!(
            "audit-record-altered",
            "A note of the control plane's own says something else than it did.",
            "the witness signed the tree over all records",
            |log| {
                let at = log.inner(RecordKind::Decision)?;
                log.records[at].body = log.records[at].body.replace("permitted", "forbidden");
                Ok(())
            }
        ),
        altered!(
            "audit-statement-altered",
            "A receipt says something else than the jail signed.",
            "statements are verified by the key that the charter enrolls",
            |log| {
                let at = log.newest(RecordKind::Receipt)?;
                log.records[at].body = crate::moves::altered(&log.records[at].body);
                Ok(())
            }
        ),
        altered!(
            "audit-salt-altered",
            "A record's salt is exchanged, so that its leaf is another.",
            "the witness signed the tree over all leaves",
            |log| {
                let other = log.records[0].salt.clone();
                let at = log.newest(RecordKind::Decision)?;
                log.records[at].salt = other;
                Ok(())
            }
        ),
        altered!(
            "audit-kind-altered",
            "A refusal is filed as a receipt.",
            "a statement's kind is signed",
            |log| {
                let at = log.newest(RecordKind::Refusal)?;
                log.records[at].kind = RecordKind::Receipt;
                Ok(())
            }
        ),
        altered!(
            "audit-without-checkpoints",
            "The log comes without any witness's signature.",
            "a log counts as far as a witness has signed its tree",
            |log| {
                log.checkpoints.clear();
                Ok(())
            }
        ),
        altered!(
            "audit-own-checkpoint",
            "The control plane signs the rewritten tree itself.",
            "the log has no key of its own: checkpoints are by jails that the charter enrolls",
            |log| {
                let newest = log.checkpoints.last().context("no checkpoint")?;
                let mut own = claims(newest)?;
                let at = log.newest(RecordKind::Decision)?;
                log.records[at].body = log.records[at].body.replace("permitted", "forbidden");
                let leaves: Vec<_> = log.records.iter().map(AuditRecord::leaf).collect();
                (own.size, own.root) = (leaves.len() as u64, merkle::root(&leaves));
                log.checkpoints = vec![checkpoint::sign(&own, &new_key()?, &SystemRandom::new())?];
                Ok(())
            }
        ),
    ]
}

const KNOWN: &str =
    "DESIGN §11: offline proof that nothing was removed, altered, reordered or withheld";

/// Names a file of the newest checkpoint of a log, as somebody else has kept it.
fn kept(setting: &Setting, log: &Log) -> Result<()> {
    let newest = log.checkpoints.last().context("no checkpoint")?;
    let line = format!("{}\n", Value::from(newest.as_str()));
    Ok(fs::write(setting.world.folder.join("kept.jsonl"), line)?)
}

fn cut_off() -> Vec<Attack> {
    vec![
        altered!(
            "audit-end-withheld",
            "The newest statements are cut off, and the checkpoint over them is kept.",
            "a checkpoint names how many records there were",
            |log| {
                log.records.truncate(log.records.len() - 2);
                Ok(())
            }
        ),
        Attack {
            id: "audit-rolled-back",
            source: KNOWN,
            what: "The log's end is cut off together with its checkpoints; somebody has a later checkpoint.",
            code: "audit-bad",
            rule: "`--checkpoints`: a witness signed more than the log holds",
            evidence: Evidence::Verify,
            run: |setting| {
                kept(setting, &Log::of(setting)?)?;
                let cut = |log: &mut Log| {
                    let earlier = log.checkpoints.iter().rev().nth(1).context("one checkpoint")?;
                    let size = usize::try_from(claims(earlier)?.size)?;
                    log.cut(size);
                    Ok(())
                };
                verified(setting, cut, &["--checkpoints", "kept.jsonl"])
            },
        },
        Attack {
            id: "audit-two-logs",
            source: KNOWN,
            what: "Two people are shown two logs, which part after a checkpoint that both hold.",
            code: "audit-bad",
            rule: "`--checkpoints`: what one of them was shown is not in the other's log",
            evidence: Evidence::Verify,
            run: two_logs,
        },
        Attack {
            id: "audit-charter-rolled-back",
            source: KNOWN,
            what: "The log ends before a suspension, and so do its checkpoints; its signer has the head.",
            code: "audit-bad",
            rule: "`--charter-head`: the log lacks a head that a signer saw",
            evidence: Evidence::Verify,
            run: |setting| {
                let head = setting.chain()?.last().context("no charter")?.digest().to_string();
                let cut = |log: &mut Log| {
                    let last = log.newest(RecordKind::Charter)?;
                    log.cut(last);
                    Ok(())
                };
                verified(setting, cut, &["--charter-head", &head])
            },
        },
        Attack {
            id: "audit-charter-forked",
            source: KNOWN,
            what: "A signer was shown another charter than the log holds.",
            code: "audit-bad",
            rule: "`--charter-head`: the log lacks a head that a signer saw",
            evidence: Evidence::Verify,
            run: |setting| {
                let next = Next::of(setting)?;
                let other = next.signed(&setting.login("owner")?, workspace("fork")?)?;
                let head = other.digest().to_string();
                verified(setting, |_| Ok(()), &["--charter-head", &head])
            },
        },
        Attack {
            id: "audit-revocation-withheld",
            source: "DESIGN §3.3: withholding shows",
            what: "A suspension was kept from the jail for a while, in which the jail went on deciding.",
            code: "",
            rule: "each statement names its charter head: `--behind` names those made after an entry which their jail had not been shown",
            evidence: Evidence::Verify,
            run: revocation_withheld,
        },
    ]
}

/// One person has the newest checkpoint. The other's log leaves the true one behind before that, and no witness has
/// signed its end.
fn two_logs(setting: &mut Setting) -> Result<Shown> {
    kept(setting, &Log::of(setting)?)?;
    let other = |log: &mut Log| {
        let size = log.records.len();
        let earlier = log.checkpoints.iter().rev().nth(1).context("one checkpoint")?;
        let note = log.records[log.newest(RecordKind::Decision)?].body.clone();
        log.cut(usize::try_from(claims(earlier)?.size)?);
        while log.records.len() < size {
            log.records.push(AuditRecord::new(RecordKind::Decision, [7; 16], note.clone()));
        }
        Ok(())
    };
    verified(setting, other, &["--checkpoints", "kept.jsonl"])
}

fn revocation_withheld(setting: &mut Setting) -> Result<Shown> {
    setting.relay.plot(crate::history::served(Vec::clear));
    let bob = Subject::Key(nowhere());
    let login = setting.login("owner")?;
    let entry_number = setting.chain()?.len();
    let entry = Next::of(setting)?.signed(&login, Change::SubjectSuspend(bob))?;
    let body = serde_json::json!({ "entry": entry });
    let (status, said) = setting.ask(&Ask::post(setting.tenant_path("/charter"), body))?;
    ensure!(status == 200, "{said}");
    thread::sleep(Duration::from_millis(2100));
    // The jail refuses something meanwhile, under the charter that it was left with.
    setting.signed_by(&setting.login("nobody")?)?;
    setting.behave();
    setting.caught_up()?;
    Log::of(setting)?;
    let said = setting.world.writ(&["audit", "verify", "audit", "--behind", "1"])?;
    let told = format!("after charter entry {entry_number}, which its jail had not been shown");
    ensure!(said.contains(&told), "`{told}` is not in: {said}");
    Ok(Shown::nothing(Evidence::Verify))
}

/// Asks the witness to sign a tree; how it refused.
fn sign_tree(
    setting: &Setting,
    change: fn(&mut u64, &mut writ_model::Digest, &mut Vec<writ_model::Digest>),
) -> Result<Shown> {
    let log = Log::of(setting)?;
    let leaves: Vec<_> = log.records.iter().map(AuditRecord::leaf).collect();
    let signed = claims(log.checkpoints.last().context("no checkpoint")?)?.size;
    let old = usize::try_from(signed)?;
    let mut consistency = merkle::consistency_proof(&leaves, old).context("no proof")?;
    let (mut size, mut root) = (leaves.len() as u64, merkle::root(&leaves));
    change(&mut size, &mut root, &mut consistency);
    let from = setting.relay.reported();
    setting.relay.give(vec![RunnerTask::Checkpoint { size, root, consistency }]);
    let code = setting.relay.wait(from, |report| match crate::moves::says(report)? {
        Says::Refusal(refusal) => Some(refusal.code),
        _ => None,
    })?;
    Ok(setting.refusal(from, code))
}

fn while_it_is_made() -> Vec<Attack> {
    vec![
        Attack {
            id: "audit-receipt-thrown-away",
            source: SOURCE,
            what: "The receipts of a run are taken from its runner and thrown away.",
            code: "statement-gap",
            rule: "statements are numbered: the next one tells that others are missing, and the runner has them all",
            evidence: Evidence::Log,
            run: |setting| {
                setting.relay.withhold(|report| {
                    matches!(crate::moves::says(report), Some(Says::Receipt(_)))
                });
                setting.main_job()?;
                let from = setting.runner_log()?.len();
                setting.behave();
                setting.signed_by(&setting.login("nobody")?)?;
                let code = setting.log_code(from)?;
                // The log is whole again: the receipts were told a second time.
                Log::of(setting)?;
                Ok(Shown::refused(code, Evidence::Log))
            },
        },
        Attack {
            id: "audit-tree-forked",
            source: SOURCE,
            what: "The witness is asked to sign a tree of the same size over other records.",
            code: "audit-fork",
            rule: "a witness signs a tree only if it extends the last one that it signed",
            evidence: Evidence::Signed,
            run: |setting| sign_tree(setting, |_, root, _| *root = nowhere()),
        },
        Attack {
            id: "audit-tree-shrunk",
            source: SOURCE,
            what: "The witness is asked to sign a smaller tree than it has signed.",
            code: "audit-fork",
            rule: "a witness signs a tree only if it extends the last one that it signed",
            evidence: Evidence::Signed,
            run: |setting| sign_tree(setting, |size, _, _| *size -= 1),
        },
        Attack {
            id: "audit-tree-without-proof",
            source: SOURCE,
            what: "The witness is asked to sign a larger tree that does not hold the one before.",
            code: "audit-fork",
            rule: "a witness signs a tree only if it extends the last one that it signed",
            evidence: Evidence::Signed,
            run: |setting| {
                sign_tree(setting, |size, root, consistency| {
                    *size += 1;
                    *root = nowhere();
                    consistency.push(nowhere());
                })
            },
        },
    ]
}
