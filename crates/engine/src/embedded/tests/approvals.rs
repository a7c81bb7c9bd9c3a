//! A run that waits for people: it holds no turn, survives a crash, and fails closed when it is late.

use serde_json::json;

use super::*;

const ASKS: &str = r#"
document: {dsl: 1.0.0, namespace: secops, name: asks, version: 1.0.0}
do:
  - ask:
      timeout: {after: PT1H}
      listen: {to: {one: {with: {type: dev.writ.approval.v1, data: {message: "Isolate?"}}}}}
  - once:
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: 1}
"#;

async fn asked(world: &World, times: usize) {
    until_true(|| world.service.asked.lock().unwrap().len() >= times).await;
}

async fn demanded(world: &World, times: u64) {
    until_true(|| world.service.demanded.load(Ordering::SeqCst) >= times).await;
}

#[test]
fn a_run_waits_for_people_through_a_crash_and_acts_once_they_have_answered() {
    let world = World::new();
    world.life(async |engine| {
        engine.start(order(RUN, ASKS, &json!({"host": "web-17"}))).await.unwrap();
        asked(&world, 1).await;
    });
    assert!(world.service.calls.lock().unwrap().is_empty());

    let ended = world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        asked(&world, 2).await;
        assert!(world.service.calls.lock().unwrap().is_empty());
        world.service.answered.store(true, Ordering::SeqCst);
        until(engine, RUN, |status| status.phase.is_final()).await
    });

    assert_eq!(ended.phase, Phase::Completed);
    let asked = world.service.asked.lock().unwrap();
    assert_eq!(asked[0], asked[1], "after the crash the same is asked");
    assert_eq!(asked[0].shown, json!({"message": "Isolate?", "payload": {"host": "web-17"}}));
    assert_eq!(world.service.calls.lock().unwrap().len(), 1);
}

#[test]
fn an_answer_that_is_heard_of_too_late_is_none() {
    let world = World::new();
    world.life(async |engine| {
        engine.start(order(RUN, ASKS, &json!({}))).await.unwrap();
        asked(&world, 1).await;
    });
    world.service.answered.store(true, Ordering::SeqCst);
    world.service.ahead_ms.store(3_600_001, Ordering::SeqCst);

    let ended = world.life_to_the_end(RUN);

    assert_eq!((ended.phase, ended.code.as_deref()), (Phase::Faulted, Some("timed-out")));
    assert!(world.service.calls.lock().unwrap().is_empty());
}

#[test]
fn runs_that_wait_for_people_hold_no_turn() {
    let world = World::new();
    let key = Zeroizing::new(STORAGE_KEY);
    let one = std::num::NonZeroUsize::MIN;
    let engine = Engine::open_with(&world.path(), key, Arc::clone(&world.service), one).unwrap();
    runtime().block_on(async {
        for run in 2..6 {
            engine.start(order(RunId::from_bits(run), ASKS, &json!({}))).await.unwrap();
        }
        asked(&world, 4).await;
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        let status = until(&engine, RUN, |status| status.phase.is_final()).await;
        assert_eq!(status.phase, Phase::Completed);
    });
}

#[test]
fn a_call_that_waits_for_people_holds_no_turn_and_is_made_once_through_a_crash() {
    let world = World::new();
    world.service.demands.store(true, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, ONCE, &json!({}))).await.unwrap();
        demanded(&world, 1).await;
    });
    assert!(world.service.calls.lock().unwrap().is_empty());

    let ended = world.life(async |engine| {
        engine.recover(async |_| Ok(())).await.unwrap();
        demanded(&world, 2).await;
        world.service.answered.store(true, Ordering::SeqCst);
        until(engine, RUN, |status| status.phase.is_final()).await
    });

    assert_eq!(ended.phase, Phase::Completed);
    assert_eq!(world.service.calls.lock().unwrap().len(), 1);
}

const LIMITED: &str = r"
document: {dsl: 1.0.0, namespace: secops, name: limited, version: 1.0.0}
do:
  - once:
      timeout: {after: PT1H}
      call: acme.things.once:1.0.0@default
      with: {connection: acme, n: 1}
";

#[test]
fn a_call_that_waits_for_people_longer_than_its_task_may_take_is_not_made() {
    let world = World::new();
    world.service.demands.store(true, Ordering::SeqCst);
    world.life(async |engine| {
        engine.start(order(RUN, LIMITED, &json!({}))).await.unwrap();
        demanded(&world, 1).await;
    });
    world.service.ahead_ms.store(3_600_001, Ordering::SeqCst);

    let ended = world.life_to_the_end(RUN);

    assert_eq!((ended.phase, ended.code.as_deref()), (Phase::Faulted, Some("timed-out")));
    assert!(world.service.calls.lock().unwrap().is_empty());
}
