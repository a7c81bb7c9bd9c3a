//! Credentials: whose key it is, and since when.

use anyhow::Result;
use aws_lc_rs::rand::SystemRandom;
use serde_json::{Value, json};
use writ_evidence::{
    idc::{IdcMode, nonce_for},
    jws::{self, HeaderExtra, ObjectType},
};
use writ_testkit::keys::{Login, new_issuer_key, new_key, now};

use crate::{
    setting::Setting,
    table::{Attack, Evidence, Theme},
};

const SOURCE: &str = "DESIGN §14: bind its own key to a user's login, or an old key to a new token";

pub(crate) fn theme() -> Theme {
    let attacks = [keys(), tokens(), refreshed()].into_iter().flatten();
    Theme { title: "Credentials", attacks: attacks.collect() }
}

/// A row whose attack is the owner's right order with an ID token of other claims.
macro_rules! token {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.forger.log_in("owner", $change)?;
                setting.signed_by(&login)
            },
        }
    };
}

fn keys() -> Vec<Attack> {
    vec![
        Attack {
            id: "credential-own-key",
            source: SOURCE,
            what: "The control plane puts the commitment to its own key beside a user's ID token.",
            code: "idc-nonce",
            rule: "the identity provider signed the nonce that commits to the user's key",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("owner")?;
                let own = setting.login("owner")?;
                (login.idc.cic, login.key) = (own.idc.cic, own.key);
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-own-issuer-key",
            source: "DESIGN §3.1: keys are never handed over by the runner or the control plane",
            what: "An ID token is signed by a key of the control plane's own, under the issuer's key id.",
            code: "idc-signature",
            rule: "an issuer's keys are those that the charter pins, or that a cell fetched from it",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.forger.log_in_with("owner", &new_issuer_key()?, |_| ())?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-unknown-key-id",
            source: "DESIGN §3.1: keys are never handed over by the runner or the control plane",
            what: "An ID token names a key id that its issuer never had.",
            code: "idc-issuer-key",
            rule: "an unknown key id is looked up at the issuer, or nowhere",
            evidence: Evidence::Signed,
            run: |setting| {
                let own = new_issuer_key()?;
                let login = by_key(setting, &own, &own, None)?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-key-in-token",
            source: "DESIGN §3: `jwk`, `jku`, `x5u`, `x5c` refused",
            what: "An ID token brings the key along that it is signed with.",
            code: "idc-signature",
            rule: "no header chooses how it is verified",
            evidence: Evidence::Signed,
            run: |setting| {
                let own = new_issuer_key()?;
                let (_, named) = setting.forger.issuer();
                let login = by_key(setting, &own, named, Some(own.public().clone()))?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-commitment-of-another-key",
            source: SOURCE,
            what: "A commitment names a user's public key and is signed by another.",
            code: "idc-commitment",
            rule: "a commitment is signed by the key that it names",
            evidence: Evidence::Signed,
            run: |setting| {
                let (mut login, stranger) = (setting.login("owner")?, new_key()?);
                let extra = HeaderExtra {
                    jwk: Some(login.key.public().clone()),
                    rz: Some("A".repeat(43)),
                    ..HeaderExtra::default()
                };
                let random = SystemRandom::new();
                login.idc.cic = jws::sign(&stranger, &random, ObjectType::Cic, extra, b"")?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-other-mode",
            source: SOURCE,
            what: "A person's ID token is presented as that of a workload, which needs no nonce.",
            code: "idc-audience",
            rule: "a workload's one audience commits to its key",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("owner")?;
                login.idc.mode = IdcMode::Workload;
                setting.signed_by(&login)
            },
        },
    ]
}

/// The owner's claims in a token that one key signs, under the key id of another.
fn by_key(
    setting: &Setting,
    key: &writ_evidence::key::SigningKey,
    named: &writ_evidence::key::SigningKey,
    jwk: Option<writ_evidence::key::PublicKey>,
) -> Result<Login> {
    let (issuer, _) = setting.forger.issuer();
    writ_testkit::keys::vouch_by(|cic| {
        let iat = now();
        let claims = json!({
            "iss": issuer, "sub": "owner", "aud": "writ-cli", "nonce": nonce_for(cic),
            "iat": iat, "exp": iat.plus(3600),
        });
        let kid = Some(named.public().thumbprint().to_string());
        let extra = HeaderExtra { kid, jwk, ..HeaderExtra::default() };
        let (random, claims) = (SystemRandom::new(), claims.to_string());
        Ok(jws::sign(key, &random, ObjectType::IdToken, extra, claims.as_bytes())?)
    })
}

fn tokens() -> Vec<Attack> {
    vec![
        token!(
            "credential-other-issuer",
            "idc-issuer",
            "An ID token of an issuer that the charter does not name, for the same subject.",
            "a principal is issuer and subject; issuers are root-class entries of the charter",
            |claims| claims["iss"] = json!("https://evil.example")
        ),
        token!(
            "credential-unlisted-client",
            "idc-audience",
            "An ID token that another application of the same issuer was given.",
            "the charter lists the client ids that count",
            |claims| claims["aud"] = json!("another-client")
        ),
        token!(
            "credential-other-authorized-party",
            "idc-audience",
            "An ID token for several audiences, whose authorized party is another application.",
            "the authorized party is a client id that the charter lists",
            |claims| {
                claims["aud"] = json!(["writ-cli", "another-client"]);
                claims["azp"] = json!("another-client");
            }
        ),
        token!(
            "credential-no-nonce",
            "idc-nonce",
            "An ID token of the user's that was issued without a nonce.",
            "the nonce commits to the key",
            |claims| {
                if let Some(claims) = claims.as_object_mut() {
                    claims.remove("nonce");
                }
            }
        ),
        token!(
            "credential-stale",
            "idc-stale",
            "A stolen ID token that has expired, with the key that belongs to it.",
            "a login is fresh until the token's end or the issuer's maximum",
            |claims: &mut Value| {
                claims["iat"] = json!(now().0 - 7200);
                claims["exp"] = json!(now().0 - 3600);
            }
        ),
        token!(
            "credential-older-than-the-issuer-allows",
            "idc-stale",
            "An ID token whose own end is far away, issued longer ago than the charter allows.",
            "a login is fresh until the token's end or the issuer's maximum, whichever is first",
            |claims: &mut Value| {
                claims["iat"] = json!(now().0 - 7200);
                claims["exp"] = json!(now().0 + 86_400);
            }
        ),
        token!(
            "credential-from-the-future",
            "idc-future",
            "An ID token that was issued in the future.",
            "`iat` is not after now",
            |claims| claims["iat"] = json!(now().plus(600))
        ),
        Attack {
            id: "credential-of-nobody",
            source: "PEERS 2.12: a user who is unknown in the workspace became operator",
            what: "Somebody whom the identity provider vouches for, and the charter does not know, orders a run.",
            code: "policy-denied",
            rule: "whoever has no role may nothing",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("nobody")?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-viewer-starts",
            source: "PEERS 2.8: a right to read let a user start a run again",
            what: "The control plane relays a viewer's order to start what they may only look at.",
            code: "policy-denied",
            rule: "`run.start` is a right of its own, and the jail asks for it",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("eve")?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "credential-of-another-workspace",
            source: "PEERS 2.25: a key of one workspace reaches another's",
            what: "A builder of another workspace orders a run here.",
            code: "policy-denied",
            rule: "roles count in the workspace that they are bound in",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("dan")?;
                setting.signed_by(&login)
            },
        },
    ]
}

/// The owner's login, extended by a token with other claims.
fn extended(setting: &Setting, change: impl FnOnce(&mut Value)) -> Result<Login> {
    let (issuer, key) = setting.forger.issuer();
    let begun = now().0 - 600;
    let mut login = setting.forger.log_in("owner", |claims| {
        claims["iat"] = json!(begun);
        claims["exp"] = json!(begun + 3600);
        claims["auth_time"] = json!(begun);
        claims["sid"] = json!("session-1");
        claims["azp"] = json!("writ-cli");
    })?;
    let nonce = nonce_for(&login.idc.cic);
    let mut claims = json!({
        "iss": issuer, "sub": "owner", "aud": "writ-cli", "azp": "writ-cli", "nonce": nonce,
        "iat": now(), "exp": now().plus(3600), "auth_time": begun, "sid": "session-1",
    });
    change(&mut claims);
    let kid = Some(key.public().thumbprint().to_string());
    let extra = HeaderExtra { kid, ..HeaderExtra::default() };
    let (random, claims) = (SystemRandom::new(), claims.to_string());
    let token = jws::sign(key, &random, ObjectType::IdToken, extra, claims.as_bytes())?;
    login.idc.refreshed = Some(token);
    Ok(login)
}

macro_rules! refreshed {
    ($id:literal, $code:literal, $attack:literal, $change:expr) => {
        Attack {
            id: $id,
            source: "DESIGN §3.1: a refreshed ID token extends an idc only with the same claims",
            what: $attack,
            code: $code,
            rule: "a token extends a login of the same person, client and session only",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = extended(setting, $change)?;
                setting.signed_by(&login)
            },
        }
    };
}

fn refreshed() -> Vec<Attack> {
    vec![
        refreshed!(
            "refreshed-other-nonce",
            "idc-refreshed",
            "A login is extended by a newer token of the same person that commits to another key.",
            |claims| claims["nonce"] = json!("another")
        ),
        refreshed!(
            "refreshed-other-subject",
            "idc-refreshed",
            "A login is extended by somebody else's newer token.",
            |claims| claims["sub"] = json!("cyd")
        ),
        refreshed!(
            "refreshed-other-audience",
            "idc-audience",
            "A login is extended by a newer token for another application.",
            |claims| {
                claims["aud"] = json!("another-client");
                claims["azp"] = json!("another-client");
            }
        ),
        refreshed!(
            "refreshed-other-authorized-party",
            "idc-refreshed",
            "A login is extended by a newer token without its authorized party.",
            |claims| {
                if let Some(claims) = claims.as_object_mut() {
                    claims.remove("azp");
                }
            }
        ),
        refreshed!(
            "refreshed-other-login",
            "idc-refreshed",
            "A login is extended by a token without a nonce, of another login of the same person.",
            |claims| {
                claims["auth_time"] = json!(now());
                claims["sid"] = json!("session-2");
                if let Some(claims) = claims.as_object_mut() {
                    claims.remove("nonce");
                }
            }
        ),
        Attack {
            id: "refreshed-for-ever",
            source: "DESIGN §3.1: total session age is capped",
            what: "A login from yesterday is extended once more, by a sound newer token.",
            code: "idc-session-age",
            rule: "a session ends, however often it is extended",
            evidence: Evidence::Signed,
            run: |setting| {
                let begun = now().0 - 13 * 3600;
                let (issuer, key) = setting.forger.issuer();
                let mut login = setting.forger.log_in("owner", |claims| {
                    claims["iat"] = json!(begun);
                    claims["exp"] = json!(begun + 3600);
                })?;
                let claims = json!({
                    "iss": issuer, "sub": "owner", "aud": "writ-cli",
                    "nonce": nonce_for(&login.idc.cic), "iat": now(), "exp": now().plus(3600),
                });
                let kid = Some(key.public().thumbprint().to_string());
                let extra = HeaderExtra { kid, ..HeaderExtra::default() };
                let (random, claims) = (SystemRandom::new(), claims.to_string());
                let token = jws::sign(key, &random, ObjectType::IdToken, extra, claims.as_bytes())?;
                login.idc.refreshed = Some(token);
                setting.signed_by(&login)
            },
        },
    ]
}
