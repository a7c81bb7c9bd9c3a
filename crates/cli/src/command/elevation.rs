//! `writ elevation`: a role for a while.

use serde_json::json;
use writ_evidence::charter::{Change, Elevation, Scope};
use writ_model::Principal;

use super::{Context, binding::describe};
use crate::{
    args::{ElevationArgs, ElevationCommand},
    failure::Failure,
    output, sign,
    tenant::now,
};

pub(super) async fn run(context: &Context, command: ElevationCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        ElevationCommand::Grant(args) => {
            let ElevationArgs { subject: sub, issuer, role, workspace, minutes } = args;
            let elevation = Elevation {
                principal: Principal { iss: tenant.issuer(issuer)?, sub },
                role,
                scope: workspace.map_or(Scope::Tenant, Scope::Workspace),
                until: now().plus(u64::from(minutes) * 60),
            };
            sign::change(&tenant, Change::ElevationGrant(elevation)).await.map(drop)
        }
        ElevationCommand::List => {
            let now = now();
            let lasting = tenant.charter.elevations().filter(|(_, until)| *until > now);
            if context.json {
                let listed: Vec<_> = lasting
                    .map(|(binding, until)| json!({ "binding": binding, "until": until }))
                    .collect();
                return output::json(&listed);
            }
            lasting.into_iter().try_for_each(|(binding, until)| {
                let (who, what) = (&binding.principal, describe(binding));
                output::line(format!("{who}\t{what}\tfor {} more seconds", until.since(now)))
            })
        }
    }
}
