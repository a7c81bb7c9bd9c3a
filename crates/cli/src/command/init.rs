//! `writ init`, `writ join`, `writ tenant`: a tenant for a real installation.
//!
//! `init` draws the root keys, asks the first identity provider about itself, lets the first owner
//! log in there, and signs charter entry 0 around the runner's enrollment. It talks to no control plane: its
//! folder holds what each machine is to be given. The root keys belong off line afterwards.

use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use serde_json::json;
use writ_evidence::{
    charter::{Change, EntryBody, Genesis, RunnerEnrollment, UnverifiedEntry, sign_root},
    issuer::Issuer,
    key::{Algorithm, SigningKey},
};
use writ_model::{Principal, TenantId};

use super::{Context, issuer};
use crate::{
    args::{InitArgs, LoginArgs, TenantCommand},
    dev::write_secret,
    failure::Failure,
    join_file::{self, Head, Invitation, JoinFile},
    login, output,
    place::{LoginIssuer, Place, Settings},
};

/// Founds a tenant into a folder.
pub(super) async fn init(context: &Context, args: InitArgs) -> Result<(), Failure> {
    check_threshold(&args)?;
    if args.issuer.client_id.is_none() {
        return Err(Failure::new(
            "init",
            "people log in at the first issuer, so it has a client id",
        )
        .with_remedy("name it with --client-id"));
    }
    let runner: RunnerEnrollment = join_file::read(&args.enrollment)?;
    let ca =
        args.ca.as_deref().map(fs::read_to_string).transpose().map_err(|error| {
            Failure::because("init", "cannot read the CA's certificate", &error)
        })?;
    let login = issuer::login_issuer(&args.issuer);
    let believed = issuer::discover(&login, ca.as_deref().map(str::as_bytes), &args.issuer).await?;
    issuer::check(&believed)?;
    let owners = owners(&args, &login, &believed, ca.as_deref()).await?;
    fs::DirBuilder::new().mode(0o700).create(&args.out).map_err(|error| {
        Failure::because("init", &format!("cannot make `{}`", args.out.display()), &error)
            .with_remedy("name a folder that is not there yet with --out")
    })?;
    let roots = root_keys(&args)?;
    let genesis = Genesis {
        roots: roots.iter().map(|root| root.public().clone()).collect(),
        threshold: args.threshold,
        issuers: vec![believed],
        owners,
        runner,
    };
    let entry = sign_genesis(&genesis, &roots)?;
    let ten = hand_out(&args, &entry, login, ca)?;
    if context.json {
        return output::json(&json!({ "tenant": ten, "folder": args.out }));
    }
    output::line(ten.to_string())?;
    output::say(next_steps(&args.out));
    Ok(())
}

fn check_threshold(args: &InitArgs) -> Result<(), Failure> {
    if (1..=args.roots).contains(&args.threshold) {
        return Ok(());
    }
    Err(Failure::new("init", "the threshold is more than there are root keys, or none"))
}

/// The named owners, or whoever logs in now.
async fn owners(
    args: &InitArgs,
    login: &LoginIssuer,
    believed: &Issuer,
    ca: Option<&str>,
) -> Result<Vec<Principal>, Failure> {
    if !args.owners.is_empty() {
        let owner = |sub: &String| Principal { iss: login.iss.clone(), sub: sub.clone() };
        return Ok(args.owners.iter().map(owner).collect());
    }
    output::say("the first owner logs in now:");
    let words = LoginArgs { no_browser: args.no_browser, ..LoginArgs::development("owner") };
    let session = login::log_in_at(login, ca.map(str::as_bytes), &words, None).await?;
    let owner = session.principal(&believed.subject_claim)?;
    output::say(format!("the first owner is {owner}"));
    Ok(vec![owner])
}

fn root_keys(args: &InitArgs) -> Result<Vec<SigningKey>, Failure> {
    (1..=args.roots)
        .map(|number| {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|_| Failure::new("random", "cannot make a root key"))?;
            write_secret(&args.out.join(format!("root-{number}.key")), document.as_ref())?;
            SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref())
                .map_err(|error| Failure::because("root", "cannot use a root key", &error))
        })
        .collect()
}

/// Entry 0, signed by every root key.
pub(crate) fn sign_genesis(
    genesis: &Genesis,
    roots: &[SigningKey],
) -> Result<UnverifiedEntry, Failure> {
    let body = EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis.clone()) };
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::because("root", "cannot write entry 0", &error))?;
    let signatures = roots
        .iter()
        .map(|root| sign_root(&body, root, &SystemRandom::new()))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::because("root", "cannot sign entry 0", &error))?;
    Ok(UnverifiedEntry::Roots { body, signatures })
}

/// Writes what each machine is given.
fn hand_out(
    args: &InitArgs,
    entry: &UnverifiedEntry,
    login: LoginIssuer,
    ca: Option<String>,
) -> Result<TenantId, Failure> {
    let ten = TenantId(entry.digest());
    let head = Head { seq: 0, digest: entry.digest() };
    let join = JoinFile {
        ten,
        head,
        server_url: args.server_url.clone(),
        link_url: args.link_url.clone(),
        gateway_url: args.gateway_url.clone(),
        ca: ca.clone(),
    };
    let invitation = Invitation {
        ten,
        head,
        server_url: args.server_url.clone(),
        gateway_url: args.gateway_url.clone(),
        issuers: vec![login],
        ca,
    };
    join_file::write(&args.out.join("entry-0.json"), entry)?;
    join_file::write(&args.out.join("join.json"), &join)?;
    join_file::write(&args.out.join("invitation.json"), &invitation)?;
    Ok(ten)
}

fn next_steps(out: &Path) -> String {
    let out = out.display();
    format!(
        "The folder `{out}` holds:
  root-*.key        the root keys: keep them off line, apart from each other
  entry-0.json      for the control plane:  writ tenant found --data DATA entry-0.json
  join.json         for runner and gateway: writ runner --join join.json …; writ gateway --join join.json …
  invitation.json   for people:             writ join invitation.json
Send them as you would a public key: whoever alters one on its way chooses whom its reader trusts."
    )
}

/// Takes an invitation into the current folder.
pub(super) fn join(path: &Path) -> Result<(), Failure> {
    let invitation: Invitation = join_file::read(path)?;
    let folder = Path::new(crate::place::FOLDER);
    if Place::exists(folder) {
        return Err(Failure::new("join", "this folder belongs to a tenant already")
            .with_remedy("join in another folder"));
    }
    let failed = |error: std::io::Error| Failure::because("join", "cannot make `.writ`", &error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let ca_file = match &invitation.ca {
        None => None,
        Some(ca) => {
            fs::write(folder.join("ca.pem"), ca).map_err(failed)?;
            Some("ca.pem".into())
        }
    };
    let first = invitation.issuers.first();
    let first = first.ok_or_else(|| Failure::new("join-file", "the invitation names no issuer"))?;
    let settings = Settings {
        tenant: invitation.ten,
        server_url: invitation.server_url,
        gateway_url: invitation.gateway_url,
        link_url: String::new(),
        issuer_url: first.iss.clone(),
        client_id: first.client_id.clone(),
        head: Some(invitation.head),
        ca_file,
        issuers: invitation.issuers.clone(),
    };
    let place = Place { folder: folder.to_owned(), settings };
    place.save()?;
    output::say(format!("joined tenant {}; next: writ login", place.settings.tenant));
    Ok(())
}

/// Makes a tenant's database on the control plane's machine.
pub(super) fn tenant(command: TenantCommand) -> Result<(), Failure> {
    let TenantCommand::Found { data, entry } = command;
    let entry: UnverifiedEntry = join_file::read(&entry)?;
    let config = writ_server::Config { data, public_url: String::new(), issuer_cidrs: Vec::new() };
    let ten = writ_server::found_tenant(&config, &entry)
        .map_err(|error| Failure::because("tenant", "cannot make the tenant", &error))?;
    output::line(ten.to_string())
}
