//! `writ login`, `logout`, `whoami`.

use std::time::Duration;

use serde_json::json;
use writ_evidence::issuer::TokenKeys;

use super::{Context, sessions};
use crate::{
    args::{LoginArgs, LogoutArgs},
    failure::Failure,
    login, output,
    place::Place,
    session::Session,
    tenant::now,
};

/// How long logging out waits for the session to be revoked.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn log_in(context: &Context, args: &LoginArgs) -> Result<(), Failure> {
    let place = Place::find()?;
    let name = session_name(context, args);
    if args.service_account.is_some() && Session::load(&place, name).is_ok() {
        let cause = format!("session `{name}` holds a login, whose key would be lost");
        return Err(Failure::new("session", cause)
            .with_remedy("name another with --session, or `writ logout` that one first"));
    }
    let session = login::log_in(&place, args).await?;
    session.save(&place, name)?;
    let principal = session.principal("sub")?;
    if let Some(account) = &session.service_account {
        output::say(format!("a key for service account {account} (session `{name}`)"));
        output::say(format!(
            "somebody enrolls it: writ service-account set {account} --key FILE --operation OPERATION"
        ));
        return output::line(serde_json::Value::from(session.key()?.public().clone()).to_string());
    }
    output::say(format!("logged in as {principal} (session `{}`)", context.session));
    Ok(())
}

/// A service account's key goes by the account's name, unless another is said.
fn session_name<'a>(context: &'a Context, args: &'a LoginArgs) -> &'a str {
    match &args.service_account {
        Some(account) if context.session == "default" => account.as_str(),
        _ => &context.session,
    }
}

/// Revokes the session first: forgetting a key does not help against whoever has copied it. What keeps it from being
/// revoked is said, and keeps nobody from logging out.
pub(super) async fn log_out(context: &Context, args: &LogoutArgs) -> Result<(), Failure> {
    let place = Place::find()?;
    let lives = Session::load(&place, &context.session)?.lives_until();
    let counts = lives.is_some_and(|until| now() < until);
    if counts && !args.local {
        let revoked = tokio::time::timeout(REVOKED_WITHIN, sessions::revoke_own(context)).await;
        match revoked {
            Ok(Ok(())) => output::say("the session is revoked"),
            Ok(Err(failure)) => {
                output::say(format!("warning: the session is not revoked: {failure}"));
            }
            Err(_) => output::say("warning: the session is not revoked: no answer in time"),
        }
    }
    Session::forget(&place, &context.session)?;
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
