//! `writ login`, `logout`, `whoami`, `sessions`.

use serde_json::json;
use writ_evidence::issuer::TokenKeys;

use super::Context;
use crate::{
    args::{LoginArgs, SessionsCommand},
    failure::Failure,
    login, output,
    place::Place,
    session::Session,
    tenant::now,
};

pub(super) async fn log_in(context: &Context, args: &LoginArgs) -> Result<(), Failure> {
    let place = Place::find()?;
    let session = login::log_in(&place, args).await?;
    session.save(&place, &context.session)?;
    let principal = session.principal("sub")?;
    if let Some(account) = &session.service_account {
        output::say(format!("a key for service account {account} (session `{}`)", context.session));
        output::say(format!("somebody enrolls it: writ service-account set {account} --key FILE"));
        return output::line(serde_json::Value::from(session.key()?.public().clone()).to_string());
    }
    output::say(format!("logged in as {principal} (session `{}`)", context.session));
    Ok(())
}

pub(super) fn log_out(context: &Context) -> Result<(), Failure> {
    Session::forget(&Place::find()?, &context.session)?;
    output::say(format!("session `{}` and its key are forgotten", context.session));
    Ok(())
}

/// Verifies the login by the charter's issuers, as any jail would.
pub(super) async fn whoami(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let idc = tenant
        .charter
        .verify_idc(&tenant.session.idc, TokenKeys::Witnessed, now())
        .map_err(|error| Failure::because(error.code(), "the login does not verify", &error))?;
    let roles: Vec<String> =
        tenant.charter.bindings_of(idc.actor()).map(super::binding::describe).collect();
    if context.json {
        return output::json(&json!({
            "iss": idc.principal().iss, "sub": idc.principal().sub,
            "idc": idc.digest(), "key": idc.key().thumbprint(), "groups": idc.groups(), "fresh_until": idc.fresh_until(), "roles": roles,
        }));
    }
    output::line(format!("{}", idc.principal()))?;
    output::line(format!("credential {}", idc.digest()))?;
    output::line(format!("key {}", idc.key().thumbprint()))?;
    output::line(format!("fresh for {} more seconds", idc.fresh_until().since(now())))?;
    roles.iter().try_for_each(output::line)
}

/// What this folder keeps. Whether a login still counts, only the charter's issuers say: `whoami`.
pub(super) fn sessions(
    context: &Context,
    SessionsCommand::List: SessionsCommand,
) -> Result<(), Failure> {
    let place = Place::find()?;
    let mut listed = Vec::new();
    for name in Session::names(&place)? {
        let session = Session::load(&place, &name)?;
        let principal = session.principal("sub")?;
        // How long a service account's key counts, the charter says.
        let left_s = session.lives_until().map(|until| until.since(now()));
        listed.push(json!({
            "session": name, "iss": principal.iss, "sub": principal.sub, "mode": session.idc.mode,
            "key": session.key_place(), "idc": session.idc.digest(), "expires_in_s": left_s,
        }));
        if !context.json {
            let (mode, key) = (session.idc.mode.as_str(), session.key_place());
            let left = left_s.map_or_else(String::new, |left_s| format!("{left_s} s left"));
            output::line(format!("{name}\t{principal}\t{mode}\tkey in {key}\t{left}"))?;
        }
    }
    if context.json { output::json(&listed) } else { Ok(()) }
}
