//! `writ secret`: hands everything to `writ-jail`. This process never sees a value.

use std::{ffi::OsString, process::Stdio};

use tokio::process::Command;

use crate::{
    args::{SecretArgs, SecretCommand},
    failure::Failure,
    output,
    place::{Place, jail_executable},
};

pub(super) async fn run(args: SecretArgs) -> Result<(), Failure> {
    let SecretArgs { command, vault, vault_key } = args;
    let (vault, vault_key) = if let (Some(vault), Some(vault_key)) = (vault, vault_key) {
        (vault, vault_key)
    } else {
        let place = Place::find()?;
        (place.vault(), place.vault_key())
    };
    let (verb, reference) = match &command {
        SecretCommand::Put { reference } => ("secret-put", Some(reference)),
        SecretCommand::Remove { reference } => ("secret-remove", Some(reference)),
        SecretCommand::List => ("secret-list", None),
    };
    let mut arguments: Vec<OsString> =
        vec![verb.into(), "--vault".into(), vault.into(), "--vault-key".into(), vault_key.into()];
    arguments.extend(reference.map(|reference| reference.to_string().into()));
    let status = Command::new(jail_executable()?)
        .args(arguments)
        .stdin(Stdio::inherit())
        .status()
        .await
        .map_err(|error| Failure::because("jail", "cannot start `writ-jail`", &error))?;
    if !status.success() {
        return Err(Failure::new("secret", "the local vault was not changed; the cause is above"));
    }
    match command {
        SecretCommand::Put { reference } => output::say(format!("{reference} is kept")),
        SecretCommand::Remove { reference } => output::say(format!("{reference} is removed")),
        SecretCommand::List => {}
    }
    Ok(())
}
