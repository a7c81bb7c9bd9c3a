//! Tasks: what each kind takes. Lists are kept flat, by JSON Pointer.

use std::collections::BTreeMap;

use serde_json::Value;
use writ_evidence::digest::sha256;
use writ_model::{ActionName, ConnectionName, WorkspaceName};

use super::{members::Members, text, transform};
use crate::{
    Diagnostic,
    document::{ActionUse, Backoff, Case, CodeUse, Footprint, Kind, Raise, Retry, Task, Then, Try},
    duration,
    expression::{Expression, Template, condition},
    node::{Node, NodeValue},
};

const KINDS: &str = "do, set, switch, try, raise, wait, call (a system action), run (script)";

/// Collects lists and footprint while a document is read.
pub(super) struct Tasks {
    workspace: WorkspaceName,
    lists: BTreeMap<String, Vec<Task>>,
    footprint: Footprint,
}

impl Tasks {
    pub(super) fn new(workspace: WorkspaceName) -> Self {
        Self { workspace, lists: BTreeMap::new(), footprint: Footprint::default() }
    }

    pub(super) fn finish(self) -> (BTreeMap<String, Vec<Task>>, Footprint) {
        (self.lists, self.footprint)
    }

    /// Reads a task list: items of one name and one task each.
    pub(super) fn list(&mut self, pointer: String, node: &Node) -> Result<(), Diagnostic> {
        let NodeValue::List(items) = &node.value else {
            return Err(node.finding("tasks", "not a list of tasks", "write `- name: {…}` items"));
        };
        let mut named: Vec<(&str, &Node)> = Vec::new();
        for item in items {
            let NodeValue::Map(members) = &item.value else {
                return Err(item.finding("task", "not a named task", "write `- name: {…}`"));
            };
            let [(name, task)] = members.as_slice() else {
                let cause = "an item holds not exactly one task";
                return Err(item.finding("task", cause, "start a new item with `-`"));
            };
            let text = name.as_str().unwrap_or_default();
            if named.iter().any(|(known, _)| *known == text) {
                let cause = format!("two tasks of this list are named `{text}`");
                return Err(name.finding("task-name", cause, "give each its own name"));
            }
            named.push((text, task));
        }
        let siblings: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        let mut tasks = Vec::new();
        for (index, (name, task)) in named.iter().enumerate() {
            let pointer = format!("{pointer}/{index}/{}", escape(name));
            tasks.push(self.task(name, pointer, task, &siblings)?);
        }
        self.lists.insert(pointer, tasks);
        Ok(())
    }

    fn task(
        &mut self,
        name: &str,
        pointer: String,
        node: &Node,
        siblings: &[&str],
    ) -> Result<Task, Diagnostic> {
        let mut members = Members::of(node, "a task")?;
        let if_condition = members.optional("if").map(condition).transpose()?;
        let input_from = transform(members.optional("input"), "from")?;
        let output_as = transform(members.optional("output"), "as")?;
        let export_as = transform(members.optional("export"), "as")?;
        let then = match members.optional("then") {
            Some(node) => then(node, siblings)?,
            None => Then::Continue,
        };
        // For people; nothing is made of it.
        let _ = members.optional("metadata");
        let kind = self.kind(&pointer, node, &mut members, siblings)?;
        members.finish("if, input, output, export, then, and one of the kinds of task")?;
        Ok(Task {
            name: name.to_owned(),
            pointer,
            condition: if_condition,
            input_from,
            output_as,
            export_as,
            then,
            kind,
        })
    }

    fn kind(
        &mut self,
        pointer: &str,
        node: &Node,
        members: &mut Members<'_>,
        siblings: &[&str],
    ) -> Result<Kind, Diagnostic> {
        if members.names().any(|name| name == "try") {
            return self.try_catch(pointer, members);
        }
        if let Some(body) = members.optional("do") {
            let list = format!("{pointer}/do");
            self.list(list.clone(), body)?;
            return Ok(Kind::Do { list });
        }
        if let Some(value) = members.optional("set") {
            return Ok(Kind::Set(Template::read(value)?));
        }
        if let Some(cases) = members.optional("switch") {
            return switch(cases, siblings);
        }
        if let Some(raised) = members.optional("raise") {
            return raise(raised);
        }
        if let Some(time) = members.optional("wait") {
            return Ok(Kind::Wait(duration::read(time)?));
        }
        if let Some(called) = members.optional("call") {
            return self.call(called, members.optional("with"), node);
        }
        if let Some(run) = members.optional("run") {
            return self.run(run);
        }
        let found: Vec<&str> = members.names().collect();
        let cause = format!("no kind of task that is supported: {}", found.join(", "));
        Err(node.finding("unsupported", cause, format!("supported: {KINDS}")))
    }

    fn try_catch(&mut self, pointer: &str, members: &mut Members<'_>) -> Result<Kind, Diagnostic> {
        let body = format!("{pointer}/try");
        self.list(body.clone(), members.required("try")?)?;
        let catch = members.required("catch")?;
        let mut members = Members::of(catch, "`catch`")?;
        let filter = match members.optional("errors") {
            Some(errors) => error_filter(errors)?,
            None => BTreeMap::new(),
        };
        let variable = match members.optional("as") {
            Some(node) if text(node)? == "error" => "error".to_owned(),
            Some(node) => {
                let cause = "the caught error has another name than `error`";
                return Err(node.finding("unsupported", cause, "supported: `as: error`"));
            }
            None => "error".to_owned(),
        };
        let when = members.optional("when").map(condition).transpose()?;
        let except_when = members.optional("exceptWhen").map(condition).transpose()?;
        let retry = members.optional("retry").map(retry).transpose()?;
        let handler = match members.optional("do") {
            Some(list) => {
                let handler = format!("{pointer}/catch/do");
                self.list(handler.clone(), list)?;
                Some(handler)
            }
            None => None,
        };
        members.finish("errors, as, when, exceptWhen, retry, do")?;
        Ok(Kind::Try(Box::new(Try { body, filter, variable, when, except_when, retry, handler })))
    }

    fn call(
        &mut self,
        called: &Node,
        with: Option<&Node>,
        task: &Node,
    ) -> Result<Kind, Diagnostic> {
        const HELP: &str = "call a system action, such as `github.issues.create:1.0.0@default`, `with` a connection";
        let refused = || {
            let what = called.as_str().unwrap_or_default();
            called.finding("unsupported-call", format!("`call: {what}` is not supported"), HELP)
        };
        let reference = text(called)?.strip_suffix("@default").ok_or_else(refused)?;
        let (action, version) = reference.split_once(':').ok_or_else(refused)?;
        let action: ActionName = action.parse().map_err(|_| refused())?;
        let with = with.ok_or_else(|| task.finding("missing", "the call has no `with`", HELP))?;
        let NodeValue::Map(members) = &with.value else {
            return Err(with.finding("mapping", "`with` is not a mapping", HELP));
        };
        let mut rest = Vec::new();
        let mut connection = None;
        for (name, value) in members {
            if name.as_str() == Some("connection") {
                connection = Some(value);
            } else {
                rest.push((name.as_str().unwrap_or_default().to_owned(), Template::read(value)?));
            }
        }
        let connection = connection
            .ok_or_else(|| with.finding("missing", "the call names no connection", HELP))?;
        let name = text(connection)?;
        let connection = ConnectionName::new(self.workspace.clone(), name).map_err(|_| {
            let cause = "a connection is named literally, by a name of this workspace";
            connection.finding("connection", cause, "write `connection: github`")
        })?;
        self.footprint.actions.insert(ActionUse {
            action: action.clone(),
            version: version.to_owned(),
            connection: connection.clone(),
        });
        let parameters = Template::Object(rest);
        Ok(Kind::Call { action, version: version.to_owned(), connection, parameters })
    }

    fn run(&mut self, node: &Node) -> Result<Kind, Diagnostic> {
        let mut members = Members::of(node, "`run`")?;
        let script = members.required("script")?;
        members.finish("script")?;
        let mut members = Members::of(script, "`script`")?;
        let language = members.required("language")?;
        let known = text(language)?.parse().map_err(|_| {
            language.finding("language", "not a language that is supported", "supported: python")
        })?;
        let code = members.required("code")?;
        let source = text(code)?.to_owned();
        if source.trim_start().starts_with("${") {
            return Err(code.finding(
                "code",
                "code is built by an expression",
                "write it literally",
            ));
        }
        let arguments = match members.optional("arguments") {
            Some(node) => Template::read(node)?,
            None => Template::Object(Vec::new()),
        };
        members.finish("language, code, arguments")?;
        let digest = sha256(source.as_bytes());
        self.footprint.code.insert(CodeUse { language: known, digest });
        Ok(Kind::Run { language: known, code: source, digest, arguments })
    }
}

/// RFC 6901 §3.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn then(node: &Node, siblings: &[&str]) -> Result<Then, Diagnostic> {
    match text(node)? {
        "continue" => Ok(Then::Continue),
        "exit" => Ok(Then::Exit),
        "end" => Ok(Then::End),
        name => siblings.iter().position(|known| *known == name).map(Then::Task).ok_or_else(|| {
            let cause = format!("no task of this list is named `{name}`");
            node.finding("then", cause, "continue, exit, end, or a task beside this one")
        }),
    }
}

fn switch(node: &Node, siblings: &[&str]) -> Result<Kind, Diagnostic> {
    const HELP: &str = "write `- name: {when: …, then: …}` items";
    let NodeValue::List(items) = &node.value else {
        return Err(node.finding("switch", "`switch` is not a list of cases", HELP));
    };
    let mut cases = Vec::new();
    for item in items {
        let NodeValue::Map(members) = &item.value else {
            return Err(item.finding("switch", "not a named case", HELP));
        };
        let [(_, case)] = members.as_slice() else {
            return Err(item.finding("switch", "an item holds not exactly one case", HELP));
        };
        let mut members = Members::of(case, "a case")?;
        let when: Option<Expression> = members.optional("when").map(condition).transpose()?;
        let then = then(members.required("then")?, siblings)?;
        members.finish("when, then")?;
        cases.push(Case { when, then });
    }
    Ok(Kind::Switch(cases))
}

fn raise(node: &Node) -> Result<Kind, Diagnostic> {
    let mut members = Members::of(node, "`raise`")?;
    let error = members.required("error")?;
    members.finish("error")?;
    let mut members = Members::of(error, "`error`")?;
    let type_ = text(members.required("type")?)?.to_owned();
    let status = members.required("status")?;
    let number = status.to_json().as_u64().and_then(|number| u16::try_from(number).ok());
    let raised = Raise {
        type_,
        status: number.ok_or_else(|| status.finding("status", "not a status", "such as 400"))?,
        title: members.optional("title").map(Template::read).transpose()?,
        detail: members.optional("detail").map(Template::read).transpose()?,
    };
    members.finish("type, status, title, detail")?;
    Ok(Kind::Raise(raised))
}

fn error_filter(node: &Node) -> Result<BTreeMap<String, Value>, Diagnostic> {
    let mut members = Members::of(node, "`errors`")?;
    let with = members.required("with")?;
    members.finish("with")?;
    let mut members = Members::of(with, "`with`")?;
    let mut filter = BTreeMap::new();
    for name in ["type", "status", "instance", "title", "detail"] {
        if let Some(value) = members.optional(name) {
            filter.insert(name.to_owned(), value.to_json());
        }
    }
    members.finish("type, status, instance, title, detail")?;
    Ok(filter)
}

fn retry(node: &Node) -> Result<Retry, Diagnostic> {
    let mut members = Members::of(node, "`retry`")?;
    let when = members.optional("when").map(condition).transpose()?;
    let except_when = members.optional("exceptWhen").map(condition).transpose()?;
    let delay = members.optional("delay").map(duration::read).transpose()?.unwrap_or_default();
    let backoff = match members.optional("backoff") {
        Some(node) => backoff(node)?,
        None => Backoff::Constant,
    };
    let limits = match members.optional("limit") {
        Some(node) => limit(node)?,
        None => (None, None),
    };
    if let (None, None) = limits {
        let help = "add `limit: {attempt: {count: 5}}`";
        return Err(node.finding("retry-limit", "the retry has no limit", help));
    }
    members.finish("when, exceptWhen, delay, backoff, limit")?;
    let (max_attempts, max_duration) = limits;
    Ok(Retry { when, except_when, delay, backoff, max_attempts, max_duration })
}

fn backoff(node: &Node) -> Result<Backoff, Diagnostic> {
    let mut members = Members::of(node, "`backoff`")?;
    let mut found = None;
    for (name, kind) in [
        ("constant", Backoff::Constant),
        ("linear", Backoff::Linear),
        ("exponential", Backoff::Exponential),
    ] {
        if let Some(options) = members.optional(name) {
            Members::of(options, "a backoff")?.finish("nothing")?;
            found = Some(kind);
        }
    }
    members.finish("constant, linear, exponential")?;
    found.ok_or_else(|| node.finding("backoff", "no kind of backoff", "write `exponential: {}`"))
}

fn limit(node: &Node) -> Result<(Option<u32>, Option<std::time::Duration>), Diagnostic> {
    let mut members = Members::of(node, "`limit`")?;
    let attempts = match members.optional("attempt") {
        Some(attempt) => {
            let mut members = Members::of(attempt, "`attempt`")?;
            let count = members.required("count")?;
            members.finish("count")?;
            let number = count.to_json().as_u64().and_then(|number| u32::try_from(number).ok());
            let number = number.filter(|number| (1..=100).contains(number));
            Some(number.ok_or_else(|| count.finding("count", "not a count", "from 1 to 100"))?)
        }
        None => None,
    };
    let duration = members.optional("duration").map(duration::read).transpose()?;
    members.finish("attempt, duration")?;
    Ok((attempts, duration))
}
