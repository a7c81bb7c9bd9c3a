//! The protocol itself: downgraded, malformed, swamped, spoken past.

use anyhow::{Result, ensure};
use aws_lc_rs::{hmac, rand::SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_evidence::{digest::sha256, key::SigningKey};
use writ_testkit::{
    hostile::ForgedOrder,
    keys::Login,
    relay::{Answer, Asked},
};

use crate::{
    http::Ask,
    setting::{Setting, input},
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [signed_objects(), answers(), requests()].into_iter().flatten();
    Theme { title: "The protocol", attacks: attacks.collect() }
}

const SOURCE: &str = "DESIGN §14: downgrade the protocol";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A compact JWS of exactly this header and payload.
fn compact(key: &SigningKey, header: &str, payload: &str) -> Result<String> {
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = key.sign(&SystemRandom::new(), input.as_bytes())?;
    Ok(format!("{input}.{}", encode(signature)))
}

/// A sound order in parts, to be put together otherwise: its signer, header and claims.
struct Parts {
    login: Login,
    header: Value,
    claims: String,
}

/// Relays an order by the owner that is put together by hand.
fn by_hand(setting: &Setting, make: impl FnOnce(&Parts) -> Result<String>) -> Result<Shown> {
    let login = setting.login("owner")?;
    let draft = setting.forger.draft(&login, &input())?;
    let sound = setting.forger.sign(&draft, &login)?;
    let mut parts = sound.writ.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
    let (header, claims) = (parts.next().transpose()?, parts.next().transpose()?);
    let parts = Parts {
        login,
        header: serde_json::from_slice(&header.unwrap_or_default())?,
        claims: String::from_utf8(claims.unwrap_or_default())?,
    };
    let mut order = ForgedOrder { writ: make(&parts)?, ..sound };
    setting.forger.seal_again(&draft, &mut order)?;
    setting.relayed(order)
}

impl Parts {
    /// The order with another member in its header.
    fn with_header(&self, name: &str, value: Value) -> Result<String> {
        let mut header = self.header.clone();
        header[name] = value;
        compact(&self.login.key, &header.to_string(), &self.claims)
    }

    /// The order with more text before the end of its claims.
    fn with_claims(&self, more: &str) -> Result<String> {
        let claims = self.claims.trim_end_matches('}');
        compact(&self.login.key, &self.header.to_string(), &format!("{claims},{more}}}"))
    }
}

macro_rules! object {
    ($id:literal, $code:literal, $evidence:ident, $attack:literal, $rule:literal, $make:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::$evidence,
            run: |setting| {
                let make: fn(&Parts) -> Result<String> = $make;
                by_hand(setting, make)
            },
        }
    };
}

fn signed_objects() -> Vec<Attack> {
    vec![
        object!(
            "object-no-algorithm",
            "writ-signature",
            Signed,
            "An order says `alg: none`, and has no signature.",
            "the algorithm is that of the key's own record",
            |parts| {
                let signed = parts.with_header("alg", json!("none"))?;
                let input = signed.rsplit_once('.').map_or("", |(input, _)| input);
                Ok(format!("{input}."))
            }
        ),
        object!(
            "object-public-key-as-secret",
            "writ-signature",
            Signed,
            "An order is authenticated with HMAC, the signer's public key being the secret.",
            "HMAC is no algorithm of any key",
            |parts| {
                let signed = parts.with_header("alg", json!("HS256"))?;
                let input = signed.rsplit_once('.').map_or("", |(input, _)| input);
                let secret = parts.login.key.public().to_jwk().to_string();
                let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                Ok(format!("{input}.{}", encode(hmac::sign(&secret, input.as_bytes()))))
            }
        ),
        object!(
            "object-other-type",
            "writ-signature",
            Signed,
            "An object that the signer's key signed as something else is relayed as an order.",
            "`typ` is exact for each kind of object",
            |parts| parts.with_header("typ", json!("dpop+jwt"))
        ),
        object!(
            "object-key-in-header",
            "writ-signature",
            Signed,
            "An order brings a key along in its header.",
            "no header chooses how it is verified",
            |parts| parts.with_header("jwk", parts.login.key.public().to_jwk())
        ),
        object!(
            "object-key-elsewhere",
            "writ-claims",
            Status,
            "An order names an address where its key is.",
            "no header chooses how it is verified",
            |parts| parts.with_header("jku", json!("https://evil.example/jwks"))
        ),
        object!(
            "object-critical-extension",
            "writ-claims",
            Status,
            "An order names an extension that must be understood.",
            "`crit` is refused",
            |parts| parts.with_header("crit", json!(["b64"]))
        ),
        object!(
            "object-claim-twice",
            "writ-claims",
            Status,
            "A claim stands in an order twice, for two readers.",
            "JSON with a member twice is refused",
            |parts| parts.with_claims(r#""sub":"cyd""#)
        ),
        object!(
            "object-unknown-claim",
            "writ-signature",
            Signed,
            "An order has a claim that this version does not know.",
            "unknown claims are refused, not passed over",
            |parts| parts.with_claims(r#""admin":true"#)
        ),
        object!(
            "object-other-version",
            "writ-claims",
            Signed,
            "An order says that it is of a later version.",
            "versions are known or refused",
            |parts| {
                let claims = parts.claims.replacen("\"ver\":1", "\"ver\":2", 1);
                compact(&parts.login.key, &parts.header.to_string(), &claims)
            }
        ),
        object!(
            "object-too-deep",
            "writ-claims",
            Status,
            "An order's claims are nested a thousand times.",
            "JSON deeper than 16 is refused before it is read",
            |parts| {
                let deep = format!("\"reason\":{}{}", "[".repeat(1000), "]".repeat(1000));
                parts.with_claims(&deep)
            }
        ),
        object!(
            "object-too-long",
            "writ-claims",
            Status,
            "An order is 20 KB long.",
            "signed objects are at most 16 KiB",
            |parts| parts.with_claims(&format!(r#""reason":"{}""#, "x".repeat(20 * 1024)))
        ),
        object!(
            "object-in-four-parts",
            "writ-claims",
            Status,
            "An order has a part more.",
            "a compact object has exactly three parts",
            |parts| {
                let sound = parts.with_header("typ", json!("writ+jwt"))?;
                Ok(format!("{sound}.{}", encode("{}")))
            }
        ),
    ]
}

/// The runner is answered otherwise when it asks for tasks; what it complains of. Then it goes on.
fn answered(
    setting: &mut Setting,
    change: impl Fn(&mut Answer) + Send + Sync + 'static,
) -> Result<Shown> {
    let from = setting.runner_log()?.len();
    setting.relay.plot(move |asked: &Asked, answer| {
        if asked.path.ends_with("/runner/take") {
            change(answer);
        }
    });
    // Whatever it is waiting for is answered: it asks again, and is answered so.
    setting.relay.give(Vec::new());
    let code = setting.log_code(from)?;
    setting.behave();
    setting.main_job()?;
    Ok(Shown::refused(code, Evidence::Log))
}

fn answers() -> Vec<Attack> {
    vec![
        Attack {
            id: "answer-unknown-task",
            source: SOURCE,
            what: "The runner is given a task of a kind that it does not know.",
            code: "contract",
            rule: "messages are known or refused, and the runner goes on",
            evidence: Evidence::Log,
            run: |setting| {
                answered(setting, |answer| {
                    answer.body =
                        br#"{"tasks":[{"task":"execute","with":{"shell":"id"}}]}"#.to_vec();
                })
            },
        },
        Attack {
            id: "answer-unknown-member",
            source: SOURCE,
            what: "A message to the runner has a member that it does not know.",
            code: "contract",
            rule: "unknown members are refused, not passed over",
            evidence: Evidence::Log,
            run: |setting| {
                answered(setting, |answer| {
                    answer.body = br#"{"tasks":[],"isolation":"off"}"#.to_vec();
                })
            },
        },
        Attack {
            id: "answer-too-long",
            source: "DESIGN §14: huge or slow bodies",
            what: "The runner asks for tasks and is answered 20 MB.",
            code: "contract",
            rule: "answers are bounded, and the runner goes on",
            evidence: Evidence::Log,
            run: |setting| answered(setting, |answer| answer.body = vec![b'['; 20 * 1024 * 1024]),
        },
        Attack {
            id: "answer-too-deep",
            source: SOURCE,
            what: "The runner asks for tasks and is answered JSON that is nested 100,000 times.",
            code: "contract",
            rule: "JSON is read to a bounded depth, and the runner goes on",
            evidence: Evidence::Log,
            run: |setting| answered(setting, |answer| answer.body = vec![b'['; 100_000]),
        },
        Attack {
            id: "answer-elsewhere",
            source: "DESIGN §14: a hostile service redirects",
            what: "The runner asks for tasks and is sent to another host, with its proof.",
            code: "http-status",
            rule: "the runner follows no redirect",
            evidence: Evidence::Log,
            run: |setting| {
                answered(setting, |answer| {
                    answer.status = 308;
                    answer.header = Some(("location", "http://127.0.0.1:9/".to_owned()));
                    answer.body.clear();
                })
            },
        },
        Attack {
            id: "answer-to-a-terminal",
            source: "DESIGN §14: a hostile control plane",
            what: "A refusal holds escape sequences that would overwrite it on a person's terminal with a success.",
            code: "policy-denied",
            rule: "what others say is written out before a terminal shows it",
            evidence: Evidence::Command,
            run: |setting| {
                setting.relay.plot(|asked, answer| {
                    if asked.path.ends_with("/runs") {
                        answer.status = 403;
                        let detail = "no\u{1b}[2K\ryes\u{9b}1A";
                        let problem = json!({
                            "type": "about:blank", "title": "x", "status": 403,
                            "code": "policy-denied", "detail": detail, "remedy": detail,
                        });
                        answer.body = problem.to_string().into_bytes();
                    }
                });
                let said = setting.world.refused(&["runs", "list"])?;
                let commands = |c: char| c.is_control() && c != '\n';
                ensure!(!said.contains(commands), "the attack succeeded: {said:?}");
                setting.command(&["runs", "list"])
            },
        },
    ]
}

fn requests() -> Vec<Attack> {
    vec![
        Attack {
            id: "request-other-tenant",
            source: "PEERS 2.18: an inner request names another namespace than the authorized outer one",
            what: "An order for another tenant is posted under this one's address.",
            code: "writ-tenant",
            rule: "the tenant is that of the signed claims, and must be the one of the address",
            evidence: Evidence::Answer,
            run: |setting| {
                let order = setting.order(|draft| {
                    draft.claims.ten = writ_model::TenantId(crate::moves::nowhere());
                })?;
                let body = json!({ "writ": order.writ, "idc": order.idc, "sealed": [] });
                setting.refused_with(&Ask::post(setting.tenant_path("/runs"), body))
            },
        },
        Attack {
            id: "request-unknown-tenant",
            source: "PEERS 2.10: a missing tenant fell back to the operator's key",
            what: "An order is posted under the address of a tenant that is not here.",
            code: "tenant-unknown",
            rule: "there is no tenant by default",
            evidence: Evidence::Answer,
            run: |setting| {
                let order = setting.order(|_| ())?;
                let body = json!({ "writ": order.writ, "idc": order.idc, "sealed": [] });
                let path = format!("/v1/tenants/{}/runs", crate::moves::nowhere());
                setting.refused_with(&Ask::post(path, body))
            },
        },
        Attack {
            id: "request-path-suffix",
            source: "PEERS 2.16: any path that ended in a certain word needed no login",
            what: "The charter is asked for without a login, by an address that ends like one that needs none.",
            code: "route-unknown",
            rule: "what is served is the matched route; endings open nothing",
            evidence: Evidence::Answer,
            run: |setting| setting.refused_with(&Ask::get(setting.tenant_path("/charter/healthz"))),
        },
        Attack {
            id: "request-more-members",
            source: "PEERS 2.7: mass assignment",
            what: "A sound order is posted with a member that would set more.",
            code: "body",
            rule: "unknown members are refused, not passed over",
            evidence: Evidence::Answer,
            run: |setting| {
                let order = setting.order(|_| ())?;
                let body = json!({
                    "writ": order.writ, "idc": order.idc, "sealed": [], "role": "owner",
                });
                setting.refused_with(&Ask::post(setting.tenant_path("/runs"), body))
            },
        },
        Attack {
            id: "request-too-long",
            source: "DESIGN §14: huge or slow bodies",
            what: "40 MB are posted as an order.",
            code: "body",
            rule: "bodies are bounded",
            evidence: Evidence::Answer,
            run: |setting| {
                let ask = Ask::post(setting.tenant_path("/runs"), json!({}));
                setting.refused_with(&ask.body(vec![b' '; 40 * 1024 * 1024]))
            },
        },
        Attack {
            id: "request-content-of-another-digest",
            source: "DESIGN §14: swap content",
            what: "Somebody who may upload uploads another text under the digest of a published bundle.",
            code: "content",
            rule: "content is kept under its own digest",
            evidence: Evidence::Answer,
            run: |setting| {
                let login = setting.login("eve")?;
                let path = setting.tenant_path(&format!("/content/{}", setting.forger.bundle));
                let body = json!({ "kind": "bundle", "text": "{}" });
                ensure!(setting.forger.bundle != sha256(b"{}"), "the same content");
                setting.refused_with(&Ask::put(path, body).by(setting, &login)?)
            },
        },
    ]
}
