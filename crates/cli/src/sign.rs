//! Signs on the person's behalf: charter changes and orders. What is signed is shown before.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use writ_api::Appended;
use writ_evidence::{
    charter::{Change, CharterState, UnverifiedEntry},
    digest::sha256,
    writ::{self, Order, WritClaims},
};
use writ_model::{Digest, Principal, limits::WRIT_LIFETIME_S};

use crate::{
    failure::Failure,
    login::random_text,
    output, proposal,
    tenant::{Tenant, now},
};

/// Who the login is by the claim that the charter names for its issuer.
fn signer(tenant: &Tenant) -> Result<Principal, Failure> {
    let iss = tenant.session.principal("iss")?.iss;
    let issuer = tenant.charter.issuers().iter().find(|issuer| issuer.iss == iss);
    tenant.session.principal(issuer.map_or("sub", |issuer| issuer.subject_claim.as_str()))
}

/// Signs a writ; valid for five minutes.
pub(crate) fn writ(tenant: &Tenant, order: Order) -> Result<String, Failure> {
    writ_over(tenant, tenant.charter.head(), order)
}

/// Signs a writ by somebody who saw this charter head.
pub(crate) fn writ_over(tenant: &Tenant, head: Digest, order: Order) -> Result<String, Failure> {
    let iat = now();
    let claims = WritClaims {
        ten: tenant.place.settings.tenant,
        principal: signer(tenant)?,
        idc: tenant.session.idc.digest(),
        jti: random_text()?,
        iat,
        exp: iat.plus(WRIT_LIFETIME_S),
        charter: head,
        order,
    };
    writ::sign(&claims, &tenant.session.key()?, &SystemRandom::new())
        .map_err(|error| Failure::because("key", "cannot sign", &error))
}

/// How often a change is signed again because others came first.
const TURNS: u32 = 5;
/// How long one waits for another change that is on its way to the witnesses.
const TURN: Duration = Duration::from_secs(1);

/// Signs a change of the charter and has it appended. Where others came first, it shows what they
/// changed and signs again over the new head.
pub(crate) async fn change(tenant: &Tenant, change: Change) -> Result<Appended, Failure> {
    if let Some(reason) = tenant.charter.takes_second(&change, now()) {
        return Err(proposal::for_second_signer(tenant, change, reason)?);
    }
    let kind = change.kind();
    let mut entry = signed(tenant, &tenant.charter, change.clone())?;
    let mut seen = tenant.charter.seq();
    for _ in 0..TURNS {
        let problem = match proposal::submit(tenant, entry.clone()).await {
            Ok(appended) => {
                output::say(format!("charter entry {}: {kind}, witnessed", appended.seq));
                return Ok(appended);
            }
            Err(failure) => failure,
        };
        match problem.code() {
            "charter-busy" => tokio::time::sleep(TURN).await,
            "charter-not-next" | "charter-seq-signed" => {
                let (charter, entries) = tenant.fetch_again().await?;
                proposal::show_since(&entries, seen);
                seen = charter.seq();
                entry = signed(tenant, &charter, change.clone())?;
            }
            _ => return Err(problem),
        }
    }
    Err(Failure::new("charter-busy", "others keep changing the charter")
        .with_remedy("try again in a moment"))
}

/// A change as the next entry after a head, signed by this login.
pub(crate) fn signed(
    tenant: &Tenant,
    charter: &CharterState,
    change: Change,
) -> Result<UnverifiedEntry, Failure> {
    let body = proposal::body(charter, change)?;
    let order = Order::CharterAppend { cnt: sha256(body.as_bytes()) };
    Ok(UnverifiedEntry::Writ {
        writ: writ_over(tenant, charter.head(), order)?,
        body,
        idc: tenant.session.idc.clone(),
        others: Vec::new(),
        cosignatures: Vec::new(),
    })
}
