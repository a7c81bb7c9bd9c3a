//! `writ dev`: everything on one machine, each part its own process.
//!
//! The first start makes a tenant: ports, keys, entry 0. Every start supervises the parts and
//! starts again what ends. All share one user here, which every isolation report says.
//!
//! Read: `found` (the first start), `supervise` (every start), `idp` (who says who you are).

mod found;
mod idp;
mod supervise;

use crate::{
    args::{DevArgs, DevIdpArgs, LoginArgs},
    failure::Failure,
    login, output,
    place::{Place, jail_executable},
    tenant::{Source, Tenant},
};

pub(crate) use found::write_secret;
pub(crate) use idp::LOGIN_SECRET_HEADER;

/// The session that `writ dev` itself acts with, as the owner.
const DEV_SESSION: &str = "dev";

/// The packs that are shipped, acknowledged by `writ dev` and by nothing else.
const SHIPPED_PACKS: [(&str, &str); 2] = [
    ("packs/github.json", include_str!("../../../packs/github.json")),
    ("packs/slack.json", include_str!("../../../packs/slack.json")),
];

/// Runs until asked to end.
pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    jail_executable()?;
    let place = if Place::exists(&args.folder) {
        Place::open(&args.folder)?
    } else {
        found::tenant(&args).await?
    };
    let stop = crate::command::stopped()?;
    let parts = supervise::start(&place, args.isolation.as_deref()).await?;
    acknowledge_shipped(&place).await?;
    output::say(READY);
    stop.await;
    output::say("ending");
    parts.end().await;
    Ok(())
}

const READY: &str = "\
writ dev is ready. In another terminal, below this folder:
  writ login                          log in as the owner
  writ workspace set secops --secret-path 'local:github/*'
  writ automation publish FILE        publish an automation
  writ run start NAME --wait          run it
Ctrl-C ends everything; the folder keeps it all.";

/// Serves the development identity provider.
pub(crate) async fn serve_idp(args: DevIdpArgs) -> Result<(), Failure> {
    idp::serve(args).await
}

/// Acknowledges shipped packs that the charter does not have yet, and says so.
async fn acknowledge_shipped(place: &Place) -> Result<(), Failure> {
    let session = login::log_in(place, &LoginArgs::development("owner")).await?;
    session.save(place, DEV_SESSION)?;
    for (file, text) in SHIPPED_PACKS {
        let tenant = Tenant::open(place.clone(), DEV_SESSION, Source::Server, Vec::new()).await?;
        let digest = writ_evidence::digest::sha256(text.as_bytes());
        if tenant.charter.packs().any(|pack| pack.digest == digest) {
            continue;
        }
        output::say("acknowledging a shipped pack as the owner:");
        crate::command::acknowledge(&tenant, text, file.as_ref()).await?;
    }
    Ok(())
}
