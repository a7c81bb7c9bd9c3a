//! Entries pushed to the gateway, past a control plane that holds them back; and what anybody might push there.

use anyhow::{Result, ensure};
use serde_json::json;
use writ_api::RunnerReport;
use writ_evidence::charter::{Change, Subject, UnverifiedEntry, Workspace};
use writ_model::Principal;

use crate::{
    append::Next,
    history::served,
    http::Ask,
    setting::Setting,
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [held_back(), by_anybody()].into_iter().flatten();
    Theme { title: "Past the control plane, by the gateway", attacks: attacks.collect() }
}

const PUSHED: &str = "DESIGN §3.3: a revocation needs no control plane";

/// A push of these entries.
fn push(entries: &[UnverifiedEntry]) -> Ask {
    Ask::post("/v1/charter", json!({ "entries": entries })).at("gateway_url")
}

fn person(setting: &Setting, sub: &str) -> Subject {
    Subject::User(Principal { iss: setting.forger.issuer().0.to_owned(), sub: sub.to_owned() })
}

fn workspace(name: &str) -> Result<Change> {
    Ok(Change::WorkspaceSet(Workspace { name: name.parse()?, secret_paths: Vec::new() }))
}

/// Pushes something sound, which must be folded.
fn pushed(setting: &Setting, entry: &UnverifiedEntry) -> Result<()> {
    let (status, said) = setting.ask(&push(std::slice::from_ref(entry)))?;
    ensure!(status == 200 && said["outcome"] == "folded", "a sound push: {status} {said}");
    Ok(())
}

/// A push that must be refused, and leaves the charter as it was.
fn refused(setting: &Setting, entries: &[UnverifiedEntry]) -> Result<Shown> {
    let before = setting.chain()?.len();
    let shown = setting.refused_with(&push(entries))?;
    ensure!(setting.chain()?.len() == before, "the charter has changed");
    Ok(shown)
}

fn held_back() -> Vec<Attack> {
    vec![
        Attack {
            id: "push-withheld-suspension",
            source: PUSHED,
            what: "A suspension is kept from the runner; its signer pushes it, and the suspended person's order is \
                   relayed.",
            code: "suspended",
            rule: "the gateway hands entries to the runner, and its jail folds them",
            evidence: Evidence::Signed,
            run: |setting| {
                setting.relay.plot(served(Vec::clear));
                let (owner, cyd) = (setting.login("owner")?, setting.login("cyd")?);
                let suspend = Change::SubjectSuspend(person(setting, "cyd"));
                let entry = Next::of(setting)?.signed(&owner, suspend)?;
                pushed(setting, &entry)?;
                let shown = setting.signed_by(&cyd);
                let restore = Change::SubjectRestore(person(setting, "cyd"));
                pushed(setting, &Next::of(setting)?.signed(&owner, restore)?)?;
                setting.behave();
                setting.caught_up()?;
                shown
            },
        },
        Attack {
            id: "push-cosigned-and-held",
            source: PUSHED,
            what: "A change is cosigned and then held back for ever, so that no other of its number can be.",
            code: "charter-not-next",
            rule: "the runner keeps what its jail cosigned, and takes it up when another of that number is pushed",
            evidence: Evidence::Answer,
            run: |setting| {
                setting.relay.withhold(|report| matches!(report, RunnerReport::Candidate { .. }));
                let owner = setting.login("owner")?;
                let next = Next::of(setting)?;
                let held = next.signed(&owner, workspace("held")?)?;
                let body = json!({ "entry": held });
                let (status, said) =
                    setting.ask(&Ask::post(setting.tenant_path("/charter"), body))?;
                ensure!(status == 503, "the control plane was to hold it: {status} {said}");
                let suspend = Change::SubjectSuspend(person(setting, "bob"));
                let shown = setting.refused_with(&push(&[next.signed(&owner, suspend.clone())?]));
                let again = Next::of(setting)?;
                ensure!(again.head == held.digest(), "the one that was held is no entry");
                pushed(setting, &again.signed(&owner, suspend)?)?;
                let restore = Change::SubjectRestore(person(setting, "bob"));
                pushed(setting, &Next::of(setting)?.signed(&owner, restore)?)?;
                setting.behave();
                setting.caught_up()?;
                shown
            },
        },
    ]
}

fn by_anybody() -> Vec<Attack> {
    vec![
        Attack {
            id: "push-without-the-right",
            source: PUSHED,
            what: "A viewer pushes a suspension of an owner to the gateway.",
            code: "policy-denied",
            rule: "who may change the charter is the same, whoever brings the change",
            evidence: Evidence::Answer,
            run: |setting| {
                let eve = setting.login("eve")?;
                let suspend = Change::SubjectSuspend(person(setting, "owner"));
                refused(setting, &[Next::of(setting)?.signed(&eve, suspend)?])
            },
        },
        Attack {
            id: "push-past-its-time",
            source: PUSHED,
            what: "A change that its signer signed an hour ago, and has thought better of, is pushed.",
            code: "writ-expired",
            rule: "a witness judges freshness, whoever brings the change",
            evidence: Evidence::Answer,
            run: |setting| {
                let owner = setting.login("owner")?;
                let next = Next::of(setting)?;
                let hour_ago = next.at(writ_testkit::keys::now().0 - 3600);
                refused(setting, &[hour_ago.signed(&owner, workspace("late")?)?])
            },
        },
        Attack {
            id: "push-borrowed-cosignature",
            source: PUSHED,
            what: "A change that nobody vouches for is pushed with the cosignature of another entry.",
            code: "idc-nonce",
            rule: "a cosignature is over one digest; without as many as must, the jail judges for itself",
            evidence: Evidence::Answer,
            run: |setting| {
                let chain = setting.chain()?;
                let borrowed = chain.iter().rev().find_map(|entry| match entry {
                    UnverifiedEntry::Writ { cosignatures, .. } => Some(cosignatures.clone()),
                    UnverifiedEntry::Roots { .. } => None,
                });
                let (owner, eve) = (setting.login("owner")?, setting.login("eve")?);
                let mut entry = Next::of(setting)?.signed(&owner, workspace("forged")?)?;
                if let UnverifiedEntry::Writ { cosignatures, idc, .. } = &mut entry {
                    *cosignatures = borrowed.unwrap_or_default();
                    // The owner's token over a key of somebody else's.
                    idc.cic = eve.idc.cic;
                }
                refused(setting, &[entry])
            },
        },
        Attack {
            id: "push-one-root-of-two",
            source: PUSHED,
            what: "A change of the witnesses is pushed with one root key's signature of two.",
            code: "charter-roots",
            rule: "root-class changes take as many root keys as root keys said",
            evidence: Evidence::Answer,
            run: |setting| {
                let runner = person(setting, "owner");
                let next = Next::of(setting)?;
                let entry = next.rooted(Change::SubjectSuspend(runner), &[&setting.roots[0]])?;
                refused(setting, &[entry])
            },
        },
        Attack {
            id: "push-another-tenants",
            source: PUSHED,
            what: "Another tenant's whole charter is pushed, sound in itself.",
            code: "charter-not-next",
            rule: "everything is folded from the tenant's own anchor",
            evidence: Evidence::Answer,
            run: |setting| refused(setting, &writ_testkit::tenant::Tenant::found()?.entries),
        },
        Attack {
            id: "push-reads-without-a-role",
            source: "DESIGN §2: the charter is read from the gateway",
            what: "Somebody whom the identity provider vouches for, and who holds no role, reads the charter at the \
                   gateway.",
            code: "policy-denied",
            rule: "the jail says who may read",
            evidence: Evidence::Answer,
            run: |setting| {
                let nobody = setting.login("nobody")?;
                let ask = Ask::get("/v1/charter?from=0").at("gateway_url");
                setting.refused_with(&ask.by(setting, &nobody)?)
            },
        },
        Attack {
            id: "push-read-again",
            source: "RFC 9449 §11.1",
            what: "A sound read of the charter at the gateway is sent a second time.",
            code: "proof-replayed",
            rule: "a proof is good for one request",
            evidence: Evidence::Answer,
            run: |setting| {
                let owner = setting.login("owner")?;
                let ask = Ask::get("/v1/charter?from=0").at("gateway_url").by(setting, &owner)?;
                let (status, said) = setting.ask(&ask)?;
                ensure!(status == 200, "a sound read: {status} {said}");
                setting.refused_with(&ask)
            },
        },
    ]
}
