//! `writ root`, `writ witness`, `writ runners`: who may found and see fresh, and who runs.

use std::path::Path;

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use serde_json::json;
use writ_evidence::{
    charter::{Change, RootKeys, RunnerEnrollment, WitnessQuorum},
    key::{Algorithm, PublicKey, SigningKey},
};

use super::Context;
use crate::{
    args::{RootCommand, RootSigning, RunnersCommand, WitnessCommand},
    dev::write_secret,
    failure::Failure,
    join_file, output, proposal, sign,
};

pub(super) async fn root(context: &Context, command: RootCommand) -> Result<(), Failure> {
    match command {
        RootCommand::New { file } => new_key(&file),
        RootCommand::Rotate { keys, threshold, signing } => {
            let tenant = context.tenant().await?;
            let keys = keys
                .iter()
                .map(|file| join_file::read::<PublicKey>(file))
                .collect::<Result<_, _>>()?;
            let change = Change::RootRotate(RootKeys { keys, threshold });
            proposal::root_change(&tenant, change, &signing).await
        }
        RootCommand::List => {
            let tenant = context.tenant().await?;
            let roots = tenant.charter.roots();
            if context.json {
                return output::json(roots);
            }
            output::line(format!("{} of {} sign", roots.threshold, roots.keys.len()))?;
            roots.keys.iter().try_for_each(|key| output::line(key.thumbprint().to_string()))
        }
    }
}

/// A key that is nobody's yet: its holder sends the public half to whoever rotates.
fn new_key(file: &Path) -> Result<(), Failure> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Failure::new("random", "cannot make a root key"))?;
    write_secret(file, document.as_ref())?;
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref())
        .map_err(|error| Failure::because("root", "cannot use the root key", &error))?;
    output::json(&key.public().to_jwk())
}

pub(super) async fn witness(context: &Context, command: WitnessCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        WitnessCommand::Set { runners, threshold, max_staleness, signing } => {
            let quorum = WitnessQuorum {
                witnesses: runners.into_iter().collect(),
                threshold,
                max_staleness_s: max_staleness,
            };
            proposal::root_change(&tenant, Change::WitnessSet(quorum), &signing).await
        }
        WitnessCommand::List => {
            let quorum = tenant.charter.witnesses();
            if context.json {
                return output::json(quorum);
            }
            let (of, needed) = (quorum.witnesses.len(), quorum.threshold);
            output::line(format!("{needed} of {of} cosign"))?;
            let stale = quorum.max_staleness_s();
            output::line(format!("stale after {stale} s without a word that names the head"))?;
            quorum.witnesses.iter().try_for_each(|id| output::line(id.to_string()))
        }
    }
}

pub(super) async fn runners(context: &Context, command: RunnersCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        RunnersCommand::Enroll { file, root_keys, propose } => {
            let runner: RunnerEnrollment = join_file::read(&file)?;
            let change = Change::RunnerEnroll(Box::new(runner));
            if root_keys.is_empty() && propose.is_none() {
                return sign::change(&tenant, change).await.map(drop);
            }
            proposal::root_change(&tenant, change, &RootSigning { root_keys, propose }).await
        }
        RunnersCommand::Retire { runner } => {
            sign::change(&tenant, Change::RunnerRetire(runner)).await.map(drop)
        }
        RunnersCommand::List => {
            let row = |runner: &RunnerEnrollment| {
                let witness = tenant.charter.is_witness(runner.id);
                json!({ "id": runner.id, "group": runner.group, "witness": witness })
            };
            if context.json {
                return output::json(&tenant.charter.runners().map(row).collect::<Vec<_>>());
            }
            tenant.charter.runners().try_for_each(|runner| {
                let witness = if tenant.charter.is_witness(runner.id) { "witness" } else { "" };
                output::line(format!("{}\t{}\t{witness}", runner.id, runner.group))
            })
        }
    }
}
