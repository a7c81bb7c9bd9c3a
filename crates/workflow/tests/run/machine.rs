//! The run machine, as a shell sees it: events in, effects out.

use crate::world::{World, action_error, document, fault_of, output_of, parse};
use serde_json::{Value, json};
use writ_model::UnixMillis;
use writ_workflow::{Effect, Event, Jaq, Outcome, PackRef, State, on};

#[test]
fn data_flows_from_task_to_task_through_input_output_and_export() {
    let mut world = World::new(document(
        r"
  - first:
      input: {from: .user}
      set: {name: '${ .name }', whole: '${ $workflow.input.user.name }', given: '${ $input.name }'}
      output: {as: '${ {name, from: $task.name, given} }'}
      export: {as: '${ {seen: $output.name} }'}
  - second:
      set: {context: '${ $context.seen }', before: '${ . }', reference: '${ $task.reference }'}",
    ));

    let output = output_of(&world.run(json!({"user": {"name": "ann"}})));

    let before = json!({"name": "ann", "from": "first", "given": "ann"});
    assert_eq!(output, json!({"context": "ann", "before": before, "reference": "/do/1/second"}));
}

#[test]
fn an_action_is_called_with_parameters_and_its_result_flows_on() {
    let mut world = World::new(document(
        r"
  - open:
      call: github.issues.create:1.2.0@default
      with: {connection: github, title: '${ .title }', labels: [alert]}
  - done:
      set: {url: '${ .url }'}",
    ));

    let effects = world.start(json!({"title": "leak"}));

    let [Effect::CallAction(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(call.step.to_string(), "/do/0/open#0");
    assert_eq!(call.connection.to_string(), "secops/github");
    assert_eq!(
        Value::Object(call.parameters.clone()),
        json!({"title": "leak", "labels": ["alert"]})
    );
    assert_eq!(output_of(&world.answer(effects, |_| Ok(json!({"url": "u"})))), json!({"url": "u"}));
}

#[test]
fn code_is_run_with_its_arguments() {
    let mut world = World::new(document(
        r"
  - score:
      run: {script: {language: python, code: 'print(1)', arguments: {n: '${ .n + 1 }'}}}",
    ));

    let effects = world.start(json!({"n": 1}));

    let [Effect::RunCode(code)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((code.code.as_str(), code.input.stdin.as_str()), ("print(1)", r#"{"n":2}"#));
    assert_eq!(output_of(&world.answer(effects, |_| Ok(json!(5)))), json!(5));
}

#[test]
fn a_wait_ends_when_its_timer_fires_and_gives_back_its_input() {
    let mut world = World::new(document("\n  - pause: {wait: PT90S}"));

    let effects = world.start(json!({"kept": true}));

    let [Effect::StartTimer { at, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(*at, UnixMillis(world.now.0 + 90_000));
    assert_eq!(output_of(&world.answer(effects, |_| Ok(Value::Null))), json!({"kept": true}));
}

#[test]
fn a_skipped_task_passes_its_input_on_and_a_condition_must_be_true_or_false() {
    let mut skipped = World::new(document("\n  - a: {if: .go, set: {ran: true}}"));
    assert_eq!(output_of(&skipped.run(json!({"go": false}))), json!({"go": false}));

    let mut unclear = World::new(document("\n  - a: {if: .go, set: {ran: true}}"));
    let error = fault_of(&unclear.run(json!({"go": 1})));
    assert_eq!(error.code.as_deref(), Some("expression-not-boolean"));
}

#[test]
fn exit_leaves_its_list_and_end_leaves_the_run() {
    let body = |then: &str| {
        document(&format!(
            r"
  - group:
      do:
        - a: {{set: {{at: a}}, then: {then}}}
        - b: {{set: {{at: b}}}}
  - after:
      set: {{after: '${{ .at }}'}}"
        ))
    };
    assert_eq!(output_of(&World::new(body("exit")).run(Value::Null)), json!({"after": "a"}));
    assert_eq!(output_of(&World::new(body("end")).run(Value::Null)), json!({"at": "a"}));
    assert_eq!(output_of(&World::new(body("continue")).run(Value::Null)), json!({"after": "b"}));
}

#[test]
fn an_error_is_caught_by_the_catch_that_it_matches() {
    let mut world = World::new(document(
        r"
  - outer:
      try:
        - inner:
            try:
              - boom: {raise: {error: {type: 'urn:x', status: 409, title: '${ .t }'}}}
            catch: {errors: {with: {status: 404}}, do: [{no: {set: {at: inner}}}]}
      catch:
        errors: {with: {status: 409, instance: /do/0/outer/try/0/inner/try/0/boom}}
        as: err
        when: $err.title == $input.t
        do:
          - keep: {set: {title: '${ $err.title }', kept: '${ .t }'}}",
    ));

    assert_eq!(
        output_of(&world.run(json!({"t": "late"}))),
        json!({"title": "late", "kept": "late"})
    );
}

#[test]
fn an_error_that_nothing_catches_faults_the_run_and_says_where() {
    let mut world = World::new(document("\n  - boom: {raise: {error: broken}}\n").replace(
        "do:",
        "use: {errors: {broken: {type: 'urn:broken', status: 500, detail: '${ $workflow.definition.document.name }'}}}\ndo:",
    ));

    let error = fault_of(&world.run(Value::Null));

    assert_eq!((error.type_.as_str(), error.status), ("urn:broken", 500));
    assert_eq!(error.detail.as_deref(), Some("test"));
    assert_eq!(error.instance.as_deref(), Some("/do/0/boom"));
}

const RETRIED: &str = r"
  - guarded:
      try:
        - get:
            call: github.issues.get:1.0.0@default
            with: {connection: github}
      catch:
        errors: {with: {status: 503}}
        retry: {delay: {seconds: 2}, backoff: {exponential: {}}, limit: {attempt: {count: 2}}}
        do:
          - give-up: {set: {gave: up, status: '${ $error.status }'}}";

#[test]
fn a_retry_backs_off_waits_as_asked_and_gives_up_after_its_count() {
    let mut world = World::new(document(RETRIED));
    let mut effects = world.start(Value::Null);
    let (mut calls, mut waits) = (Vec::new(), Vec::new());
    while let [effect] = effects.as_slice() {
        match effect {
            Effect::CallAction(call) => calls.push(call.step.to_string()),
            Effect::StartTimer { at, .. } => waits.push(at.0 - world.now.0),
            Effect::RunCode(_) | Effect::AwaitApproval(_) | Effect::Finish(_) => break,
        }
        effects = world.answer(effects, |_| Err(action_error(503, Some(3))));
    }

    let inner = "/do/0/guarded/try/0/get";
    assert_eq!(calls, [format!("{inner}#0"), format!("{inner}#1"), format!("{inner}#2")]);
    assert_eq!(waits, [3_000, 4_000]);
    assert_eq!(output_of(&effects), json!({"gave": "up", "status": 503}));
}

#[test]
fn an_error_that_is_not_the_kind_to_retry_faults_at_once() {
    let mut world = World::new(document(RETRIED));
    let effects = world.start(Value::Null);

    let error = fault_of(&world.answer(effects, |_| Err(action_error(403, None))));

    assert_eq!(error.instance.as_deref(), Some("/do/0/guarded/try/0/get"));
}

#[test]
fn reusable_retries_are_those_of_use() {
    let source = document(RETRIED)
        .replace("retry: {delay: {seconds: 2}, backoff: {exponential: {}}, limit: {attempt: {count: 2}}}", "retry: slow")
        .replace("do:\n  - guarded", "use: {retries: {slow: {delay: PT1M, limit: {duration: PT1M}}}}\ndo:\n  - guarded");
    let mut world = World::new(source);
    let effects = world.start(Value::Null);
    let effects = world.answer(effects, |_| Err(action_error(503, None)));
    assert!(matches!(effects.as_slice(), [Effect::StartTimer { .. }]));
    let effects = world.answer(effects, |_| Ok(Value::Null));

    // A second wait would end past the minute that all retries have.
    let effects = world.answer(effects, |_| Err(action_error(503, None)));

    assert_eq!(output_of(&effects)["gave"], "up");
}

#[test]
fn a_loop_without_an_end_faults() {
    let mut world = World::new(document("\n  - a: {set: {}, then: a}"));
    assert_eq!(fault_of(&world.run(Value::Null)).code.as_deref(), Some("too-many-tasks"));
}

#[test]
fn a_loop_of_caught_errors_does_not_exhaust_the_stack() {
    let mut world = World::new(document(
        r"
  - again:
      try: [{boom: {raise: {error: {type: 'urn:x', status: 500}}}}]
      catch: {do: [{note: {set: {}}}]}
      then: again",
    ));
    assert_eq!(fault_of(&world.run(Value::Null)).code.as_deref(), Some("too-many-tasks"));
}

#[test]
fn a_loop_that_grows_faults_before_it_hurts() {
    let mut deeper = World::new(document("\n  - a: {set: {x: '${ . }'}, then: a}"));
    assert_eq!(fault_of(&deeper.run(Value::Null)).code.as_deref(), Some("expression-too-deep"));

    let mut wider = World::new(document("\n  - a: {set: {x: '${ .x + .x }'}, then: a}"));
    let error = fault_of(&wider.run(json!({"x": "x"})));
    assert_eq!(error.code.as_deref(), Some("expression-too-large"));
}

#[test]
fn a_large_input_carried_round_and_round_is_stopped() {
    let mut world = World::new(document("\n  - a: {input: {from: .}, do: [], then: a}"));
    let error = fault_of(&world.run(json!({"blob": "x".repeat(500_000)})));
    assert_eq!(error.code.as_deref(), Some("expression-exhausted"));
}

#[test]
fn no_catch_outlives_the_budget() {
    let mut world = World::new(document(
        r"
  - again:
      try: [{grow: {set: {x: '${ [.. | $input | ..] | [., .] | [.. | $input | ..] }'}}}]
      catch: {do: [{note: {set: '${ $input }'}}]}
      then: again",
    ));
    let error = fault_of(&world.run(json!((0..3000).collect::<Vec<u32>>())));
    assert_eq!(error.code.as_deref(), Some("expression-exhausted"));
}

#[test]
fn outputs_deeper_than_a_journal_can_keep_are_errors_of_the_step() {
    let mut world = World::new(document(RETRIED));
    let effects = world.start(Value::Null);
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }

    let error = fault_of(&world.answer(effects, |_| Ok(deep.clone())));

    assert_eq!(error.code.as_deref(), Some("expression-too-deep"));
}

#[test]
fn a_report_about_another_step_attempt_or_kind_changes_nothing() {
    let document = parse(&document(RETRIED));
    let mut world = World::of(document.clone());
    let effects = world.start(Value::Null);
    let [Effect::CallAction(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let (step, attempt) = (call.step.clone(), call.attempt);
    let mut other = step.clone();
    other.iteration = 1;
    let done = || Ok(Value::Null);

    for late in [
        Event::ActionFinished { step: other, attempt, result: done() },
        Event::ActionFinished { step: step.clone(), attempt: 2, result: done() },
        Event::CodeFinished { step: step.clone(), attempt, result: done() },
        Event::TimerFired { step, attempt },
        World::start_event(json!({"again": true})),
    ] {
        let (state, owed) = on(&document, world.state.clone(), late.clone(), world.now, &Jaq);
        assert_eq!((&state, owed.len()), (&world.state, 0), "{late:?}");
    }
}

#[test]
fn a_state_of_other_rules_is_left_alone() {
    let document = parse(&document("\n  - a: {set: {}}"));
    let world = World::of(document.clone());
    let mut written = serde_json::to_value(State::new()).unwrap();
    written["version"] = json!(2);
    let state: State = serde_json::from_value(written).unwrap();

    let (after, owed) =
        on(&document, state.clone(), World::start_event(Value::Null), world.now, &Jaq);

    assert_eq!((after, owed), (state, Vec::<Effect>::new()));
}

#[test]
fn a_finished_run_takes_no_more_events() {
    let source = document("\n  - a: {set: {x: 1}}");
    let mut world = World::new(source);
    assert_eq!(output_of(&world.run(Value::Null)), json!({"x": 1}));
    assert!(matches!(world.state.outcome(), Some(Outcome::Completed { .. })));

    assert_eq!(world.start(Value::Null), Vec::<Effect>::new());
}

#[test]
fn a_request_is_spelled_out_and_its_data_flows_in() {
    let source = document(
        r"
  - ask:
      call: http
      with:
        method: post
        endpoint:
          uri: https://api.example:8443/pets/{id}?kind={kind}
          authentication: {use: pets}
        query: {limit: '${ .limit }'}
        headers: {X-Trace: '${ .trace }'}
        body: {name: '${ .name }'}
        output: response",
    );
    let mut world = World::new(&source);
    let input = json!({"id": 7, "kind": "cat", "limit": 3, "trace": "t", "name": "n"});
    let effects = world.start(input);

    let [Effect::CallAction(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((call.action.as_str(), call.connection.name()), ("http.request.post", "pets"));
    let PackRef::Inline(text) = &call.pack else { panic!("{:?}", call.pack) };
    let expected = json!({
        "method": "POST",
        "host": {"host": "api.example", "port": 8443},
        "target": "/pets/{id}?kind={kind}",
        "output": "response",
    });
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
    let parameters = json!({
        "uri": {"id": 7, "kind": "cat"},
        "query": {"limit": 3},
        "headers": {"X-Trace": "t"},
        "body": {"name": "n"},
    });
    assert_eq!(Value::Object(call.parameters.clone()), parameters);
    let used = world.document.footprint().actions.iter().next().unwrap();
    assert_eq!(&used.pack, &call.pack, "what is signed is what is called");
}
