//! What each of the seven roles may do, and which rights a role of the charter's own may hold: every right
//! decided for every role, in the tenant and in a workspace, written down as `docs/roles.md`.
//!
//! In: the built-in policies. Out: a table; the test fails when the committed one says something else, so
//! that a change of who may do what is a change to review. `WRIT_BLESS=1` rewrites it.
//!
//! Invariants: each cell is a decision about a real binding in a real charter, never read off the schema;
//! every action of the schema has a row; a role in another workspace, or none, gives no right.

#![cfg(test)]

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::PathBuf};

use writ_evidence::charter::{
    Binding, Change, CharterState, CustomRole, Scope, Subject, Workspace,
};
use writ_model::{
    AutomationName, ConnectionName, Grantee, GroupName, PackName, PolicyName, Principal, Role,
    RoleName, ServiceAccountName, StandingName, WorkspaceName,
};
use writ_policy::{Policies, Right};
use writ_testkit::{
    tenant::{Anybody, ISSUER, Tenant},
    world::sources,
};

const HEAD: &str = "\
# What each role may do

Written by `WRIT_BLESS=1 cargo test -p writ-testkit --test roles` from the policies' own decisions.

A role is held in the whole tenant or in one workspace. **yes**: either way, in that workspace.
**tenant**: only if it is held in the whole tenant. `custom/…`: the same for a role of the charter's own that
holds the right; **never**: none can. Starting a run takes `connection.use` of whoever
published the automation and of whoever starts it, for every connection.

";

/// What a right is asked about.
struct Things {
    workspace: WorkspaceName,
    connection: ConnectionName,
    automation: AutomationName,
    standing: StandingName,
    pack: PackName,
    group: GroupName,
    role: RoleName,
    policy: PolicyName,
    account: ServiceAccountName,
    inside: Subject,
    person: Subject,
    bindings: [(&'static str, Binding); 4],
}

impl Things {
    fn new() -> Self {
        let workspace: WorkspaceName = "secops".parse().unwrap();
        let of = |scope: &Scope, role| Binding {
            principal: Grantee::Principal(person("somebody")),
            role,
            scope: scope.clone(),
        };
        let inside = Scope::Workspace(workspace.clone());
        Self {
            connection: "secops/github".parse().unwrap(),
            automation: "secops/triage".parse().unwrap(),
            standing: "secops/nightly".parse().unwrap(),
            pack: "github".parse().unwrap(),
            group: "on-call".parse().unwrap(),
            role: "responder".parse().unwrap(),
            policy: "two-people".parse().unwrap(),
            account: "importer".parse().unwrap(),
            inside: Subject::Workspace(workspace.clone()),
            person: Subject::User(person("somebody")),
            bindings: [
                ("owners of the tenant", of(&Scope::Tenant, Role::Owner)),
                ("other roles in the tenant", of(&Scope::Tenant, Role::Viewer)),
                ("owners of a workspace", of(&inside, Role::Owner)),
                ("other roles in a workspace", of(&inside, Role::Viewer)),
            ],
            workspace,
        }
    }

    /// Every right with what it is about. `named` fails to compile where one is forgotten.
    fn rights(&self) -> Vec<(&'static str, Right<'_>)> {
        let mut rights = vec![
            ("workspaces", Right::WorkspaceManage(&self.workspace)),
            ("connections", Right::ConnectionManage(&self.connection)),
            ("connections", Right::ConnectionView(&self.connection)),
            ("connections", Right::ConnectionUse(&self.connection)),
            ("connections", Right::ConnectionEntitle(&self.connection)),
            ("packs", Right::PackAcknowledge(&self.pack)),
            ("automations", Right::AutomationEdit(&self.automation)),
            ("automations", Right::AutomationPublish(&self.automation)),
            ("automations", Right::AutomationView(&self.automation)),
            ("runs", Right::RunStart(&self.automation)),
            ("runs", Right::RunResume(&self.automation)),
            ("runs", Right::RunApprove(&self.automation)),
            ("runs", Right::RunView(&self.automation)),
            ("runs", Right::RunReadOutput(&self.automation)),
            ("standing writs", Right::StandingSet(&self.standing)),
            ("standing writs", Right::StandingRevoke(&self.standing)),
            ("runners", Right::RunnerManage),
            ("groups", Right::GroupManage(&self.group)),
            ("roles of the charter's own", Right::RoleManage(&self.role)),
            ("guardrails", Right::PolicyManage(&self.policy)),
            ("service accounts", Right::ServiceAccountManage(&self.account)),
            ("people, keys", Right::SubjectSuspend(&self.person)),
            ("what is in a workspace", Right::SubjectSuspend(&self.inside)),
            ("owners, the tenant", Right::SubjectSuspendOwner(&Subject::Tenant)),
            ("other people's sessions", Right::SessionRevoke),
            ("the charter", Right::CharterView),
            ("the audit log", Right::AuditRead),
        ];
        let bindings = self.bindings.iter();
        rights.extend(bindings.map(|(what, binding)| (*what, Right::BindingManage(binding))));
        rights
    }
}

/// A new right stops this from compiling: give it a row in `rights`, and a name here.
fn named(right: &Right<'_>) -> &'static str {
    match right {
        Right::WorkspaceManage(_)
        | Right::BindingManage(_)
        | Right::ConnectionManage(_)
        | Right::ConnectionView(_)
        | Right::ConnectionUse(_)
        | Right::PackAcknowledge(_)
        | Right::AutomationEdit(_)
        | Right::AutomationPublish(_)
        | Right::AutomationView(_)
        | Right::RunStart(_)
        | Right::RunResume(_)
        | Right::RunApprove(_)
        | Right::RunView(_)
        | Right::RunReadOutput(_)
        | Right::StandingSet(_)
        | Right::StandingRevoke(_)
        | Right::RunnerManage
        | Right::GroupManage(_)
        | Right::RoleManage(_)
        | Right::PolicyManage(_)
        | Right::ServiceAccountManage(_)
        | Right::ConnectionEntitle(_)
        | Right::SubjectSuspend(_)
        | Right::SubjectSuspendOwner(_)
        | Right::SessionRevoke
        | Right::CharterView
        | Right::AuditRead => right.action(),
    }
}

fn person(sub: &str) -> Principal {
    Principal { iss: ISSUER.to_owned(), sub: sub.to_owned() }
}

/// A role of the charter's own with one right.
fn made_with(right: &str) -> CustomRole {
    CustomRole { name: Things::new().role, rights: [right.to_owned()].into() }
}

/// A tenant in which `<role>-tenant`, `<role>-secops` and `<role>-other` hold one role each; `custom-…` one of the
/// charter's own.
fn tenant() -> Tenant {
    let mut tenant = Tenant::found().unwrap();
    let names = ["secops", "other"].map(|name| -> WorkspaceName { name.parse().unwrap() });
    for name in &names {
        let workspace = Workspace { name: name.clone(), secret_paths: Vec::new() };
        tenant.change("owner", Change::WorkspaceSet(workspace), &Anybody).unwrap();
    }
    let [secops, other] = names.map(Scope::Workspace);
    let made = made_with("charter.view");
    let role = Role::Custom(made.name.clone());
    tenant.change("owner", Change::RoleSet(made), &Anybody).unwrap();
    for role in Role::BUILT_IN.into_iter().chain([role]) {
        for (place, scope) in [("tenant", &Scope::Tenant), ("secops", &secops), ("other", &other)] {
            let principal = Grantee::Principal(person(&format!("{}-{place}", role.class())));
            let binding = Binding { principal, role: role.clone(), scope: scope.clone() };
            tenant.change("owner", Change::BindingAdd(binding), &Anybody).unwrap();
        }
    }
    tenant
}

fn may(charter: &CharterState, who: &str, right: Right<'_>) -> bool {
    Policies::built_in().unwrap().decide(charter, &person(who), right).is_ok()
}

fn cell(charter: &CharterState, role: &Role, right: Right<'_>) -> &'static str {
    let role = role.class();
    let in_tenant = may(charter, &format!("{role}-tenant"), right);
    let in_workspace = may(charter, &format!("{role}-secops"), right);
    match (in_tenant, in_workspace) {
        (true, true) => "yes",
        (true, false) => "tenant",
        (false, false) => "",
        (false, true) => panic!("{role} of a workspace may {right}, and of the tenant may not"),
    }
}

/// The same of a role of the charter's own that holds this right, where one can.
fn custom_cell(tenant: &mut Tenant, right: Right<'_>) -> &'static str {
    let made = made_with(named(&right));
    let role = Role::Custom(made.name.clone());
    let policies = Policies::built_in().unwrap();
    match tenant.change("owner", Change::RoleSet(made), &policies) {
        Ok(()) => cell(&tenant.state, &role, right),
        Err(_) => "never",
    }
}

fn table(tenant: &mut Tenant) -> String {
    let things = Things::new();
    let roles: Vec<String> = Role::BUILT_IN.iter().map(ToString::to_string).collect();
    let mut text = format!("{HEAD}| right | on | {} | custom/… |\n", roles.join(" | "));
    writeln!(text, "| --- | --- |{}", " --- |".repeat(roles.len() + 1)).unwrap();
    let mut rights = things.rights();
    rights.sort_by_key(|(_, right)| named(right));
    for (what, right) in rights {
        let cells = Role::BUILT_IN.map(|role| cell(&tenant.state, &role, right)).join(" | ");
        let custom = custom_cell(tenant, right);
        writeln!(text, "| `{}` | {what} | {cells} | {custom} |", named(&right)).unwrap();
    }
    text
}

fn page() -> PathBuf {
    sources().join("docs/roles.md")
}

#[test]
fn the_committed_table_of_roles_is_what_the_policies_decide() {
    let decided = table(&mut tenant());

    if env::var_os("WRIT_BLESS").is_some() {
        fs::write(page(), &decided).unwrap();
    }
    let committed = fs::read_to_string(page()).unwrap();
    for (number, (committed, decided)) in (1..).zip(committed.lines().zip(decided.lines())) {
        assert_eq!(committed, decided, "docs/roles.md:{number}; WRIT_BLESS=1 rewrites it");
    }
    assert_eq!(committed.lines().count(), decided.lines().count());
}

#[test]
fn every_action_of_the_schema_has_a_row() {
    let schema = sources().join("crates/policy/src/schema.cedarschema");
    let schema = fs::read_to_string(schema).unwrap();
    let declared: BTreeSet<&str> = schema
        .split("\naction \"")
        .skip(1)
        .filter_map(|declaration| declaration.split('"').next())
        .filter(|action| !action.starts_with("role:"))
        .collect();

    let things = Things::new();
    let asked: BTreeSet<&str> = things.rights().iter().map(|(_, right)| named(right)).collect();

    assert_eq!(declared, asked);
}

#[test]
fn a_role_elsewhere_or_none_gives_no_right_in_a_workspace() {
    let charter = tenant().state;
    let things = Things::new();
    for (what, right) in things.rights() {
        assert!(!may(&charter, "nobody", right), "nobody may {right} ({what})");
        for role in Role::BUILT_IN {
            let who = format!("{role}-other");
            assert!(!may(&charter, &who, right), "{who} may {right} ({what})");
        }
    }
}
