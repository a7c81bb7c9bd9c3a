//! Errors in documents: `raise`, `try` and `catch`, retries, and what `use` names of them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{members::Members, task::Tasks, text};
use crate::{
    Diagnostic,
    document::{Backoff, Kind, Raise, Retry, Try},
    duration,
    expression::{Scope, Template, condition},
    node::{Node, NodeValue},
};

/// Most retries of one `try`.
const RETRIES_MAX: u64 = 100;

/// What `use` names, to be read where it is used.
#[derive(Default)]
pub(super) struct Reusable<'n> {
    errors: BTreeMap<&'n str, &'n Node>,
    retries: BTreeMap<&'n str, &'n Node>,
    timeouts: BTreeMap<&'n str, &'n Node>,
}

impl<'n> Reusable<'n> {
    /// Reads `use`; what stands there is checked even if nothing uses it.
    pub(super) fn read(node: Option<&'n Node>) -> Result<Self, Diagnostic> {
        let Some(node) = node else { return Ok(Self::default()) };
        let mut members = Members::of(node, "`use`")?;
        let errors = named(members.optional("errors"))?;
        let retries = named(members.optional("retries"))?;
        let timeouts = named(members.optional("timeouts"))?;
        members.finish("errors, retries, timeouts")?;
        for timeout in timeouts.values() {
            after(timeout)?;
        }
        for error in errors.values() {
            raised(error, &Scope::task(&[]))?;
        }
        let caught = ["error".to_owned()];
        for policy in retries.values() {
            retry(policy, &Scope::task(&caught))?;
        }
        Ok(Self { errors, retries, timeouts })
    }

    /// A `timeout`, in place or by its name.
    pub(super) fn timeout(&self, node: &Node) -> Result<Duration, Diagnostic> {
        let Some(name) = node.as_str() else { return after(node) };
        let known = self.timeouts.get(name).copied().ok_or_else(|| {
            let cause = format!("`use.timeouts` has no `{name}`");
            node.finding("reference", cause, "define it in `use.timeouts`, or in place")
        })?;
        after(known)
    }
}

fn after(node: &Node) -> Result<Duration, Diagnostic> {
    let mut members = Members::of(node, "a timeout")?;
    let after = duration::read(members.required("after")?)?;
    members.finish("after")?;
    Ok(after)
}

/// A mapping from names to definitions.
fn named(node: Option<&Node>) -> Result<BTreeMap<&str, &Node>, Diagnostic> {
    let Some(node) = node else { return Ok(BTreeMap::new()) };
    let NodeValue::Map(members) = &node.value else {
        return Err(node.finding("mapping", "not a mapping of names", "write `name: {…}`"));
    };
    Ok(members.iter().map(|(name, value)| (name.as_str().unwrap_or_default(), value)).collect())
}

/// A definition in place, or the one that a name stands for.
fn resolve<'n>(
    node: &'n Node,
    known: &BTreeMap<&'n str, &'n Node>,
    place: &str,
) -> Result<&'n Node, Diagnostic> {
    let Some(name) = node.as_str() else { return Ok(node) };
    known.get(name).copied().ok_or_else(|| {
        let cause = format!("`{place}` has no `{name}`");
        node.finding("reference", cause, format!("define it in `{place}`, or in place"))
    })
}

impl Tasks<'_> {
    pub(super) fn raise(&self, node: &Node) -> Result<Raise, Diagnostic> {
        let mut members = Members::of(node, "`raise`")?;
        let error = members.required("error")?;
        members.finish("error")?;
        raised(resolve(error, &self.reusable.errors, "use.errors")?, &self.scope())
    }

    pub(super) fn try_catch(
        &mut self,
        pointer: &str,
        body: &Node,
        catch: &Node,
    ) -> Result<Kind, Diagnostic> {
        let list = format!("{pointer}/try");
        self.list(list.clone(), body)?;
        let mut members = Members::of(catch, "`catch`")?;
        let filter = match members.optional("errors") {
            Some(errors) => error_filter(errors)?,
            None => BTreeMap::new(),
        };
        let variable = match members.optional("as") {
            Some(node) => variable(node)?,
            None => "error".to_owned(),
        };
        self.bound.push(variable.clone());
        let caught = self.handler(pointer, &mut members);
        self.bound.pop();
        let mut caught = caught?;
        members.finish("errors, as, when, exceptWhen, retry, do")?;
        caught.body = list;
        caught.filter = filter;
        caught.variable = variable;
        Ok(Kind::Try(Box::new(caught)))
    }

    /// The parts of a `catch` that see the error.
    fn handler(&mut self, pointer: &str, members: &mut Members<'_>) -> Result<Try, Diagnostic> {
        let scope = self.scope();
        let when = members.optional("when").map(|node| condition(node, &scope)).transpose()?;
        let except_when =
            members.optional("exceptWhen").map(|node| condition(node, &scope)).transpose()?;
        let retry = members
            .optional("retry")
            .map(|node| retry(resolve(node, &self.reusable.retries, "use.retries")?, &scope));
        let retry = retry.transpose()?;
        let handler = match members.optional("do") {
            Some(list) => {
                let handler = format!("{pointer}/catch/do");
                self.list(handler.clone(), list)?;
                Some(handler)
            }
            None => None,
        };
        Ok(Try {
            body: String::new(),
            filter: BTreeMap::new(),
            variable: String::new(),
            when,
            except_when,
            retry,
            handler,
        })
    }
}

pub(super) fn variable(node: &Node) -> Result<String, Diagnostic> {
    let name = text(node)?;
    if Scope::may_be_caught_as(name) {
        return Ok(name.to_owned());
    }
    let cause = "not a name that an error can have";
    Err(node.finding("catch-as", cause, "use letters, digits and underscores, such as `error`"))
}

fn raised(node: &Node, scope: &Scope<'_>) -> Result<Raise, Diagnostic> {
    let mut members = Members::of(node, "an error")?;
    let type_ = text(members.required("type")?)?.to_owned();
    let status = members.required("status")?;
    let number = status.to_json().as_u64().and_then(|number| u16::try_from(number).ok());
    let mut template =
        |name| members.optional(name).map(|node| Template::read(node, scope)).transpose();
    let raised = Raise {
        type_,
        status: number.ok_or_else(|| status.finding("status", "not a status", "such as 400"))?,
        title: template("title")?,
        detail: template("detail")?,
    };
    members.finish("type, status, title, detail")?;
    Ok(raised)
}

fn error_filter(node: &Node) -> Result<BTreeMap<String, Value>, Diagnostic> {
    let mut members = Members::of(node, "`errors`")?;
    let with = members.required("with")?;
    members.finish("with")?;
    let mut members = Members::of(with, "`with`")?;
    let mut filter = BTreeMap::new();
    for name in ["type", "status", "instance", "title", "detail"] {
        let Some(value) = members.optional(name) else { continue };
        let wanted = value.to_json();
        let right = if name == "status" { wanted.is_u64() } else { wanted.is_string() };
        if !right || wanted.as_str().is_some_and(|text| text.contains("${")) {
            let help = "write a literal, and put expressions into `when`";
            return Err(value.finding("error-filter", format!("not a literal `{name}`"), help));
        }
        filter.insert(name.to_owned(), wanted);
    }
    members.finish("type, status, instance, title, detail")?;
    Ok(filter)
}

fn retry(node: &Node, scope: &Scope<'_>) -> Result<Retry, Diagnostic> {
    let mut members = Members::of(node, "`retry`")?;
    let when = members.optional("when").map(|node| condition(node, scope)).transpose()?;
    let except_when =
        members.optional("exceptWhen").map(|node| condition(node, scope)).transpose()?;
    let delay = members.optional("delay").map(duration::read).transpose()?.unwrap_or_default();
    let backoff = match members.optional("backoff") {
        Some(node) => backoff(node)?,
        None => Backoff::Constant,
    };
    let limit = members.optional("limit").map(limit).transpose()?;
    members.finish("when, exceptWhen, delay, backoff, limit (jitter would need chance)")?;
    let (max_retries, max_duration) = limit.unwrap_or_default();
    if max_retries.is_none() && max_duration.is_none() {
        let help = "add `limit: {attempt: {count: 5}}`";
        return Err(node.finding("retry-limit", "the retry has no limit", help));
    }
    Ok(Retry { when, except_when, delay, backoff, max_retries, max_duration })
}

fn backoff(node: &Node) -> Result<Backoff, Diagnostic> {
    const HELP: &str = "supported: one of constant, linear, exponential, such as `exponential: {}`";
    let mut members = Members::of(node, "`backoff`")?;
    let mut found = Vec::new();
    for (name, kind) in [
        ("constant", Backoff::Constant),
        ("linear", Backoff::Linear),
        ("exponential", Backoff::Exponential),
    ] {
        if let Some(options) = members.optional(name) {
            Members::of(options, "a backoff")?.finish("no options")?;
            found.push(kind);
        }
    }
    members.finish("constant, linear, exponential")?;
    match found.as_slice() {
        [one] => Ok(*one),
        _ => Err(node.finding("backoff", "not exactly one kind of backoff", HELP)),
    }
}

fn limit(node: &Node) -> Result<(Option<u32>, Option<Duration>), Diagnostic> {
    let mut members = Members::of(node, "`limit`")?;
    let retries = match members.optional("attempt") {
        Some(attempt) => {
            let mut members = Members::of(attempt, "`attempt`")?;
            let count = members.required("count")?;
            members.finish("count")?;
            let number = count.to_json().as_u64().filter(|n| (1..=RETRIES_MAX).contains(n));
            let number = number.and_then(|number| u32::try_from(number).ok());
            let help = format!("from 1 to {RETRIES_MAX}");
            Some(number.ok_or_else(|| count.finding("count", "not a count", help))?)
        }
        None => None,
    };
    let duration = members.optional("duration").map(duration::read).transpose()?;
    members.finish("attempt, duration")?;
    Ok((retries, duration))
}
