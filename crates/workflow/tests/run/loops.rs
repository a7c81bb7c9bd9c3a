//! `for`, timeouts, and what `run` gives to code.

use serde_json::{Value, json};
use writ_model::{CodeLanguage, ProcessReturn, UnixMillis};
use writ_workflow::{Effect, Event};

use crate::world::{World, action_error, document, fault_of, output_of};

#[test]
fn a_loop_gives_each_time_what_the_time_before_gave() {
    let mut world = World::new(document(
        r"
  - gather:
      for: {each: color, in: .colors, at: place}
      do:
        - note: {set: {seen: '${ .seen + [{color: $color, place: $place}] }'}}",
    ));
    let output = output_of(&world.run(json!({"colors": ["red", "blue"]})));
    let seen = json!([{"color": "red", "place": 0}, {"color": "blue", "place": 1}]);
    assert_eq!(output, json!({"seen": seen}));
}

#[test]
fn a_loop_over_nothing_gives_back_its_input() {
    let mut world = World::new(document("\n  - a: {for: {in: .none}, do: [{b: {set: {x: 1}}}]}"));
    assert_eq!(output_of(&world.run(json!({"none": []}))), json!({"none": []}));
}

#[test]
fn a_loop_goes_on_only_while_its_condition_holds() {
    let mut world = World::new(document(
        r"
  - count:
      for: {in: '[1, 2, 3, 4]'}
      while: $item < 3
      do: [{add: {set: {n: '${ .n + $item }'}}}]",
    ));
    assert_eq!(output_of(&world.run(json!({"n": 0}))), json!({"n": 3}));
}

#[test]
fn loops_nest_and_each_step_of_them_has_a_name_of_its_own() {
    let mut world = World::new(document(
        r"
  - outer:
      for: {each: a, in: '[1, 2]'}
      do:
        - inner:
            for: {each: b, in: '[10, 20]'}
            do:
              - ask:
                  call: acme.things.read:1.0.0@default
                  with: {connection: acme, n: '${ $a + $b }'}",
    ));
    let mut effects = world.start(json!({}));
    let mut calls = Vec::new();
    while let [Effect::CallAction(call)] = effects.as_slice() {
        calls.push((call.step.to_string(), call.parameters["n"].clone()));
        effects = world.answer(effects, |_| Ok(json!({})));
    }
    let step = |n: u32| format!("/do/0/outer/do/0/inner/do/0/ask#{n}");
    let expected = [11, 21, 12, 22].into_iter().zip(0..);
    let expected: Vec<_> = expected.map(|(sum, n)| (step(n), json!(sum))).collect();
    assert_eq!(calls, expected);
}

#[test]
fn what_is_no_list_and_what_never_ends_faults() {
    let mut world = World::new(document("\n  - a: {for: {in: .n}, do: []}"));
    let error = fault_of(&world.run(json!({"n": 3})));
    assert_eq!(error.code.as_deref(), Some("expression-not-list"));

    let mut world = World::new(document("\n  - a: {for: {in: .n}, do: []}"));
    let many: Vec<u32> = (0..20_000).collect();
    let error = fault_of(&world.run(json!({"n": many})));
    assert_eq!(error.code.as_deref(), Some("too-many-tasks"));
}

#[test]
fn an_item_is_seen_in_its_loop_only() {
    let source = document("\n  - a: {for: {in: '[1]'}, do: []}\n  - b: {set: {x: '${ $item }'}}");
    assert_eq!(writ_workflow::parse(&source).unwrap_err()[0].code, "expression");
}

const SLOW: &str = r"
  - slow:
      timeout: {after: PT10S}
      do:
        - rest: {wait: PT1M}
        - never: {set: {late: true}}";

#[test]
fn a_wait_is_cut_short_when_its_task_times_out() {
    let mut world = World::new(document(SLOW));
    let start = world.now;
    let effects = world.start(json!({}));
    let [Effect::StartTimer { at, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(*at, UnixMillis(start.0 + 10_000));

    let error = fault_of(&world.answer(effects, |_| Ok(Value::Null)));
    assert_eq!((error.status, error.code.as_deref()), (408, Some("timed-out")));
    assert!(error.type_.ends_with("/errors/timeout"), "{}", error.type_);
    assert_eq!(error.instance.as_deref(), Some("/do/0/slow"));
}

#[test]
fn a_timer_that_fires_before_the_clock_says_so_times_out_all_the_same() {
    let mut world = World::new(document(SLOW));
    let effects = world.start(json!({}));
    let [Effect::StartTimer { step, attempt, .. }] = effects.as_slice() else { panic!() };
    let event = Event::TimerFired { step: step.clone(), attempt: *attempt };
    assert_eq!(fault_of(&world.take(event)).code.as_deref(), Some("timed-out"));
}

#[test]
fn a_timeout_can_be_caught_outside_what_timed_out_and_not_inside() {
    let mut world = World::new(document(
        r"
  - guarded:
      try:
        - slow:
            timeout: {after: PT10S}
            try: [{rest: {wait: PT1M}}]
            catch: {do: [{inside: {set: {caught: inside}}}]}
      catch:
        errors: {with: {status: 408}}
        do: [{outside: {set: {caught: '${ $error.instance }'}}}]",
    ));
    let effects = world.start(json!({}));
    let output = output_of(&world.answer(effects, |_| Ok(Value::Null)));
    assert_eq!(output, json!({"caught": "/do/0/guarded/try/0/slow"}));
}

const CALLS: &str = r"
  - calls:
      timeout: {after: PT10S}
      do:
        - first: {call: 'acme.things.once:1.0.0@default', with: {connection: acme}}
        - second: {call: 'acme.things.once:1.0.0@default', with: {connection: acme}}";

#[test]
fn what_was_done_late_is_done_but_nothing_begins_late() {
    let mut world = World::new(document(CALLS));
    let effects = world.start(json!({}));
    world.now = world.now.plus(std::time::Duration::from_secs(11));
    let error = fault_of(&world.answer(effects, |_| Ok(json!({}))));
    assert_eq!(error.instance.as_deref(), Some("/do/0/calls"));

    let mut world = World::new(document(CALLS));
    let effects = world.start(json!({}));
    let effects = world.answer(effects, |_| Ok(json!({})));
    world.now = world.now.plus(std::time::Duration::from_secs(11));
    assert_eq!(output_of(&world.answer(effects, |_| Ok(json!({"n": 2})))), json!({"n": 2}));
}

#[test]
fn what_failed_late_has_timed_out() {
    let mut world = World::new(document(CALLS));
    let effects = world.start(json!({}));
    world.now = world.now.plus(std::time::Duration::from_secs(11));
    let error = fault_of(&world.answer(effects, |_| Err(action_error(503, None))));
    assert_eq!(error.code.as_deref(), Some("timed-out"));
}

#[test]
fn a_run_times_out_whatever_it_catches() {
    let source = document(
        r"
  - stubborn:
      try: [{rest: {wait: PT1H}}]
      catch: {do: [{again: {set: {}, then: exit}}]}
timeout: {after: PT1M}",
    );
    let mut world = World::new(source);
    let effects = world.start(json!({}));
    let error = fault_of(&world.answer(effects, |_| Ok(Value::Null)));
    assert_eq!((error.status, error.instance.as_deref()), (408, Some("/")));
}

#[test]
fn code_is_given_the_time_that_is_left() {
    let source = document(
        r"
  - pause: {wait: PT20S}
  - code: {run: {script: {language: javascript, code: '1'}}, timeout: short}
use: {timeouts: {short: {after: PT30S}}}
timeout: {after: PT45S}",
    );
    let mut world = World::new(source);
    let effects = world.start(json!({}));
    let effects = world.answer(effects, |_| Ok(Value::Null));
    let [Effect::RunCode(code)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(code.time_left, Some(std::time::Duration::from_secs(25)));
    assert_eq!(code.language, CodeLanguage::JavaScript);
}

#[test]
fn a_command_gets_data_as_arguments_variables_and_stdin() {
    let mut world = World::new(document(
        r"
  - shell:
      run:
        shell:
          command: 'echo $1'
          stdin: '${ .text }'
          arguments: ['${ .n }', plain]
          environment: {WHO: '${ .who }'}
        return: all",
    ));
    let effects = world.start(json!({"text": "in", "n": 1, "who": "$(id)"}));
    let [Effect::RunCode(code)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((code.language, code.returns), (CodeLanguage::Bash, ProcessReturn::All));
    let input = serde_json::to_value(&code.input).unwrap();
    let environment = json!({"WHO": "$(id)"});
    assert_eq!(
        input,
        json!({"stdin": "in", "arguments": ["1", "plain"], "environment": environment})
    );
}

#[test]
fn what_a_run_task_returns_depends_on_what_it_runs() {
    for (run, returns) in [
        ("script: {language: python, code: x}", ProcessReturn::Output),
        ("script: {language: python, code: x}, return: stdout", ProcessReturn::Stdout),
        ("shell: {command: x}", ProcessReturn::Stdout),
        ("shell: {command: x}, return: code", ProcessReturn::Code),
        ("shell: {command: x}, return: none, await: true", ProcessReturn::None),
    ] {
        let mut world = World::new(document(&format!("\n  - a: {{run: {{{run}}}}}")));
        let effects = world.start(json!({}));
        let [Effect::RunCode(code)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(code.returns, returns, "{run}");
    }
}

#[test]
fn arguments_that_no_process_takes_fault() {
    let mut world =
        World::new(document("\n  - a: {run: {shell: {command: x, arguments: ['${ .bad }']}}}"));
    let error = fault_of(&world.run(json!({"bad": "a\u{0}b"})));
    assert_eq!(error.code.as_deref(), Some("process-arguments"));
}
