//! The power goes at every commit, before and after it; the run converges all the same.

use super::*;
use crate::journal::fuse::Cut;

#[test]
fn a_run_converges_whichever_commit_the_power_goes_at() {
    let undisturbed = World::new();
    let Life::Ended { commits } = live(&undisturbed, None) else { panic!("nobody cut the power") };
    check(&undisturbed);
    assert!(commits > 15, "only {commits} commits: the drill does not exercise much");

    for number in 0..=commits {
        for cut in [Cut::BeforeCommit(number), Cut::AfterCommit(number + 1)] {
            let world = World::new();

            let first = live(&world, Some(cut));
            let last = if first == Life::Cut { live(&world, None) } else { first };

            assert!(matches!(last, Life::Ended { .. }), "{cut:?}");
            check(&world);
        }
    }
}

#[test]
fn a_run_converges_after_any_number_of_crashes() {
    for seed in 0..24 {
        let world = World::new();
        let mut random = seed;
        for _ in 0..6 {
            let (number, before) = (draw(&mut random) % 9, draw(&mut random).is_multiple_of(2));
            let cut = if before { Cut::BeforeCommit(number) } else { Cut::AfterCommit(number + 1) };
            if live(&world, Some(cut)) != Life::Cut {
                break;
            }
        }

        assert_ne!(live(&world, None), Life::Cut, "seed {seed}");

        check(&world);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    Cut,
    Ended { commits: u64 },
}

/// One life: as a runner starts, with the order for the run given again.
fn live(world: &World, cut: Option<Cut>) -> Life {
    world.life(async |engine| {
        let fuse = engine.shared.journal.fuse();
        if let Some(cut) = cut {
            fuse.set(cut);
        }
        // Whatever fails here fails since the power is gone.
        let _ = engine.recover(async |_| Ok(())).await;
        let _ = engine.start(order(RUN, DRILL, &json!({ "n": 1 }))).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        // In one life, each step is in doubt once.
        let mut decided = BTreeSet::new();
        loop {
            if fuse.is_blown() {
                return Life::Cut;
            }
            match engine.status(RUN) {
                Some(status) if status.phase.is_final() => {
                    return Life::Ended { commits: fuse.commits() };
                }
                Some(status) if is_suspended(&status) && decided.insert(status.step.clone()) => {
                    world.say_again(engine, &status).await;
                }
                status => assert!(Instant::now() < deadline, "{cut:?}: stays at {status:?}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

/// What holds of every run that has ended.
fn check(world: &World) {
    let service = &world.service;
    assert_eq!(*service.violations.lock().unwrap(), [], "done twice, and nobody had said so");
    assert!(service.closes.load(Ordering::SeqCst) >= 1);
    assert!(service.calls.lock().unwrap().len() >= 6, "a step was skipped");
    world.life(async |engine| {
        let output: Value = serde_json::from_str(&engine.output(RUN).unwrap().unwrap()).unwrap();
        let seen = json!({ "look": 2, "keyed": 3, "once": 4, "score": 5, "flaky": 6 });
        assert_eq!(output, json!({ "total": 7, "seen": seen }));

        let told: Vec<Value> = engine
            .outbox()
            .iter()
            .map(|item| serde_json::from_str(&item.payload).unwrap())
            .collect();
        let ends = told.iter().filter(|status| status["phase"] == "completed").count();
        assert_eq!(ends, 1, "an end is told once");
        assert_eq!(told.first().unwrap()["phase"], "running");
        assert_eq!(told.last().unwrap()["phase"], "completed");
    });
}

/// `SplitMix64`.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
