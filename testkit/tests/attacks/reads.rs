//! Inputs, outputs and what approvers are shown: read or guessed by whoever may not.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use writ_evidence::{
    digest::{RunDatum, RunKey, sha256},
    seal::{self, SealingPrivateKey},
    writ::Order,
};
use writ_model::RunId;
use writ_testkit::keys::{new_key, random};
use zeroize::Zeroizing;

use crate::{
    approvals::Reply,
    http::{Ask, Proof},
    setting::{IN_INPUT, IN_OUTPUT, Setting},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [by_proof(), by_whom(), guessed()].into_iter().flatten();
    Theme { title: "Reading inputs and outputs", attacks: attacks.collect() }
}

const SOURCE: &str = "DESIGN §14: read or guess an input, an output or a credential";

/// A run that has made an output.
fn made(setting: &Setting) -> Result<RunId> {
    let run = setting.begin("secops/echo", &json!({ "given": IN_INPUT }))?;
    setting.until(run, |status| status["phase"] == "completed")?;
    Ok(run)
}

/// The owner reads: the control of all that is refused here.
fn read_by_owner(setting: &Setting, run: RunId) -> Result<()> {
    let ask = Ask::output(run).by(setting, &setting.login("owner")?)?;
    let (status, said) = setting.ask(&ask)?;
    ensure!(status == 200 && said["said"] == IN_OUTPUT, "the owner can't read: {said}");
    Ok(())
}

/// A row whose attack is the owner's read with a proof that is wrong.
macro_rules! proof {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Answer,
            run: |setting| {
                let (run, login) = (made(setting)?, setting.login("owner")?);
                let ask = Ask::output(run);
                let change: fn(Proof) -> Proof = $change;
                let proof = change(ask.proof(setting, &login)?);
                setting.refused_with(&ask.with(&login, &proof)?)
            },
        }
    };
}

fn by_proof() -> Vec<Attack> {
    vec![
        Attack {
            id: "read-without-login",
            source: SOURCE,
            what: "Somebody without a login asks for an output.",
            code: "not-authenticated",
            rule: "a read carries a credential and a proof of possession",
            evidence: Evidence::Answer,
            run: |setting| {
                let run = made(setting)?;
                read_by_owner(setting, run)?;
                setting.refused_with(&Ask::output(run))
            },
        },
        Attack {
            id: "read-stolen-token",
            source: SOURCE,
            what: "The control plane shows a reader's ID token, which it was sent, with a proof by its own key.",
            code: "proof-key",
            rule: "a proof is made with the key that the credential commits to: a stolen token alone reads nothing",
            evidence: Evidence::Answer,
            run: |setting| {
                let run = made(setting)?;
                let mut login = setting.login("owner")?;
                login.key = new_key()?;
                setting.refused_with(&Ask::output(run).by(setting, &login)?)
            },
        },
        proof!(
            "read-proof-of-another-path",
            "proof-request",
            "A proof that was made for the control plane is shown to the gateway.",
            "a proof names method and address",
            |mut proof| {
                proof.0.htu = proof.0.htu.replace("/output", "");
                proof
            }
        ),
        proof!(
            "read-proof-of-another-method",
            "proof-request",
            "A proof for another method is shown.",
            "a proof names method and address",
            |mut proof| {
                "POST".clone_into(&mut proof.0.htm);
                proof
            }
        ),
        proof!(
            "read-proof-of-another-login",
            "proof-request",
            "A proof that was made for another login of the same key is shown.",
            "a proof names the credential's digest",
            |mut proof| {
                proof.0.ath = Some(sha256(b"another"));
                proof
            }
        ),
        proof!(
            "read-proof-without-login",
            "proof-request",
            "A proof that names no credential, as runners make them, is shown by a person.",
            "a proof names the credential's digest",
            |mut proof| {
                proof.0.ath = None;
                proof
            }
        ),
        proof!(
            "read-old-proof",
            "proof-stale",
            "A proof from two minutes ago is shown.",
            "a proof counts for a minute",
            |proof| proof.aged(120)
        ),
        Attack {
            id: "read-proof-twice",
            source: SOURCE,
            what: "The proof of a read that was made is shown a second time.",
            code: "proof-replayed",
            rule: "a proof counts once",
            evidence: Evidence::Answer,
            run: |setting| {
                let (run, login) = (made(setting)?, setting.login("owner")?);
                let ask = Ask::output(run).by(setting, &login)?;
                let (status, _) = setting.ask(&ask)?;
                ensure!(status == 200, "the owner can't read");
                setting.refused_with(&ask)
            },
        },
    ]
}

fn by_whom() -> Vec<Attack> {
    vec![
        Attack {
            id: "read-by-nobody",
            source: SOURCE,
            what: "Somebody without a role asks for an output, to learn whether the run exists.",
            code: "run-unknown",
            rule: "what may not be seen is not there",
            evidence: Evidence::Answer,
            run: |setting| {
                let (run, login) = (made(setting)?, setting.login("nobody")?);
                setting.refused_with(&Ask::output(run).by(setting, &login)?)
            },
        },
        Attack {
            id: "read-from-another-workspace",
            source: "PEERS 2.25: a key of one workspace reaches another's",
            what: "A builder of another workspace asks for an output.",
            code: "run-unknown",
            rule: "what may not be seen is not there",
            evidence: Evidence::Answer,
            run: |setting| {
                let (run, login) = (made(setting)?, setting.login("dan")?);
                setting.refused_with(&Ask::output(run).by(setting, &login)?)
            },
        },
        Attack {
            id: "read-by-viewer",
            source: SOURCE,
            what: "A viewer, who sees that a run is there, asks for its output.",
            code: "policy-denied",
            rule: "`run.read-output` is a right of its own",
            evidence: Evidence::Answer,
            run: |setting| {
                let (run, login) = (made(setting)?, setting.login("eve")?);
                setting.refused_with(&Ask::output(run).by(setting, &login)?)
            },
        },
        Attack {
            id: "read-what-is-asked",
            source: SOURCE,
            what: "A viewer asks for what approvers are shown.",
            code: "policy-denied",
            rule: "what a run asks is shown to those who may answer",
            evidence: Evidence::Answer,
            run: |setting| {
                let run = Reply::to_new(setting, "secops/tell-one")?.run();
                let login = setting.login("eve")?;
                let ask = Ask::get(format!("/v1/runs/{run}/approval")).at("gateway_url");
                setting.refused_with(&ask.by(setting, &login)?)
            },
        },
        Attack {
            id: "read-as-the-runner",
            source: "DESIGN §2: the gateway passes reads to the runner, which dials it",
            what: "The control plane takes reads from the gateway in the runner's name, with its own key.",
            code: "proof-key",
            rule: "the link's key is the one that the charter enrolls",
            evidence: Evidence::Answer,
            run: |setting| {
                let (runner, key) = (setting.forger.runner().id, new_key()?);
                let ask = Ask::post("/link/take", json!({})).at("link_url");
                setting.refused_with(&ask.by_runner(setting, runner, &key)?)
            },
        },
        Attack {
            id: "read-as-another-runner",
            source: "DESIGN §14: enroll a runner",
            what: "A runner that nobody enrolled takes tasks from the control plane.",
            code: "not-enrolled",
            rule: "runners are entries of the charter",
            evidence: Evidence::Answer,
            run: |setting| {
                let (runner, key) = (writ_model::RunnerId::from_bits(99), new_key()?);
                let ask = Ask::post(setting.tenant_path("/runner/take"), json!({}));
                setting.refused_with(&ask.by_runner(setting, runner, &key)?)
            },
        },
        Attack {
            id: "list-of-another-workspace",
            source: "PEERS 2.25: a key of one workspace lists another's",
            what: "A builder of another workspace lists all runs of the tenant.",
            code: "",
            rule: "runs are listed to those who may see them, one by one",
            evidence: Evidence::Nothing,
            run: |setting| {
                made(setting)?;
                let login = setting.login("dan")?;
                let ask = Ask::get(setting.tenant_path("/runs")).by(setting, &login)?;
                let (status, said) = setting.ask(&ask)?;
                let runs = said["runs"].as_array().map(Vec::len);
                ensure!(status == 200 && runs == Some(0), "the attack succeeded: {said}");
                Ok(Shown::nothing(Evidence::Nothing))
            },
        },
    ]
}

fn guessed() -> Vec<Attack> {
    vec![
        Attack {
            id: "guess-an-input",
            source: SOURCE,
            what: "The control plane knows what an input may be, and compares it with the digest in the order.",
            code: "",
            rule: "digests of run data are keyed; the key is sealed to the runner",
            evidence: Evidence::Nothing,
            run: |setting| {
                let login = setting.login("owner")?;
                let draft = setting.forger.draft(&login, &crate::setting::input())?;
                let Order::RunStart { inp, .. } = &draft.claims.order else { bail!("no order") };
                let known = [
                    [0; 32],
                    *sha256(draft.input.as_bytes()).as_bytes(),
                    *draft.claims.ten.0.as_bytes(),
                    *draft.claims.idc.as_bytes(),
                    *draft.claims.charter.as_bytes(),
                    *sha256(draft.claims.jti.as_bytes()).as_bytes(),
                ];
                for key in known {
                    let key = RunKey::from_bytes(Zeroizing::new(key));
                    let guessed = key.matches(*inp, RunDatum::Input, draft.input.as_bytes());
                    ensure!(!guessed, "the attack succeeded: the input was confirmed");
                }
                let bare = sha256(draft.input.as_bytes()).to_string();
                ensure!(!inp.to_string().contains(bare.trim_start_matches("sha256:")), "bare");
                Ok(Shown::nothing(Evidence::Nothing))
            },
        },
        Attack {
            id: "open-a-sealed-input",
            source: SOURCE,
            what: "The control plane opens the sealed input that it relays.",
            code: "",
            rule: "inputs are sealed to the runner's key (HPKE), which never leaves it",
            evidence: Evidence::Nothing,
            run: |setting| {
                let order = setting.order(|_| ())?;
                let own = SealingPrivateKey::from_bytes(&random()?);
                let digest = sha256(order.writ.as_bytes());
                ensure!(seal::open(&own, digest, &order.sealed).is_err(), "the attack succeeded");
                Ok(Shown::nothing(Evidence::Nothing))
            },
        },
        Attack {
            id: "output-at-the-control-plane",
            source: SOURCE,
            what: "An output is looked for in everything that the control plane was sent and has kept.",
            code: "",
            rule: "outputs go from the runner to its gateway; the control plane gets keyed digests",
            evidence: Evidence::Nothing,
            run: |setting| {
                let run = made(setting)?;
                read_by_owner(setting, run)?;
                setting.hunt()?;
                let status: Value = setting.status(run)?;
                ensure!(!status.to_string().contains("canary"), "the attack succeeded: {status}");
                Ok(Shown::nothing(Evidence::Nothing))
            },
        },
    ]
}
