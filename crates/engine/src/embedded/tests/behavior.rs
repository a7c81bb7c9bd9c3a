//! What a runner may rely on: suspension, resuming, recovery, ends.

use super::*;
use crate::{
    embedded::{EngineError, ResumeError},
    journal::JournalError,
    perform::Refusal,
};

#[test]
fn an_action_in_doubt_suspends_its_run_and_happens_again_only_when_a_person_says_so() {
    let world = in_doubt();
    let step = once();

    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        let status = until(engine, RUN, is_suspended).await;
        assert_eq!((&status.step, status.attempt), (&Some(step.clone()), Some(1)));
        assert_eq!(engine.suspended().unwrap().len(), 1);
        assert_eq!(world.service.called(&step), 1);
    });

    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        let status = until(engine, RUN, is_suspended).await;
        world.say_again(engine, &status).await;
        let ended = until(engine, RUN, |status| status.phase.is_final()).await;
        assert_eq!(ended.phase, Phase::Completed);
        assert_eq!(engine.output(RUN).unwrap().unwrap(), r#"{"value":2}"#);
        assert_eq!(engine.suspended().unwrap(), []);
    });
    assert_eq!(world.service.called(&step), 2);
    assert_eq!(*world.service.violations.lock().unwrap(), []);
}

#[test]
fn an_action_in_doubt_that_a_person_gives_up_faults_its_step_and_is_not_called() {
    let world = in_doubt();

    let ended = world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        until(engine, RUN, is_suspended).await;
        engine.resume(RUN, &once(), 1, ResumeDecision::Fail).await.unwrap();
        until(engine, RUN, |status| status.phase.is_final()).await
    });

    assert_eq!(ended, RunStatus::faulted("interrupted".to_owned()));
    assert_eq!(world.service.called(&once()), 1);
}

#[test]
fn a_decision_serves_for_one_call_and_the_next_crash_asks_again() {
    let world = in_doubt();
    *world.service.goes_silent.lock().unwrap() = Some("once".to_owned());

    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        let status = until(engine, RUN, is_suspended).await;
        world.say_again(engine, &status).await;
        until_true(|| world.service.called(&once()) == 2).await;
        // The step is under way again: a decision now would be for a crash that has not happened.
        let late = engine.resume(RUN, &once(), 1, ResumeDecision::Retry).await;
        assert!(matches!(late, Err(ResumeError::NotSuspended)));
    });

    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        until(engine, RUN, is_suspended).await;
    });
    assert_eq!(world.service.called(&once()), 2);
}

#[test]
fn a_decision_about_another_step_attempt_or_against_the_first_one_is_refused() {
    let world = in_doubt();
    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        until(engine, RUN, is_suspended).await;
        let other = StepId { iteration: 1, ..once() };
        for (step, attempt) in [(&other, 1), (&once(), 2)] {
            let refused = engine.resume(RUN, step, attempt, ResumeDecision::Retry).await;
            assert!(matches!(refused, Err(ResumeError::NotSuspended)));
        }

        // Written without waking the driver, so that the second comes before it acts.
        assert!(engine.shared.journal.decide(RUN, &once(), 1, true).await.unwrap());
        let second = engine.resume(RUN, &once(), 1, ResumeDecision::Fail).await;

        assert!(matches!(second, Err(ResumeError::NotSuspended)));
    });
}

#[test]
fn a_run_that_may_not_go_on_has_faulted_with_the_refusals_code_and_nothing_is_called() {
    let world = in_doubt();

    let status = world.life(async |engine| {
        engine.recover(async |_| Err(refusal("subject-suspended"))).await.unwrap();
        engine.status(RUN).unwrap()
    });

    assert_eq!(status, RunStatus::faulted("subject-suspended".to_owned()));
    assert_eq!(world.service.called(&once()), 1);
}

#[test]
fn a_jail_that_does_not_answer_changes_no_run() {
    let world = in_doubt();

    world.life(async |engine| {
        let error = engine.recover(async |_| Err(Refusal::Unavailable)).await.unwrap_err();
        assert!(matches!(error, EngineError::Unavailable(RUN)));
        assert_eq!(engine.status(RUN).unwrap().phase, Phase::Running);
    });
}

#[test]
fn a_run_that_its_jail_has_closed_ends_as_was_written_before() {
    let world = World::new();
    *world.service.detail.lock().unwrap() = Some("detail".to_owned());
    world.service.refuses_to_close.store(true, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        until_true(|| has_outcome(engine)).await;
        assert_eq!(engine.status(RUN).unwrap().phase, Phase::Running);
    });

    let status = world.life(async |engine| {
        engine.recover(async |_| Err(refusal("run-closed"))).await.unwrap();
        engine.status(RUN).unwrap()
    });

    assert_eq!(status, RunStatus::faulted("http-500".to_owned()));
}

#[test]
fn an_outcome_is_durable_before_the_jail_is_asked_to_close_and_closing_is_asked_again() {
    let world = World::new();
    world.service.refuses_to_close.store(true, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        until_true(|| has_outcome(engine)).await;
        assert!(engine.output(RUN).unwrap().is_none(), "no output before the jail has closed");
    });
    world.service.refuses_to_close.store(false, Ordering::SeqCst);

    let ended = world.life_to_the_end(RUN);

    assert_eq!(ended.phase, Phase::Completed);
    assert_eq!(world.service.called(&once()), 1);
    assert_eq!(world.service.closes.load(Ordering::SeqCst), 1);
}

#[test]
fn a_final_phase_never_changes() {
    let world = World::new();
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        let ended = until(engine, RUN, |status| status.phase.is_final()).await;
        let told = engine.outbox().len();

        for status in [RunStatus::of(Phase::Running), RunStatus::faulted("late".to_owned())] {
            engine.shared.journal.move_to(RUN, status).await.unwrap();
        }

        assert_eq!(engine.status(RUN).unwrap(), ended);
        assert_eq!(engine.outbox().len(), told);
    });
}

#[test]
fn a_run_that_is_started_twice_is_one_run() {
    let world = World::new();
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        engine.start(order(RUN, ONCE, &json!({ "other": true }))).await.unwrap();
        until(engine, RUN, |status| status.phase.is_final()).await;
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        engine.recover(async |_| Ok(())).await.unwrap();
    });
    assert_eq!(world.service.called(&once()), 1);
}

#[test]
fn a_wait_goes_on_counting_while_the_process_is_down() {
    let world = World::new();
    let hour = "
document: {dsl: 1.0.0, namespace: secops, name: hour, version: 1.0.0}
do:
  - pause: {wait: {hours: 1}}
";
    world.life(async |engine| {
        engine.start(order(RUN, hour, &json!({}))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(engine.status(RUN).unwrap().phase, Phase::Running);
    });
    world.service.ahead_ms.store(3_600_000, Ordering::SeqCst);

    assert_eq!(world.life_to_the_end(RUN).phase, Phase::Completed);
}

#[test]
fn a_run_of_other_semantics_faults_rather_than_guesses() {
    let world = in_doubt();
    sql(&world, "UPDATE run SET semantics = 999");

    let ended = world.life_to_the_end(RUN);

    assert_eq!(ended, RunStatus::faulted("semantics-version".to_owned()));
    assert_eq!(world.service.called(&once()), 1);
    assert_eq!(world.service.closes.load(Ordering::SeqCst), 1, "and is closed for good");
}

#[test]
fn many_runs_wait_and_finish_side_by_side() {
    let world = World::new();
    world.life(async |engine| {
        let runs: Vec<RunId> = (1..=60).map(RunId::from_bits).collect();
        for run in &runs {
            engine.start(order(*run, DRILL, &json!({ "n": 1 }))).await.unwrap();
        }
        for run in runs {
            let ended = until(engine, run, |status| status.phase.is_final()).await;
            assert_eq!(ended.phase, Phase::Completed);
        }
    });
}

#[test]
fn a_second_engine_does_not_get_the_journal_of_the_first() {
    let world = World::new();
    world.life(async |_| {
        let key = Zeroizing::new(STORAGE_KEY);
        let second = Engine::open(&world.path(), key, Arc::clone(&world.service));
        assert!(matches!(second.err(), Some(EngineError::Journal(JournalError::InUse))));
    });
}

/// A world whose run has begun an action that happened, and of which nobody heard.
pub(super) fn in_doubt() -> World {
    let world = World::new();
    *world.service.goes_silent.lock().unwrap() = Some("once".to_owned());
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        until_true(|| world.service.called(&once()) == 1).await;
    });
    *world.service.goes_silent.lock().unwrap() = None;
    world
}

pub(super) fn once() -> StepId {
    StepId { task: "/do/0/once".to_owned(), iteration: 0 }
}

pub(super) fn sql(world: &World, statement: &str) {
    rusqlite::Connection::open(world.path()).unwrap().execute_batch(statement).unwrap();
}

fn has_outcome(engine: &Engine<Service>) -> bool {
    engine.open_run(RUN).unwrap().is_some_and(|(_, ended)| ended.is_some())
}

fn refusal(code: &str) -> Refusal {
    Refusal::Refused { code: code.to_owned(), reason: "the rule".to_owned() }
}

const TWO: &str = r"
document: {dsl: 1.0.0, namespace: secops, name: two, version: 1.0.0}
do:
  - first: {call: 'acme.things.once:1.0.0@default', with: {connection: acme, n: 1}}
  - second: {call: 'acme.things.once:1.0.0@default', with: {connection: acme, n: 2}}
";

#[test]
fn a_drained_engine_lets_what_was_begun_end_and_nothing_is_asked_at_the_next_start() {
    let world = World::new();
    world.service.slow_ms.store(200, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, TWO, &json!({}))).await.unwrap();
        until_true(|| world.service.calls.lock().unwrap().len() == 1).await;
        assert!(engine.drain(Duration::from_secs(20)).await);
    });
    assert_eq!(world.service.calls.lock().unwrap().len(), 1, "nothing more was begun");

    world.service.slow_ms.store(0, Ordering::SeqCst);
    assert_eq!(world.life_to_the_end(RUN).phase, Phase::Completed);
    assert_eq!(world.service.calls.lock().unwrap().len(), 2, "and nothing was done twice");
}

#[test]
fn a_drain_that_takes_too_long_says_so() {
    let world = World::new();
    world.service.slow_ms.store(5_000, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, TWO, &json!({}))).await.unwrap();
        until_true(|| world.service.calls.lock().unwrap().len() == 1).await;
        assert!(!engine.drain(Duration::from_millis(50)).await);
    });
}
