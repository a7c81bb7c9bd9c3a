//! The first start: ports, keys, and charter entry 0, which names the tenant.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use writ_evidence::{
    charter::{Genesis, UnverifiedEntry},
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient},
    key::{Algorithm, SigningKey},
    writ::Operation,
};
use writ_model::{Principal, TenantId};

use super::idp;
use crate::{
    args::DevArgs,
    failure::Failure,
    output,
    place::{Place, Settings, jail_executable},
};

/// How long a development ID token counts, in seconds.
const TOKEN_AGE_S: u64 = 3600;
/// How long a login at the development identity provider lives.
const SESSION_MAX_S: u64 = 12 * 3600;
/// The client id of this command at the development identity provider.
const CLIENT_ID: &str = "writ-cli";

/// Makes everything that `writ dev` keeps; the settings file comes last.
pub(super) async fn tenant(args: &DevArgs) -> Result<Place, Failure> {
    let folder = &args.folder;
    let failed = |error: std::io::Error| {
        Failure::because("dev", &format!("cannot make `{}`", folder.display()), &error)
    };
    fs::create_dir_all(folder.join("idp")).map_err(failed)?;
    fs::create_dir_all(folder.join("jail")).map_err(failed)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)?;
    let folder = &fs::canonicalize(folder).map_err(failed)?;
    let [server, gateway, link, issuer] = ports()?;
    let issuer_url = format!("http://127.0.0.1:{issuer}");
    let genesis = genesis(folder, &issuer_url, args.isolation.is_some()).await?;
    let entry = sign_genesis(folder, genesis)?;
    let data = folder.join("server");
    let config = writ_server::Config { data, public_url: String::new(), issuer_cidrs: Vec::new() };
    writ_server::found_tenant(&config, &entry)
        .map_err(|error| Failure::because("dev", "cannot make the tenant", &error))?;
    let settings = Settings {
        tenant: TenantId(entry.digest()),
        server_url: format!("http://127.0.0.1:{server}"),
        gateway_url: format!("http://127.0.0.1:{gateway}"),
        link_url: format!("http://127.0.0.1:{link}"),
        issuer_url,
        client_id: CLIENT_ID.to_owned(),
        head: None,
        ca_file: None,
        issuers: Vec::new(),
    };
    let place = Place { folder: folder.clone(), settings };
    place.save()?;
    output::say(format!("made tenant {}", place.settings.tenant));
    Ok(place)
}

/// Four free ports, chosen once.
fn ports() -> Result<[u16; 4], Failure> {
    let failed = |error| Failure::because("dev", "cannot find free ports", &error);
    // All are held until all are chosen, so that they differ.
    let mut held = Vec::new();
    let mut ports = [0; 4];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?.port();
        held.push(listener);
    }
    Ok(ports)
}

async fn genesis(folder: &Path, issuer_url: &str, degraded: bool) -> Result<Genesis, Failure> {
    let issuer_key = idp::create_keys(&folder.join("idp"))?;
    let launch = writ_runner::Launch {
        executable: jail_executable()?,
        jail: writ_runner::JailPlace::Spawned(writ_runner::JailFiles {
            state: folder.join("jail").join("state"),
            vault: folder.join("vault"),
            vault_key: folder.join("vault.key"),
            secret_managers: None,
        }),
        degraded,
    };
    let runner =
        writ_runner::enrollment(&folder.join("runner"), &launch, false).await.map_err(|error| {
            Failure::because("jail", "the jail did not start", &error)
                .with_remedy("run `writ doctor`; for development, `writ dev --isolation degraded`")
        })?;
    let operations = Operation::ALL.to_vec();
    let owner = |sub: &str| Principal { iss: issuer_url.to_owned(), sub: sub.to_owned() };
    Ok(Genesis {
        roots: Vec::new(),
        threshold: 1,
        issuers: vec![Issuer {
            keys: vec![issuer_key],
            max_age_s: TOKEN_AGE_S,
            session_max_s: SESSION_MAX_S,
            ..Issuer::new(
                issuer_url,
                vec![IdTokenAlgorithm::Es256],
                vec![IssuerClient::new(CLIENT_ID, operations)],
            )
        }],
        owners: vec![owner("owner")],
        runner,
    })
}

/// Makes the root key, names it in the genesis and signs with it.
fn sign_genesis(folder: &Path, mut genesis: Genesis) -> Result<UnverifiedEntry, Failure> {
    let random = SystemRandom::new();
    let failed = |_| Failure::new("random", "cannot make the root key");
    let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
    write_secret(&folder.join("root.key"), document.as_ref())?;
    let root = SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref())
        .map_err(|error| Failure::because("root", "cannot use the root key", &error))?;
    genesis.roots = vec![root.public().clone()];
    crate::command::sign_genesis(&genesis, &[root])
}

/// Writes a file that only its owner can read; refuses to replace one.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| {
            Failure::because("dev", &format!("cannot write `{}`", path.display()), &error)
                .with_remedy("remove the folder if an earlier `writ dev` broke off in it")
        })
}
