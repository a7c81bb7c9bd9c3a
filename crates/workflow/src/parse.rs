//! Takes a Serverless Workflow 1.0 document, or says what is wrong, with line and column.
//!
//! Unknown members are refused everywhere: what is not run must not look as if it were.
//!
//! Here: the document's head. `task`: lists and kinds of tasks. `call`, `http`: what reaches outside. `run`:
//! code. `listen`: approvals. `each`: loops. `catch`: errors, retries and timeouts.

mod call;
mod catch;
mod each;
mod http;
mod listen;
mod members;
mod run;
mod task;

use writ_model::{AutomationName, WorkspaceName, limits::BUNDLE_MAX};

use crate::{
    Diagnostic, Document,
    expression::{Scope, Template},
    node::Node,
    parse::{catch::Reusable, members::Members, task::Tasks},
};

/// Parses and checks a document of YAML or JSON.
///
/// # Errors
///
/// What is wrong, each with line, column and what is supported.
///
/// # Spec
///
/// Serverless Workflow DSL 1.0; supported: `do`, `for`, `set`, `switch`, `try`, `raise`,
/// `wait`, `listen` to an approval, `call` of a system action, `call: http`, `run: script`, `run: shell`, `input.from`, `output.as`,
/// `export.as`, `if`, `then`, `timeout`, `use.errors`, `use.retries`, `use.timeouts`.
pub fn parse(source: &str) -> Result<Document, Vec<Diagnostic>> {
    if source.len() > BUNDLE_MAX {
        return Err(vec![Diagnostic {
            line: 1,
            column: 1,
            code: "document-too-large",
            message: format!("the document is larger than {BUNDLE_MAX} bytes"),
            help: "split it into several automations".to_owned(),
        }]);
    }
    let root = Node::parse(source).map_err(|finding| vec![finding])?;
    document(&root)
}

fn document(root: &Node) -> Result<Document, Vec<Diagnostic>> {
    let one = |finding| vec![finding];
    let mut members = Members::of(root, "the document").map_err(one)?;
    let head = members.required("document").map_err(one)?;
    let (name, version, title, summary) = header(head).map_err(one)?;
    let input = transform(members.optional("input"), "from", &Scope::DOCUMENT_INPUT);
    let output = transform(members.optional("output"), "as", &Scope::DOCUMENT_OUTPUT);
    let reusable = Reusable::read(members.optional("use")).map_err(one)?;
    let timeout = members.optional("timeout").map(|node| reusable.timeout(node));
    let body = members.required("do").map_err(one)?;
    let mut tasks = Tasks::new(name.workspace().clone(), reusable);
    members.finish("document, use, input, output, timeout, do").unwrap_or_else(|f| tasks.found(f));
    let input_from = input.unwrap_or_else(|finding| tasks.found(finding));
    let output_as = output.unwrap_or_else(|finding| tasks.found(finding));
    let timeout = timeout.transpose().unwrap_or_else(|finding| tasks.found(finding));
    tasks.list("/do".to_owned(), body).unwrap_or_else(|finding| tasks.found(finding));
    let (lists, footprint) = tasks.finish()?;
    Ok(Document { name, version, title, summary, input_from, output_as, timeout, lists, footprint })
}

type Header = (AutomationName, String, Option<String>, Option<String>);

fn header(node: &Node) -> Result<Header, Diagnostic> {
    let mut members = Members::of(node, "`document`")?;
    let dsl = members.required("dsl")?;
    if !dsl.as_str().is_some_and(|dsl| dsl.starts_with("1.0.") && is_version(dsl)) {
        let message = "not a version of the DSL that is supported";
        return Err(dsl.finding("dsl", message, "supported: 1.0.0 to 1.0.3, such as '1.0.3'"));
    }
    let namespace = members.required("namespace")?;
    let workspace: WorkspaceName = text(namespace)?.parse().map_err(|error| {
        namespace.finding("namespace", format!("{error}"), "name the workspace")
    })?;
    let name = members.required("name")?;
    let automation = AutomationName::new(workspace, text(name)?).map_err(|error| {
        name.finding("name", format!("{error}"), "use lower-case letters, digits and hyphens")
    })?;
    let version_node = members.required("version")?;
    let version = text(version_node)?.to_owned();
    if !is_version(&version) {
        return Err(version_node.finding("version", "not a semantic version", "write '1.0.0'"));
    }
    let title = members.optional("title").map(text).transpose()?.map(str::to_owned);
    let summary = members.optional("summary").map(text).transpose()?.map(str::to_owned);
    // For people; nothing is made of them.
    let _ = (members.optional("tags"), members.optional("metadata"));
    members.finish("dsl, namespace, name, version, title, summary, tags, metadata")?;
    Ok((automation, version, title, summary))
}

/// Three numbers, then whatever semantic versions allow.
fn is_version(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 64
        && text.bytes().all(allowed)
        && numbers.len() == 3
        && numbers.iter().all(is_number)
}

/// `input.from`, `output.as` or `export.as`.
fn transform(
    node: Option<&Node>,
    member: &'static str,
    scope: &Scope<'_>,
) -> Result<Option<Template>, Diagnostic> {
    let Some(node) = node else { return Ok(None) };
    let mut members = Members::of(node, "a transformation")?;
    let template = members.optional(member);
    members.finish(member)?;
    let missing = || {
        node.finding(
            "missing",
            format!("a transformation has no `{member}`"),
            format!("add `{member}`"),
        )
    };
    Template::transformation(template.ok_or_else(missing)?, scope).map(Some)
}

fn text(node: &Node) -> Result<&str, Diagnostic> {
    node.as_str().ok_or_else(|| node.finding("text", "not text", "quote it"))
}
