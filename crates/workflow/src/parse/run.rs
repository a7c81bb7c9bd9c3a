//! `run`: a script or a shell command, each in a sandbox. Its code is a part of the footprint.
//!
//! Invariant: code is literal. Run data reaches it as standard input, arguments and variables only,
//! never as a part of its text.

use writ_evidence::digest::sha256;
use writ_model::{CodeLanguage, ProcessReturn, is_environment_name};

use super::{members::Members, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{CodeUse, Kind, Process},
    expression::Template,
    node::{Node, NodeValue},
};

const RETURNS: &str = "supported: stdout, stderr, code, all, none; or leave it out, and the output \
                       is the JSON in the last line of stdout";

impl Tasks<'_> {
    pub(super) fn run(&mut self, node: &Node) -> Result<Kind, Diagnostic> {
        let mut members = Members::of(node, "`run`")?;
        let (script, shell) = (members.optional("script"), members.optional("shell"));
        if let Some(wait) = members.optional("await")
            && wait.to_json() != serde_json::Value::Bool(true)
        {
            let cause = "a process that nobody waits for";
            return Err(wait.finding("unsupported", cause, "leave `await` out, or write `true`"));
        }
        let returns = members.optional("return");
        members.finish("script, shell, await, return")?;
        let mut process = match (script, shell) {
            (Some(script), None) => self.script(script)?,
            (None, Some(shell)) => self.shell(shell)?,
            (None, None) | (Some(_), Some(_)) => {
                let cause = "`run` names not exactly one thing to run";
                return Err(node.finding("missing", cause, "supported: script, shell"));
            }
        };
        if let Some(node) = returns {
            process.returns = ProcessReturn::named(text(node)?)
                .ok_or_else(|| node.finding("return", "nothing that can be returned", RETURNS))?;
        }
        let code = CodeUse { language: process.language, digest: process.digest };
        self.footprint.code.insert(code);
        Ok(Kind::Run(Box::new(process)))
    }

    fn script(&self, node: &Node) -> Result<Process, Diagnostic> {
        let mut members = Members::of(node, "`script`")?;
        let language = members.required("language")?;
        let known = text(language)?.parse().map_err(|_| {
            let help = "supported: bash, javascript, python";
            language.finding("language", "not a language that is supported", help)
        })?;
        let code = members.required("code")?;
        let process = self.process(known, code, &mut members)?;
        members.finish("language, code, stdin, arguments, environment")?;
        Ok(process)
    }

    /// A command is Bash, and its output is text.
    fn shell(&self, node: &Node) -> Result<Process, Diagnostic> {
        let mut members = Members::of(node, "`shell`")?;
        let command = members.required("command")?;
        let mut process = self.process(CodeLanguage::Bash, command, &mut members)?;
        members.finish("command, stdin, arguments, environment")?;
        process.returns = ProcessReturn::Stdout;
        if process.arguments.is_none() && process.stdin.is_none() {
            process.stdin = Some(Template::Literal(String::new().into()));
        }
        Ok(process)
    }

    fn process(
        &self,
        language: CodeLanguage,
        code: &Node,
        members: &mut Members<'_>,
    ) -> Result<Process, Diagnostic> {
        let source = text(code)?.to_owned();
        if source.trim_start().starts_with("${") {
            let cause = "code is built by an expression";
            let help = "write it literally, and pass data as `arguments`, `environment` or `stdin`";
            return Err(code.finding("code", cause, help));
        }
        let read = |node: &Node| Template::read(node, &self.scope());
        let stdin = members.optional("stdin").map(read).transpose()?;
        let arguments = members.optional("arguments");
        let environment = members.optional("environment").map(|node| self.environment(node));
        let given = arguments.map(|node| self.arguments(node, stdin.is_some())).transpose()?;
        Ok(Process {
            language,
            digest: sha256(source.as_bytes()),
            code: source,
            stdin,
            arguments: given,
            environment: environment.transpose()?,
            returns: ProcessReturn::Output,
        })
    }

    fn arguments(&self, node: &Node, has_stdin: bool) -> Result<Template, Diagnostic> {
        let refused = |cause: &str| {
            let help = "write `arguments: {name: value}` for JSON on stdin, or a list for argv";
            Err(node.finding("arguments", cause, help))
        };
        match Template::read(node, &self.scope())? {
            Template::Object(_) if has_stdin => {
                refused("a mapping of `arguments` is what stdin gets, but `stdin` is given too")
            }
            Template::Literal(_) => refused("neither a mapping, nor a list, nor an expression"),
            template @ (Template::Expression(_) | Template::List(_) | Template::Object(_)) => {
                Ok(template)
            }
        }
    }

    fn environment(&self, node: &Node) -> Result<Template, Diagnostic> {
        let NodeValue::Map(members) = &node.value else {
            let cause = "`environment` is not a mapping";
            return Err(node.finding("environment", cause, "write `environment: {NAME: value}`"));
        };
        for (name, _) in members {
            if !name.as_str().is_some_and(is_environment_name) {
                let cause = "no variable of this name may be set";
                let help = "use letters, digits and `_`; PATH, HOME, IFS, LANG, ENV, BASH_ENV, \
                            LD_*, NODE_*, PYTHON* and WRIT_* are not for documents to set";
                return Err(name.finding("environment", cause, help));
            }
        }
        Template::read(node, &self.scope())
    }
}
