//! `writ policy`: guardrails.

use std::fs;

use writ_evidence::charter::{Change, Policy};
use writ_policy::Policies;

use super::Context;
use crate::{args::PolicyCommand, failure::Failure, output, sign};

pub(super) async fn run(context: &Context, command: PolicyCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        PolicyCommand::Set { name, file } => {
            let cedar = fs::read_to_string(&file).map_err(|error| {
                Failure::because("file", &format!("cannot read `{}`", file.display()), &error)
            })?;
            let built_in = Policies::built_in()
                .map_err(|error| Failure::because("policy-error", "the policies", &error))?;
            built_in
                .check_guardrail(&name, &cedar)
                .map_err(|denied| Failure::new(denied.code, denied.reason))?;
            sign::change(&tenant, Change::PolicySet(Policy { name, cedar })).await.map(drop)
        }
        PolicyCommand::Remove { name } => {
            let gone = Policy { name, cedar: String::new() };
            sign::change(&tenant, Change::PolicySet(gone)).await.map(drop)
        }
        PolicyCommand::List => {
            let policies = tenant.charter.policies();
            let mut policies = policies
                .map(|(name, cedar)| Policy { name: name.clone(), cedar: cedar.to_owned() });
            if context.json {
                return output::json(&policies.collect::<Vec<_>>());
            }
            policies.try_for_each(|Policy { name, cedar }| {
                output::line(format!("// policy {name}"))?;
                cedar.trim_end().lines().try_for_each(|line| output::line(output::plain_line(line)))
            })
        }
    }
}
