//! Guardrails: what a charter's own policies forbid, whatever roles permit (DESIGN §9).
//!
//! A guardrail only forbids. Who may do something is said by bindings and roles alone, so that the rules which
//! count administrators, or ask what a change widens, see all that permits.
//!
//! Invariants:
//! * text that does not parse, does not fit the schema or permits anything is no guardrail;
//! * one that can't be read at a decision denies: it may have forbidden;
//! * they keep nobody from stopping something, nor owners from changing guardrails ([`Right::is_guarded`]).

use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Effect, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use writ_evidence::charter::CharterState;

/// The built-in policies together with a charter's guardrails.
pub(crate) struct Guarded {
    texts: Vec<(String, String)>,
    pub(crate) set: PolicySet,
}

/// The newest guardrails that were read: a decision parses none that it has seen before.
#[derive(Default)]
pub(crate) struct Newest(Mutex<Option<Arc<Guarded>>>);

impl Newest {
    /// The policies that decide under `charter`; `Err` says what about its guardrails can't be read.
    pub(crate) fn of(
        &self,
        charter: &CharterState,
        built_in: &PolicySet,
    ) -> Result<Arc<Guarded>, String> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = || charter.policies().map(|(name, text)| (name.as_str(), text));
        if let Some(known) = &*newest
            && known.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).eq(said())
        {
            return Ok(Arc::clone(known));
        }
        let mut set = built_in.clone();
        for (name, text) in said() {
            add(&mut set, name, text)?;
        }
        let texts = said().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let guarded = Arc::new(Guarded { texts, set });
        *newest = Some(Arc::clone(&guarded));
        Ok(guarded)
    }
}

/// Whether text may be a guardrail of this name.
pub(crate) fn check(name: &str, text: &str, schema: &Schema) -> Result<(), String> {
    let mut set = PolicySet::new();
    add(&mut set, name, text)?;
    let validated = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    if validated.validation_passed() { Ok(()) } else { Err(validated.to_string()) }
}

/// Adds what forbids, each as `name/id`, or `name/policy0` and so on where the text gives no `@id`.
fn add(set: &mut PolicySet, name: &str, text: &str) -> Result<(), String> {
    let parsed: PolicySet = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.templates().next().is_some() {
        return Err("a guardrail has no templates".to_owned());
    }
    if parsed.policies().next().is_none() {
        return Err("a guardrail forbids something; this text says nothing".to_owned());
    }
    for policy in parsed.policies() {
        if policy.effect() != Effect::Forbid {
            return Err("a guardrail only forbids; roles permit".to_owned());
        }
        let own = policy.annotation("id").map_or_else(|| policy.id().to_string(), str::to_owned);
        let renamed = policy.new_id(PolicyId::new(format!("{name}/{own}")));
        set.add(renamed).map_err(|error| format!("{error}"))?;
    }
    Ok(())
}
