//! A second model of the charter: lists and loops, written from DESIGN §3.2, §3.3 and §9, `docs/authority.md`
//! and `docs/roles.md`. It shares the nouns with the real one, and no rule.
//!
//! In: steps, each what somebody wants the charter to say and who signed it, told as facts (no bytes, no
//! signatures, no policy language). Out: every reason against a step, or none; and whether somebody may.
//!
//! Invariants:
//! * a step is taken if there is no reason against it, and then only;
//! * nothing is looked up in an index and nothing is remembered but what the entries say.
//!
//! Every `match` over changes, rights and subjects names each of them, so that a new one stops this from
//! compiling: it needs a rule in [`Model::is_possible`], [`Model::is_for_roots`], [`Model::take`] and
//! `against_making`; for a right, in `roles_that_hold` and `stopped_with` (`rights`). A new kind of change is
//! also thrown by `tests/histories/changes.rs`, and a new right asked about in `things.rs` there.
//!
//! Read: here what is asked of a step and what it changes; `signing` (whose signatures count), `possible`
//! (does it make sense), `rights` (who may do what), `bounds` (roles of the charter's own, guardrails,
//! elevations, entitlements, service accounts), `guardrails` (what those in histories say). Not here: entries as they travel, and making histories
//! (`tests/histories`).

mod bounds;
pub mod guardrails;
mod possible;
mod rights;
mod signing;

use std::collections::BTreeSet;

use writ_evidence::{
    charter::{
        Automation, Binding, Change, CustomRole, Elevation, Entitlements, Genesis, Group,
        PackAcknowledgement, Policy, RootKeys, RunnerEnrollment, Scope, ServiceAccount, Subject,
        WitnessQuorum, Workspace,
    },
    issuer::Issuer,
    key::PublicKey,
    standing::StandingWrit,
};
use writ_model::{Connection, Grantee, Principal, Role, UnixTime};

pub use self::rights::{Asker, SignedIn, Under};

/// Why a step is not taken, as coarse as an operator's first question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It does not follow the entry before.
    Chain,
    /// Signatures or cosignatures are missing or do not count.
    Signature,
    /// It refers to what is not there, leaves a state that can't go on, or others sign this kind.
    NotPossible,
    /// A signer lacks the right.
    NotPermitted,
    /// It takes two people.
    SecondSigner,
    /// A signer, or what it is about, is suspended.
    Suspended,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Chain,
        Self::Signature,
        Self::NotPossible,
        Self::NotPermitted,
        Self::SecondSigner,
        Self::Suspended,
    ];
}

/// What somebody wants the next entry to be.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it says that it stands.
    pub place: Place,
    /// What it changes.
    pub change: Change,
    /// Who signed it.
    pub by: By,
}

/// Where a step says that it stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After the head, with the next number.
    Next,
    /// After the head, with another number.
    OtherNumber,
    /// With the next number, after another entry.
    OtherBefore,
}

/// Who signed a step.
#[derive(Debug, Clone)]
pub enum By {
    /// Root keys.
    Roots(Vec<RootSignature>),
    /// People, the first of them its author, and witnesses who cosigned.
    People {
        /// The people.
        signers: Vec<Signature>,
        /// The cosignatures.
        cosigned: Vec<Cosigned>,
    },
}

/// What a root key signed.
#[derive(Debug, Clone)]
pub struct RootSignature {
    /// The key.
    pub by: PublicKey,
    /// Whether it is over this step, and not over another.
    pub over_this: bool,
}

/// What a person signed.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The login.
    pub login: Login,
    /// When the writ was signed.
    pub signed_at: UnixTime,
    /// Seconds until it expires.
    pub lives_s: u64,
    /// Whether the writ is over this step, by the key of the login.
    pub over: Over,
}

/// What a writ is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// This step, in this tenant, at this head, by the login's key and in its name.
    This,
    /// Another step.
    OtherBody,
    /// This step, in another tenant.
    OtherTenant,
    /// This step, at another head.
    OtherHead,
    /// This step, by a key that the login does not vouch for.
    OtherKey,
    /// This step, in the name of somebody else.
    OtherName,
}

/// What an identity provider says of a person, and of which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The issuer and the subject.
    pub person: Principal,
    /// The client id that they logged in through; of a service account, its name.
    pub client: String,
    /// The groups that the token lists.
    pub groups: BTreeSet<String>,
    /// The authentication methods that the token shows.
    pub amr: BTreeSet<String>,
    /// The key that the token is signed with; `None`: no token stands behind it, but a service account.
    pub issuer_key: Option<PublicKey>,
    /// The key that the token or the service account vouches for.
    pub key: PublicKey,
    /// When it was issued.
    pub iat: UnixTime,
    /// When it ends.
    pub exp: UnixTime,
}

/// What a jail cosigned.
#[derive(Debug, Clone)]
pub struct Cosigned {
    /// The jail's key.
    pub by: PublicKey,
    /// When it says that it verified.
    pub at: UnixTime,
    /// Whether it is over this step, at this place.
    pub over_this: bool,
}

/// What the entries so far say.
#[derive(Debug, Clone)]
pub struct Model {
    roots: RootKeys,
    witnesses: WitnessQuorum,
    issuers: Vec<Issuer>,
    runners: Vec<RunnerEnrollment>,
    retired: Vec<RunnerEnrollment>,
    workspaces: Vec<Workspace>,
    groups: Vec<Group>,
    roles: Vec<CustomRole>,
    policies: Vec<Policy>,
    accounts: Vec<ServiceAccount>,
    elevations: Vec<Elevation>,
    entitlements: Vec<Entitlements>,
    bindings: Vec<Binding>,
    connections: Vec<Connection>,
    packs: Vec<PackAcknowledgement>,
    automations: Vec<(Automation, Principal)>,
    standing: Vec<StandingWrit>,
    suspended: Vec<Subject>,
}

impl Model {
    /// What entry 0 says.
    #[must_use]
    pub fn found(genesis: &Genesis) -> Self {
        let owner = |person: &Principal| Binding {
            principal: Grantee::Principal(person.clone()),
            role: Role::Owner,
            scope: Scope::Tenant,
        };
        Self {
            roots: RootKeys { keys: genesis.roots.clone(), threshold: genesis.threshold },
            witnesses: WitnessQuorum {
                witnesses: [genesis.runner.id].into(),
                threshold: 1,
                max_staleness_s: None,
            },
            issuers: genesis.issuers.clone(),
            runners: vec![genesis.runner.clone()],
            retired: Vec::new(),
            workspaces: Vec::new(),
            groups: Vec::new(),
            roles: Vec::new(),
            policies: Vec::new(),
            accounts: Vec::new(),
            elevations: Vec::new(),
            entitlements: Vec::new(),
            bindings: genesis.owners.iter().map(owner).collect(),
            connections: Vec::new(),
            packs: Vec::new(),
            automations: Vec::new(),
            standing: Vec::new(),
            suspended: Vec::new(),
        }
    }

    /// Every reason against a step.
    #[must_use]
    pub fn against(&self, step: &Step) -> BTreeSet<Reason> {
        let By::Roots(signatures) = &step.by else { return self.against_witnessed(step) };
        // Root keys sign at no time, and nothing that they sign says until when.
        let mut against = self.against_at(step, UnixTime(0));
        if !self.enough_roots(signatures) {
            against.insert(Reason::Signature);
        }
        against
    }

    /// Every reason for which a witness that has fetched these keys of issuers does not cosign a step that
    /// people signed; without keys, for which whoever comes later does not believe that witness.
    #[must_use]
    pub fn against_candidate(
        &self,
        step: &Step,
        at: UnixTime,
        fetched: Option<&[PublicKey]>,
    ) -> BTreeSet<Reason> {
        let mut against = self.against_at(step, at);
        let By::People { signers, .. } = &step.by else { return against };
        if !signers.iter().all(|signer| self.counts(signer, at, fetched)) {
            against.insert(Reason::Signature);
        }
        against
    }

    /// Every reason but missing signatures against a step that is witnessed at a time.
    fn against_at(&self, step: &Step, at: UnixTime) -> BTreeSet<Reason> {
        let mut against = BTreeSet::new();
        if step.place != Place::Next {
            against.insert(Reason::Chain);
        }
        let roots_sign = matches!(step.by, By::Roots(_));
        // Root keys may bring in a runner, too: where the witness is lost nobody else could.
        let may_sign = if roots_sign {
            self.is_for_roots(&step.change) || matches!(step.change, Change::RunnerEnroll(_))
        } else {
            !self.is_for_roots(&step.change)
        };
        if !may_sign || !self.is_possible(&step.change, at) {
            against.insert(Reason::NotPossible);
        }
        if let By::People { signers, .. } = &step.by {
            against.extend(self.against_signers(signers, &step.change, at));
        }
        against
    }

    /// Takes a step that nothing stands against.
    pub fn take(&mut self, step: &Step) {
        if matches!(step.by, By::People { .. }) {
            let at = self.witnessed_at(step);
            self.elevations.retain(|elevation| at.0 < elevation.until.0 + 3600);
        }
        match step.change.clone() {
            Change::Genesis(_) => {}
            Change::RootRotate(roots) => self.roots = roots,
            Change::IssuerSet(issuer) => {
                self.issuers.retain(|known| known.iss != issuer.iss);
                self.issuers.push(*issuer);
            }
            Change::WitnessSet(quorum) => self.witnesses = quorum,
            Change::RunnerEnroll(runner) => self.runners.push(*runner),
            Change::RunnerRetire(id) => {
                self.retired.extend(self.runners.iter().filter(|known| known.id == id).cloned());
                self.runners.retain(|known| known.id != id);
            }
            Change::WorkspaceSet(workspace) => {
                self.workspaces.retain(|known| known.name != workspace.name);
                self.workspaces.push(workspace);
            }
            Change::GroupSet(group) => {
                self.groups.retain(|known| known.name != group.name);
                if !group.members.is_empty() {
                    self.groups.push(group);
                }
            }
            Change::BindingAdd(binding) => {
                self.bindings.retain(|known| *known != binding);
                self.bindings.push(binding);
            }
            Change::BindingRemove(binding) => {
                self.bindings.retain(|known| *known != binding);
                self.elevations.retain(|known| known.binding() != binding);
            }
            Change::RoleSet(role) => self.take_role(role),
            Change::PolicySet(policy) => self.take_policy(policy),
            Change::ServiceAccountSet(account) => self.take_account(account),
            Change::ElevationGrant(elevation) => self.take_elevation(elevation),
            Change::EntitlementsSet(entitlements) => self.take_entitlements(entitlements),
            Change::ConnectionSet(connection) => {
                self.connections.retain(|known| known.name != connection.name);
                self.connections.push(connection);
            }
            Change::PackAcknowledge(pack) => {
                self.forget_pack(pack.name.as_str(), &pack.version);
                self.packs.push(pack);
            }
            Change::PackWithdraw(pack) => self.forget_pack(pack.name.as_str(), &pack.version),
            Change::AutomationPublish(automation) => self.publish(automation, &step.by),
            Change::StandingSet(standing) => {
                self.standing.retain(|known| known.name != standing.name);
                self.standing.push(*standing);
            }
            Change::StandingRevoke(name) => self.standing.retain(|known| known.name != name),
            Change::SubjectSuspend(subject) => self.suspended.push(subject),
            Change::SubjectRestore(subject) => self.suspended.retain(|known| *known != subject),
        }
    }

    fn take_elevation(&mut self, elevation: Elevation) {
        self.elevations.retain(|known| known.binding() != elevation.binding());
        self.elevations.push(elevation);
    }

    fn forget_pack(&mut self, name: &str, version: &str) {
        self.packs.retain(|known| known.name.as_str() != name || known.version != version);
    }

    /// The publisher is the author: the first who signed.
    fn publish(&mut self, automation: Automation, by: &By) {
        let By::People { signers, .. } = by else { return };
        let Some(author) = signers.first() else { return };
        self.automations.retain(|(known, _)| known.name != automation.name);
        self.automations.push((automation, author.login.person.clone()));
    }

    /// Whether something is suspended.
    #[must_use]
    pub fn is_suspended(&self, subject: &Subject) -> bool {
        self.suspended.contains(subject)
    }

    /// Every connection, as defined.
    #[must_use]
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// Every acknowledged pack.
    #[must_use]
    pub fn packs(&self) -> &[PackAcknowledgement] {
        &self.packs
    }

    /// Every published automation, with its publisher.
    #[must_use]
    pub fn automations(&self) -> &[(Automation, Principal)] {
        &self.automations
    }

    /// Every standing writ.
    #[must_use]
    pub fn standing(&self) -> &[StandingWrit] {
        &self.standing
    }

    /// Every enrolled runner.
    #[must_use]
    pub fn runners(&self) -> &[RunnerEnrollment] {
        &self.runners
    }

    /// Every binding.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Everything that is suspended.
    #[must_use]
    pub fn suspended(&self) -> &[Subject] {
        &self.suspended
    }

    /// The root keys, and how many of them sign.
    #[must_use]
    pub const fn roots(&self) -> &RootKeys {
        &self.roots
    }

    /// The changes that root keys sign, and nobody else: roots, issuers, witnesses, thresholds, a runner's
    /// suspension (DESIGN §3.3).
    #[must_use]
    pub const fn is_for_roots(&self, change: &Change) -> bool {
        match change {
            Change::Genesis(_)
            | Change::RootRotate(_)
            | Change::IssuerSet(_)
            | Change::WitnessSet(_)
            | Change::SubjectSuspend(Subject::Runner(_))
            | Change::SubjectRestore(Subject::Runner(_)) => true,
            Change::RunnerEnroll(_)
            | Change::RunnerRetire(_)
            | Change::WorkspaceSet(_)
            | Change::GroupSet(_)
            | Change::RoleSet(_)
            | Change::PolicySet(_)
            | Change::ServiceAccountSet(_)
            | Change::ElevationGrant(_)
            | Change::EntitlementsSet(_)
            | Change::BindingAdd(_)
            | Change::BindingRemove(_)
            | Change::ConnectionSet(_)
            | Change::PackAcknowledge(_)
            | Change::PackWithdraw(_)
            | Change::AutomationPublish(_)
            | Change::StandingSet(_)
            | Change::StandingRevoke(_)
            | Change::SubjectSuspend(
                Subject::User(_)
                | Subject::Key(_)
                | Subject::Connection(_)
                | Subject::Automation(_)
                | Subject::Workspace(_)
                | Subject::Tenant,
            )
            | Change::SubjectRestore(
                Subject::User(_)
                | Subject::Key(_)
                | Subject::Connection(_)
                | Subject::Automation(_)
                | Subject::Workspace(_)
                | Subject::Tenant,
            ) => false,
        }
    }
}
