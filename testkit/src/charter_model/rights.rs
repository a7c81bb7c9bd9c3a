//! Who may do what: the table of `docs/roles.md`, copied by hand, and the kill switch of `docs/authority.md`.

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{Automation, Binding, Change, Elevation, Group, Scope, Subject},
    standing::StandingWrit,
    writ::ConnectionGrant,
};
use writ_model::{
    ActionName, CharterGroup, ConnectionName, Grantee, PinnedAction, PinnedConnection, Principal,
    Role, TokenGroup, UnixTime, WorkspaceName, pack::Effect,
};
use writ_policy::Right;

use super::{Model, Reason};
use Role::{Administrator, Approver, Auditor, Builder, Operator, Owner, Viewer};

/// Somebody who asks, with the groups that their token lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// The person.
    pub person: Principal,
    /// The groups of the token that count.
    pub groups: BTreeSet<String>,
    /// When they ask, if what holds for a while counts for them.
    pub at: Option<UnixTime>,
    /// How they have signed in, if they sign now.
    pub signed_in: Option<SignedIn>,
}

/// How somebody has signed in who signs now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedIn {
    /// When their signature is verified.
    pub at: UnixTime,
    /// The client id, or the name of a service account.
    pub through: String,
    /// Whether nobody sits there.
    pub is_workload: bool,
    /// The authentication methods that the token shows.
    pub amr: BTreeSet<String>,
}

/// What is called, if something is, and how many people have approved that.
#[derive(Debug, Clone, Default)]
pub struct Under {
    /// The action.
    pub action: Option<ActionName>,
    /// What it does, once it is called.
    pub effect: Option<Effect>,
    /// How many people have approved this very call.
    pub approvals: usize,
}

impl Under {
    /// Before a call all approvals of it count as given.
    fn before(action: Option<&ActionName>) -> Self {
        Self { action: action.cloned(), effect: None, approvals: usize::MAX }
    }
}

impl Asker {
    /// Somebody who is not there: no token, no group of one, nothing that holds for a while.
    #[must_use]
    pub const fn absent(person: Principal) -> Self {
        Self { person, groups: BTreeSet::new(), at: None, signed_in: None }
    }
}

const EVERYBODY: [Role; 7] = Role::BUILT_IN;

/// The roles that hold a right, and the workspace in which a binding gives it too. `None`: only the tenant's.
fn roles_that_hold<'a>(right: &Right<'a>) -> (&'static [Role], Option<&'a WorkspaceName>) {
    match *right {
        Right::AuditRead => (&[Owner, Auditor], None),
        Right::AutomationEdit(name) | Right::AutomationPublish(name) => {
            (&[Owner, Builder], Some(name.workspace()))
        }
        Right::AutomationView(name) | Right::RunView(name) => (&EVERYBODY, Some(name.workspace())),
        Right::BindingManage(binding) => {
            let roles: &[Role] = match binding.role {
                Owner => &[Owner],
                Administrator
                | Builder
                | Operator
                | Approver
                | Viewer
                | Auditor
                | Role::Custom(_) => &[Owner, Administrator],
            };
            match &binding.scope {
                Scope::Tenant => (roles, None),
                Scope::Workspace(name) => (roles, Some(name)),
            }
        }
        Right::CharterView => (&[Owner, Administrator, Auditor], None),
        Right::ConnectionEntitle(name) | Right::ConnectionManage(name) => {
            (&[Owner, Administrator], Some(name.workspace()))
        }
        Right::ConnectionUse(name) => {
            (&[Owner, Administrator, Builder, Operator], Some(name.workspace()))
        }
        Right::ConnectionView(name) => {
            (&[Owner, Administrator, Builder, Viewer, Auditor], Some(name.workspace()))
        }
        Right::GroupManage(_)
        | Right::PackAcknowledge(_)
        | Right::SessionRevoke
        | Right::RoleManage(_)
        | Right::ServiceAccountManage(_)
        | Right::WorkspaceManage(_) => (&[Owner, Administrator], None),
        Right::RunApprove(name) => (&[Owner, Approver], Some(name.workspace())),
        Right::RunReadOutput(name) | Right::RunResume(name) | Right::RunStart(name) => {
            (&[Owner, Builder, Operator], Some(name.workspace()))
        }
        Right::StandingSet(name) => (&[Owner, Builder], Some(name.workspace())),
        Right::StandingRevoke(name) => (&[Owner, Administrator, Builder], Some(name.workspace())),
        Right::PolicyManage(_) | Right::RunnerManage | Right::SubjectSuspendOwner(_) => {
            (&[Owner], None)
        }
        Right::SubjectSuspend(subject) => (&[Owner, Administrator], place_of(subject)),
    }
}

/// Where a subject stands.
const fn place_of(subject: &Subject) -> Option<&WorkspaceName> {
    match subject {
        Subject::Connection(name) => Some(name.workspace()),
        Subject::Automation(name) => Some(name.workspace()),
        Subject::Workspace(name) => Some(name),
        Subject::User(_) | Subject::Key(_) | Subject::Runner(_) | Subject::Tenant => None,
    }
}

/// What a suspension takes a right away with, beside its asker's own. Looking, stopping and restoring go on.
fn stopped_with(right: &Right<'_>) -> Vec<Subject> {
    let workspace = |name: &WorkspaceName| Subject::Workspace(name.clone());
    let mut subjects = match *right {
        Right::AuditRead
        | Right::AutomationView(_)
        | Right::CharterView
        | Right::ConnectionView(_)
        | Right::RunReadOutput(_)
        | Right::RunView(_)
        | Right::SessionRevoke
        | Right::StandingRevoke(_)
        | Right::SubjectSuspend(_)
        | Right::SubjectSuspendOwner(_) => return Vec::new(),
        Right::GroupManage(_)
        | Right::PackAcknowledge(_)
        | Right::PolicyManage(_)
        | Right::RoleManage(_)
        | Right::RunnerManage
        | Right::ServiceAccountManage(_) => Vec::new(),
        Right::WorkspaceManage(name) => vec![workspace(name)],
        Right::BindingManage(Binding { scope, .. }) => match scope {
            Scope::Tenant => Vec::new(),
            Scope::Workspace(name) => vec![workspace(name)],
        },
        Right::AutomationEdit(name) | Right::AutomationPublish(name) => {
            vec![workspace(name.workspace())]
        }
        Right::ConnectionEntitle(name) | Right::ConnectionManage(name) => {
            vec![workspace(name.workspace())]
        }
        Right::StandingSet(name) => vec![workspace(name.workspace())],
        Right::ConnectionUse(name) => {
            vec![workspace(name.workspace()), Subject::Connection(name.clone())]
        }
        Right::RunApprove(name) | Right::RunResume(name) | Right::RunStart(name) => {
            vec![workspace(name.workspace()), Subject::Automation(name.clone())]
        }
    };
    subjects.push(Subject::Tenant);
    subjects
}

/// What nobody has by an elevation: it would outlast it.
const fn gives_what_lasts(right: &Right<'_>) -> bool {
    matches!(
        right,
        Right::BindingManage(_)
            | Right::GroupManage(_)
            | Right::RoleManage(_)
            | Right::PolicyManage(_)
            | Right::ServiceAccountManage(_)
            | Right::RunnerManage
    )
}

impl Model {
    /// Everything that stands against somebody's having a right; nothing, if they have it.
    #[must_use]
    pub fn against_right(&self, asker: &Asker, right: &Right<'_>) -> BTreeSet<Reason> {
        self.against_right_under(asker, right, &Under::default())
    }

    /// The same for a call, and for what has been approved.
    #[must_use]
    pub fn against_right_under(
        &self,
        asker: &Asker,
        right: &Right<'_>,
        under: &Under,
    ) -> BTreeSet<Reason> {
        let mut against = BTreeSet::new();
        let stopped = |subject: &Subject| self.is_suspended(subject);
        if stopped(&Subject::User(asker.person.clone())) || stopped_with(right).iter().any(stopped)
        {
            against.insert(Reason::Suspended);
        }
        let (roles, place) = roles_that_hold(right);
        let gives = |binding: &Binding| {
            let here = match &binding.scope {
                Scope::Tenant => true,
                Scope::Workspace(name) => place == Some(name),
            };
            let holds = roles.contains(&binding.role) || self.made_role_holds(&binding.role, right);
            here && holds && self.is_of(&binding.principal, asker)
        };
        let at = asker.at.filter(|_| !gives_what_lasts(right));
        let elevated: Vec<Binding> =
            at.iter().flat_map(|at| self.elevated(*at)).map(Elevation::binding).collect();
        if !self.bindings.iter().chain(&elevated).any(gives) || self.forbids(asker, right, under) {
            against.insert(Reason::NotPermitted);
        }
        against
    }

    /// Whether a binding to this grantee is one of the asker's.
    pub(super) fn is_of(&self, grantee: &Grantee, asker: &Asker) -> bool {
        match grantee {
            Grantee::Principal(person) => *person == asker.person,
            Grantee::Group(TokenGroup { iss, group }) => {
                *iss == asker.person.iss && asker.groups.contains(group)
            }
            Grantee::CharterGroup(CharterGroup { charter_group }) => self
                .groups
                .iter()
                .any(|group| group.name == *charter_group && group.members.contains(&asker.person)),
        }
    }

    /// Everything that stands against somebody's making a change, as far as rights go.
    pub(super) fn against_making(&self, asker: &Asker, change: &Change) -> BTreeSet<Reason> {
        let one = |right: Right<'_>| self.against_right(asker, &right);
        match change {
            Change::Genesis(_)
            | Change::RootRotate(_)
            | Change::IssuerSet(_)
            | Change::WitnessSet(_) => [Reason::NotPermitted].into(),
            Change::RunnerEnroll(_) | Change::RunnerRetire(_) => one(Right::RunnerManage),
            Change::WorkspaceSet(workspace) => one(Right::WorkspaceManage(&workspace.name)),
            Change::GroupSet(group) => self.against_setting(asker, group),
            Change::BindingAdd(binding) | Change::BindingRemove(binding) => {
                one(Right::BindingManage(binding))
            }
            Change::RoleSet(role) => self.against_role(asker, role),
            Change::PolicySet(policy) => self.against_policy(asker, policy),
            Change::ServiceAccountSet(account) => self.against_account(asker, account),
            Change::ElevationGrant(elevation) => one(Right::BindingManage(&elevation.binding())),
            Change::EntitlementsSet(set) => one(Right::ConnectionEntitle(&set.connection)),
            Change::ConnectionSet(connection) => one(Right::ConnectionManage(&connection.name)),
            Change::PackAcknowledge(pack) => one(Right::PackAcknowledge(&pack.name)),
            Change::PackWithdraw(pack) => one(Right::PackAcknowledge(&pack.name)),
            Change::AutomationPublish(automation) => self.against_publishing(asker, automation),
            Change::StandingSet(standing) => self.against_standing(&asker.person, standing),
            Change::StandingRevoke(name) => one(Right::StandingRevoke(name)),
            Change::SubjectSuspend(subject) | Change::SubjectRestore(subject) => {
                if self.takes_an_owner(subject) {
                    one(Right::SubjectSuspendOwner(subject))
                } else {
                    one(Right::SubjectSuspend(subject))
                }
            }
        }
    }

    /// Whoever changes a group must be allowed to give every role that it holds.
    fn against_setting(&self, asker: &Asker, group: &Group) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::GroupManage(&group.name));
        for binding in &self.bindings {
            if let Grantee::CharterGroup(named) = &binding.principal
                && named.charter_group == group.name
            {
                against.extend(self.against_right(asker, &Right::BindingManage(binding)));
            }
        }
        against
    }

    /// Whoever publishes must be allowed to use every connection that the automation may touch, for what it may
    /// do through it.
    fn against_publishing(&self, asker: &Asker, automation: &Automation) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::AutomationPublish(&automation.name));
        for grant in &automation.footprint.connections {
            against.extend(self.against_grant(asker, grant));
        }
        against
    }

    /// What stands against somebody's using a connection for each of some actions, before a call.
    fn against_grant(&self, asker: &Asker, grant: &ConnectionGrant) -> BTreeSet<Reason> {
        let using = Right::ConnectionUse(&grant.connection.name);
        let mut against = BTreeSet::new();
        if grant.actions.is_empty() {
            against.extend(self.against_right_under(asker, &using, &Under::before(None)));
        }
        for action in &grant.actions {
            let under = Under::before(Some(&action.name));
            against.extend(self.against_right_under(asker, &using, &under));
            if !self.is_entitled(&asker.person, &grant.connection.name, &action.name) {
                against.insert(Reason::NotPermitted);
            }
        }
        against
    }

    /// What stands against a run of an automation with all that its footprint holds: each use of a connection
    /// needs the right of both the publisher and the signer (DESIGN §3.2).
    fn against_starting(
        &self,
        asker: &Asker,
        (automation, publisher): (&Automation, &Principal),
    ) -> BTreeSet<Reason> {
        let mut against = self.against_right(asker, &Right::RunStart(&automation.name));
        if self.is_suspended(&Subject::User(publisher.clone())) {
            against.insert(Reason::Suspended);
        }
        let absent = Asker::absent(publisher.clone());
        for grant in &automation.footprint.connections {
            against.extend(self.against_grant(asker, grant));
            against.extend(self.against_grant(&absent, grant));
            let usable = self.as_defined(&grant.connection).is_some_and(|c| self.lists_secret(c))
                && grant.actions.iter().all(|action| self.acknowledges(action));
            if !usable {
                against.insert(Reason::NotPermitted);
            }
        }
        against
    }

    /// Whoever grants a standing writ must be allowed to, and to start what it runs with all that it uses; by
    /// what the charter says of them, whatever their token lists (DESIGN §3.4).
    fn against_standing(&self, person: &Principal, standing: &StandingWrit) -> BTreeSet<Reason> {
        let asker = Asker::absent(person.clone());
        let mut against = self.against_right(&asker, &Right::StandingSet(&standing.name));
        let known = |(known, _): &&(Automation, Principal)| known.name == standing.automation;
        match self.automations.iter().find(known) {
            Some((automation, publisher)) => {
                against.extend(self.against_starting(&asker, (automation, publisher)));
            }
            None => {
                against.extend(self.against_right(&asker, &Right::RunStart(&standing.automation)));
            }
        }
        against
    }

    /// Only an owner stops an owner or the tenant. Who owns by a group of tokens alone can't be known.
    fn takes_an_owner(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Tenant => true,
            Subject::User(user) => {
                let user = Asker::absent(user.clone());
                self.bindings
                    .iter()
                    .any(|binding| binding.role == Owner && self.is_of(&binding.principal, &user))
            }
            Subject::Key(_)
            | Subject::Connection(_)
            | Subject::Automation(_)
            | Subject::Workspace(_)
            | Subject::Runner(_) => false,
        }
    }

    /// What stands against a call of an action through a connection, in a run that somebody started of what
    /// somebody published.
    #[must_use]
    pub fn against_call(
        &self,
        (asker, publisher): (&Asker, &Principal),
        (connection, action): (&PinnedConnection, &PinnedAction),
        under: &Under,
    ) -> BTreeSet<Reason> {
        let using = Right::ConnectionUse(&connection.name);
        let absent = Asker::absent(publisher.clone());
        let mut against = self.against_right_under(asker, &using, under);
        against.extend(self.against_right_under(&absent, &using, under));
        let entitled = [&asker.person, publisher]
            .iter()
            .all(|person| self.is_entitled(person, &connection.name, &action.name));
        let usable = self.as_defined(connection).is_some_and(|c| self.lists_secret(c));
        if !entitled || !usable || !self.acknowledges(action) {
            against.insert(Reason::NotPermitted);
        }
        against
    }

    /// How many people would have to approve a call, if that is all that stands against it.
    #[must_use]
    pub fn demanded(
        &self,
        parties: (&Asker, &Principal),
        call: (&PinnedConnection, &PinnedAction),
        under: &Under,
    ) -> Option<usize> {
        let approved =
            |approvals| self.against_call(parties, call, &Under { approvals, ..under.clone() });
        if approved(under.approvals).is_empty() {
            return None;
        }
        (under.approvals..=16).find(|approvals| approved(*approvals).is_empty())
    }

    /// Whether somebody may start a run of an automation with all that its footprint holds.
    #[must_use]
    pub fn may_start(&self, asker: &Asker, automation: &Automation, publisher: &Principal) -> bool {
        self.against_starting(asker, (automation, publisher)).is_empty()
    }

    /// Whether somebody may have a connection tested.
    #[must_use]
    pub fn may_test(&self, asker: &Asker, name: &ConnectionName) -> bool {
        let known = self.connections.iter().find(|known| known.name == *name);
        known.is_some_and(|known| self.lists_secret(known))
            && self.against_right(asker, &Right::ConnectionUse(name)).is_empty()
    }
}
