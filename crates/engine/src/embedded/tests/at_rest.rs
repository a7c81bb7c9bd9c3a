//! What lies on the disk: no run data, and nothing that can be moved elsewhere.

use super::{
    behavior::{in_doubt, once, sql},
    *,
};
use crate::journal::JournalError;

/// Run data goes in as input, comes back as output, and stands in an error.
const CANARIES: &str = r#"
document: {dsl: 1.0.0, namespace: secops, name: canaries, version: 1.0.0}
do:
  - keep:
      set: {kept: "${ .secret }", n: 1}
      export: {as: "${ {kept: .kept} }"}
  - caught:
      try:
        - fails:
            call: acme.things.read:1.0.0@default
            with: {connection: acme, n: 1}
      catch:
        do:
          - tell: {set: {told: "${ $error.detail }"}}
  - once:
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: 1}
  - last: {set: {kept: "${ $context.kept }"}}
"#;

#[test]
fn no_file_holds_an_input_an_error_or_a_run_key() {
    let world = World::new();
    *world.service.detail.lock().unwrap() = Some("CANARY-detail".to_owned());
    world.life(async |engine| {
        let input = json!({ "secret": "CANARY-input" });
        engine.start(order(RUN, CANARIES, &input)).await.unwrap();
        let ended = until(engine, RUN, |status| status.phase.is_final()).await;
        assert_eq!(ended.phase, Phase::Faulted);
        assert!(engine.outbox().iter().all(|item| !item.payload.contains("CANARY")));
        let bytes = world.bytes();
        assert!(contains(&bytes, b"acceptance-in-plain"), "the files were not looked at");
        assert!(!contains(&bytes, b"CANARY"));
    });
    assert!(!contains(&world.bytes(), b"CANARY"));
}

#[test]
fn no_file_holds_an_output_or_a_suspended_runs_state() {
    let world = World::new();
    *world.service.goes_silent.lock().unwrap() = Some("once".to_owned());
    world.life(async |engine| {
        let input = json!({ "secret": "CANARY-input" });
        engine.start(order(RUN, CANARIES, &input)).await.unwrap();
        until_true(|| world.service.calls.lock().unwrap().len() == 2).await;
    });
    *world.service.goes_silent.lock().unwrap() = None;
    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        let status = until(engine, RUN, is_suspended).await;
        assert!(!contains(&world.bytes(), b"CANARY"));

        world.say_again(engine, &status).await;
        until(engine, RUN, |status| status.phase.is_final()).await;

        assert!(engine.output(RUN).unwrap().unwrap().contains("CANARY-input"));
        assert!(!contains(&world.bytes(), b"CANARY"));
    });
}

#[test]
fn an_event_moved_to_another_run_or_number_faults_the_run_and_is_not_believed() {
    for swap in [
        "UPDATE event SET sealed = (SELECT sealed FROM event WHERE run <> $run AND number = 0)
         WHERE run = $run AND number = 0",
        "UPDATE event SET number = 1 WHERE run = $run",
    ] {
        let world = in_doubt();
        let other = RunId::from_bits(2);
        world.life(async |engine| {
            engine.start(order(other, ONCE, &json!({}))).await.unwrap();
        });
        let before = world.service.called(&once());
        sql(&world, &swap.replace("$run", &format!("'{RUN}'")));
        sql(&world, &format!("DELETE FROM run WHERE id = '{other}'"));

        let ended = world.life_to_the_end(RUN);

        assert_eq!(ended, RunStatus::faulted("journal-damaged".to_owned()), "{swap}");
        assert_eq!(world.service.called(&once()), before, "nothing was called on its account");
    }
}

#[test]
fn a_run_whose_keys_were_swapped_faults_and_holds_up_no_other() {
    let world = in_doubt();
    let other = RunId::from_bits(2);
    *world.service.goes_silent.lock().unwrap() = Some("once".to_owned());
    world.life(async |engine| {
        engine.start(order(other, ONCE, &json!({}))).await.unwrap();
        until_true(|| world.service.called(&once()) == 2).await;
    });
    let swap = "UPDATE run SET wrapped_key = (SELECT wrapped_key FROM run WHERE id <> $run)
                WHERE id = $run";
    sql(&world, &swap.replace("$run", &format!("'{RUN}'")));

    world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        let damaged = engine.status(RUN).unwrap();
        assert_eq!(damaged, RunStatus::faulted("journal-damaged".to_owned()));
        until(engine, other, is_suspended).await;
    });
}

#[test]
fn an_output_under_another_run_does_not_open() {
    let world = World::new();
    let other = RunId::from_bits(2);
    world.life(async |engine| {
        for run in [RUN, other] {
            engine.start(order(run, ONCE, &json!({}))).await.unwrap();
            until(engine, run, |status| status.phase.is_final()).await;
        }
    });
    let from = format!("(SELECT outcome FROM run WHERE id = '{other}')");
    sql(&world, &format!("UPDATE run SET outcome = {from}"));

    world.life(async |engine| {
        assert!(matches!(engine.output(RUN), Err(JournalError::Sealed)));
        assert!(engine.output(other).unwrap().is_some());
    });
}

#[test]
fn a_forgotten_run_keeps_its_phase_and_loses_its_data_and_its_key() {
    let world = World::new();
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        until(engine, RUN, |status| status.phase.is_final()).await;
        let wrapped = wrapped_key(&world);
        assert!(contains(&world.bytes(), &wrapped));

        engine.forget(RUN).await.unwrap();

        assert!(!contains(&world.bytes(), &wrapped));
        assert!(matches!(engine.output(RUN), Err(JournalError::Erased)));
        assert_eq!(engine.status(RUN).unwrap().phase, Phase::Completed);
    });
}

#[test]
fn an_open_run_is_not_forgotten() {
    let world = in_doubt();
    world.life(async |engine| {
        assert!(matches!(engine.forget(RUN).await, Err(JournalError::NotEnded)));
    });
}

fn wrapped_key(world: &World) -> Vec<u8> {
    let connection = rusqlite::Connection::open(world.path()).unwrap();
    connection.query_row("SELECT wrapped_key FROM run", [], |row| row.get(0)).unwrap()
}
