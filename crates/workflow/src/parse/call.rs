//! Tasks that reach outside: `call` of a system action, `run: script`. They make the footprint.

use writ_evidence::digest::sha256;
use writ_model::{ActionName, ConnectionName};

use super::{is_version, members::Members, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{ActionUse, CodeUse, Kind},
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

    pub(super) fn script(&mut self, node: &Node) -> Result<Kind, Diagnostic> {
        let mut members = Members::of(node, "`run`")?;
        let script = members.optional("script");
        members.finish("script")?;
        let script =
            script.ok_or_else(|| node.finding("missing", "`run` is empty", "supported: script"))?;
        let mut members = Members::of(script, "`script`")?;
        let language = members.required("language")?;
        let known = text(language)?.parse().map_err(|_| {
            language.finding("language", "not a language that is supported", "supported: python")
        })?;
        let code = members.required("code")?;
        let arguments = members.optional("arguments");
        members.finish("language, code, arguments")?;
        let source = text(code)?.to_owned();
        if source.trim_start().starts_with("${") {
            let cause = "code is built by an expression";
            return Err(code.finding("code", cause, "write it literally, and pass `arguments`"));
        }
        let arguments = match arguments {
            Some(node) => self.arguments(node)?,
            None => Template::Object(Vec::new()),
        };
        let digest = sha256(source.as_bytes());
        self.footprint.code.insert(CodeUse { language: known, digest });
        Ok(Kind::Run { language: known, code: source, digest, arguments })
    }

    fn arguments(&self, node: &Node) -> Result<Template, Diagnostic> {
        match Template::read(node, &self.scope())? {
            template @ (Template::Object(_) | Template::Expression(_)) => Ok(template),
            Template::Literal(_) | Template::List(_) => {
                let cause = "`arguments` is neither a mapping nor an expression";
                Err(node.finding("arguments", cause, "write `arguments: {name: value}`"))
            }
        }
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
