//! Approvals: how a document asks, what an answer does, and what stands behind it.

use serde_json::{Value, json};
use writ_model::UnixMillis;
use writ_workflow::{ApprovalWait, Effect, Event, StepError};

use crate::world::{World, document, fault_of, output_of, parse};

const ASK: &str = "listen: {to: {one: {with: {type: dev.writ.approval.v1, data: {message: \
                   '${ \"Isolate \\(.host)?\" }', payload: '${ {host} }', quorum: 2}}}}}";
const ACT: &str = "call: edr.hosts.isolate:1.0.0@default, with: {connection: edr}";

fn waits(effects: &[Effect]) -> ApprovalWait {
    let [Effect::AwaitApproval(wait)] = effects else { panic!("{effects:?}") };
    wait.clone()
}

fn decided(wait: ApprovalWait, result: Result<Value, StepError>) -> Event {
    Event::ApprovalDecided { step: wait.step, attempt: wait.attempt, result }
}

#[test]
fn people_are_shown_message_and_payload_and_their_answers_are_the_output() {
    let mut world = World::new(document(&format!("\n  - ask: {{{ASK}}}\n  - act: {{{ACT}}}")));

    let wait = waits(&world.start(json!({"host": "web-17", "noise": 1})));
    assert_eq!(wait.shown, json!({"message": "Isolate web-17?", "payload": {"host": "web-17"}}));
    assert_eq!((wait.step.to_string().as_str(), wait.until), ("/do/0/ask#0", None));

    let answers = json!([{"decision": "approve"}]);
    let effects = world.take(decided(wait, Ok(answers.clone())));
    assert!(matches!(effects.as_slice(), [Effect::CallAction(_)]), "{effects:?}");
    assert_eq!(output_of(&world.answer(effects, |_| Ok(json!("done")))), json!("done"));
}

#[test]
fn without_a_payload_people_are_shown_what_the_task_is_given() {
    let ask = "listen: {to: {one: {with: {type: dev.writ.approval.v1, data: {message: Go?}}}}}";
    let mut world = World::new(document(&format!("\n  - ask: {{input: {{from: .a}}, {ask}}}")));

    let wait = waits(&world.start(json!({"a": 1, "b": 2})));

    assert_eq!(wait.shown, json!({"message": "Go?", "payload": 1}));
    assert_eq!(world.document.footprint().approvals[0].quorum, 1);
}

#[test]
fn a_rejection_is_an_error_that_a_document_may_catch() {
    let tasks = format!(
        "\n  - guarded: {{try: [{{ask: {{{ASK}}}}}, {{act: {{{ACT}}}}}], catch: {{errors: {{with: \
         {{status: 403}}}}, as: why, do: [{{told: {{set: {{code: '${{ $why.code }}'}}}}}}]}}}}"
    );
    let mut world = World::new(document(&tasks));
    let wait = waits(&world.start(json!({"host": "web-17"})));
    let step = wait.step.task.clone();
    let rejected = StepError::standard("authorization", 403, "approval-rejected", &step);

    let effects = world.take(decided(wait, Err(rejected)));

    assert_eq!(output_of(&effects), json!({"code": "approval-rejected"}));
}

#[test]
fn what_nobody_answers_in_time_fails_closed_and_so_does_an_answer_heard_of_late() {
    let tasks = format!("\n  - ask: {{timeout: {{after: PT1M}}, {ASK}}}\n  - act: {{{ACT}}}");
    let started = || {
        let mut world = World::new(document(&tasks));
        let wait = waits(&world.start(json!({"host": "web-17"})));
        assert_eq!(wait.until, Some(UnixMillis(world.now.0 + 60_000)));
        (world, wait)
    };

    let (mut world, wait) = started();
    world.now = wait.until.unwrap();
    let fired = Event::TimerFired { step: wait.step.clone(), attempt: 1 };
    let error = fault_of(&world.take(fired));
    assert_eq!((error.status, error.code.as_deref()), (408, Some("timed-out")));

    let (mut world, wait) = started();
    world.now = wait.until.unwrap();
    let error = fault_of(&world.take(decided(wait, Ok(json!([])))));
    assert_eq!(error.code.as_deref(), Some("timed-out"));
}

#[test]
fn an_answer_to_another_step_or_attempt_changes_nothing() {
    let mut world = World::new(document(&format!("\n  - ask: {{{ASK}}}")));
    let wait = waits(&world.start(json!({"host": "web-17"})));
    let before = world.state.clone();

    let mut other = wait.clone();
    other.step.iteration = 1;
    assert!(world.take(decided(other, Ok(json!([])))).is_empty());
    let other = ApprovalWait { attempt: 2, ..wait.clone() };
    assert!(world.take(decided(other, Ok(json!([])))).is_empty());
    let finished =
        Event::ActionFinished { step: wait.step, attempt: wait.attempt, result: Ok(json!([])) };
    assert!(world.take(finished).is_empty());

    assert_eq!(world.state, before);
}

/// The actions behind the first approval of these tasks.
fn behind(tasks: &str) -> Vec<String> {
    let tasks = tasks.replace("ASK", ASK).replace("ACT", ACT);
    let footprint = parse(&document(&tasks)).footprint().clone();
    footprint.approvals[0].behind.iter().map(|used| used.action.to_string()).collect()
}

#[test]
fn what_every_way_to_it_leads_through_the_approval_stands_behind_it() {
    for tasks in [
        "\n  - ask: {ASK}\n  - act: {ACT}",
        "\n  - ask: {ASK}\n  - a: {do: [{b: {for: {in: .x}, do: [{c: {ACT}}]}}]}",
        "\n  - ask: {ASK}\n  - a: {try: [{b: {ACT}}], catch: {do: [{c: {ACT}}]}}",
        "\n  - a: {for: {in: .x}, do: [{ask: {ASK}}, {act: {ACT}}]}",
        "\n  - a: {switch: [{b: {when: .x, then: ask}}, {c: {then: end}}]}\n  - ask: {ASK}\n  - act: {ACT}",
        "\n  - ask: {ASK}\n  - act: {ACT}\n  - again: {set: {}, then: act}",
    ] {
        assert_eq!(behind(tasks), ["edr.hosts.isolate"], "{tasks}");
    }
}

#[test]
fn what_a_way_round_the_approval_leads_to_does_not_stand_behind_it() {
    for tasks in [
        "\n  - act: {ACT}\n  - ask: {ASK}",
        "\n  - ask: {if: .x, ASK}\n  - act: {ACT}",
        "\n  - a: {switch: [{b: {when: .x, then: act}}]}\n  - ask: {ASK}\n  - act: {ACT}",
        "\n  - a: {set: {}, then: act}\n  - ask: {ASK}\n  - act: {ACT}",
        "\n  - a: {try: [{ask: {ASK}}], catch: {do: [{act: {ACT}}]}}",
        "\n  - a: {do: [{ask: {ASK, if: .x}}]}\n  - act: {ACT}",
    ] {
        assert!(behind(tasks).is_empty(), "{tasks}");
    }
    // One call before the approval is enough: the jail can't tell one from the other.
    assert!(behind("\n  - first: {ACT}\n  - ask: {ASK}\n  - act: {ACT}").is_empty());
}
