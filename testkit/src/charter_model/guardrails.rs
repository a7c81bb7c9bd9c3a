//! The guardrails that histories know, each as Cedar and as what it forbids in Rust; and texts that are none.
//!
//! In: a text and a question. Out: whether it forbids that. What is not in these lists is no guardrail.

use std::collections::BTreeSet;

use writ_model::pack::Effect;
use writ_policy::Right;

use super::{Asker, SignedIn, Under};

/// What is asked, as a guardrail sees it.
#[derive(Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub asker: &'a Asker,
    /// The groups of the charter's own that list them.
    pub charter_groups: BTreeSet<String>,
    /// What they ask for.
    pub right: &'a Right<'a>,
    /// What is called, and how often approved.
    pub under: &'a Under,
}

impl Question<'_> {
    fn signed_in(&self, whether: impl Fn(&SignedIn) -> bool) -> bool {
        self.asker.signed_in.as_ref().is_some_and(whether)
    }

    fn is(&self, actions: &[&str]) -> bool {
        actions.contains(&self.right.action())
    }

    /// The workspace and name of the connection or automation that it is about.
    fn named(&self) -> Option<(&str, &str)> {
        match self.right {
            Right::ConnectionManage(name)
            | Right::ConnectionView(name)
            | Right::ConnectionUse(name)
            | Right::ConnectionEntitle(name) => Some((name.workspace().as_str(), name.name())),
            Right::AutomationEdit(name)
            | Right::AutomationPublish(name)
            | Right::AutomationView(name)
            | Right::RunStart(name)
            | Right::RunResume(name)
            | Right::RunApprove(name)
            | Right::RunView(name)
            | Right::RunReadOutput(name) => Some((name.workspace().as_str(), name.name())),
            Right::WorkspaceManage(_)
            | Right::BindingManage(_)
            | Right::PackAcknowledge(_)
            | Right::StandingSet(_)
            | Right::StandingRevoke(_)
            | Right::RunnerManage
            | Right::GroupManage(_)
            | Right::RoleManage(_)
            | Right::PolicyManage(_)
            | Right::ServiceAccountManage(_)
            | Right::SubjectSuspend(_)
            | Right::SubjectSuspendOwner(_)
            | Right::SessionRevoke
            | Right::CharterView
            | Right::AuditRead => None,
        }
    }
}

/// Whether it forbids what is asked.
type Forbids = fn(&Question<'_>) -> bool;

/// Guardrails, and what they forbid.
pub const ALL: [(&str, Forbids); 17] = [
    ("forbid (principal, action, resource);", |_| true),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           unless { context.approvals >= 1 };"#,
        |asked| asked.is(&["connection.use"]) && asked.under.approvals < 1,
    ),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           when { resource.workspace == "alpha" } unless { context.approvals >= 2 };"#,
        |asked| {
            asked.is(&["connection.use"])
                && asked.named().is_some_and(|(workspace, _)| workspace == "alpha")
                && asked.under.approvals < 2
        },
    ),
    (
        r#"forbid (principal, action == Action::"automation.publish", resource)
           unless { context has login && context.login.amr.contains("mfa") };"#,
        |asked| {
            asked.is(&["automation.publish"]) && !asked.signed_in(|login| login.amr.contains("mfa"))
        },
    ),
    (
        r#"forbid (principal, action in [Action::"run.start", Action::"automation.edit"], resource)
           when { principal.groups.contains("leads") };"#,
        |asked| asked.is(&["run.start", "automation.edit"]) && asked.asker.groups.contains("leads"),
    ),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           when { principal.charter_groups.contains("on-call") };"#,
        |asked| asked.is(&["connection.use"]) && asked.charter_groups.contains("on-call"),
    ),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           unless { context has login };"#,
        |asked| asked.is(&["connection.use"]) && asked.asker.signed_in.is_none(),
    ),
    (
        r#"forbid (principal, action, resource) when { principal.issuer == "https://other-idp.example" };"#,
        |asked| asked.asker.person.iss == "https://other-idp.example",
    ),
    (r#"forbid (principal, action, resource) when { principal.subject == "bob" };"#, |asked| {
        asked.asker.person.sub == "bob"
    }),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           when { context has call && context.call has effect && context.call.effect == "write" }
           unless { context.approvals >= 2 };"#,
        |asked| {
            asked.is(&["connection.use"])
                && asked.under.action.is_some()
                && asked.under.effect == Some(Effect::Write)
                && asked.under.approvals < 2
        },
    ),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           when { context has call && context.call.pack == "chat" };
           forbid (principal, action == Action::"connection.view", resource)
           when { resource.name == "git" };"#,
        |asked| {
            let pack = asked.under.action.as_ref().map(writ_model::ActionName::pack);
            (asked.is(&["connection.use"]) && pack.is_some_and(|pack| pack.as_str() == "chat"))
                || (asked.is(&["connection.view"])
                    && asked.named().is_some_and(|(_, name)| name == "git"))
        },
    ),
    (
        r#"forbid (principal, action, resource is Automation) when { resource.name == "triage" };"#,
        |asked| {
            let automation = ["automation.", "run."];
            automation.iter().any(|of| asked.right.action().starts_with(of))
                && asked.named().is_some_and(|(_, name)| name == "triage")
        },
    ),
    (
        "forbid (principal, action, resource) when { context has login && context.login.workload };",
        |asked| asked.signed_in(|login| login.is_workload),
    ),
    (
        r#"forbid (principal, action, resource)
           when { context has login && context.login.through == "writ-limited" };"#,
        |asked| asked.signed_in(|login| login.through == "writ-limited"),
    ),
    (
        r#"forbid (principal, action in [Action::"policy.manage", Action::"subject.suspend",
           Action::"subject.suspend-owner", Action::"standing.revoke", Action::"binding.manage"], resource);"#,
        |asked| asked.is(&["binding.manage"]),
    ),
    (
        r#"forbid (principal, action == Action::"connection.use", resource)
           unless { context has call && context.call.pack == "git" };"#,
        |asked| {
            let pack = asked.under.action.as_ref().map(writ_model::ActionName::pack);
            asked.is(&["connection.use"]) && pack.is_none_or(|pack| pack.as_str() != "git")
        },
    ),
    (
        r#"forbid (principal, action == Action::"run.start", resource)
           unless { context.approvals >= 1 };"#,
        |asked| asked.is(&["run.start"]) && asked.under.approvals < 1,
    ),
];

/// Texts that are no guardrail: a permit, alone and beside what forbids; a template; bad syntax; what does not
/// validate.
pub const NONE: [&str; 9] = [
    "// Nothing is said here.",
    "permit (principal, action, resource);",
    "forbid (principal, action, resource); permit (principal, action, resource);",
    "forbid (principal == ?principal, action, resource);",
    "forbid (principal, action, resource",
    r#"forbid (principal, action == Action::"no.such", resource);"#,
    "forbid (principal, action, resource) when { principal.email == \"ann\" };",
    "forbid (principal, action, resource) when { context.login.workload };",
    r#"forbid (principal, action, resource) when { resource.workspace == "alpha" };"#,
];

/// Whether a text is a guardrail.
#[must_use]
pub fn is_one(cedar: &str) -> bool {
    ALL.iter().any(|(text, _)| *text == cedar)
}

/// Whether a guardrail forbids what is asked.
#[must_use]
pub fn forbids(cedar: &str, asked: &Question<'_>) -> bool {
    ALL.iter().any(|(text, forbids)| *text == cedar && forbids(asked))
}
