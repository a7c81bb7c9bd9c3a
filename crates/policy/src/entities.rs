//! The slice of a charter that one question needs, as Cedar entities.
//!
//! The principal with the bindings it holds, and the resource with the bindings that count for it:
//! a decision's cost does not grow with the tenant.

use std::collections::BTreeSet;

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use writ_evidence::charter::{CharterState, Scope};
use writ_model::{Actor, Role};

use crate::Right;

/// A question in Cedar's terms.
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

/// Builds the question; `None` if Cedar does not take it, which is a denial.
pub(crate) fn question(
    charter: &CharterState,
    actor: Actor<'_>,
    right: &Right<'_>,
    schema: &Schema,
) -> Option<Question> {
    let held: BTreeSet<String> = charter
        .bindings_of(actor)
        .map(|binding| binding_id(&binding.scope, binding.role))
        .collect();
    let parents: BTreeSet<EntityUid> =
        held.iter().map(|id| uid("Binding", id)).collect::<Option<_>>()?;
    let user = uid("User", &actor.principal.to_string())?;
    let resource = uid(right.resource_type(), &right.resource())?;
    let roles = [("roles".to_owned(), roles(right)?)];
    let mut entities = vec![
        Entity::new_no_attrs(user.clone(), parents.iter().cloned().collect()),
        Entity::new(resource.clone(), roles.into(), [].into()).ok()?,
    ];
    entities.extend(parents.into_iter().map(|id| Entity::new_no_attrs(id, [].into())));
    let action = uid("Action", right.action())?;
    let request =
        Request::new(user, action, resource, cedar_policy::Context::empty(), Some(schema));
    Some(Question {
        request: request.ok()?,
        entities: Entities::from_entities(entities, Some(schema)).ok()?,
    })
}

/// For each role, the bindings that count for the resource.
fn roles(right: &Right<'_>) -> Option<RestrictedExpression> {
    let mut scopes = vec![Scope::Tenant];
    scopes.extend(right.workspace().cloned().map(Scope::Workspace));
    let fields = Role::ALL
        .into_iter()
        .map(|role| {
            let bindings = scopes
                .iter()
                .map(|scope| {
                    uid("Binding", &binding_id(scope, role))
                        .map(RestrictedExpression::new_entity_uid)
                })
                .collect::<Option<Vec<_>>>()?;
            Some((role.as_str().to_owned(), RestrictedExpression::new_set(bindings)))
        })
        .collect::<Option<Vec<_>>>()?;
    RestrictedExpression::new_record(fields).ok()
}

fn binding_id(scope: &Scope, role: Role) -> String {
    match scope {
        Scope::Tenant => format!("*/{role}"),
        Scope::Workspace(name) => format!("{name}/{role}"),
    }
}

fn uid(entity_type: &str, id: &str) -> Option<EntityUid> {
    let name: EntityTypeName = entity_type.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}
