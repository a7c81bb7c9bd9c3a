//! Signs on the person's behalf: charter changes and orders. What is signed is shown before.

use aws_lc_rs::rand::SystemRandom;
use writ_api::{AppendEntry, Appended};
use writ_evidence::{
    charter::{Change, EntryBody, UnverifiedEntry},
    digest::sha256,
    idc::UnverifiedIdc,
    jws::UnverifiedJws,
    writ::{self, Order, WritClaims},
};
use writ_model::{Principal, limits::WRIT_LIFETIME_S};

use crate::{
    failure::Failure,
    login::random_text,
    output,
    tenant::{Tenant, now},
};

/// Who the login is, as its ID token says. For showing and for claims; verifiers check it.
pub(crate) fn principal(idc: &UnverifiedIdc) -> Result<Principal, Failure> {
    principal_by(idc, "sub")
}

/// Who a login is by the claim that names people at its issuer.
pub(crate) fn principal_by(idc: &UnverifiedIdc, claim: &str) -> Result<Principal, Failure> {
    let malformed = || Failure::new("session", "the ID token does not name its subject");
    let claims: serde_json::Map<String, serde_json::Value> = UnverifiedJws::parse(&idc.id_token)
        .and_then(|token| token.peek())
        .map_err(|_| malformed())?;
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let (iss, sub) = (text("iss").ok_or_else(malformed)?, text(claim).ok_or_else(malformed)?);
    Ok(Principal { iss, sub })
}

/// Who the login is by the claim that the charter names for its issuer.
fn signer(tenant: &Tenant) -> Result<Principal, Failure> {
    let idc = &tenant.session.idc;
    let iss = principal_by(idc, "iss")?.iss;
    let issuer = tenant.charter.issuers().iter().find(|issuer| issuer.iss == iss);
    principal_by(idc, issuer.map_or("sub", |issuer| issuer.subject_claim.as_str()))
}

/// Signs a writ; valid for five minutes.
pub(crate) fn writ(tenant: &Tenant, order: Order) -> Result<String, Failure> {
    let iat = now();
    let claims = WritClaims {
        ten: tenant.place.settings.tenant,
        principal: signer(tenant)?,
        idc: tenant.session.idc.digest(),
        jti: random_text()?,
        iat,
        exp: iat.plus(WRIT_LIFETIME_S),
        charter: tenant.charter.head(),
        order,
    };
    writ::sign(&claims, &tenant.session.key()?, &SystemRandom::new())
        .map_err(|error| Failure::because("key", "cannot sign", &error))
}

/// Signs a change of the charter and has it appended.
pub(crate) async fn change(tenant: &Tenant, change: Change) -> Result<Appended, Failure> {
    let kind = change.kind();
    let body =
        EntryBody { seq: tenant.charter.seq() + 1, prev: Some(tenant.charter.head()), change };
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::because("change", "cannot write the change", &error))?;
    let signed = writ(tenant, Order::CharterAppend { cnt: sha256(body.as_bytes()) })?;
    let entry = UnverifiedEntry::Writ {
        body,
        writ: signed,
        idc: tenant.session.idc.clone(),
        cosignatures: Vec::new(),
    };
    let appended: Appended =
        tenant.server.post(&tenant.path("/charter"), &AppendEntry { entry }).await?;
    output::say(format!("charter entry {}: {kind}, witnessed", appended.seq));
    Ok(appended)
}
