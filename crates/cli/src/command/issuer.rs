//! `writ issuer`: which identity providers the tenant believes. Root keys sign it, nobody else.

use url::{Host, Url};
use writ_evidence::{
    charter::Change,
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient, JwksEndpoint},
    writ::Operation,
};
use writ_model::{Cidr, ConnectionHost};

use super::Context;
use crate::{
    args::{IssuerArgs, IssuerCommand, IssuerSetArgs},
    failure::Failure,
    login, output,
    place::LoginIssuer,
    proposal,
};

/// Seconds for which a token counts, however late its own end, unless said otherwise.
const MAX_AGE_S: u64 = 3600;
/// Seconds that a session lives, refreshed or not.
const SESSION_MAX_S: u64 = 12 * 3600;

pub(super) async fn run(context: &Context, command: IssuerCommand) -> Result<(), Failure> {
    match command {
        IssuerCommand::List => list(context).await,
        IssuerCommand::Set(args) => set(context, &args).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let issuers = tenant.charter.issuers();
    if context.json {
        return output::json(&issuers);
    }
    issuers.iter().try_for_each(|issuer| {
        let algorithms: Vec<&str> = issuer.algorithms.iter().map(|a| a.as_str()).collect();
        let keys = if issuer.jwks.is_some() { "keys fetched" } else { "keys pinned" };
        output::line(format!("{}\t{}\t{keys}", issuer.iss, algorithms.join(",")))
    })
}

async fn set(context: &Context, args: &IssuerSetArgs) -> Result<(), Failure> {
    let mut tenant = context.tenant().await?;
    let login = login_issuer(&args.issuer);
    let issuer = discover(&login, tenant.place.ca()?.as_deref(), &args.issuer).await?;
    let change = Change::IssuerSet(Box::new(issuer));
    proposal::root_change(&tenant, change, &args.signing).await?;
    tenant.place.settings.issuers.retain(|known| known.iss != login.iss);
    if tenant.place.settings.issuer_url != login.iss {
        tenant.place.settings.issuers.push(login);
        tenant.place.save()?;
    }
    Ok(())
}

pub(super) fn login_issuer(args: &IssuerArgs) -> LoginIssuer {
    LoginIssuer {
        iss: args.issuer.clone(),
        client_id: args.client_id.clone(),
        callback_port: args.callback_port,
        scopes: args.scopes.clone(),
    }
}

/// What the charter is to say of an issuer: where its keys are is asked now, and signed.
pub(super) async fn discover(
    login: &LoginIssuer,
    ca: Option<&[u8]>,
    args: &IssuerArgs,
) -> Result<Issuer, Failure> {
    let discovery = login::discover(login, ca).await?;
    let algorithms = algorithms(&args.algorithms, &discovery.algorithms)?;
    let operations = Operation::ALL.to_vec();
    let issuer = Issuer {
        iss: login.iss.clone(),
        keys: if args.pin_keys { discovery.keys().await? } else { Vec::new() },
        jwks: if args.pin_keys {
            None
        } else {
            Some(endpoint(&discovery.jwks_uri, &args.allow_cidrs)?)
        },
        algorithms,
        clients: vec![IssuerClient { client_id: login.client_id.clone(), operations }],
        max_age_s: MAX_AGE_S,
        session_max_s: SESSION_MAX_S,
        subject_claim: args.subject_claim.clone(),
        groups_claim: args.groups_claim.clone(),
    };
    issuer.check().map_err(|reason| Failure::new("issuer", reason))?;
    Ok(issuer)
}

/// The named algorithms, or those of ours that the provider says it signs with.
fn algorithms(named: &[String], supported: &[String]) -> Result<Vec<IdTokenAlgorithm>, Failure> {
    let wanted = if named.is_empty() { supported } else { named };
    let taken: Vec<_> = wanted.iter().filter_map(|name| IdTokenAlgorithm::named(name)).collect();
    if taken.is_empty() || (!named.is_empty() && taken.len() != named.len()) {
        return Err(Failure::new("issuer", "no algorithm that Writ takes is named")
            .with_remedy("RS256, PS256, ES256 and EdDSA are taken"));
    }
    Ok(taken)
}

fn endpoint(url: &Url, allow_cidrs: &[Cidr]) -> Result<JwksEndpoint, Failure> {
    let malformed = || Failure::new("issuer", "the issuer's `jwks_uri` has no host");
    let host = match url.host().ok_or_else(malformed)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    };
    let path = url
        .query()
        .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let plaintext = url.scheme() == "http";
    let port = url.port_or_known_default().ok_or_else(malformed)?;
    let host = ConnectionHost { host, port, plaintext };
    Ok(JwksEndpoint { host, path, allow_cidrs: allow_cidrs.to_vec() })
}
