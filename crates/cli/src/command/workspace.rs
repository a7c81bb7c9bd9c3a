//! `writ workspace`.

use writ_evidence::charter::{Change, Workspace};

use super::Context;
use crate::{args::WorkspaceCommand, failure::Failure, output, sign};

pub(super) async fn run(context: &Context, command: WorkspaceCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        WorkspaceCommand::Set { name, secret_paths } => {
            let change = Change::WorkspaceSet(Workspace { name, secret_paths });
            sign::change(&tenant, change).await.map(drop)
        }
        WorkspaceCommand::List => {
            let workspaces: Vec<_> = tenant.charter.workspaces().collect();
            if context.json {
                return output::json(&workspaces);
            }
            workspaces.iter().try_for_each(|workspace| {
                output::line(format!("{}\t{}", workspace.name, workspace.secret_paths.join(" ")))
            })
        }
    }
}
