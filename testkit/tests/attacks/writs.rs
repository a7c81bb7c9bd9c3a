//! Orders: forged, altered, re-targeted, widened, out of their time.

use writ_evidence::{
    digest::sha256,
    writ::{Order, ResumeDecision},
};
use writ_model::{PinnedAction, RunnerGroupId, StepId, TenantId, UnixTime};
use writ_testkit::{
    hostile::{Draft, Forger},
    keys::{new_key, now},
};

use crate::{
    moves::{altered, nowhere},
    table::{Attack, Evidence, Theme},
};

const SOURCE: &str = "DESIGN §14: forge, alter, replay or re-target a writ";

pub(crate) fn theme() -> Theme {
    let attacks = [forged(), out_of_time(), re_targeted(), widened()].into_iter().flatten();
    Theme { title: "Orders", attacks: attacks.collect() }
}

/// A row whose attack is a right order, but for its claims.
macro_rules! claims {
    ($id:literal, $code:literal, $attack:literal, $rule:literal, $change:expr) => {
        Attack {
            id: $id,
            source: SOURCE,
            what: $attack,
            code: $code,
            rule: $rule,
            evidence: Evidence::Signed,
            run: |setting| setting.signed_with($change),
        }
    };
}

fn forged() -> Vec<Attack> {
    vec![
        Attack {
            id: "writ-own-key",
            source: SOURCE,
            what: "The control plane signs an order with a key of its own, under the owner's credential.",
            code: "writ-signature",
            rule: "a writ is verified by the key that its credential commits to, and by no other",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("owner")?;
                login.key = new_key()?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "writ-root-key",
            source: SOURCE,
            what: "An order is signed with a stolen root key, under the owner's credential.",
            code: "writ-signature",
            rule: "a writ is verified by the key that its credential commits to, and by no other",
            evidence: Evidence::Signed,
            run: |setting| {
                let mut login = setting.login("owner")?;
                std::mem::swap(&mut login.key, &mut setting.roots[0]);
                let shown = setting.signed_by(&login);
                std::mem::swap(&mut login.key, &mut setting.roots[0]);
                shown
            },
        },
        Attack {
            id: "writ-signature-altered",
            source: SOURCE,
            what: "One character of an order's signature is exchanged.",
            code: "writ-signature",
            rule: "the signature is over exactly these bytes",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let draft = setting.forger.draft(&login, &crate::setting::input())?;
                let mut order = setting.forger.sign(&draft, &login)?;
                order.writ = altered(&order.writ);
                setting.forger.seal_again(&draft, &mut order)?;
                setting.relayed(order)
            },
        },
        Attack {
            id: "writ-reason-altered",
            source: SOURCE,
            what: "The reason in an order is exchanged after it was signed.",
            code: "writ-signature",
            rule: "the signature is over exactly these bytes",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let mut draft = setting.forger.draft(&login, &crate::setting::input())?;
                if let Order::RunStart { reason, .. } = &mut draft.claims.order {
                    *reason = Some("INC-4411".to_owned());
                }
                let mut order = setting.forger.sign(&draft, &login)?;
                if let Order::RunStart { reason, .. } = &mut draft.claims.order {
                    *reason = Some("drill".to_owned());
                }
                let other = setting.forger.sign(&draft, &login)?;
                let signature = order.writ.rsplit('.').next().unwrap_or_default().to_owned();
                let input = other.writ.rsplit_once('.').map_or("", |(input, _)| input);
                order.writ = format!("{input}.{signature}");
                setting.forger.seal_again(&draft, &mut order)?;
                setting.relayed(order)
            },
        },
        claims!(
            "writ-other-subject",
            "writ-signer",
            "Somebody's order names another person as its signer.",
            "issuer and subject of a writ are those of its credential",
            |draft| "cyd".clone_into(&mut draft.claims.principal.sub)
        ),
        claims!(
            "writ-other-issuer",
            "writ-signer",
            "An order names the same subject of another issuer.",
            "issuer and subject of a writ are those of its credential",
            |draft| "https://evil.example".clone_into(&mut draft.claims.principal.iss)
        ),
        claims!(
            "writ-other-credential",
            "writ-signer",
            "An order names another credential than it travels with.",
            "a writ names its credential by digest, in its header and in its claims",
            |draft| draft.claims.idc = nowhere()
        ),
    ]
}

fn out_of_time() -> Vec<Attack> {
    vec![
        claims!(
            "writ-expired",
            "writ-expired",
            "An order is kept back and relayed after its five minutes.",
            "a writ counts until `exp`, and a minute for clocks that differ",
            |draft| {
                draft.claims.iat = UnixTime(now().0 - 600);
                draft.claims.exp = UnixTime(now().0 - 400);
            }
        ),
        claims!(
            "writ-lives-too-long",
            "writ-lifetime",
            "An order that lives for a day is relayed.",
            "a writ lives for at most 300 s",
            |draft| draft.claims.exp = draft.claims.iat.plus(86_400)
        ),
        claims!(
            "writ-from-the-future",
            "writ-lifetime",
            "An order that begins to count in five minutes is relayed now.",
            "`iat` is not after now",
            |draft| {
                draft.claims.iat = now().plus(300);
                draft.claims.exp = now().plus(400);
            }
        ),
        claims!(
            "writ-ends-before-it-begins",
            "writ-lifetime",
            "An order ends before it begins, so that its age can't be told.",
            "`iat` is before `exp`",
            |draft| draft.claims.exp = UnixTime(draft.claims.iat.0 - 1)
        ),
        claims!(
            "writ-short-id",
            "writ-claims",
            "An order with an id so short that it can be guessed or met again.",
            "a writ's `jti` is 16 to 64 characters",
            |draft| "1".clone_into(&mut draft.claims.jti)
        ),
    ]
}

fn re_targeted() -> Vec<Attack> {
    vec![
        claims!(
            "writ-other-tenant",
            "writ-tenant",
            "An order for another tenant is relayed to this one's runner.",
            "`ten` is the digest of charter entry 0: a tenant is its trust anchor",
            |draft| draft.claims.ten = TenantId(nowhere())
        ),
        claims!(
            "writ-other-group",
            "writ-audience",
            "An order for another runner group is relayed to this one.",
            "a jail takes orders for its own group only",
            |draft| {
                if let Order::RunStart { aud, .. } = &mut draft.claims.order {
                    *aud = RunnerGroupId::from_bits(7);
                }
            }
        ),
        claims!(
            "writ-unknown-head",
            "writ-charter-head",
            "The signer was shown a charter that this jail has never seen.",
            "the head that a signer saw is the jail's own or an ancestor of it",
            |draft| draft.claims.charter = nowhere()
        ),
        claims!(
            "writ-unpublished-name",
            "automation-unknown",
            "The signed bundle is relayed for a name under which nothing is published.",
            "only what the charter publishes runs",
            |draft| set_name(draft, "secops/another")
        ),
        claims!(
            "writ-other-name",
            "bundle-not-published",
            "The signed bundle of one automation is relayed under the name of another.",
            "`cnt` is what the charter publishes as `res`, now",
            |draft| set_name(draft, "secops/echo")
        ),
        Attack {
            id: "writ-start-as-cancel",
            source: SOURCE,
            what: "An order to start a run is relayed as one to cancel a run.",
            code: "writ-operation",
            rule: "the operation is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let order = setting.order(|_| ())?;
                let run = setting.begin("secops/waits", &serde_json::json!({}))?;
                setting.until(run, |status| status["phase"] == "running")?;
                setting.task(order.writ, &order.idc, |writ, idc| writ_api::RunnerTask::Cancel {
                    run,
                    writ,
                    idc,
                })
            },
        },
        Attack {
            id: "writ-start-as-approval",
            source: SOURCE,
            what: "An order to start a run is relayed as an approval.",
            code: "writ-operation",
            rule: "the operation is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let order = setting.order(|_| ())?;
                let run = writ_model::RunId::from_bits(7);
                setting.task(order.writ, &order.idc, |writ, idc| writ_api::RunnerTask::Approve {
                    run,
                    writ,
                    idc,
                })
            },
        },
        Attack {
            id: "writ-start-as-test",
            source: SOURCE,
            what: "An order to start a run is relayed as one to test a connection.",
            code: "writ-operation",
            rule: "the operation is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let order = setting.order(|_| ())?;
                setting.task(order.writ, &order.idc, |writ, idc| {
                    writ_api::RunnerTask::TestConnection { writ, idc }
                })
            },
        },
        Attack {
            id: "writ-charter-change-as-start",
            source: SOURCE,
            what: "A signed change of the charter is relayed as an order to start a run.",
            code: "writ-claims",
            rule: "the operation is signed, and each has its own claims",
            evidence: Evidence::Status,
            run: |setting| {
                setting.signed_with(|draft| {
                    draft.claims.order = Order::CharterAppend { cnt: sha256(b"body") };
                })
            },
        },
        Attack {
            id: "writ-resume-as-cancel",
            source: SOURCE,
            what: "An order to resume a run is relayed as one to cancel it.",
            code: "writ-operation",
            rule: "the operation is signed",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = setting.login("owner")?;
                let run = writ_model::RunId::from_bits(7);
                let step = StepId { task: "/do/0/wait".to_owned(), iteration: 0 };
                let decision = ResumeDecision::Fail;
                let aud = setting.forger.group();
                let order = Order::RunResume { aud, res: run, step, attempt: 1, decision };
                let writ = setting.about(&login, order)?;
                setting.task(writ, &login.idc, |writ, idc| writ_api::RunnerTask::Cancel {
                    run,
                    writ,
                    idc,
                })
            },
        },
    ]
}

fn set_name(draft: &mut Draft, name: &str) {
    if let (Order::RunStart { res, .. }, Ok(name)) = (&mut draft.claims.order, name.parse()) {
        *res = name;
    }
}

fn widened() -> Vec<Attack> {
    vec![
        claims!(
            "writ-more-actions",
            "footprint-exceeded",
            "An order grants an action that the automation's signed footprint lacks.",
            "`authorization_details` lies within the footprint that was signed at publish time",
            |draft| {
                if let Order::RunStart { authorization_details, .. } = &mut draft.claims.order
                    && let Ok(name) = "github.secret-scanning-alerts.update".parse()
                {
                    let action = authorization_details[0].actions[0].clone();
                    authorization_details[0].actions.push(PinnedAction { name, ..action });
                }
            }
        ),
        claims!(
            "writ-other-action-digest",
            "footprint-exceeded",
            "An order grants the same action of another pack.",
            "actions are pinned by their pack's digest",
            |draft| {
                if let Order::RunStart { authorization_details, .. } = &mut draft.claims.order {
                    authorization_details[0].actions[0].digest = nowhere();
                }
            }
        ),
        claims!(
            "writ-other-connection-digest",
            "footprint-exceeded",
            "An order pins another state of a connection than the footprint does.",
            "connections are pinned by digest",
            |draft| {
                if let Order::RunStart { authorization_details, .. } = &mut draft.claims.order {
                    authorization_details[0].connection.digest = nowhere();
                }
            }
        ),
        Attack {
            id: "writ-other-connection",
            source: "PEERS 2.5: a foreign credential's id with a caller's own address",
            what: "An order names a connection of another workspace beside its own.",
            code: "footprint-exceeded",
            rule: "a credential is used through connections of the footprint, which name its hosts",
            evidence: Evidence::Signed,
            run: |setting| {
                let name = "lab/github".parse()?;
                setting.signed_with(move |draft| {
                    if let Order::RunStart { authorization_details, .. } = &mut draft.claims.order {
                        authorization_details[0].connection.name = name;
                    }
                })
            },
        },
        Attack {
            id: "writ-footprint-of-another",
            source: SOURCE,
            what: "The bundle of a small automation is ordered with the footprint of a large one.",
            code: "footprint-exceeded",
            rule: "`authorization_details` lies within the footprint of this automation",
            evidence: Evidence::Signed,
            run: |setting| {
                let small = Forger::for_automation(&setting.world, Some("secops/echo"))?;
                let login = setting.login("owner")?;
                let mut draft = small.draft(&login, &crate::setting::input())?;
                if let Order::RunStart { authorization_details, .. } = &mut draft.claims.order {
                    authorization_details.clone_from(&setting.forger.grants);
                }
                let order = small.sign(&draft, &login)?;
                setting.relayed(order)
            },
        },
    ]
}
