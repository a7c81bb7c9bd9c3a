//! Changes of the charter that nobody may make, made otherwise than they may be, or made long ago.

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use writ_api::CandidateVerdict;
use writ_evidence::{
    charter::{
        Automation, Binding, Change, Footprint, RootKeys, RunnerEnrollment, Scope, SignedWrit,
        Subject, UnverifiedEntry, WitnessQuorum, Workspace,
    },
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient},
    seal::SealingPrivateKey,
    writ::Operation,
};
use writ_model::{
    Connection, ConnectionHost, ConnectionKind, Grantee, Principal, Role, RunnerGroupId, RunnerId,
};
use writ_testkit::keys::{Login, new_issuer_key, new_key, now};

use crate::{
    append::Next,
    setting::Setting,
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [whose(), when(), root_class(), two_people()].into_iter().flatten();
    Theme { title: "Changes of authority", attacks: attacks.collect() }
}

/// A row whose attack is a candidate that the witness is asked to cosign.
macro_rules! candidate {
    ($id:literal, $source:literal, $code:literal, $attack:literal, $rule:literal, $make:expr) => {
        Attack {
            id: $id,
            source: $source,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let make: fn(&Setting) -> Result<UnverifiedEntry> = $make;
                setting.cosign(make(setting)?)
            },
        }
    };
}

/// Makes somebody an owner.
fn owner(setting: &Setting, sub: &str) -> Change {
    let iss = setting.forger.issuer().0.to_owned();
    let principal = Grantee::Principal(Principal { iss, sub: sub.to_owned() });
    Change::BindingAdd(Binding { principal, role: Role::Owner, scope: Scope::Tenant })
}

pub(crate) fn workspace(name: &str) -> Result<Change> {
    Ok(Change::WorkspaceSet(Workspace { name: name.parse()?, secret_paths: Vec::new() }))
}

fn signed(setting: &Setting, who: &str, change: Change) -> Result<UnverifiedEntry> {
    Next::of(setting)?.signed(&setting.login(who)?, change)
}

fn whose() -> Vec<Attack> {
    vec![
        candidate!(
            "charter-adds-itself",
            "DESIGN §14: add itself as administrator",
            "idc-signature",
            "The control plane makes itself an owner, by a login that it vouches for itself.",
            "a change is a writ of somebody whom an issuer of the charter vouches for",
            |setting| {
                let login = setting.forger.log_in_with("mallory", &new_issuer_key()?, |_| ())?;
                Next::of(setting)?.signed(&login, owner(setting, "mallory"))
            }
        ),
        candidate!(
            "charter-viewer-makes-owner",
            "DESIGN §14: add itself as administrator",
            "policy-denied",
            "A viewer signs that she is an owner.",
            "a change is valid only if its signer may make it under the state before it",
            |setting| signed(setting, "eve", owner(setting, "eve"))
        ),
        candidate!(
            "charter-administrator-makes-owner",
            "DESIGN §14: add itself as administrator",
            "policy-denied",
            "The administrator of one workspace signs that she is an owner of the tenant.",
            "nobody gives more than they have",
            |setting| signed(setting, "ada", owner(setting, "ada"))
        ),
        candidate!(
            "charter-enrolls-runner",
            "DESIGN §14: enroll a runner or witness",
            "policy-denied",
            "A runner of the attacker's is enrolled by an administrator of one workspace.",
            "owners enroll runners",
            |setting| {
                let runner = RunnerEnrollment {
                    id: RunnerId::from_bits(99),
                    group: RunnerGroupId::from_bits(99),
                    jail_key: new_key()?.public().clone(),
                    link_key: new_key()?.public().clone(),
                    sealing_key: SealingPrivateKey::from_bytes(&[9; 32]).public(),
                };
                signed(setting, "ada", Change::RunnerEnroll(Box::new(runner)))
            }
        ),
        candidate!(
            "charter-publishes-elsewhere",
            "PEERS 2.11: a role was enforced in the interface only",
            "policy-denied",
            "A builder of one workspace publishes in another.",
            "`automation.publish` is asked for in the automation's workspace, by the witness too",
            |setting| {
                let forger = &setting.forger;
                let footprint =
                    Footprint { connections: forger.grants.clone(), ..Footprint::default() };
                let name = "secops/leaked-secret".parse()?;
                let automation = Automation { name, bundle: forger.bundle, footprint };
                signed(setting, "dan", Change::AutomationPublish(automation))
            }
        ),
        candidate!(
            "charter-lends-a-right",
            "DESIGN §14: lends rights through a document",
            "charter-change",
            "A builder publishes, in her own workspace, a document that uses another's connection.",
            "a footprint names connections of the automation's workspace only",
            |setting| {
                let forger = &setting.forger;
                let footprint =
                    Footprint { connections: forger.grants.clone(), ..Footprint::default() };
                let name = "lab/borrowed".parse()?;
                let automation = Automation { name, bundle: forger.bundle, footprint };
                signed(setting, "dan", Change::AutomationPublish(automation))
            }
        ),
        candidate!(
            "charter-suspends-an-owner",
            "DESIGN §3.3: the kill switch",
            "policy-denied",
            "An administrator of one workspace suspends an owner.",
            "only an owner stops an owner",
            |setting| {
                let iss = setting.forger.issuer().0.to_owned();
                let user = Subject::User(Principal { iss, sub: "owner".to_owned() });
                signed(setting, "ada", Change::SubjectSuspend(user))
            }
        ),
    ]
}

fn when() -> Vec<Attack> {
    vec![
        candidate!(
            "charter-back-dated",
            "DESIGN §14: back-date the charter",
            "idc-stale",
            "A change is signed with a stolen key whose login ended an hour ago, and dated then.",
            "a witness judges at its own time, while the login is fresh",
            |setting| {
                let login = setting.forger.log_in("owner", |claims| {
                    claims["iat"] = json!(now().0 - 7200);
                    claims["exp"] = json!(now().0 - 3600);
                })?;
                Next::of(setting)?.at(now().0 - 7000).signed(&login, workspace("dated")?)
            }
        ),
        candidate!(
            "charter-kept-back",
            "DESIGN §14: withhold the charter",
            "writ-expired",
            "A signed change is kept back and proposed ten minutes later.",
            "a candidate's writ counts for five minutes",
            |setting| {
                Next::of(setting)?
                    .at(now().0 - 600)
                    .signed(&setting.login("owner")?, workspace("kept")?)
            }
        ),
        candidate!(
            "charter-replayed",
            "DESIGN §14: replay",
            "charter-not-next",
            "The newest signed change is proposed once more.",
            "a change names its number and the entry before it",
            |setting| {
                let mut chain = setting.chain()?;
                chain.retain(|entry| matches!(entry, UnverifiedEntry::Writ { .. }));
                chain.pop().context("no signed change")
            }
        ),
        candidate!(
            "charter-replayed-on-new-head",
            "DESIGN §14: replay",
            "charter-content",
            "An old signed change is proposed under a new number.",
            "a writ is over one body, which names its number and the entry before it",
            |setting| {
                let chain = setting.chain()?;
                let old = chain.iter().rfind(|entry| matches!(entry, UnverifiedEntry::Writ { .. }));
                let Some(UnverifiedEntry::Writ { body, writ, idc, .. }) = old else {
                    bail!("no signed change")
                };
                let change =
                    serde_json::from_str::<writ_evidence::charter::EntryBody>(body)?.change;
                let (writ, idc) = (writ.clone(), idc.clone());
                Next::of(setting)?.with(SignedWrit { writ, idc }, change)
            }
        ),
        candidate!(
            "charter-body-exchanged",
            "DESIGN §14: alter",
            "charter-content",
            "The change is exchanged after it was signed.",
            "a writ is over the digest of the change, its number and the entry before it",
            |setting| {
                let next = Next::of(setting)?;
                let entry = next.signed(&setting.login("owner")?, workspace("meant")?)?;
                let UnverifiedEntry::Writ { writ, idc, .. } = entry else { bail!("not signed") };
                next.with(SignedWrit { writ, idc }, owner(setting, "mallory"))
            }
        ),
        candidate!(
            "charter-under-another-head",
            "DESIGN §14: fork the charter",
            "charter-content",
            "A change that was signed over one head is proposed over another.",
            "a writ names the head that it is over, twice",
            |setting| {
                let mut next = Next::of(setting)?;
                let true_head = next.head;
                next.head = setting.forger.head();
                if next.head == true_head {
                    next.head = setting.chain()?.first().context("no charter")?.digest();
                }
                let login = setting.login("owner")?;
                let entry =
                    next.signed_body(&login, &next.body_on(true_head, workspace("moved")?)?)?;
                Ok(entry)
            }
        ),
        Attack {
            id: "charter-fork",
            source: "DESIGN §14: fork the charter",
            what: "Two people sign a change at the same time, and the control plane has both cosigned.",
            code: "charter-seq-signed",
            rule: "a witness durably signs one digest for each number",
            evidence: Evidence::Signed,
            run: |setting| {
                let next = Next::of(setting)?;
                let one = next.signed(&setting.login("owner")?, workspace("one")?)?;
                let other = next.signed(&setting.login("cyd")?, workspace("other")?)?;
                let CandidateVerdict::Cosigned(_) = setting.cosigned(one.clone())? else {
                    bail!("a sound change was refused")
                };
                let shown = setting.cosign(other);
                // The first one stands: the number is not lost.
                setting.append(&one)?;
                shown
            },
        },
    ]
}

fn root_class() -> Vec<Attack> {
    vec![
        candidate!(
            "charter-issuer-without-roots",
            "DESIGN §14: bind its own key to a user's login",
            "charter-change",
            "An owner's stolen login signs that another identity provider is believed.",
            "only root keys say which issuers are believed",
            |setting| {
                let operations = Operation::ALL.to_vec();
                let issuer = Issuer::new(
                    "https://evil.example",
                    vec![IdTokenAlgorithm::Es256],
                    vec![IssuerClient::new("writ", operations)],
                );
                signed(setting, "owner", Change::IssuerSet(Box::new(issuer)))
            }
        ),
        candidate!(
            "charter-witness-without-roots",
            "DESIGN §14: enroll a runner or witness",
            "charter-change",
            "An owner's stolen login signs that another jail is the witness.",
            "only root keys name witnesses",
            |setting| {
                let witnesses = [RunnerId::from_bits(99)].into_iter().collect();
                let quorum = WitnessQuorum { witnesses, threshold: 1, max_staleness_s: None };
                signed(setting, "owner", Change::WitnessSet(quorum))
            }
        ),
        candidate!(
            "charter-roots-without-roots",
            "DESIGN §14: forge the charter",
            "charter-change",
            "An owner's stolen login exchanges the root keys.",
            "root keys are exchanged by those before them",
            |setting| {
                let keys = vec![new_key()?.public().clone()];
                signed(setting, "owner", Change::RootRotate(RootKeys { keys, threshold: 1 }))
            }
        ),
        candidate!(
            "charter-stops-the-runner-without-roots",
            "DESIGN §3.3: suspending a runner is root-class",
            "charter-change",
            "An owner's stolen login suspends the witness, so that no revocation counts any more.",
            "only root keys suspend a runner",
            |setting| {
                let runner = Subject::Runner(setting.forger.runner().id);
                signed(setting, "owner", Change::SubjectSuspend(runner))
            }
        ),
        candidate!(
            "charter-retires-the-witness",
            "DESIGN §14: withhold a revocation",
            "charter-change",
            "An owner's stolen login retires the runner that is the witness.",
            "a witness is not retired before root keys have named another",
            |setting| signed(setting, "owner", Change::RunnerRetire(setting.forger.runner().id))
        ),
    ]
}

fn connection(setting: &Setting, secret: &str) -> Result<Connection> {
    let port = setting.github.address().port();
    let plain = ConnectionHost { host: "127.0.0.1".to_owned(), port, plaintext: true };
    Ok(Connection {
        name: "secops/github".parse()?,
        kind: ConnectionKind::Bearer,
        hosts: vec![plain],
        allow_cidrs: vec!["127.0.0.1/32".parse()?],
        secret: secret.parse()?,
    })
}

/// The connection to GitHub, with a host of the attacker's beside its own.
fn wider(setting: &Setting) -> Result<Change> {
    let mut wider = connection(setting, "local:github/token")?;
    let host = "evil.example".to_owned();
    wider.hosts.push(ConnectionHost { host, port: 443, plaintext: false });
    Ok(Change::ConnectionSet(wider))
}

fn signed_by_two(setting: &Setting, change: Change, second: &Login) -> Result<UnverifiedEntry> {
    let next = Next::of(setting)?;
    let mut entry = next.signed(&setting.login("owner")?, change)?;
    let by_other = next.writ_over(second, entry.body_text())?;
    if let UnverifiedEntry::Writ { others, .. } = &mut entry {
        others.push(by_other);
    }
    Ok(entry)
}

fn two_people() -> Vec<Attack> {
    vec![
        candidate!(
            "connection-wider-by-one",
            "DESIGN §14: re-points a connection",
            "charter-second-signer",
            "An owner alone adds a host of his own to a connection.",
            "wider hosts take a second signer once the workspace has two administrators",
            |setting| signed(setting, "owner", wider(setting)?)
        ),
        candidate!(
            "connection-wider-by-one-twice",
            "DESIGN §14: re-points a connection",
            "charter-second-signer",
            "The same owner signs twice, with two keys.",
            "the second signer is another person",
            |setting| signed_by_two(setting, wider(setting)?, &setting.login("owner")?)
        ),
        candidate!(
            "connection-wider-by-who-may-not",
            "DESIGN §14: re-points a connection",
            "policy-denied",
            "A viewer is the second signer.",
            "the second signer may make the change alone",
            |setting| signed_by_two(setting, wider(setting)?, &setting.login("eve")?)
        ),
        candidate!(
            "connection-other-range",
            "DESIGN §14: re-points a connection",
            "charter-second-signer",
            "An owner alone lets a connection reach private addresses.",
            "wider address ranges take a second signer",
            |setting| {
                let mut connection = connection(setting, "local:github/token")?;
                connection.allow_cidrs.push("10.0.0.0/8".parse()?);
                signed(setting, "owner", Change::ConnectionSet(connection))
            }
        ),
        candidate!(
            "connection-other-secret",
            "DESIGN §14: a person who names another team's secret",
            "charter-second-signer",
            "An owner alone points a connection at another secret of the same workspace.",
            "a new reference takes a second signer",
            |setting| {
                let connection = connection(setting, "local:slack/token")?;
                signed(setting, "owner", Change::ConnectionSet(connection))
            }
        ),
        candidate!(
            "connection-another-teams-secret",
            "DESIGN §14: a person who names another team's secret",
            "charter-change",
            "The administrator of one workspace makes a connection to another's secret.",
            "a workspace lists the secret paths that its connections may name",
            |setting| {
                let mut connection = connection(setting, "local:github/token")?;
                connection.name = "lab/github".parse()?;
                signed(setting, "ada", Change::ConnectionSet(connection))
            }
        ),
        candidate!(
            "connection-another-teams",
            "DESIGN §14: re-points a connection",
            "policy-denied",
            "The administrator of one workspace re-points another's connection to a host of hers.",
            "`connection.manage` is a right in the connection's workspace",
            |setting| signed(setting, "ada", wider(setting)?)
        ),
        Attack {
            id: "connection-second-signature-taken-off",
            source: "DESIGN §14: alter",
            what: "A change that two people signed is proposed with the first signature alone.",
            code: "charter-second-signer",
            rule: "both signatures are part of the entry, and of its digest",
            evidence: Evidence::Signed,
            run: |setting| {
                let second = setting.login("cyd")?;
                let mut entry = signed_by_two(setting, wider(setting)?, &second)?;
                if let UnverifiedEntry::Writ { others, .. } = &mut entry {
                    others.clear();
                }
                let shown: Result<Shown> = setting.cosign(entry);
                shown
            },
        },
    ]
}
