//! What orders name by digest, and what is sealed: exchanged on its way.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use serde_json::{Value, json};
use writ_api::{Content, ContentKind};
use writ_evidence::{
    digest::{RunKey, sha256},
    seal,
};
use writ_testkit::{
    hostile::ForgedOrder,
    keys::random,
    relay::{Answer, Asked},
};
use zeroize::Zeroizing;

use crate::{
    setting::{Setting, input},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [sealed(), served()].into_iter().flatten();
    Theme { title: "Content and sealed inputs", attacks: attacks.collect() }
}

const SOURCE: &str = "DESIGN §14: swap content, sub-workflow, input, connection or pack";

/// An order whose sealed part is another: of this key and input, for this digest.
fn resealed(
    setting: &Setting,
    seal_for: impl Fn(&ForgedOrder) -> writ_model::Digest,
    input_of: impl FnOnce(&str) -> String,
) -> Result<Shown> {
    let login = setting.login("owner")?;
    let draft = setting.forger.draft(&login, &input())?;
    let mut order = setting.forger.sign(&draft, &login)?;
    let own = RunKey::from_bytes(Zeroizing::new(random()?));
    let (digest, input) = (seal_for(&order), input_of(&draft.input));
    let key = &setting.forger.runner().sealing_key;
    order.sealed = seal::seal(key, digest, (&own, input.as_bytes()), &SystemRandom::new())?;
    setting.relayed(order)
}

fn own_digest(order: &ForgedOrder) -> writ_model::Digest {
    sha256(order.writ.as_bytes())
}

fn sealed() -> Vec<Attack> {
    vec![
        Attack {
            id: "input-of-another-order",
            source: SOURCE,
            what: "The sealed input of one order is relayed with another.",
            code: "sealed-input",
            rule: "the writ's digest is the seal's associated data",
            evidence: Evidence::Status,
            run: |setting| {
                let mut order = setting.order(|_| ())?;
                order.sealed = setting.order(|_| ())?.sealed;
                setting.relayed(order)
            },
        },
        Attack {
            id: "input-of-its-own",
            source: SOURCE,
            what: "The control plane seals an input and a run key of its own to the runner, for the order it relays.",
            code: "input-mismatch",
            rule: "`inp` in the writ is the input's digest under the run key that its signer drew",
            evidence: Evidence::Signed,
            run: |setting| {
                resealed(setting, own_digest, |input| input.replace("payments", "elsewhere"))
            },
        },
        Attack {
            id: "run-key-of-its-own",
            source: SOURCE,
            what: "The control plane seals the true input with a run key of its own, to recompute digests later.",
            code: "input-mismatch",
            rule: "`inp` in the writ is the input's digest under the run key that its signer drew",
            evidence: Evidence::Signed,
            run: |setting| resealed(setting, own_digest, str::to_owned),
        },
        Attack {
            id: "input-sealed-for-another-writ",
            source: SOURCE,
            what: "An input is sealed for another writ's digest.",
            code: "sealed-input",
            rule: "the writ's digest is the seal's associated data",
            evidence: Evidence::Status,
            run: |setting| resealed(setting, |_| sha256(b"another"), str::to_owned),
        },
    ]
}

/// Changes content of a kind on its way to the runner.
fn exchanged(
    kind: ContentKind,
    change: impl Fn(&str) -> String + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut Answer) + Send + Sync + 'static {
    move |asked, answer| {
        if !asked.path.contains("/runner/content/") {
            return;
        }
        let Ok(mut content) = serde_json::from_slice::<Content>(&answer.body) else { return };
        if content.kind == kind {
            content.text = change(&content.text);
            answer.body = serde_json::to_vec(&content).unwrap_or_default();
        }
    }
}

/// A run is ordered while the runner, which has lost what it kept, is served something else; what it complains of.
/// Once the relay is honest, the run is done as it was ordered.
fn served_to_a_run(
    setting: &mut Setting,
    plot: impl Fn(&Asked, &mut Answer) + Send + Sync + 'static,
) -> Result<Shown> {
    setting.restart_runner(|folder| {
        let content = folder.join("runner/content");
        std::fs::remove_dir_all(&content)?;
        Ok(std::fs::create_dir(content)?)
    })?;
    setting.relay.plot(plot);
    let from = setting.runner_log()?.len();
    let run = setting.begin("secops/leaked-secret", &input())?;
    let code = setting.log_code(from)?;
    setting.check_nothing_unordered()?;
    setting.behave();
    let status = setting.until(run, |status| {
        ["completed", "faulted"].iter().any(|phase| status["phase"] == *phase)
    })?;
    ensure!(status["phase"] == "completed", "{status}");
    setting.ordered(3);
    Ok(Shown::refused(code, Evidence::Log))
}

fn served() -> Vec<Attack> {
    vec![
        Attack {
            id: "bundle-exchanged",
            source: SOURCE,
            what: "The runner asks for a bundle by its digest and is served another document.",
            code: "content",
            rule: "what has another digest is not it, wherever it came from; the jail hashes it again",
            evidence: Evidence::Log,
            run: |setting| {
                served_to_a_run(
                    setting,
                    exchanged(ContentKind::Bundle, |text| {
                        text.replace("security-alerts", "public")
                    }),
                )
            },
        },
        Attack {
            id: "bundle-too-long",
            source: "DESIGN §14: huge or slow bodies",
            what: "The runner asks for a bundle and is served 20 MB.",
            code: "contract",
            rule: "answers are bounded, and the runner goes on",
            evidence: Evidence::Log,
            run: |setting| {
                served_to_a_run(setting, |asked, answer| {
                    if asked.path.contains("/runner/content/") {
                        answer.body = vec![b' '; 20 * 1024 * 1024];
                    }
                })
            },
        },
        Attack {
            id: "bundle-elsewhere",
            source: "DESIGN §14: a hostile service redirects",
            what: "The runner asks for a bundle and is sent to another host.",
            code: "http-status",
            rule: "the runner follows no redirect",
            evidence: Evidence::Log,
            run: |setting| {
                served_to_a_run(setting, |asked, answer| {
                    if asked.path.contains("/runner/content/") {
                        answer.status = 307;
                        answer.header = Some(("location", "http://127.0.0.1:9/".to_owned()));
                        answer.body.clear();
                    }
                })
            },
        },
        Attack {
            id: "pack-exchanged",
            source: SOURCE,
            what: "The runner asks for an action pack by its digest and is served one that sends the credential elsewhere.",
            code: "content",
            rule: "a pack is the one that the charter acknowledges, by digest; the jail hashes it again",
            evidence: Evidence::Log,
            run: pack_exchanged,
        },
    ]
}

/// The pack that names where the credential goes is exchanged: the run faults, and the service hears nothing.
fn pack_exchanged(setting: &mut Setting) -> Result<Shown> {
    setting.restart_runner(|folder| {
        let content = folder.join("runner/content");
        std::fs::remove_dir_all(&content)?;
        Ok(std::fs::create_dir(content)?)
    })?;
    setting.relay.plot(exchanged(ContentKind::Pack, |text| {
        let mut pack: Value = serde_json::from_str(text).unwrap_or_default();
        pack["actions"]["github.repositories.get"]["request"]["path"] = json!("/elsewhere");
        pack.to_string()
    }));
    let from = setting.runner_log()?.len();
    let run = setting.begin("secops/leaked-secret", &input())?;
    let code = setting.log_code(from)?;
    let status = setting.until(run, |status| status["phase"] == "faulted")?;
    let faulted = status["code"].as_str().context("a fault without a code")?;
    ensure!(faulted == "pack-unavailable", "{status}");
    Ok(Shown::refused(code, Evidence::Log))
}
