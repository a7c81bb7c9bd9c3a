//! `writ group`.

use std::collections::BTreeSet;

use writ_evidence::charter::{Change, Group};
use writ_model::Principal;

use super::Context;
use crate::{args::GroupCommand, failure::Failure, output, sign};

pub(super) async fn run(context: &Context, command: GroupCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        GroupCommand::Set { name, subjects, issuer } => {
            let mut members = BTreeSet::new();
            if !subjects.is_empty() {
                let iss = tenant.issuer(issuer)?;
                members.extend(subjects.into_iter().map(|sub| Principal { iss: iss.clone(), sub }));
            }
            sign::change(&tenant, Change::GroupSet(Group { name, members })).await.map(drop)
        }
        GroupCommand::List => {
            if context.json {
                let groups: Vec<_> = tenant
                    .charter
                    .groups()
                    .map(|(name, members)| Group { name: name.clone(), members: members.clone() })
                    .collect();
                return output::json(&groups);
            }
            tenant.charter.groups().try_for_each(|(name, members)| {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                output::line(format!("{name}\t{}", members.join(" ")))
            })
        }
    }
}
