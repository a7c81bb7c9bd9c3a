//! People and machines who may something, and try for more; logins that are weaker than what they sign.

use std::fs;

use anyhow::{Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use serde_json::{Value, json};
use writ_api::RunnerTask;
use writ_evidence::{
    charter::{Binding, Change, Scope},
    idc::{IdcMode, audience_for, nonce_for},
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient, IssuerKey, Requirement, Workload},
    jws::{self, HeaderExtra, ObjectType},
    key::SigningKey,
    writ::Operation,
};
use writ_model::{Grantee, Principal, Role};
use writ_testkit::keys::{Login, new_issuer_key, now, vouch_by};

use crate::{
    append::Next,
    approvals::Reply,
    setting::Setting,
    table::{Attack, Evidence, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [strength(), workloads(), documents()].into_iter().flatten();
    Theme { title: "Weak logins, workloads, insiders", attacks: attacks.collect() }
}

/// An issuer that asks much of logins, as root keys have set it, with its key.
struct Strict {
    iss: String,
    key: SigningKey,
}

const WORKLOAD: &str = "repo:acme/deploy";

impl Strict {
    /// Has root keys set an issuer of this name, and an owner of it bound; its logins are strong in every way.
    fn set(setting: &Setting, name: &str) -> Result<Self> {
        let (iss, key) = (format!("https://{name}.example"), new_issuer_key()?);
        let jwk = key.public().clone().into();
        let starts = vec![Operation::RunStart];
        let strict = IssuerClient {
            requires: vec![Requirement {
                acr: vec!["phishing-resistant".to_owned()],
                amr_all: vec!["hwk".to_owned()],
                max_auth_age_s: Some(600),
                ..Requirement::default()
            }],
            ..IssuerClient::new("strict", Operation::ALL.to_vec())
        };
        let claims = [("sub".to_owned(), WORKLOAD.to_owned())].into_iter().collect();
        let operations = vec![Operation::RunStart, Operation::RunCancel];
        let issuer = Issuer {
            keys: vec![IssuerKey { kid: key.public().thumbprint().to_string(), jwk }],
            pinned_claims: [("tid".to_owned(), "acme".to_owned())].into_iter().collect(),
            workloads: vec![Workload { name: "deploy".to_owned(), claims, operations }],
            ..Issuer::new(
                &iss,
                vec![IdTokenAlgorithm::Es256],
                vec![strict, IssuerClient::new("starts-only", starts)],
            )
        };
        let roots = [&setting.roots[0], &setting.roots[1]];
        let change = Change::IssuerSet(Box::new(issuer));
        setting.append(&Next::of(setting)?.rooted(change, &roots)?)?;
        for sub in ["pat", WORKLOAD] {
            let principal = Grantee::Principal(Principal { iss: iss.clone(), sub: sub.to_owned() });
            let binding = Binding { principal, role: Role::Owner, scope: Scope::Tenant };
            let login = setting.login("owner")?;
            setting.append(&Next::of(setting)?.signed(&login, Change::BindingAdd(binding))?)?;
        }
        Ok(Self { iss, key })
    }

    fn log_in(&self, change: impl FnOnce(&mut Value, &str)) -> Result<Login> {
        vouch_by(|cic| {
            let iat = now();
            let mut claims = json!({
                "iss": self.iss, "sub": "pat", "aud": "strict", "nonce": nonce_for(cic),
                "tid": "acme", "acr": "phishing-resistant", "amr": ["hwk", "pin"],
                "auth_time": iat, "iat": iat, "exp": iat.plus(300),
            });
            change(&mut claims, cic);
            let kid = Some(self.key.public().thumbprint().to_string());
            let extra = HeaderExtra { kid, ..HeaderExtra::default() };
            let (random, claims) = (SystemRandom::new(), claims.to_string());
            Ok(jws::sign(&self.key, &random, ObjectType::IdToken, extra, claims.as_bytes())?)
        })
    }

    fn workload(&self) -> Result<Login> {
        let mut login = self.log_in(|claims, cic| {
            claims["sub"] = json!(WORKLOAD);
            claims["aud"] = json!(audience_for(cic));
        })?;
        login.idc.mode = IdcMode::Workload;
        Ok(login)
    }
}

/// A row whose attack is an order by a login of the strict issuer that lacks something.
macro_rules! weak {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: "DESIGN §3.1: the charter says which operations each client id may sign for",
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let login = Strict::set(setting, $id)?.log_in($change)?;
                setting.signed_by(&login)
            },
        }
    };
}

fn strength() -> Vec<Attack> {
    vec![
        weak!(
            "login-without-class",
            "idc-acr",
            "An order is signed by a login that the provider does not call phishing-resistant.",
            "a client asks for an authentication class; a claim that is missing meets nothing",
            |claims, _| claims["acr"] = json!("password")
        ),
        weak!(
            "login-without-method",
            "idc-amr",
            "An order is signed by a login without the hardware key that is asked for.",
            "a client asks for methods; a claim that is missing meets nothing",
            |claims, _| claims["amr"] = json!(["pwd"])
        ),
        weak!(
            "login-too-long-ago",
            "idc-auth-age",
            "An order is signed by a fresh token of a person whom the provider saw an hour ago.",
            "a client asks when the provider last saw the person",
            |claims, _| claims["auth_time"] = json!(now().0 - 3600)
        ),
        weak!(
            "login-of-another-customer",
            "idc-pinned-claim",
            "An order is signed by a login of another customer of the same provider.",
            "the charter pins which customer of a shared issuer counts",
            |claims, _| claims["tid"] = json!("evil")
        ),
        Attack {
            id: "login-for-less",
            source: "DESIGN §3.1: the charter says which operations each client id may sign for",
            what: "A change of the charter is signed by a login that may start runs only.",
            code: "writ-client",
            rule: "each client id is listed with what it may sign for",
            evidence: Evidence::Signed,
            run: |setting| {
                let strict = Strict::set(setting, "login-for-less")?;
                let login = strict.log_in(|claims, _| claims["aud"] = json!("starts-only"))?;
                let change = crate::charter::workspace("less")?;
                setting.cosign(Next::of(setting)?.signed(&login, change)?)
            },
        },
    ]
}

fn workloads() -> Vec<Attack> {
    vec![
        Attack {
            id: "workload-approves",
            source: "DESIGN §5: never the requester, never a workload",
            what: "A workload that is an owner approves what a person has ordered.",
            code: "writ-client",
            rule: "people approve: no workload can be listed for it",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = Strict::set(setting, "workload-approves")?.workload()?;
                let reply = Reply::to_new(setting, "secops/tell-one")?;
                let (run, writ) = (reply.run(), reply.sign(setting, &login)?);
                setting.task(writ, &login.idc, |writ, idc| RunnerTask::Approve { run, writ, idc })
            },
        },
        Attack {
            id: "workload-of-another-key",
            source: "DESIGN §14: bind its own key to a user's login",
            what: "A workload's token is presented with another key than its audience commits to.",
            code: "idc-audience",
            rule: "a workload's one audience commits to its key",
            evidence: Evidence::Signed,
            run: |setting| {
                let strict = Strict::set(setting, "workload-of-another-key")?;
                let (mut login, own) = (strict.workload()?, setting.login("owner")?);
                (login.idc.cic, login.key) = (own.idc.cic, own.key);
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "workload-unlisted",
            source: "PEERS 2.12: a user who is unknown in the workspace became operator",
            what: "A job of another repository of the same issuer orders a run.",
            code: "idc-workload",
            rule: "a workload is told by every claim of its entry, exactly",
            evidence: Evidence::Signed,
            run: |setting| {
                let strict = Strict::set(setting, "workload-unlisted")?;
                let mut login = strict.log_in(|claims, cic| {
                    claims["sub"] = json!("repo:evil/deploy");
                    claims["aud"] = json!(audience_for(cic));
                })?;
                login.idc.mode = IdcMode::Workload;
                setting.signed_by(&login)
            },
        },
    ]
}

/// A row whose attack is a document that its author publishes.
macro_rules! document {
    ($id:literal, $source:literal, $code:literal, $attack:literal, $rule:literal, $session:literal, $text:expr) => {
        Attack {
            id: $id,
            source: $source,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Command,
            run: |setting| {
                let file = setting.world.folder.join(concat!($id, ".yaml"));
                fs::write(&file, $text)?;
                let file = file.to_string_lossy().into_owned();
                setting.command(&["--session", $session, "automation", "publish", &file])
            },
        }
    };
}

fn call(workspace: &str, action: &str, connection: &str) -> String {
    format!(
        "document: {{dsl: '1.0.1', namespace: {workspace}, name: tries, version: '1.0.0'}}\ndo:\n  - \
         post:\n      call: {action}@default\n      with: {{connection: {connection}, channel: \
         '#x', text: x}}\n"
    )
}

fn documents() -> Vec<Attack> {
    vec![
        document!(
            "document-of-another-workspace",
            "PEERS 2.11: a role was enforced in the interface only",
            "policy-denied",
            "A builder of one workspace publishes a document in another.",
            "`automation.publish` is a right in the document's workspace",
            "dan",
            call("secops", "slack.chat.post-message:1.0.0", "slack")
        ),
        document!(
            "document-borrows-a-connection",
            "PEERS 2.5: a foreign credential's id with a caller's own address",
            "document",
            "A document names a connection of another workspace.",
            "connections are named within the document's workspace",
            "dan",
            call("lab", "slack.chat.post-message:1.0.0", "secops/slack")
        ),
        document!(
            "document-unacknowledged-pack",
            "PEERS 2.9: malicious packages took tokens from a store",
            "pack-unacknowledged",
            "A document calls an action of a pack that nobody has acknowledged.",
            "packs are acknowledged by digest, in the charter, and are data",
            "default",
            call("secops", "slack.chat.post-message:9.9.9", "slack")
        ),
        document!(
            "document-reads-secrets",
            "PEERS 2.2: expressions that reach the host",
            "document",
            "An expression reads a secret.",
            "no expression reads `$secrets`: a credential is used by naming a connection",
            "default",
            "document: {dsl: '1.0.1', namespace: secops, name: tries, version: '1.0.0'}\ndo:\n  - \
             take: {set: {token: '${ $secrets.token }'}}\n"
        ),
        Attack {
            id: "publisher-without-right",
            source: "DESIGN §3.2: nobody lends a right by writing a document, nor borrows one by starting it",
            what: "Somebody publishes, loses the right to the connections, and another person's order is relayed.",
            code: "policy-denied",
            rule: "each use of a connection needs the right of the publisher and of the signer, at that moment",
            evidence: Evidence::Signed,
            run: |setting| {
                let iss = setting.forger.issuer().0.to_owned();
                let kim = Grantee::Principal(Principal { iss, sub: "kim".to_owned() });
                let scope = Scope::Workspace("secops".parse()?);
                let binding = Binding { principal: kim, role: Role::Builder, scope };
                let (owner, forger) = (setting.login("owner")?, &setting.forger);
                let footprint = writ_evidence::charter::Footprint {
                    connections: forger.grants.clone(),
                    ..Default::default()
                };
                let automation = writ_evidence::charter::Automation {
                    name: "secops/lent".parse()?,
                    bundle: forger.bundle,
                    footprint,
                };
                let publish = Change::AutomationPublish(automation);
                let add = Change::BindingAdd(binding.clone());
                setting.append(&Next::of(setting)?.signed(&owner, add)?)?;
                setting.append(&Next::of(setting)?.signed(&setting.login("kim")?, publish)?)?;
                let remove = Change::BindingRemove(binding);
                setting.append(&Next::of(setting)?.signed(&owner, remove)?)?;
                ensure!(setting.chain()?.len() > 3, "no history");
                let name = "secops/lent".parse()?;
                setting.signed_with(move |draft| {
                    if let writ_evidence::writ::Order::RunStart { res, .. } =
                        &mut draft.claims.order
                    {
                        *res = name;
                    }
                })
            },
        },
    ]
}
