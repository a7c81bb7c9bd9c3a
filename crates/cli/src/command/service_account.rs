//! `writ service-account`: principals of the charter's own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use writ_evidence::{
    charter::{Change, ServiceAccount},
    key::PublicKey,
};
use writ_model::UnixTime;

use super::Context;
use crate::{args::ServiceAccountCommand, failure::Failure, output, sign, tenant::now};

/// Seconds of a day.
const DAY_S: u64 = 24 * 3600;

pub(super) async fn run(context: &Context, command: ServiceAccountCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        ServiceAccountCommand::Set { name, keys, operations, days } => {
            let account = ServiceAccount {
                name,
                keys: read_keys(&keys)?,
                operations: operations.into_iter().collect(),
                until: now().plus(u64::from(days) * DAY_S),
            };
            sign::change(&tenant, Change::ServiceAccountSet(account)).await.map(drop)
        }
        ServiceAccountCommand::Remove { name } => {
            let (keys, operations) = (BTreeSet::new(), BTreeSet::new());
            let gone = ServiceAccount { name, keys, operations, until: UnixTime(0) };
            sign::change(&tenant, Change::ServiceAccountSet(gone)).await.map(drop)
        }
        ServiceAccountCommand::List => {
            let mut accounts = tenant.charter.service_accounts();
            if context.json {
                return output::json(&accounts.collect::<Vec<_>>());
            }
            let now = now();
            accounts.try_for_each(|account| {
                let keys: Vec<String> =
                    account.keys.iter().map(|key| key.thumbprint().to_string()).collect();
                let left = account.until.since(now) / DAY_S;
                output::line(format!("{}\t{}\t{left} days left", account.name, keys.join(" ")))
            })
        }
    }
}

fn read_keys(files: &[PathBuf]) -> Result<BTreeSet<PublicKey>, Failure> {
    files.iter().map(|file| read_key(file)).collect()
}

fn read_key(file: &Path) -> Result<PublicKey, Failure> {
    let about = format!("`{}` holds no public key", file.display());
    let text = fs::read(file).map_err(|error| Failure::because("key", &about, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::because("key", &about, &error)
            .with_remedy("`writ login --service-account` prints one: a JWK on one line")
    })
}
