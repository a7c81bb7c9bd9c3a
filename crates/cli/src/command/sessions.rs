//! `writ sessions`: what the control plane has seen, what this folder keeps, and how a session ends before its time.

use serde_json::json;
use writ_api::{RunOrder, SessionList, SessionStatus};
use writ_evidence::writ::Order;
use writ_model::Digest;

use super::Context;
use crate::{
    args::SessionsCommand,
    failure::Failure,
    output,
    place::Place,
    session::Session,
    sign,
    tenant::{Tenant, now},
};

pub(super) async fn run(context: &Context, command: SessionsCommand) -> Result<(), Failure> {
    match command {
        SessionsCommand::List => list(context).await,
        SessionsCommand::Revoke { digest: session } => {
            let tenant = context.tenant().await?;
            let groups = revoke(&tenant, session).await?;
            output::say(format!("session {session} is revoked; {groups} runner groups are told"));
            Ok(())
        }
        SessionsCommand::Here => here(context),
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let SessionList { sessions } = tenant.server.get(&tenant.path("/sessions")).await?;
    if context.json {
        return output::json(&sessions);
    }
    let own = tenant.session.idc.digest();
    sessions.iter().try_for_each(|session| {
        let this = if session.session == own { "\tthis one" } else { "" };
        output::line(format!(
            "{}\t{}\t{}\tseen {} s ago\t{}{this}",
            session.session,
            session.principal,
            output::plain_line(&session.through),
            now().since(session.last_seen),
            state(session),
        ))
    })
}

fn state(session: &SessionStatus) -> String {
    match (session.revoked_at, session.waiting) {
        (Some(_), 0) => "revoked".to_owned(),
        (Some(_), waiting) => format!("revoked; {waiting} runner groups have not answered"),
        (None, _) if session.until <= now() => "ended".to_owned(),
        (None, _) => format!("{} s left", session.until.since(now())),
    }
}

/// Revokes a session with every runner group, each by a writ of its own; how many there are.
async fn revoke(tenant: &Tenant, session: Digest) -> Result<usize, Failure> {
    let mut groups: Vec<_> = tenant.charter.runners().map(|runner| runner.group).collect();
    groups.sort();
    groups.dedup();
    for aud in &groups {
        let writ = sign::writ(tenant, Order::SessionRevoke { aud: *aud, res: session })?;
        let order = RunOrder { writ, idc: tenant.session.idc.clone() };
        tenant.server.post_only(&tenant.path("/sessions/revoke"), &order).await?;
    }
    Ok(groups.len())
}

/// Revokes the session that this command acts with.
pub(super) async fn revoke_own(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant_of_server().await?;
    revoke(&tenant, tenant.session.idc.digest()).await.map(drop)
}

/// What this folder keeps. Whether a login still counts, only the charter's issuers say: `whoami`.
fn here(context: &Context) -> Result<(), Failure> {
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
