//! `writ charter diff`: what changed between two states of the charter, by noun, in plain words.
//!
//! Both states are folded from the tenant's anchor, so that what is compared is what every jail would enforce. What was set
//! and set back between them is no difference; the entries between them are listed beside.
//!
//! Not here: what an entry itself says (`writ charter show`).

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use serde_json::{Value, json};
use writ_evidence::charter::{CharterState, UnverifiedEntry};
use writ_model::TenantId;

use super::{super::binding, Context, fold_until, signers};
use crate::{args::CharterPoint, failure::Failure, output, proposal};

/// Things of one noun, each by its name.
type Things = BTreeMap<String, Value>;

/// What became of one thing.
#[derive(Serialize)]
struct Difference {
    noun: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

/// A state and the entries that make it.
struct Point {
    state: CharterState,
    entries: Vec<UnverifiedEntry>,
}

pub(super) async fn run(
    context: &Context,
    from: &CharterPoint,
    to: Option<&CharterPoint>,
) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let ten = tenant.place.settings.tenant;
    let now = CharterPoint::Seq(tenant.charter.seq());
    let entries = tenant.entries().await?;
    let earlier = point(&entries, ten, from)?;
    let later = point(&entries, ten, to.unwrap_or(&now))?;
    if !later.state.knows_head(earlier.state.head()) {
        let behind = earlier.state.knows_head(later.state.head());
        return Err(if behind {
            Failure::new("charter-diff", "the first of the two is the later one")
                .with_remedy("name the earlier one first")
        } else {
            Failure::new("charter-fork", "neither of the two goes on from the other")
                .with_remedy("keep both: one is not the tenant's charter as its witnesses know it")
        });
    }
    let passed = later.entries.iter().filter_map(|entry| {
        let body = entry.body().ok()?;
        (body.seq > earlier.state.seq()).then_some((body, entry))
    });
    let between: Vec<_> = passed
        .map(|(body, entry)| {
            json!({"seq": body.seq, "change": body.change.kind(), "digest": entry.digest(),
                   "signed_by": signers(entry)})
        })
        .collect();
    let differences = differences(&nouns(&earlier.state)?, &nouns(&later.state)?);
    let head = |state: &CharterState| json!({"seq": state.seq(), "head": state.head()});
    if context.json {
        return output::json(&json!({
            "from": head(&earlier.state), "to": head(&later.state),
            "entries": between, "differences": differences,
        }));
    }
    output::line(format!("entry {} to entry {}", earlier.state.seq(), later.state.seq()))?;
    if differences.is_empty() {
        return output::line("nothing differs");
    }
    differences.iter().flat_map(words).try_for_each(output::line)
}

/// A state that was named, of the entries that are known or of a file's.
fn point(known: &[UnverifiedEntry], ten: TenantId, at: &CharterPoint) -> Result<Point, Failure> {
    let (entries, seq) = match at {
        CharterPoint::File(file) => (proposal::read_export(Path::new(file))?, u64::MAX),
        CharterPoint::Seq(seq) => (known.to_vec(), *seq),
        CharterPoint::Head(head) => {
            let found = known.iter().position(|entry| entry.digest() == *head);
            let seq = found.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| {
                Failure::new("charter-entry", format!("no entry has the digest {head}"))
            })?;
            (known.to_vec(), seq)
        }
    };
    let state = fold_until(&entries, ten, seq)?;
    if matches!(at, CharterPoint::Seq(_)) && state.seq() != seq {
        return Err(Failure::new("charter-entry", format!("there is no entry {seq}"))
            .with_remedy(format!("the newest is {}", state.seq())));
    }
    Ok(Point { state, entries })
}

/// Everything that a state holds, by noun.
fn nouns(state: &CharterState) -> Result<Vec<(&'static str, Things)>, Failure> {
    let suspended = state.suspended().map(|subject| (subject.to_string(), json!(true)));
    let groups = state.groups().map(|(name, members)| (name.to_string(), json!(members)));
    let elevations = state.elevations().map(|(one, until)| {
        let held = format!("{}: {}", one.principal, binding::describe(one));
        (held, json!({ "until": until }))
    });
    let bindings = state.bindings().map(|one| {
        let held = format!("{}: {}", one.principal, binding::describe(one));
        (held, json!(true))
    });
    Ok(vec![
        ("root keys", named([("all".to_owned(), state.roots())])?),
        ("witnesses", named([("all".to_owned(), state.witnesses())])?),
        ("issuer", named(state.issuers().iter().map(|one| (one.iss.clone(), one)))?),
        ("runner", named(state.runners().map(|one| (one.id.to_string(), one)))?),
        ("workspace", named(state.workspaces().map(|one| (one.name.to_string(), one)))?),
        ("group", groups.collect()),
        ("binding", bindings.collect()),
        (
            "connection",
            named(state.connections().map(|one| {
                let connection = &one.connection;
                (connection.name.to_string(), connection)
            }))?,
        ),
        ("pack", named(state.packs().map(|one| (format!("{} {}", one.name, one.version), one)))?),
        (
            "automation",
            named(state.automations().map(|one| {
                let automation = &one.automation;
                (automation.name.to_string(), automation)
            }))?,
        ),
        (
            "standing writ",
            named(state.standing_writs().map(|one| {
                let standing = &one.standing;
                (standing.name.to_string(), standing)
            }))?,
        ),
        ("role", state.roles().map(|(name, rights)| (name.to_string(), json!(rights))).collect()),
        (
            "guardrail",
            state.policies().map(|(name, text)| (name.to_string(), json!(text))).collect(),
        ),
        (
            "service account",
            named(state.service_accounts().map(|one| (one.name.to_string(), one)))?,
        ),
        ("elevation", elevations.collect()),
        ("entitlements", entitlements(state)),
        ("suspension", suspended.collect()),
    ])
}

/// What services let people do, by connection.
fn entitlements(state: &CharterState) -> Things {
    let known = state.connections().filter_map(|record| {
        let holders = state.entitlements(&record.connection.name)?;
        let holders: BTreeMap<String, Value> =
            holders.iter().map(|(who, actions)| (who.to_string(), json!(actions))).collect();
        Some((record.connection.name.to_string(), json!(holders)))
    });
    known.collect()
}

fn named<T: Serialize>(things: impl IntoIterator<Item = (String, T)>) -> Result<Things, Failure> {
    let value = |(name, thing): (String, T)| Ok((name, serde_json::to_value(thing)?));
    things.into_iter().map(value).collect::<Result<_, serde_json::Error>>().map_err(|error| {
        Failure::because("charter", "cannot compare what the charter holds", &error)
    })
}

fn differences(
    before: &[(&'static str, Things)],
    after: &[(&'static str, Things)],
) -> Vec<Difference> {
    let mut found = Vec::new();
    for ((noun, before), (_, after)) in before.iter().zip(after) {
        let names: std::collections::BTreeSet<&String> =
            before.keys().chain(after.keys()).collect();
        for name in names {
            let (before, after) = (before.get(name).cloned(), after.get(name).cloned());
            if before != after {
                found.push(Difference { noun, name: name.clone(), before, after });
            }
        }
    }
    found
}

/// A difference in plain words: a line, and one more for each member that changed.
fn words(difference: &Difference) -> Vec<String> {
    let Difference { noun, name, before, after } = difference;
    let what = match (before, after) {
        (None, _) => "new",
        (_, None) => "gone",
        (Some(_), Some(_)) => "changed",
    };
    let mut lines = vec![format!("{what}: {noun} {name}")];
    if let (Some(before), Some(after)) = (before, after) {
        members("", before, after, &mut lines);
    }
    lines
}

fn members(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    let none = Value::Null;
    if let (Value::Object(before), Value::Object(after)) = (before, after) {
        let names: std::collections::BTreeSet<&String> =
            before.keys().chain(after.keys()).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (before, after) =
                (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
            members(&path, before, after, lines);
        }
    } else if before != after {
        let path = if path.is_empty() { "members" } else { path };
        lines.push(format!("    {path}: {} → {}", said(before), said(after)));
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things(things: &[(&str, Value)]) -> Things {
        things.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn what_is_new_gone_and_changed_is_said_by_noun_and_what_is_the_same_is_not() {
        let before = [(
            "connection",
            things(&[("a/x", json!({"h": 1})), ("a/y", json!({"k": "b", "hosts": ["one"]}))]),
        )];
        let after = [(
            "connection",
            things(&[("a/y", json!({"k": "b", "hosts": ["one", "two"]})), ("a/z", json!({}))]),
        )];

        let said: Vec<_> = differences(&before, &after).iter().flat_map(words).collect();

        assert_eq!(
            said,
            [
                "gone: connection a/x",
                "changed: connection a/y",
                "    hosts: [\"one\"] → [\"one\",\"two\"]",
                "new: connection a/z",
            ]
        );
        assert!(differences(&after, &after).is_empty());
    }
}
