//! `writ pack`.

use std::path::Path;

use writ_api::{Content, ContentKind};
use writ_evidence::{
    charter::{Change, PackAcknowledgement, PackWithdrawal},
    digest::sha256,
};
use writ_model::pack::Pack;

use super::Context;
use crate::{args::PackCommand, failure::Failure, output, sign, tenant::Tenant};

pub(super) async fn run(context: &Context, command: PackCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        PackCommand::Acknowledge { file } => {
            let text = super::automation::read(&file)?;
            acknowledge(&tenant, &text, &file).await
        }
        PackCommand::Withdraw { name, version } => {
            let change = Change::PackWithdraw(PackWithdrawal { name, version });
            sign::change(&tenant, change).await.map(drop)
        }
        PackCommand::List => {
            let packs: Vec<_> = tenant.charter.packs().collect();
            if context.json {
                return output::json(&packs);
            }
            packs.iter().try_for_each(|pack| {
                output::line(format!("{}:{}\t{}", pack.name, pack.version, pack.digest))
            })
        }
    }
}

/// Uploads a pack and signs for it.
pub(crate) async fn acknowledge(tenant: &Tenant, text: &str, file: &Path) -> Result<(), Failure> {
    let pack: Pack = serde_json::from_str(text).map_err(|error| {
        Failure::because("pack", &format!("`{}` is no action pack", file.display()), &error)
    })?;
    let digest = sha256(text.as_bytes());
    output::say(format!("pack {}:{} {digest}: {}", pack.name, pack.version, pack.summary));
    for (name, action) in &pack.actions {
        output::say(format!("  {name} ({:?}): {}", action.effect, action.summary));
    }
    let content = Content { kind: ContentKind::Pack, text: text.to_owned() };
    tenant.server.put(&tenant.path(&format!("/content/{digest}")), &content).await?;
    let change = PackAcknowledgement { name: pack.name, version: pack.version, digest };
    sign::change(tenant, Change::PackAcknowledge(change)).await.map(drop)
}
