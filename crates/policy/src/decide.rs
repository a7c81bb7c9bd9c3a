//! One question, one decision, with why.

use std::collections::BTreeMap;

use cedar_policy::{Authorizer, Decision, PolicySet, Schema, ValidationMode, Validator};
use writ_evidence::{
    charter::{CharterState, Scope},
    statement::DecisionRecord,
};
use writ_model::{Actor, Grantee, Principal, Role};

use crate::{Right, entities::question, suspended::check_running};

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
}

impl Denied {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
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
        Self { schema, set: policies, holders: holders() }
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
    /// that would do; `policy-error` is an evaluation error, which denies whatever else permits.
    pub fn decide<'a>(
        &self,
        charter: &CharterState,
        actor: impl Into<Actor<'a>>,
        right: Right<'_>,
    ) -> Result<Permit, Denied> {
        let actor = actor.into();
        check_running(charter, actor, &right)?;
        let error = || {
            Denied::new("policy-error", format!("{right} could not be evaluated, so it is denied"))
        };
        let question = question(charter, actor, &right, &self.schema).ok_or_else(error)?;
        let response =
            Authorizer::new().is_authorized(&question.request, &self.set, &question.entities);
        if response.diagnostics().errors().next().is_some() {
            return Err(error());
        }
        match response.decision() {
            Decision::Deny => Err(self.denied(actor.principal, &right)),
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

    fn denied(&self, principal: &Principal, right: &Right<'_>) -> Denied {
        let roles: Vec<&str> = self
            .holders
            .get(right.action())
            .into_iter()
            .flatten()
            .map(|role| role.as_str())
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

/// Every path that a deciding policy went: user → group → binding → workspace → resource.
fn paths(
    charter: &CharterState,
    actor: Actor<'_>,
    right: &Right<'_>,
    policies: &[String],
) -> Vec<String> {
    charter
        .bindings_of(actor)
        .filter(|binding| policies.contains(&format!("role-{}", binding.role)))
        .filter_map(|binding| {
            let place = match &binding.scope {
                Scope::Tenant => "tenant".to_owned(),
                Scope::Workspace(name) if right.workspace() == Some(name) => {
                    format!("workspace {name}")
                }
                Scope::Workspace(_) => return None,
            };
            let role = binding.role;
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
        let roles: Vec<Role> = Role::ALL
            .into_iter()
            .filter(|role| groups.contains(&format!("\"role:{role}\"")))
            .collect();
        holders.insert(action, roles);
    }
    holders
}
