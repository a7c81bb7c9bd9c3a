//! `writ issuer`: which identity providers the tenant believes. Root keys sign it, nobody else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use url::{Host, Url};
use writ_evidence::{
    charter::Change,
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient, JwksEndpoint, Requirement, parse_jwks},
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
    let issuer = with_workloads(issuer, &args.workloads)?;
    let change = Change::IssuerSet(Box::new(issuer));
    proposal::root_change(&tenant, change, &args.signing).await?;
    if args.issuer.client_id.is_none() {
        return Ok(());
    }
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
        client_id: args.client_id.clone().unwrap_or_default(),
        callback_port: args.callback_port,
        device_client_id: args.device_client_id.clone(),
        scopes: args.scopes.clone(),
    }
}

/// What the charter is to say of an issuer: where its keys are is asked now, and signed.
pub(super) async fn discover(
    login: &LoginIssuer,
    ca: Option<&[u8]>,
    args: &IssuerArgs,
) -> Result<Issuer, Failure> {
    let mut issuer = match &args.keys_file {
        Some(file) => {
            let algorithms = algorithms(&args.algorithms, &[])?;
            let keys = parse_jwks(&read(file)?).map_err(|error| {
                Failure::because("issuer", &format!("`{}`", file.display()), &error)
            })?;
            Issuer { keys, ..Issuer::new(&login.iss, algorithms, Vec::new()) }
        }
        None => discovered(login, ca, args).await?,
    };
    issuer.clients = clients(args);
    issuer.subject_claim.clone_from(&args.subject_claim);
    issuer.groups_claim.clone_from(&args.groups_claim);
    issuer.pinned_claims = args.pinned_claims.iter().cloned().collect();
    Ok(issuer)
}

/// Algorithms and keys, as the issuer's own discovery document says them now.
async fn discovered(
    login: &LoginIssuer,
    ca: Option<&[u8]>,
    args: &IssuerArgs,
) -> Result<Issuer, Failure> {
    let discovery = login::discover(login, ca).await?;
    let algorithms = algorithms(&args.algorithms, &discovery.algorithms)?;
    let mut issuer = Issuer::new(&login.iss, algorithms, Vec::new());
    if args.pin_keys {
        issuer.keys = discovery.keys().await?;
    } else {
        issuer.jwks = Some(endpoint(&discovery.jwks_uri, &args.allow_cidrs)?);
    }
    Ok(issuer)
}

/// The client id that signs everything, and the one of the device flow that signs less.
fn clients(args: &IssuerArgs) -> Vec<IssuerClient> {
    let runs = [
        Operation::RunStart,
        Operation::RunResume,
        Operation::RunCancel,
        Operation::ConnectionTest,
        Operation::SessionRevoke,
    ];
    let requires: Vec<Requirement> = requirement(args).into_iter().collect();
    let main = args.client_id.as_ref().map(|client_id| {
        let operations = Operation::ALL.to_vec();
        IssuerClient { requires: requires.clone(), ..IssuerClient::new(client_id, operations) }
    });
    let device = args.device_client_id.as_ref().map(|client_id| IssuerClient {
        // What only the other one signs is asked of that one.
        requires: requires.iter().filter_map(|asked| asked.among(&runs)).collect(),
        device_flow: true,
        ..IssuerClient::new(client_id, runs.to_vec())
    });
    main.into_iter().chain(device).collect()
}

/// Adds workloads, and says whether the whole can be meant.
fn with_workloads(mut issuer: Issuer, files: &[PathBuf]) -> Result<Issuer, Failure> {
    for file in files {
        let workload = serde_json::from_slice(&read(file)?).map_err(|error| {
            Failure::because("issuer", &format!("`{}` is no workload", file.display()), &error)
        })?;
        issuer.workloads.push(workload);
    }
    check(&issuer)?;
    Ok(issuer)
}

/// Whether a record can be meant; said before anybody signs it.
pub(super) fn check(issuer: &Issuer) -> Result<(), Failure> {
    issuer.check().map_err(|reason| Failure::new("issuer", reason))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        Failure::because("issuer", &format!("cannot read `{}`", file.display()), &error)
    })
}

/// How strong a login has to be, if anything is asked.
fn requirement(args: &IssuerArgs) -> Option<Requirement> {
    let asked = Requirement {
        acr: args.require_acr.clone(),
        amr_all: args.require_amr.clone(),
        max_auth_age_s: args.require_auth_age,
        ..Requirement::default()
    };
    if asked == Requirement::default() && args.require_for.is_empty() {
        return None;
    }
    Some(Requirement { operations: args.require_for.clone(), ..asked })
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
