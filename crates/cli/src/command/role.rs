//! `writ role`: roles of the tenant's own.

use std::collections::BTreeSet;

use writ_evidence::charter::{Change, CustomRole};

use super::Context;
use crate::{args::RoleCommand, failure::Failure, output, sign};

pub(super) async fn run(context: &Context, command: RoleCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        RoleCommand::Set { name, rights } => {
            let role = CustomRole { name, rights: rights.into_iter().collect() };
            sign::change(&tenant, Change::RoleSet(role)).await.map(drop)
        }
        RoleCommand::Remove { name } => {
            let role = CustomRole { name, rights: BTreeSet::new() };
            sign::change(&tenant, Change::RoleSet(role)).await.map(drop)
        }
        RoleCommand::List => {
            let roles = tenant.charter.roles();
            let mut roles = roles
                .map(|(name, rights)| CustomRole { name: name.clone(), rights: rights.clone() });
            if context.json {
                return output::json(&roles.collect::<Vec<_>>());
            }
            roles.try_for_each(|role| {
                let rights: Vec<&str> = role.rights.iter().map(String::as_str).collect();
                output::line(format!("custom/{}\t{}", role.name, rights.join(" ")))
            })
        }
    }
}
