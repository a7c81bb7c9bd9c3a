//! One question, one decision, with why.

use std::collections::BTreeMap;

use cedar_policy::{Authorizer, Decision, EntityUid, PolicySet, Schema, ValidationMode, Validator};
use writ_evidence::{
    charter::{CharterState, Scope},
    statement::DecisionRecord,
};
use writ_model::{Actor, Grantee, PolicyName, Principal, Role};

use crate::{
    Circumstances, Right, entities::question, guardrail, guardrail::Newest,
    suspended::check_running,
};

const SCHEMA: &str = include_str!("schema.cedarschema");
const BUILT_IN: &str = include_str!("built_in.cedar");

/// The policies do not parse or do not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policies are not valid: {reason}")]
pub struct PolicyError {
    /// What Cedar says.
    pub reason: String,
}

/// Parsed and validated policies.
pub struct Policies {
    schema: Schema,
    set: PolicySet,
    guarded: Newest,
    /// For each action, the roles that hold it.
    holders: BTreeMap<&'static str, Vec<Role>>,
}

/// A right was found to hold. Only a decision makes one.
///
/// ```compile_fail,E0451
/// let forged = writ_policy::Permit { policies: vec![], because: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    policies: Vec<String>,
    because: Vec<String>,
}

impl Permit {
    /// Ids of the deciding policies.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The paths from the user to the resource.
    #[must_use]
    pub fn because(&self) -> &[String] {
        &self.because
    }

    /// This permit and another that was needed as well.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for policy in other.policies {
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
            }
        }
        for path in other.because {
            if !self.because.contains(&path) {
                self.because.push(path);
            }
        }
        self
    }
}

impl From<&Permit> for DecisionRecord {
    fn from(permit: &Permit) -> Self {
        Self { policies: permit.policies.clone(), because: permit.because.clone() }
    }
}

/// A right was not found to hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// Stable code.
    pub code: &'static str,
    /// The rule, for people.
    pub reason: String,
    /// How many people would have to approve for it to be permitted, if that is all that is missing.
    pub approvals: Option<u8>,
}

impl Denied {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), approvals: None }
    }
}

impl Policies {
    /// The built-in roles.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]: this build of Writ is broken.
    pub fn built_in() -> Result<Self, PolicyError> {
        Self::parse(BUILT_IN)
    }

    /// Parses policies and validates them strictly against the schema.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| PolicyError { reason: error.to_string() })?;
        let policies: PolicySet =
            text.parse().map_err(|error| PolicyError { reason: format!("{error}") })?;
        let validated = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !validated.validation_passed() {
            return Err(PolicyError { reason: validated.to_string() });
        }
        Ok(Self::from_parts(schema, policies))
    }

    fn from_parts(schema: Schema, policies: PolicySet) -> Self {
        Self { schema, set: policies, guarded: Newest::default(), holders: holders() }
    }

    /// Policies that were not validated, to show that an error at evaluation denies.
    #[cfg(test)]
    pub(crate) fn unvalidated(text: &str) -> Self {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        Self::from_parts(schema, text.parse().unwrap())
    }

    /// Decides one question.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `suspended` names what the kill switch has stopped; `policy-denied` names the roles
    /// that would do; `policy-forbidden` names the guardrails that forbid it; `policy-error` is an evaluation
    /// error, which denies whatever else permits.
    pub fn decide<'a>(
        &self,
        charter: &CharterState,
        actor: impl Into<Actor<'a>>,
        right: Right<'_>,
    ) -> Result<Permit, Denied> {
        self.decide_under(charter, actor.into(), right, &Circumstances::default())
    }

    /// Decides one question under these circumstances.
    ///
    /// # Errors
    ///
    /// As [`Policies::decide`].
    pub fn decide_under(
        &self,
        charter: &CharterState,
        actor: Actor<'_>,
        right: Right<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Permit, Denied> {
        check_running(charter, actor, &right)?;
        let at = actor.at.filter(|_| !right.gives_authority());
        let actor = Actor { at, ..actor };
        let error = || {
            Denied::new("policy-error", format!("{right} could not be evaluated, so it is denied"))
        };
        let question =
            question(charter, actor, &right, circumstances, &self.schema).ok_or_else(error)?;
        let guarded = if right.is_guarded() && charter.policies().next().is_some() {
            Some(self.guarded.of(charter, &self.set).map_err(|_| error())?)
        } else {
            None
        };
        let set = guarded.as_ref().map_or(&self.set, |guarded| &guarded.set);
        let response = Authorizer::new().is_authorized(&question.request, set, &question.entities);
        if response.diagnostics().errors().next().is_some() {
            return Err(error());
        }
        match response.decision() {
            Decision::Deny => {
                let forbidding: Vec<String> =
                    response.diagnostics().reason().map(ToString::to_string).collect();
                Err(self.denied(charter, actor.principal, &right, &forbidding))
            }
            Decision::Allow => {
                let policies: Vec<String> = response
                    .diagnostics()
                    .reason()
                    .filter_map(|id| self.set.annotation(id, "id"))
                    .map(str::to_owned)
                    .collect();
                let because = paths(charter, actor, &right, &policies);
                Ok(Permit { policies, because })
            }
        }
    }

    fn denied(
        &self,
        charter: &CharterState,
        principal: &Principal,
        right: &Right<'_>,
        forbidding: &[String],
    ) -> Denied {
        if !forbidding.is_empty() {
            let policies = forbidding.join(", ");
            let reason =
                format!("{principal} may not {right}: the guardrail {policies} forbids it");
            return Denied::new("policy-forbidden", reason);
        }
        let built_in = self.holders.get(right.action()).into_iter().flatten();
        let made = charter.roles().filter(|(_, rights)| rights.contains(right.action()));
        let roles: Vec<String> = built_in
            .map(ToString::to_string)
            .chain(made.map(|(name, _)| Role::Custom(name.clone()).to_string()))
            .collect();
        let place = right
            .workspace()
            .map_or_else(|| "the tenant".to_owned(), |name| format!("workspace {name}"));
        let reason = format!(
            "{principal} may not {right}: it takes one of the roles {} in {place}",
            roles.join(", ")
        );
        Denied::new("policy-denied", reason)
    }
}

impl Policies {
    /// Whether a role of the charter's own may hold a right of this name.
    #[must_use]
    pub(crate) fn is_assignable(&self, right: &str) -> bool {
        let Ok(action) = format!("Action::{right:?}").parse::<EntityUid>() else { return false };
        let Ok(custom) = "Action::\"role:custom\"".parse::<EntityUid>() else { return false };
        let Ok(actions) = self.schema.action_entities() else { return false };
        action != custom && actions.is_ancestor_of(&custom, &action)
    }

    /// Whether text may be a guardrail of this name.
    ///
    /// # Errors
    ///
    /// [`Denied`] with code `policy-invalid`, and what Cedar says about it.
    pub fn check_guardrail(&self, name: &PolicyName, cedar: &str) -> Result<(), Denied> {
        guardrail::check(name.as_str(), cedar, &self.schema)
            .map_err(|reason| Denied::new("policy-invalid", format!("policy {name}: {reason}")))
    }
}

/// Every path that a deciding policy went: user → group → binding → workspace → resource.
fn paths(
    charter: &CharterState,
    actor: Actor<'_>,
    right: &Right<'_>,
    policies: &[String],
) -> Vec<String> {
    charter
        .bindings_of(actor)
        .filter(|binding| policies.contains(&format!("role-{}", binding.role.class())))
        .filter(|binding| match &binding.role {
            made @ Role::Custom(_) => charter.custom_role_holds(made, right.action()),
            Role::Owner
            | Role::Administrator
            | Role::Builder
            | Role::Operator
            | Role::Approver
            | Role::Viewer
            | Role::Auditor => true,
        })
        .filter_map(|binding| {
            let place = match &binding.scope {
                Scope::Tenant => "tenant".to_owned(),
                Scope::Workspace(name) if right.workspace() == Some(name) => {
                    format!("workspace {name}")
                }
                Scope::Workspace(_) => return None,
            };
            let role = &binding.role;
            let user = actor.principal;
            let through = match &binding.principal {
                Grantee::Principal(_) => String::new(),
                group @ (Grantee::Group(_) | Grantee::CharterGroup(_)) => format!("{group} → "),
            };
            Some(format!("user {user} → {through}binding {role} → {place} → {right}"))
        })
        .collect()
}

/// Reads the role groups out of the schema's own text, so that there is one source.
fn holders() -> BTreeMap<&'static str, Vec<Role>> {
    let mut holders = BTreeMap::new();
    for declaration in SCHEMA.split("\naction \"").skip(1) {
        let Some((action, rest)) = declaration.split_once('"') else { continue };
        let groups = rest.split("appliesTo").next().unwrap_or_default();
        let roles: Vec<Role> = Role::BUILT_IN
            .into_iter()
            .filter(|role| groups.contains(&format!("\"role:{}\"", role.class())))
            .collect();
        holders.insert(action, roles);
    }
    holders
}
