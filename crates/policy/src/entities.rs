//! The slice of a charter that one question needs, as Cedar entities.
//!
//! The principal with the bindings it holds, and the resource with the bindings that count for it:
//! a decision's cost does not grow with the tenant.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use writ_evidence::charter::{CharterState, Scope};
use writ_model::{Actor, Role};

use crate::{Circumstances, Right};

type Attributes = BTreeMap<String, RestrictedExpression>;

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
    circumstances: &Circumstances<'_>,
    schema: &Schema,
) -> Option<Question> {
    let held: BTreeSet<String> = charter
        .bindings_of(actor)
        .map(|binding| binding_id(&binding.scope, &binding.role))
        .collect();
    let parents: BTreeSet<EntityUid> =
        held.iter().map(|id| uid("Binding", id)).collect::<Option<_>>()?;
    let user = uid("User", &actor.principal.to_string())?;
    let resource = uid(right.resource_type(), &right.resource())?;
    let about = user_attributes(charter, actor);
    let asked = resource_attributes(charter, right)?;
    let mut entities = vec![
        Entity::new(user.clone(), about.into_iter().collect(), parents.iter().cloned().collect())
            .ok()?,
        Entity::new(resource.clone(), asked.into_iter().collect(), [].into()).ok()?,
    ];
    entities.extend(parents.into_iter().map(|id| Entity::new_no_attrs(id, [].into())));
    let action = uid("Action", right.action())?;
    let context = circumstances.context(actor.login)?;
    let request = Request::new(user, action, resource, context, Some(schema));
    Some(Question {
        request: request.ok()?,
        entities: Entities::from_entities(entities, Some(schema)).ok()?,
    })
}

/// Who asks, as guardrails may ask for it.
fn user_attributes(charter: &CharterState, actor: Actor<'_>) -> Attributes {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let groups = actor.groups.into_iter().flatten().map(|group| text(group));
    let listed = charter.groups_of(actor.principal).map(|group| text(group.as_str()));
    BTreeMap::from([
        ("issuer".to_owned(), text(&actor.principal.iss)),
        ("subject".to_owned(), text(&actor.principal.sub)),
        ("groups".to_owned(), RestrictedExpression::new_set(groups)),
        ("charter_groups".to_owned(), RestrictedExpression::new_set(listed)),
    ])
}

/// What is asked for: its name, and for each role the bindings that count.
fn resource_attributes(charter: &CharterState, right: &Right<'_>) -> Option<Attributes> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut attributes = BTreeMap::from([("roles".to_owned(), roles(charter, right)?)]);
    if let Some(workspace) = right.workspace() {
        match right.name() {
            Some(name) => {
                attributes.insert("workspace".to_owned(), text(workspace.as_str()));
                attributes.insert("name".to_owned(), text(name));
            }
            None => {
                attributes.insert("name".to_owned(), text(workspace.as_str()));
            }
        }
    }
    Some(attributes)
}

/// For each role, the bindings that count for the resource.
fn roles(charter: &CharterState, right: &Right<'_>) -> Option<RestrictedExpression> {
    let mut scopes = vec![Scope::Tenant];
    scopes.extend(right.workspace().cloned().map(Scope::Workspace));
    let bindings_to = |roles: &[Role]| {
        let ids = scopes.iter().flat_map(|scope| roles.iter().map(|role| binding_id(scope, role)));
        let uids = ids.map(|id| uid("Binding", &id).map(RestrictedExpression::new_entity_uid));
        Some(RestrictedExpression::new_set(uids.collect::<Option<Vec<_>>>()?))
    };
    let made = charter.roles().map(|(name, _)| Role::Custom(name.clone()));
    let holding: Vec<Role> =
        made.filter(|role| charter.custom_role_holds(role, right.action())).collect();
    let mut fields = Role::BUILT_IN
        .into_iter()
        .map(|role| Some((role.class().to_owned(), bindings_to(&[role])?)))
        .collect::<Option<Vec<_>>>()?;
    fields.push(("custom".to_owned(), bindings_to(&holding)?));
    RestrictedExpression::new_record(fields).ok()
}

fn binding_id(scope: &Scope, role: &Role) -> String {
    match scope {
        Scope::Tenant => format!("*/{role}"),
        Scope::Workspace(name) => format!("{name}/{role}"),
    }
}

fn uid(entity_type: &str, id: &str) -> Option<EntityUid> {
    let name: EntityTypeName = entity_type.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}
