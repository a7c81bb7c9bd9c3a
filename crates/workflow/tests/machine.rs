//! What holds for every run of the machine, whatever its steps come to.

#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};
use writ_model::{RunId, UnixMillis};
use writ_workflow::{Document, Effect, Event, Jaq, Outcome, RunFacts, State, StepError, on, parse};

/// Every kind of task, with a retry, a handler, jumps and exports.
const DOCUMENT: &str = r#"
document: {dsl: '1.0.1', namespace: lab, name: all, version: '1.0.0'}
do:
  - first:
      set: {count: "${ .n }", list: [1, "${ .n + 1 }"]}
      export: {as: '${ {first: .} }'}
  - guarded:
      try:
        - ask:
            call: github.repositories.get:1.0.0@default
            with: {connection: github, owner: o, repo: "${ $context.first.count | tostring }"}
      catch:
        errors: {with: {status: 429}}
        retry: {delay: PT1S, backoff: {exponential: {}}, limit: {attempt: {count: 3}}}
        do:
          - note: {set: {failed: "${ $error.status }"}}
  - pause: {wait: PT5S}
  - code:
      if: ${ $context.first.count > 0 }
      run: {script: {language: python, code: 'print(1)', arguments: {of: "${ $context }"}}}
  - choose:
      switch:
        - big: {when: '${ $context.first.count > 5 }', then: inner}
        - otherwise: {then: last}
  - inner:
      timeout: {after: PT20S}
      do:
        - each:
            for: {each: letter, in: '["a", "b", "c"]', at: place}
            while: $place < 2
            do:
              - look: {run: {shell: {command: 'echo "$1"', arguments: ['${ $letter }']}}}
        - one: {set: {inner: true}, then: exit}
        - two: {set: {never: true}}
  - last: {set: {done: true, count: "${ $context.first.count }"}}
"#;

fn document() -> Document {
    parse(DOCUMENT).unwrap()
}

/// What the steps of a run come to, one after another.
#[derive(Debug, Clone)]
enum Result_ {
    Ok,
    RateLimited,
    Failed,
}

fn results() -> impl Strategy<Value = Vec<Result_>> {
    let one = prop_oneof![Just(Result_::Ok), Just(Result_::RateLimited), Just(Result_::Failed)];
    proptest::collection::vec(one, 0..8)
}

fn answer(effect: &Effect, result: &Result_) -> Option<Event> {
    let failed = |status| StepError::standard("communication", status, "http-status", "/");
    let value = match result {
        Result_::Ok => Ok(json!({"private": true})),
        Result_::RateLimited => Err(failed(429)),
        Result_::Failed => Err(failed(500)),
    };
    match effect {
        Effect::CallAction(call) => Some(Event::ActionFinished {
            step: call.step.clone(),
            attempt: call.attempt,
            result: value,
        }),
        Effect::RunCode(code) => Some(Event::CodeFinished {
            step: code.step.clone(),
            attempt: code.attempt,
            result: value,
        }),
        Effect::AwaitApproval(wait) => Some(Event::ApprovalDecided {
            step: wait.step.clone(),
            attempt: wait.attempt,
            result: value,
        }),
        Effect::StartTimer { step, attempt, .. } => {
            Some(Event::TimerFired { step: step.clone(), attempt: *attempt })
        }
        Effect::Finish(_) => None,
    }
}

/// Runs to the end; before each event, `between` may do something to the state.
fn run(
    n: u64,
    results: &[Result_],
    mut between: impl FnMut(State, &[Event]) -> State,
) -> (Outcome, Vec<Event>) {
    let document = document();
    let facts = RunFacts { id: RunId::from_bits(1), started_at: UnixMillis(0) };
    let mut events = vec![Event::Start { input: json!({"n": n}), run: facts }];
    let mut results = results.iter();
    let mut state = State::new();
    for tick in 0..200 {
        state = between(state, &events[..events.len() - 1]);
        let event = events.last().unwrap().clone();
        let (next, effects) = on(&document, state, event, UnixMillis(tick * 1000), &Jaq);
        state = next;
        let [effect] = effects.as_slice() else { panic!("owes {} effects", effects.len()) };
        match answer(effect, results.next().unwrap_or(&Result_::Ok)) {
            Some(event) => events.push(event),
            None => return (state.outcome().unwrap().clone(), events),
        }
    }
    panic!("the run does not end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_run_ends_and_owes_one_effect_until_it_does(n in 0_u64..10, results in results()) {
        run(n, &results, |state, _| state);
    }

    #[test]
    fn events_delivered_again_change_nothing(n in 0_u64..10, results in results()) {
        let document = document();
        let (expected, _) = run(n, &results, |state, _| state);
        let (outcome, _) = run(n, &results, |mut state, past| {
            for event in past {
                let before = state.clone();
                let (after, effects) =
                    on(&document, state, event.clone(), UnixMillis(9_999), &Jaq);
                assert_eq!((&after, effects.len()), (&before, 0), "{event:?} was taken twice");
                state = after;
            }
            state
        });
        prop_assert_eq!(outcome, expected);
    }

    #[test]
    fn a_state_that_was_written_and_read_goes_on_as_if_it_had_not(
        n in 0_u64..10, results in results(),
    ) {
        let (expected, events) = run(n, &results, |state, _| state);
        let (outcome, again) = run(n, &results, |state, _| {
            let text = serde_json::to_string(&state).unwrap();
            serde_json::from_str(&text).unwrap()
        });
        prop_assert_eq!((outcome, again), (expected, events));
    }
}

#[test]
fn a_rate_limit_is_retried_and_then_handled() {
    let limited = vec![Result_::RateLimited; 3];
    let (outcome, events) = run(1, &limited, |state, _| state);

    let calls = events.iter().filter(|event| matches!(event, Event::ActionFinished { .. })).count();
    assert_eq!(calls, 3);
    assert_eq!(outcome, Outcome::Completed { output: json!({"done": true, "count": 1}) });
}

#[test]
fn an_error_that_nothing_catches_ends_the_run_with_it() {
    let (outcome, _) = run(1, &[Result_::Failed], |state, _| state);
    let Outcome::Faulted { error } = outcome else { panic!("completed") };
    assert_eq!(error.status, 500);
}

#[test]
fn a_service_that_asks_to_wait_is_waited_for() {
    let document = document();
    let facts = RunFacts { id: RunId::from_bits(1), started_at: UnixMillis(0) };
    let start = Event::Start { input: json!({"n": 1}), run: facts };
    let (state, effects) = on(&document, State::new(), start, UnixMillis(0), &Jaq);
    let Effect::CallAction(call) = &effects[0] else { panic!("no call") };
    let error = StepError {
        retry_after_s: Some(60),
        ..StepError::standard("communication", 429, "http-status", "/")
    };
    let finished =
        Event::ActionFinished { step: call.step.clone(), attempt: 1, result: Err(error) };

    let (_, effects) = on(&document, state, finished, UnixMillis(1000), &Jaq);
    let Effect::StartTimer { at, .. } = &effects[0] else { panic!("no timer") };
    assert_eq!(*at, UnixMillis(61_000));
}

#[test]
fn a_loop_of_then_ends() {
    let document = parse(
        "document: {dsl: '1.0.1', namespace: lab, name: loop, version: '1.0.0'}\n\
         do:\n  - a: {set: {x: 1}, then: b}\n  - b: {set: {x: 2}, then: a}\n",
    )
    .unwrap();
    let facts = RunFacts { id: RunId::from_bits(1), started_at: UnixMillis(0) };
    let start = Event::Start { input: Value::Null, run: facts };

    let (state, _) = on(&document, State::new(), start, UnixMillis(0), &Jaq);
    let Some(Outcome::Faulted { error }) = state.outcome() else { panic!("did not fault") };
    assert_eq!(error.code.as_deref(), Some("too-many-tasks"));
}

#[test]
fn expressions_that_may_not_end_are_refused() {
    for expression in [
        "[range(1000000000)]",
        "def f: f; f",
        "recurse",
        "repeat(.)",
        "until(false; .)",
        "while(true; .)",
        "input",
        "env",
        "$ENV",
        "now",
        "$secrets",
        "$secrets.token",
        "limit(3; repeat(1))",
        "label $out | break $out",
        ".a = 1",
        ".a |= 2",
        ".a += 1",
        "getpath([\"a\"])",
        "halt",
        "debug",
        "input_line_number",
        "$__loc__",
        "splits(\"a\")",
        "combinations",
        "walk(.)",
        "@sh",
        "import \"a\" as a; .",
        "include \"a\"; .",
        "$unknown",
        "ascii(",
        "get_search_list",
    ] {
        let source = format!(
            "document: {{dsl: '1.0.1', namespace: lab, name: x, version: '1.0.0'}}\n\
             do:\n  - a:\n      set:\n        v: '${{ {expression} }}'\n"
        );
        let refused = parse(&source).expect_err(expression);
        assert_eq!(refused[0].line, 5, "{expression}: {}", refused[0]);
    }
}

#[test]
fn everyday_expressions_are_taken() {
    for expression in [
        ".a.b[0]",
        "map(.x + 1)",
        "map(. + {r: $input.x})",
        "[.[] | select(.y > 2) | .z]",
        "if .a then .b else .c end",
        ".a // \"none\"",
        "\"Alert \\(.n) in \\(.repo)\"",
        "to_entries | map(.key) | join(\", \")",
        ".list | length",
        "sort_by(.at) | first",
        ".name | ascii_downcase | test(\"^a\")",
        "{a: .x, b: (.y | tostring)}",
        "any(.[]; . > 3)",
        ".a as $a | .b + $a",
        "[.[] | @base64]",
        ".x * 2",
        "reduce .[] as $x (0; . + $x)",
        "[.. | numbers]",
    ] {
        let source = format!(
            "document: {{dsl: '1.0.1', namespace: lab, name: x, version: '1.0.0'}}\n\
             do:\n  - a:\n      set:\n        v: '${{ {expression} }}'\n"
        );
        if let Err(refused) = parse(&source) {
            panic!("{expression}: {}", refused[0]);
        }
    }
}
