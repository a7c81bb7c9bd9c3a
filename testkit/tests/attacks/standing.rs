//! Schedules and webhooks: what nobody granted, what was captured, what should have ended.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use writ_evidence::charter::{Automation, Change, Subject};
use writ_model::{Digest, Principal};
use writ_testkit::{
    github_stand_in::SLACK_TOKEN,
    keys::{Login, now},
};

use crate::{
    append::Next,
    http::Ask,
    setting::{IN_INPUT, Setting},
    table::{Attack, Evidence, Shown, Theme},
};

const FIRES: &str = "DESIGN §14: fire a standing writ early, too often, or with a forged event";
const LEFT: &str = "DESIGN §14: keep one alive after its grantor left";
const UNSIGNED: &str = "PEERS 2.6: a webhook's signature was not checked";

pub(crate) fn theme() -> Theme {
    let attacks = [events(), grants(), ended()].into_iter().flatten();
    Theme { title: "Schedules and webhooks", attacks: attacks.collect() }
}

/// The bundle that the charter publishes under a name.
fn bundle(setting: &Setting, name: &str) -> Result<Digest> {
    let mut published = None;
    for entry in setting.chain()? {
        if let Change::AutomationPublish(Automation { name: known, bundle, .. }) =
            entry.body()?.change
            && known.to_string() == name
        {
            published = Some(bundle);
        }
    }
    published.context("it is not published")
}

/// A webhook that starts a harmless run, as it may be granted; `change` makes it wrong.
fn standing(setting: &Setting, change: impl FnOnce(&mut Value)) -> Result<Change> {
    let mut standing = json!({
        "name": "secops/hooked",
        "runner_group": setting.forger.group(),
        "automation": "secops/echo",
        "bundle": bundle(setting, "secops/echo")?,
        "trigger": { "webhook": { "path": "attacked", "verifier": {
            "scheme": "github", "secrets": ["local:slack/token"], "remember_s": 604_800,
        } } },
        "parameters": "event",
        "bounds": { "max_runs": 100, "per_s": 3600, "concurrency": 10 },
        "expires_at": now().plus(24 * 3600),
    });
    change(&mut standing);
    Ok(Change::StandingSet(Box::new(serde_json::from_value(standing)?)))
}

/// Somebody grants it; the runner and its jail have heard of it.
fn grant(setting: &Setting, login: &Login, change: impl FnOnce(&mut Value)) -> Result<()> {
    setting.append(&Next::of(setting)?.signed(login, standing(setting, change)?)?)?;
    let deaf = || -> Result<bool> {
        let (status, _) = setting.ask(&Ask::webhook("attacked", "{}", None))?;
        Ok(status != 401)
    };
    for _ in 0..200 {
        if !deaf()? {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    anyhow::bail!("the runner does not take the webhook")
}

fn granted(setting: &Setting) -> Result<()> {
    grant(setting, &setting.login("owner")?, |_| ())
}

fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// What a sender would send, with a canary in it; another at each call.
fn event(number: u32) -> String {
    json!({ "number": number, "at": now(), "note": IN_INPUT }).to_string()
}

fn genuine(body: &str) -> Ask {
    Ask::webhook("attacked", body, Some(&signature(SLACK_TOKEN, body)))
}

/// Sends what must be refused, and says whether the jail has signed that.
fn refused(setting: &Setting, ask: &Ask) -> Result<Shown> {
    let from = setting.relay.reported();
    let shown = setting.refused_with(ask)?;
    // The runner reports what the jail has signed in its own time.
    for _ in 0..50 {
        let signed = setting.refusal(from, shown.code.clone().unwrap_or_default());
        if signed.evidence == Evidence::Signed {
            return Ok(signed);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(shown)
}

fn events() -> Vec<Attack> {
    let event_is = |id, source, what, code, rule, run| Attack {
        id,
        source,
        what,
        code,
        rule,
        evidence: Evidence::Answer,
        run,
    };
    vec![
        event_is(
            "webhook-unsigned",
            UNSIGNED,
            "An event is sent to a webhook's address without a signature.",
            "webhook-header-missing",
            "there is no webhook that nobody verifies",
            |setting| {
                granted(setting)?;
                refused(setting, &Ask::webhook("attacked", &event(1), None))
            },
        ),
        event_is(
            "webhook-forged",
            FIRES,
            "An event is sent that is signed with a secret of the attacker's.",
            "webhook-signature",
            "a cell verifies the raw body with the secret from the secret manager",
            |setting| {
                granted(setting)?;
                let body = event(2);
                let signature = signature("a secret of the attacker's", &body);
                refused(setting, &Ask::webhook("attacked", &body, Some(&signature)))
            },
        ),
        event_is(
            "webhook-altered",
            FIRES,
            "A captured signature is sent over another event.",
            "webhook-signature",
            "the signature is over the body, byte for byte",
            |setting| {
                granted(setting)?;
                let signature = signature(SLACK_TOKEN, &event(3));
                refused(setting, &Ask::webhook("attacked", &event(4), Some(&signature)))
            },
        ),
        event_is(
            "webhook-elsewhere",
            FIRES,
            "A genuine event is sent to an address that no standing writ has.",
            "webhook-unknown",
            "an address belongs to one standing writ",
            |setting| {
                granted(setting)?;
                let body = event(5);
                let signature = signature(SLACK_TOKEN, &body);
                refused(setting, &Ask::webhook("elsewhere", &body, Some(&signature)))
            },
        ),
        Attack {
            id: "webhook-replayed",
            source: FIRES,
            what: "A genuine event is captured and sent again, and again after the runner was restarted.",
            code: "",
            rule: "the jail remembers each delivery, by what its sender signed, in its own file",
            evidence: Evidence::Same,
            run: |setting| {
                granted(setting)?;
                let body = event(6);
                let (status, said) = setting.ask(&genuine(&body))?;
                ensure!(status == 202, "a genuine event was refused: {said}");
                let run = said["run"].as_str().context("no run")?.parse()?;
                setting.until(run, |status| status["phase"] == "completed")?;
                let duplicate = |setting: &Setting| -> Result<()> {
                    let (_, said) = setting.ask(&genuine(&body))?;
                    ensure!(said["duplicate"] == true, "the attack succeeded: {said}");
                    Ok(())
                };
                duplicate(setting)?;
                setting.restart_runner(|_| Ok(()))?;
                granted(setting)?;
                duplicate(setting)?;
                Ok(Shown::nothing(Evidence::Same))
            },
        },
        event_is(
            "webhook-too-often",
            FIRES,
            "More genuine events come than the standing writ's bounds let through.",
            "standing-exhausted",
            "the jail counts in its own file, and a renewal forgets nothing",
            |setting| {
                let bounds = |standing: &mut Value| standing["bounds"]["max_runs"] = json!(1);
                granted(setting)?;
                let (status, said) = setting.ask(&genuine(&event(7)))?;
                ensure!(status == 202, "a genuine event was refused: {said}");
                grant(setting, &setting.login("owner")?, bounds)?;
                refused(setting, &genuine(&event(8)))
            },
        ),
    ]
}

/// A candidate that the witness is asked to cosign.
fn candidate(setting: &Setting, who: &str, change: impl FnOnce(&mut Value)) -> Result<Shown> {
    let change = standing(setting, change)?;
    setting.cosign(Next::of(setting)?.signed(&setting.login(who)?, change)?)
}

fn grants() -> Vec<Attack> {
    let grant_is = |id, what, code, rule, run| Attack {
        id,
        source: FIRES,
        what,
        code,
        rule,
        evidence: Evidence::Signed,
        run,
    };
    vec![
        grant_is(
            "standing-without-right",
            "Somebody who may only look grants a standing writ.",
            "policy-denied",
            "who grants one may grant, start and use all that its runs do",
            |setting| candidate(setting, "eve", |_| ()),
        ),
        grant_is(
            "standing-foreign-secret",
            "A webhook is granted whose verifier is another team's secret.",
            "charter-change",
            "a workspace lists the secrets that its webhooks may name",
            |setting| {
                candidate(setting, "owner", |standing| {
                    standing["trigger"]["webhook"]["verifier"]["secrets"] =
                        json!(["local:lab/key"]);
                })
            },
        ),
        grant_is(
            "standing-for-ever",
            "A standing writ is granted for longer than 90 days.",
            "charter-change",
            "a grant ends",
            |setting| {
                candidate(setting, "owner", |standing| {
                    standing["expires_at"] = json!(now().plus(91 * 24 * 3600));
                })
            },
        ),
        grant_is(
            "standing-unpublished",
            "A standing writ is granted for a bundle that is not published.",
            "charter-change",
            "one bundle, by digest, which somebody may publish has published",
            |setting| {
                candidate(setting, "owner", |standing| {
                    standing["bundle"] = json!(Digest::from_bytes([7; 32]));
                })
            },
        ),
        grant_is(
            "standing-address-taken",
            "A second standing writ takes the address of another, to get its events.",
            "charter-change",
            "an address belongs to one standing writ",
            |setting| {
                granted(setting)?;
                candidate(setting, "owner", |standing| standing["name"] = json!("secops/thief"))
            },
        ),
    ]
}

fn ended() -> Vec<Attack> {
    vec![
        Attack {
            id: "standing-grantor-suspended",
            source: LEFT,
            what: "A genuine event comes after the standing writ's grantor was suspended.",
            code: "suspended",
            rule: "each time it fires, its grantor is asked for anew",
            evidence: Evidence::Signed,
            run: |setting| {
                let cyd = setting.login("cyd")?;
                grant(setting, &cyd, |_| ())?;
                let iss = setting.forger.issuer().0.to_owned();
                let cyd = Subject::User(Principal { iss, sub: "cyd".to_owned() });
                let owner = setting.login("owner")?;
                let change = |change| -> Result<()> {
                    setting.append(&Next::of(setting)?.signed(&owner, change)?)
                };
                change(Change::SubjectSuspend(cyd.clone()))?;
                std::thread::sleep(std::time::Duration::from_millis(300));
                let shown = refused(setting, &genuine(&event(9)));
                change(Change::SubjectRestore(cyd))?;
                shown
            },
        },
        Attack {
            id: "standing-revoked",
            source: LEFT,
            what: "A genuine event comes after the standing writ was revoked.",
            code: "webhook-unknown",
            rule: "what was revoked fires no more",
            evidence: Evidence::Answer,
            run: |setting| {
                granted(setting)?;
                let owner = setting.login("owner")?;
                let revoke = Change::StandingRevoke("secops/hooked".parse()?);
                setting.append(&Next::of(setting)?.signed(&owner, revoke)?)?;
                refused(setting, &genuine(&event(10)))
            },
        },
    ]
}
