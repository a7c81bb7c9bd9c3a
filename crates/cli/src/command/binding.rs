//! `writ binding`.

use writ_evidence::charter::{Binding, Change, Scope};
use writ_model::{CharterGroup, Grantee, Principal, TokenGroup};

use super::Context;
use crate::{
    args::{BindingArgs, BindingCommand},
    failure::Failure,
    output, sign,
    tenant::Tenant,
};

pub(super) async fn run(context: &Context, command: BindingCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        BindingCommand::Add(args) => {
            let change = Change::BindingAdd(binding(&tenant, args)?);
            sign::change(&tenant, change).await.map(drop)
        }
        BindingCommand::Remove(args) => {
            let change = Change::BindingRemove(binding(&tenant, args)?);
            sign::change(&tenant, change).await.map(drop)
        }
        BindingCommand::List => {
            let bindings: Vec<_> = tenant.charter.bindings().collect();
            if context.json {
                return output::json(&bindings);
            }
            bindings.iter().try_for_each(|binding| {
                output::line(format!("{}\t{}", binding.principal, describe(binding)))
            })
        }
    }
}

/// A role and where it holds.
pub(super) fn describe(binding: &Binding) -> String {
    match &binding.scope {
        Scope::Tenant => format!("{} of the tenant", binding.role),
        Scope::Workspace(name) => format!("{} of workspace {name}", binding.role),
    }
}

fn binding(tenant: &Tenant, args: BindingArgs) -> Result<Binding, Failure> {
    let scope = args.workspace.map_or(Scope::Tenant, Scope::Workspace);
    let principal = match (args.subject, args.group, args.charter_group) {
        (_, _, Some(charter_group)) => Grantee::CharterGroup(CharterGroup { charter_group }),
        (Some(sub), _, _) => {
            Grantee::Principal(Principal { iss: tenant.issuer(args.issuer)?, sub })
        }
        (None, Some(group), _) => {
            Grantee::Group(TokenGroup { iss: tenant.issuer(args.issuer)?, group })
        }
        (None, None, None) => return Err(Failure::new("binding", "nobody is named")),
    };
    Ok(Binding { principal, role: args.role, scope })
}
