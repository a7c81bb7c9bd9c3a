//! `call` of a system action: it reaches outside, so it makes a part of the footprint.

use writ_model::{ActionName, ConnectionName};

use super::{is_version, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{ActionUse, Kind},
    expression::Template,
    node::{Node, NodeValue},
};

const HELP: &str = "supported: a system action, such as `call: github.issues.create:1.0.0@default` \
                    `with: {connection: github}`";

impl Tasks<'_> {
    pub(super) fn call(
        &mut self,
        called: &Node,
        with: Option<&Node>,
        task: &Node,
    ) -> Result<Kind, Diagnostic> {
        let (action, version) = reference(called)?;
        let with = with.ok_or_else(|| task.finding("missing", "the call has no `with`", HELP))?;
        let NodeValue::Map(members) = &with.value else {
            return Err(with.finding("mapping", "`with` is not a mapping", HELP));
        };
        let mut parameters = Vec::new();
        let mut connection = None;
        for (name, value) in members {
            if name.as_str() == Some("connection") {
                connection = Some(value);
            } else {
                let name = name.as_str().unwrap_or_default().to_owned();
                parameters.push((name, Template::read(value, &self.scope())?));
            }
        }
        let connection = connection
            .ok_or_else(|| with.finding("missing", "the call names no connection", HELP))?;
        let connection = connection
            .as_str()
            .and_then(|name| ConnectionName::new(self.workspace.clone(), name).ok())
            .ok_or_else(|| {
                let cause = "a connection is named literally, by a name of this workspace";
                connection.finding("connection", cause, "write `connection: github`")
            })?;
        self.footprint.actions.insert(ActionUse {
            action: action.clone(),
            version: version.clone(),
            connection: connection.clone(),
        });
        Ok(Kind::Call { action, version, connection, parameters: Template::Object(parameters) })
    }
}

/// `pack.noun.verb:version@default`.
fn reference(called: &Node) -> Result<(ActionName, String), Diagnostic> {
    let refused = || {
        let what = called.as_str().unwrap_or_default();
        called.finding("unsupported-call", format!("`call: {what}` is not supported"), HELP)
    };
    let reference = text(called)?.strip_suffix("@default").ok_or_else(refused)?;
    let (action, version) = reference.split_once(':').ok_or_else(refused)?;
    if !is_version(version) {
        return Err(refused());
    }
    Ok((action.parse().map_err(|_| refused())?, version.to_owned()))
}
