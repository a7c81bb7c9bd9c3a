//! Takes a Serverless Workflow 1.0 document, or says what is wrong, with line and column.
//!
//! Unknown members are refused everywhere: what is not run must not look as if it were.

mod members;
mod task;

use writ_model::{AutomationName, WorkspaceName};

use crate::{
    Diagnostic, Document,
    expression::Template,
    node::Node,
    parse::{members::Members, task::Tasks},
};

/// Parses and checks a document of YAML or JSON.
///
/// # Errors
///
/// What is wrong, each with line, column and what is supported.
///
/// # Spec
///
/// Serverless Workflow DSL 1.0; supported: `do`, `set`, `switch`, `try`, `raise`, `wait`,
/// `call` of a system action, `run: script`, `input.from`, `output.as`, `export.as`, `if`, `then`.
pub fn parse(source: &str) -> Result<Document, Vec<Diagnostic>> {
    Node::parse(source).and_then(|root| document(&root)).map_err(|finding| vec![finding])
}

fn document(root: &Node) -> Result<Document, Diagnostic> {
    let mut members = Members::of(root, "the document")?;
    let head = members.required("document")?;
    let (name, version, title) = header(head)?;
    let input_from = transform(members.optional("input"), "from")?;
    let output_as = transform(members.optional("output"), "as")?;
    let body = members.required("do")?;
    members.finish("document, input, output, do")?;
    let mut tasks = Tasks::new(name.workspace().clone());
    tasks.list("/do".to_owned(), body)?;
    let (lists, footprint) = tasks.finish();
    Ok(Document { name, version, title, input_from, output_as, lists, footprint })
}

fn header(node: &Node) -> Result<(AutomationName, String, Option<String>), Diagnostic> {
    let mut members = Members::of(node, "`document`")?;
    let dsl = members.required("dsl")?;
    if !dsl.as_str().is_some_and(|dsl| dsl.starts_with("1.0.")) {
        return Err(dsl.finding(
            "dsl",
            "not a version of the DSL that is supported",
            "use `1.0.1`",
        ));
    }
    let namespace = members.required("namespace")?;
    let workspace: WorkspaceName = text(namespace)?.parse().map_err(|error| {
        namespace.finding("namespace", format!("{error}"), "name the workspace")
    })?;
    let name = members.required("name")?;
    let automation = AutomationName::new(workspace, text(name)?)
        .map_err(|error| name.finding("name", format!("{error}"), ""))?;
    let version = text(members.required("version")?)?.to_owned();
    let title = members.optional("title").and_then(Node::as_str).map(str::to_owned);
    // For people; nothing is made of them.
    let _ = (members.optional("summary"), members.optional("tags"), members.optional("metadata"));
    members.finish("dsl, namespace, name, version, title, summary, tags, metadata")?;
    Ok((automation, version, title))
}

/// `input.from`, `output.as` or `export.as`.
fn transform(node: Option<&Node>, member: &str) -> Result<Option<Template>, Diagnostic> {
    let Some(node) = node else { return Ok(None) };
    let mut members = Members::of(node, "a transformation")?;
    let template = members.required(member)?;
    let template = Template::read(template)?;
    members.finish(member)?;
    Ok(Some(template))
}

fn text(node: &Node) -> Result<&str, Diagnostic> {
    node.as_str().ok_or_else(|| node.finding("text", "not text", "quote it"))
}
