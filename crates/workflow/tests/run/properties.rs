//! What holds for every run of many documents, whatever answers come back and in whatever order.

use proptest::prelude::*;
use serde_json::{Value, json};
use writ_workflow::{Document, Effect, Event, Jaq, State, on};

use crate::world::{World, action_error, document, parse};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_until_then_owes_exactly_one_effect(tasks in tasks(), answers in answers()) {
        let mut world = World::new(document(&tasks));
        let mut effects = world.start(json!({"n": 1, "go": true}));
        for answer in answers.iter().cycle().take(100_000) {
            prop_assert_eq!(effects.len(), 1);
            if let [Effect::Finish(outcome)] = effects.as_slice() {
                prop_assert_eq!(world.state.outcome(), Some(outcome));
                return Ok(());
            }
            prop_assert!(world.state.outcome().is_none() && world.state.is_waiting());
            effects = world.answer(effects, |_| reply(*answer));
        }
        prop_assert!(false, "the run does not end");
    }

    #[test]
    fn no_two_effects_of_a_run_have_the_same_name(tasks in tasks(), answers in answers()) {
        let mut names = std::collections::BTreeSet::new();
        for (_, effect) in history(&parse(&document(&tasks)), &answers) {
            let name = match effect {
                Effect::CallAction(call) => (call.step, call.attempt),
                Effect::RunCode(code) => (code.step, code.attempt),
                Effect::AwaitApproval(wait) => (wait.step, wait.attempt),
                Effect::StartTimer { step, attempt, .. } => (step, attempt),
                Effect::Finish(_) => continue,
            };
            prop_assert!(names.insert(name.clone()), "{name:?} twice");
        }
    }

    #[test]
    fn events_that_come_twice_or_late_change_nothing(
        tasks in tasks(), answers in answers(), strays in prop::collection::vec(any::<prop::sample::Index>(), 1..8)
    ) {
        let document = parse(&document(&tasks));
        let mut world = World::of(document.clone());
        let mut seen: Vec<Event> = Vec::new();
        let mut next = Some(World::start_event(json!({"n": 1, "go": true})));
        for answer in answers.iter().cycle().take(60) {
            let Some(event) = next.take() else { break };
            let mut effects = world.take(event.clone());
            seen.push(event);
            for stray in &strays {
                let late = stray.get(&seen).clone();
                let (state, owed) = on(&document, world.state.clone(), late, world.now, &Jaq);
                prop_assert_eq!(&state, &world.state);
                prop_assert!(owed.is_empty());
            }
            if let Some(effect) = effects.pop() {
                next = world.event_for(effect, |_| reply(*answer));
            }
        }
    }

    #[test]
    fn a_state_that_is_written_and_read_at_every_step_goes_the_same_way(
        tasks in tasks(), answers in answers()
    ) {
        let document = parse(&document(&tasks));
        let straight = history(&document, &answers);
        let mut state = State::new();
        for (event, effect) in straight {
            let written = serde_json::to_string(&state).unwrap();
            let event_written = serde_json::to_string(&event.0).unwrap();
            let read: State = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&read, &state);
            let event_read: Event = serde_json::from_str(&event_written).unwrap();

            let (next, effects) = on(&document, read, event_read, event.1, &Jaq);

            prop_assert_eq!(effects, vec![effect]);
            state = next;
        }
    }
}

type Timed = (Event, writ_model::UnixMillis);

/// The events of a run, and the effect that each was answered with.
fn history(document: &Document, answers: &[u8]) -> Vec<(Timed, Effect)> {
    let mut world = World::of(document.clone());
    let mut next = Some(World::start_event(json!({"n": 1, "go": true})));
    let mut history = Vec::new();
    for answer in answers.iter().cycle().take(60) {
        let Some(event) = next.take() else { break };
        let now = world.now;
        let mut effects = world.take(event.clone());
        let effect = effects.pop().unwrap();
        next = world.event_for(effect.clone(), |_| reply(*answer));
        history.push(((event, now), effect));
    }
    history
}

fn reply(answer: u8) -> Result<Value, writ_workflow::StepError> {
    match answer {
        0 => Ok(json!({"n": 2, "go": false})),
        1 => Ok(json!({"n": 3, "go": true})),
        2 => Ok(json!("text")),
        3 => Err(action_error(503, Some(1))),
        4 => Err(action_error(404, None)),
        _ => Err(action_error(500, None)),
    }
}

fn answers() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..6, 1..12)
}

/// Task lists of up to three levels; every list has tasks `t0`, `t1`, ….
fn tasks() -> impl Strategy<Value = String> {
    list(2)
}

fn list(depth: u32) -> BoxedStrategy<String> {
    prop::collection::vec((task(depth), then()), 1..4)
        .prop_map(|tasks| {
            let many = tasks.len();
            let items = tasks.into_iter().enumerate().map(|(at, (task, then))| {
                let then = match then {
                    3.. => format!("t{}", usize::from(then) % many),
                    2 => "end".to_owned(),
                    1 => "exit".to_owned(),
                    0 => "continue".to_owned(),
                };
                format!("{{t{at}: {{{}, then: {then}}}}}", task.replace("THEN", &then))
            });
            format!(" [{}]", items.collect::<Vec<_>>().join(", "))
        })
        .boxed()
}

/// Mostly onwards, sometimes out, seldom back.
fn then() -> impl Strategy<Value = u8> {
    prop_oneof![12 => Just(0_u8), 1 => Just(1), 1 => Just(2), 2 => 3_u8..6]
}

fn task(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop::sample::select(
        &[
            "set: {n: '${ .n + 1 }', go: true}",
            "set: '${ {n: 1, go: (.go // false)} }'",
            "if: .go, set: {n: 0}",
            "wait: PT1S",
            "call: github.issues.get:1.0.0@default, with: {connection: github, n: '${ .n }'}",
            "run: {script: {language: python, code: x, arguments: {n: '${ .n? }'}}}",
            "listen: {to: {one: {with: {type: dev.writ.approval.v1, data: {message: '${ .n? }'}}}}}",
            "raise: {error: {type: 'urn:x', status: 503}}",
            "switch: [{a: {when: .go, then: THEN}}, {b: {then: continue}}]",
            "set: {n: 1, go: false}, export: {as: '${ {last: $output} }'}",
        ][..],
    )
    .prop_map(str::to_owned);
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = list(depth - 1);
    let caught = (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(body, handler, retry)| {
        let retry = if retry {
            "retry: {delay: {seconds: 1}, backoff: {linear: {}}, limit: {attempt: {count: 2}}}, "
        } else {
            ""
        };
        format!("try: {body}, catch: {{errors: {{with: {{status: 503}}}}, {retry}as: err, do: {handler}}}")
    });
    prop_oneof![4 => leaf, 1 => inner.prop_map(|list| format!("do: {list}")), 2 => caught].boxed()
}
