//! `writ suspend` and `writ restore`: the kill switch.

use writ_evidence::charter::{Change, Subject};
use writ_model::Principal;

use super::Context;
use crate::{
    args::{RootSigning, SuspendArgs},
    failure::Failure,
    proposal, sign,
    tenant::Tenant,
};

pub(super) async fn suspend(context: &Context, args: SuspendArgs) -> Result<(), Failure> {
    change(context, args, Change::SubjectSuspend).await
}

pub(super) async fn restore(context: &Context, args: SuspendArgs) -> Result<(), Failure> {
    change(context, args, Change::SubjectRestore).await
}

async fn change(
    context: &Context,
    args: SuspendArgs,
    made: impl FnOnce(Subject) -> Change,
) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let signing = RootSigning { root_keys: args.root_keys.clone(), propose: None };
    let change = made(subject(&tenant, args)?);
    if change.is_root_class() {
        if signing.root_keys.is_empty() {
            return Err(Failure::new("root", "root keys sign what a runner's suspension is")
                .with_remedy("name as many as the threshold with --root-key"));
        }
        return proposal::root_change(&tenant, change, &signing).await;
    }
    sign::change(&tenant, change).await.map(drop)
}

fn subject(tenant: &Tenant, args: SuspendArgs) -> Result<Subject, Failure> {
    let issuer = args.issuer;
    let args = args.subject;
    let user = args.user.map(|sub| {
        let iss = tenant.issuer(issuer)?;
        Ok::<_, Failure>(Subject::User(Principal { iss, sub }))
    });
    let named = user
        .transpose()?
        .or_else(|| args.key.map(Subject::Key))
        .or_else(|| args.connection.map(Subject::Connection))
        .or_else(|| args.automation.map(Subject::Automation))
        .or_else(|| args.workspace.map(Subject::Workspace))
        .or_else(|| args.runner.map(Subject::Runner))
        .or_else(|| args.tenant.then_some(Subject::Tenant));
    named.ok_or_else(|| Failure::new("suspend", "nobody and nothing is named"))
}
