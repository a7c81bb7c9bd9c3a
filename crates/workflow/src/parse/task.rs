//! Tasks: what each kind takes. Lists are kept flat, by JSON Pointer.

use std::collections::BTreeMap;

use writ_model::WorkspaceName;

use super::{catch::Reusable, members::Members, text, transform};
use crate::{
    Diagnostic,
    document::{Case, Footprint, Kind, Task, Then},
    duration,
    expression::{Expression, Scope, Template, condition},
    gates,
    node::{Node, NodeValue},
};

const KINDS: &str = "do, for, set, switch, try, raise, wait, listen (to an approval), call (http or \
                     a system action), run (script or shell)";

/// Task lists by pointer.
type Lists = BTreeMap<String, Vec<Task>>;

/// Collects lists, footprint and findings while a document is read.
pub(super) struct Tasks<'n> {
    pub(super) workspace: WorkspaceName,
    pub(super) reusable: Reusable<'n>,
    pub(super) footprint: Footprint,
    /// What the `catch`es around the task being read call their errors, and the `for`s their items.
    pub(super) bound: Vec<String>,
    lists: Lists,
    findings: Vec<Diagnostic>,
}

impl<'n> Tasks<'n> {
    pub(super) fn new(workspace: WorkspaceName, reusable: Reusable<'n>) -> Self {
        Self {
            workspace,
            reusable,
            footprint: Footprint::default(),
            bound: Vec::new(),
            lists: Lists::new(),
            findings: Vec::new(),
        }
    }

    /// Notes a finding, and goes on reading for more.
    pub(super) fn found<T: Default>(&mut self, finding: Diagnostic) -> T {
        self.findings.push(finding);
        T::default()
    }

    /// The lists and the footprint, unless there were findings.
    pub(super) fn finish(mut self) -> Result<(Lists, Footprint), Vec<Diagnostic>> {
        if self.findings.is_empty() {
            self.footprint.approvals = gates::approvals(&self.lists);
            return Ok((self.lists, self.footprint));
        }
        self.findings.sort_by_key(|finding| (finding.line, finding.column));
        Err(self.findings)
    }

    /// The variables that a task's expressions see.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope::task(&self.bound)
    }

    /// Reads a task list: items of one name and one task each.
    pub(super) fn list(&mut self, pointer: String, node: &Node) -> Result<(), Diagnostic> {
        let NodeValue::List(items) = &node.value else {
            return Err(node.finding("tasks", "not a list of tasks", "write `- name: {…}` items"));
        };
        let mut named: Vec<(&str, &Node)> = Vec::new();
        for item in items {
            let (name, task) = item.only_member("task")?;
            let text = name.as_str().unwrap_or_default();
            if matches!(text, "continue" | "exit" | "end") {
                let cause = format!("`{text}` is where `then` can go, and no name for a task");
                return Err(name.finding("task-name", cause, "give it another name"));
            }
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
            match self.task(name, pointer, task, &siblings) {
                Ok(task) => tasks.push(task),
                Err(finding) => self.found(finding),
            }
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
        let scope = self.scope();
        let if_condition =
            members.optional("if").map(|node| condition(node, &scope)).transpose()?;
        let input_from = transform(members.optional("input"), "from", &scope)?;
        let after = Scope::task_output(&self.bound);
        let output_as = transform(members.optional("output"), "as", &after)?;
        let export_as = transform(members.optional("export"), "as", &after)?;
        let then = match members.optional("then") {
            Some(node) => then(node, siblings)?,
            None => Then::Continue,
        };
        let timeout = members.optional("timeout").map(|node| self.reusable.timeout(node));
        let timeout = timeout.transpose()?;
        // For people; nothing is made of it.
        let _ = members.optional("metadata");
        let kind = self.kind(&pointer, node, &mut members, siblings)?;
        members.finish(
            "if, input, output, export, timeout, then, metadata, and the members of one kind of task",
        )?;
        Ok(Task {
            name: name.to_owned(),
            pointer,
            condition: if_condition,
            input_from,
            output_as,
            export_as,
            timeout,
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
        if let Some(body) = members.optional("try") {
            return self.try_catch(pointer, body, members.required("catch")?);
        }
        if let Some(definition) = members.optional("for") {
            return self.each(pointer, definition, members);
        }
        if let Some(body) = members.optional("do") {
            let list = format!("{pointer}/do");
            self.list(list.clone(), body)?;
            return Ok(Kind::Do { list });
        }
        if let Some(value) = members.optional("set") {
            return self.set(value);
        }
        if let Some(cases) = members.optional("switch") {
            return self.switch(cases, siblings);
        }
        if let Some(raised) = members.optional("raise") {
            return self.raise(raised).map(Kind::Raise);
        }
        if let Some(time) = members.optional("wait") {
            return Ok(Kind::Wait(duration::read(time)?));
        }
        if let Some(listened) = members.optional("listen") {
            return self.listen(listened);
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

    fn set(&self, value: &Node) -> Result<Kind, Diagnostic> {
        match Template::read(value, &self.scope())? {
            template @ (Template::Object(_) | Template::Expression(_)) => Ok(Kind::Set(template)),
            Template::Literal(_) | Template::List(_) => {
                let help = "write `set: {name: value}` or one expression";
                Err(value.finding("set", "`set` is neither a mapping nor an expression", help))
            }
        }
    }

    fn switch(&self, node: &Node, siblings: &[&str]) -> Result<Kind, Diagnostic> {
        const HELP: &str = "write `- name: {when: …, then: …}` items";
        let NodeValue::List(items) = &node.value else {
            return Err(node.finding("switch", "`switch` is not a list of cases", HELP));
        };
        let mut cases: Vec<Case> = Vec::new();
        for item in items {
            let (name, case) = item.only_member("case")?;
            if cases.last().is_some_and(|last| last.when.is_none()) {
                let cause = "a case after one that always holds is never reached";
                return Err(name.finding("switch", cause, "put the case without `when` last"));
            }
            let mut members = Members::of(case, "a case")?;
            let when: Option<Expression> =
                members.optional("when").map(|node| condition(node, &self.scope())).transpose()?;
            let then = then(members.required("then")?, siblings)?;
            members.finish("when, then")?;
            cases.push(Case { when, then });
        }
        Ok(Kind::Switch(cases))
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
            node.finding("then", cause, "supported: continue, exit, end, or a task beside this one")
        }),
    }
}
