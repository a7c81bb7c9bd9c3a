//! `call` of a system action: it reaches outside, so it makes a part of the footprint.

use writ_model::{ActionName, ConnectionName};

use super::{http::HELP as HTTP, is_version, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{ActionUse, Kind, PackRef},
    expression::Template,
    node::{Node, NodeValue},
};

const HELP: &str = "supported: `http`, or a system action, such as \
                    `call: github.issues.create:1.0.0@default` `with: {connection: github}`";

impl Tasks<'_> {
    pub(super) fn call(
        &mut self,
        called: &Node,
        with: Option<&Node>,
        task: &Node,
    ) -> Result<Kind, Diagnostic> {
        if called.as_str() == Some("http") {
            return self.http(with.ok_or_else(|| task.finding("missing", "no `with`", HTTP))?);
        }
        let (action, version) = reference(called)?;
        let pack = PackRef::Version(version);
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
        let connection = self.connection(connection)?;
        Ok(self.reach(action, pack, connection, parameters))
    }

    /// A connection of this workspace, by its literal name.
    pub(super) fn connection(&self, node: &Node) -> Result<ConnectionName, Diagnostic> {
        let name = node.as_str();
        name.and_then(|name| ConnectionName::new(self.workspace.clone(), name).ok()).ok_or_else(
            || {
                let cause = "a connection is named literally, by a name of this workspace";
                node.finding("connection", cause, "write its name, such as `github`")
            },
        )
    }

    /// Notes in the footprint what a task calls.
    pub(super) fn reach(
        &mut self,
        action: ActionName,
        pack: PackRef,
        connection: ConnectionName,
        parameters: Vec<(String, Template)>,
    ) -> Kind {
        self.footprint.actions.insert(ActionUse {
            action: action.clone(),
            pack: pack.clone(),
            connection: connection.clone(),
        });
        Kind::Call { action, pack, connection, parameters: Template::Object(parameters) }
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
