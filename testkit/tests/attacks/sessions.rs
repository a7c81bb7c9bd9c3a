//! Sessions that were revoked, and revocations that nobody ordered.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use writ_api::{RunnerReport, RunnerTask};
use writ_evidence::{
    charter::{Change, Workspace},
    digest::sha256,
    idc::UnverifiedIdc,
    writ::Order,
};
use writ_model::Digest;
use writ_testkit::keys::Login;

use crate::{
    append::Next,
    http::Ask,
    setting::Setting,
    table::{Attack, Evidence, Shown, Theme},
};

pub(crate) fn theme() -> Theme {
    let attacks = [revoked(), forged()].into_iter().flatten();
    Theme { title: "Sessions, and their end", attacks: attacks.collect() }
}

const SESSION: &str = "DESIGN §3.1: sessions are listed and revocable";

/// Somebody's writ to revoke a session is relayed; the code that it was refused with, if it was.
fn revoke(
    setting: &Setting,
    by: &Login,
    res: Digest,
    session: &UnverifiedIdc,
) -> Result<Option<String>> {
    let aud = setting.forger.group();
    let writ = setting.about(by, Order::SessionRevoke { aud, res })?;
    let session = Box::new(session.clone());
    setting.told(writ, &by.idc, |writ, idc| RunnerTask::RevokeSession { writ, idc, session })
}

/// A login that its own holder has revoked.
fn gone(setting: &Setting) -> Result<Login> {
    let login = setting.login("cyd")?;
    let seen = setting.ask(&Ask::get(setting.tenant_path("/sessions")).by(setting, &login)?)?;
    ensure!(seen.0 == 200, "a sound login was refused: {}", seen.1);
    let from = setting.relay.reported();
    let order = Order::SessionRevoke { aud: setting.forger.group(), res: login.idc.digest() };
    let writ = setting.about(&login, order)?;
    let digest = sha256(writ.as_bytes());
    let body = json!({ "writ": writ, "idc": login.idc });
    let said = setting.ask(&Ask::post(setting.tenant_path("/sessions/revoke"), body))?;
    ensure!(said.0 == 202, "a sound revocation was refused: {}", said.1);
    setting.relay.wait(from, |report| match report {
        RunnerReport::ResumeDone { writ, refused: None } if *writ == digest => Some(()),
        _ => None,
    })?;
    Ok(login)
}

/// The order of P-256's base point, SEC 2 §2.4.2.
const ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6,
    0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

/// The same ID token under the other ECDSA signature that verifies: `(r, n − s)`. It takes no key to make.
fn renamed(mut login: Login) -> Result<Login> {
    let (signed, signature) = login.idc.id_token.rsplit_once('.').context("no JWS")?;
    let mut bytes = URL_SAFE_NO_PAD.decode(signature)?;
    ensure!(bytes.len() == 64, "not ES256");
    let mut borrow = 0;
    for (byte, n) in bytes.iter_mut().skip(32).zip(ORDER).rev() {
        let difference = i16::from(n) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference + 256 * borrow)?;
    }
    login.idc.id_token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
    Ok(login)
}

fn revoked() -> Vec<Attack> {
    vec![
        Attack {
            id: "session-revoked-starts-a-run",
            source: SESSION,
            what: "The order of a session that was revoked is relayed, fresh in every way.",
            code: "idc-revoked",
            rule: "a jail remembers what was revoked for as long as a login lives",
            evidence: Evidence::Signed,
            run: |setting| setting.signed_by(&gone(setting)?),
        },
        Attack {
            id: "session-revoked-and-renamed",
            source: SESSION,
            what: "A revoked session's ID token is given the other signature that verifies, so that its digest is \
                   another.",
            code: "idc-revoked",
            rule: "a session is known by what its issuer vouched for, not by its bytes alone",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = gone(setting)?;
                let before = login.idc.digest();
                let login = renamed(login)?;
                ensure!(login.idc.digest() != before, "it has the same name");
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "session-revoked-after-a-restart",
            source: SESSION,
            what: "The runner is restarted after a session was revoked, and the session's order is relayed.",
            code: "idc-revoked",
            rule: "what was revoked stands in the jail's own state",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = gone(setting)?;
                setting.restart_runner(|_| Ok(()))?;
                setting.caught_up()?;
                setting.signed_by(&login)
            },
        },
        Attack {
            id: "session-revoked-reads",
            source: SESSION,
            what: "A session that was revoked reads an output at the gateway.",
            code: "idc-revoked",
            rule: "a jail remembers what was revoked for as long as a login lives",
            evidence: Evidence::Answer,
            run: |setting| {
                let login = gone(setting)?;
                let run = setting.begin("secops/echo", &json!({}))?;
                setting.until(run, |status| status["phase"] == "completed")?;
                setting.refused_with(&Ask::output(run).by(setting, &login)?)
            },
        },
        Attack {
            id: "session-revoked-changes-the-charter",
            source: SESSION,
            what: "A session that was revoked signs a change of the charter, which the witness is asked to cosign.",
            code: "idc-revoked",
            rule: "a witness judges whether the signer still counts",
            evidence: Evidence::Signed,
            run: |setting| {
                let login = gone(setting)?;
                let workspace = Workspace { name: "ghost".parse()?, secret_paths: Vec::new() };
                let change = Change::WorkspaceSet(workspace);
                setting.cosign(Next::of(setting)?.signed(&login, change)?)
            },
        },
    ]
}

/// A revocation that must be refused; how, and that the session still counts.
fn refused(setting: &Setting, by: &Login, of: &Login, session: &UnverifiedIdc) -> Result<Shown> {
    let from = setting.relay.reported();
    let code = revoke(setting, by, of.idc.digest(), session)?;
    let code = code.context("the attack succeeded: the session is revoked")?;
    let shown = setting.refusal(from, code);
    let ask = Ask::get("/v1/charter?from=0").at("gateway_url").by(setting, of)?;
    let (status, said) = setting.ask(&ask)?;
    ensure!(status == 200, "the session counts no more: {said}");
    Ok(shown)
}

fn forged() -> Vec<Attack> {
    vec![
        Attack {
            id: "revoke-somebody-elses-session",
            source: SESSION,
            what: "A viewer's order to revoke an owner's session is relayed.",
            code: "policy-denied",
            rule: "one's own, or the right `session.revoke`",
            evidence: Evidence::Signed,
            run: |setting| {
                let (eve, cyd) = (setting.login("eve")?, setting.login("cyd")?);
                refused(setting, &eve, &cyd, &cyd.idc)
            },
        },
        Attack {
            id: "revoke-under-ones-own-name",
            source: SESSION,
            what: "A viewer's order names an owner's session, and the viewer's own credential is brought as that one.",
            code: "session-unknown",
            rule: "the session's own credential says whose it is, and it is named by its digest",
            evidence: Evidence::Signed,
            run: |setting| {
                let (eve, cyd) = (setting.login("eve")?, setting.login("cyd")?);
                refused(setting, &eve, &cyd, &eve.idc)
            },
        },
        Attack {
            id: "revoke-for-another-group",
            source: SESSION,
            what: "An order to revoke a session that another runner group was sent is relayed to this one.",
            code: "writ-audience",
            rule: "an order is for one runner group",
            evidence: Evidence::Signed,
            run: |setting| {
                let cyd = setting.login("cyd")?;
                let aud = writ_model::RunnerGroupId::from_bits(7);
                let res = cyd.idc.digest();
                let writ = setting.about(&cyd, Order::SessionRevoke { aud, res })?;
                let session = Box::new(cyd.idc.clone());
                setting.task(writ, &cyd.idc, |writ, idc| RunnerTask::RevokeSession {
                    writ,
                    idc,
                    session,
                })
            },
        },
    ]
}
