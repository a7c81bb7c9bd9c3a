//! Whatever a stolen runner says has fired: only what was granted starts a run, when it is due, once.

use aws_lc_rs::rand::SystemRandom;
use serde_json::{Value, json};
use writ_evidence::{
    charter::{Automation, Change, Footprint, Workspace},
    checkpoint::{self, CheckpointClaims},
    digest::{RunDatum, RunKey, sha256},
    key::SigningKey,
    standing::StandingWrit,
};
use writ_jail_link::{
    CloseRun, CodeResult, DueStanding, FailedStep, Fired, JailReply, JailRequest, OpenStanding,
    RunKeyText,
};
use writ_model::{Digest, RunId, RunnerGroupId, RunnerId, StandingName, TenantId, UnixTime};
use zeroize::Zeroizing;

use crate::jail_tenant::{JailTenant, ask, ask_at, now};

const BUNDLE: &str = "bundle";
const INPUT: &str = r#"{"number":42}"#;

fn key(byte: u8) -> RunKey {
    RunKey::from_bytes(Zeroizing::new([byte; 32]))
}

fn name() -> StandingName {
    "secops/often".parse().unwrap()
}

/// What is granted: every minute from `first` on, three times an hour at most.
fn standing(first: UnixTime) -> Value {
    json!({
        "name": name(),
        "runner_group": RunnerGroupId::from_bits(1),
        "automation": "secops/tell",
        "bundle": sha256(BUNDLE.as_bytes()),
        "trigger": { "schedule": {
            "schedule": { "every": { "interval_s": 60, "from": first } }, "missed_runs": "all",
        } },
        "parameters": { "fixed": {
            "digest": key(9).digest(RunDatum::Input, INPUT.as_bytes()),
            "sealed": Digest::from_bytes([1; 32]),
        } },
        "bounds": { "max_runs": 3, "per_s": 3600, "concurrency": 2 },
        "expires_at": now().plus(86_400),
    })
}

/// A tenant in which Ann has granted it.
struct Granted {
    tenant: JailTenant,
    first: UnixTime,
}

impl Granted {
    fn new() -> Self {
        let mut tenant = JailTenant::found();
        let name = "secops".parse().unwrap();
        tenant.change(Change::WorkspaceSet(Workspace { name, secret_paths: Vec::new() }));
        tenant.change(Change::AutomationPublish(Automation {
            name: "secops/tell".parse().unwrap(),
            bundle: sha256(BUNDLE.as_bytes()),
            footprint: Footprint::default(),
        }));
        // Due a moment ahead of this clock: within what two clocks may differ.
        let first = now().plus(2);
        let mut granted = Self { tenant, first };
        granted.grant(standing(first));
        granted
    }

    fn grant(&mut self, standing: Value) {
        let standing: StandingWrit = serde_json::from_value(standing).unwrap();
        self.tenant.change(Change::StandingSet(Box::new(standing)));
    }

    fn open(at: UnixTime) -> OpenStanding {
        OpenStanding {
            standing: name(),
            fired: Fired::Scheduled(at),
            bundle: BUNDLE.to_owned(),
            run_key: RunKeyText::from(&key(1)),
            input: INPUT.to_owned(),
            parameters_key: Some(RunKeyText::from(&key(9))),
        }
    }

    fn fire(&mut self, open: OpenStanding) -> Result<(RunId, String), String> {
        match ask(&mut self.tenant.jail, JailRequest::OpenStanding(Box::new(open)))? {
            JailReply::Opened { run, acceptance } => Ok((run, acceptance)),
            _ => panic!("another answer"),
        }
    }

    fn refused(&mut self, change: impl FnOnce(&mut OpenStanding)) -> String {
        let mut open = Self::open(self.first);
        change(&mut open);
        self.fire(open).unwrap_err()
    }

    fn close(&mut self, run: RunId) {
        let result = CodeResult::Output("{}".to_owned());
        let close = CloseRun { run, result };
        ask(&mut self.tenant.jail, JailRequest::CloseRun(Box::new(close))).unwrap();
    }
}

#[test]
fn a_stolen_runner_fires_nothing_that_was_not_granted() {
    let mut granted = Granted::new();
    let first = granted.first;
    for (code, at) in [
        ("standing-not-due", first.plus(600)),
        ("standing-not-an-occurrence", first.plus(1)),
        ("standing-before-grant", UnixTime(first.0 - 60)),
    ] {
        assert_eq!(granted.refused(|open| open.fired = Fired::Scheduled(at)), code);
    }
    assert_eq!(granted.refused(|open| open.bundle = "another".to_owned()), "bundle-mismatch");
    assert_eq!(granted.refused(|open| open.input = "{}".to_owned()), "input-mismatch");
    let other = |open: &mut OpenStanding| open.parameters_key = Some(RunKeyText::from(&key(8)));
    assert_eq!(granted.refused(other), "input-mismatch");
    assert_eq!(granted.refused(|open| open.parameters_key = None), "input-mismatch");
    let unknown = |open: &mut OpenStanding| open.standing = "secops/other".parse().unwrap();
    assert_eq!(granted.refused(unknown), "standing-unknown");
    let hook = writ_jail_link::Delivery { headers: Vec::new(), body: String::new() };
    assert_eq!(
        granted.refused(|open| open.fired = Fired::Delivered(hook)),
        "standing-other-trigger"
    );
    // What was refused used nothing up.
    assert!(granted.fire(Granted::open(first)).is_ok());
}

#[test]
fn an_occurrence_starts_one_run_whatever_dies_and_whoever_asks_again() {
    let mut granted = Granted::new();
    let first = granted.first;
    let (run, acceptance) = granted.fire(Granted::open(first)).unwrap();
    assert_eq!(granted.fire(Granted::open(first)).unwrap(), (run, acceptance.clone()));

    granted.tenant.restart();
    assert_eq!(granted.fire(Granted::open(first)).unwrap(), (run, acceptance));

    granted.close(run);
    assert_eq!(granted.fire(Granted::open(first)).unwrap_err(), "standing-used");
    granted.tenant.restart();
    assert_eq!(granted.fire(Granted::open(first)).unwrap_err(), "standing-used");
    let due = ask(&mut granted.tenant.jail, JailRequest::StandingDue).unwrap();
    let JailReply::StandingDue { due, open, next } = due else { panic!("another answer") };
    assert_eq!(due, Vec::<DueStanding>::new());
    assert_eq!(open, []);
    assert!(next.is_some_and(|next| next > first && next <= first.plus(60)));
}

#[test]
fn bounds_hold_across_a_renewal_under_the_same_name() {
    let mut granted = Granted::new();
    let first = granted.first;
    let mut later = standing(first);
    later["trigger"]["schedule"]["schedule"]["every"]["from"] = json!(UnixTime(first.0 + 1));
    later["bounds"]["max_runs"] = json!(1);
    let (run, _) = granted.fire(Granted::open(first)).unwrap();
    granted.close(run);

    granted.grant(later);

    let refused = granted.refused(|open| open.fired = Fired::Scheduled(first.plus(1)));
    assert_eq!(refused, "standing-exhausted");
}

#[test]
fn a_standing_writ_ends_with_what_it_rests_on() {
    let mut granted = Granted::new();
    granted.tenant.change(Change::AutomationPublish(Automation {
        name: "secops/tell".parse().unwrap(),
        bundle: sha256(b"another"),
        footprint: Footprint::default(),
    }));
    assert_eq!(granted.refused(|_| ()), "bundle-not-published");

    granted.tenant.change(Change::StandingRevoke(name()));
    assert_eq!(granted.refused(|_| ()), "standing-unknown");
}

#[test]
fn a_standing_writ_lapses_once_its_grantor_has_signed_nothing_for_14_days() {
    const DAY: u64 = 24 * 3600;
    let mut granted = Granted::new();
    // Root keys allow the charter to be older than a grantor may be away.
    let mut lasting = standing(granted.first);
    lasting["expires_at"] = json!(now().plus(60 * DAY));
    lasting["bounds"]["max_runs"] = json!(100);
    granted.grant(lasting);
    granted.tenant.set_max_staleness(u32::try_from(60 * DAY).unwrap());
    let first = granted.first;
    let mut fire_at = |at: UnixTime| {
        let open = JailRequest::OpenStanding(Box::new(Granted::open(at)));
        ask_at(&mut granted.tenant.jail, open, at).map(drop)
    };

    let last = UnixTime(first.0 + 14 * DAY - 60);
    assert_eq!(fire_at(last), Ok(()));
    assert_eq!(fire_at(last.plus(120)), Err("standing-grantor-absent".to_owned()));
}

#[test]
fn nothing_fires_under_a_charter_that_nobody_has_attested_for_too_long() {
    const DAY: u64 = 24 * 3600;
    let mut granted = Granted::new();
    let mut lasting = standing(granted.first);
    lasting["expires_at"] = json!(now().plus(60 * DAY));
    granted.grant(lasting);
    let first = granted.first;
    let mut fire_at = |at: UnixTime| {
        let open = JailRequest::OpenStanding(Box::new(Granted::open(at)));
        ask_at(&mut granted.tenant.jail, open, at).map(drop)
    };

    let last = UnixTime(first.0 + 7 * DAY - 60);
    assert_eq!(fire_at(last), Ok(()));
    assert_eq!(fire_at(last.plus(120)), Err("charter-stale".to_owned()));
}

#[test]
fn another_witness_attests_the_charter_and_nobody_else_does() {
    const DAY: u64 = 24 * 3600;
    let mut granted = Granted::new();
    let mut lasting = standing(granted.first);
    lasting["expires_at"] = json!(now().plus(60 * DAY));
    granted.grant(lasting);
    let (witness, stranger) = (granted.tenant.enroll(2), granted.tenant.enroll(3));
    granted.tenant.set_witnesses(&[RunnerId::from_bits(1), RunnerId::from_bits(2)], None);
    let fire_at = UnixTime(granted.first.0 + 9 * DAY);
    let word = granted.tenant.checkpoint(UnixTime(fire_at.0 - DAY));
    let older = CheckpointClaims { charter: Digest::from_bytes([7; 32]), ..word.clone() };
    let early = CheckpointClaims { at: fire_at.plus(DAY), ..word.clone() };
    let foreign = CheckpointClaims { ten: TenantId(Digest::from_bytes([7; 32])), ..word.clone() };
    let mut fires_after = |by: &SigningKey, word: &CheckpointClaims| {
        let checkpoints = vec![checkpoint::sign(word, by, &SystemRandom::new()).unwrap()];
        ask_at(&mut granted.tenant.jail, JailRequest::Attest { checkpoints }, fire_at).unwrap();
        let open = JailRequest::OpenStanding(Box::new(Granted::open(fire_at)));
        ask_at(&mut granted.tenant.jail, open, fire_at).map(drop)
    };

    let stale = Err("charter-stale".to_owned());
    assert_eq!(fires_after(&stranger, &word), stale, "no witness");
    assert_eq!(fires_after(&witness, &older), stale, "another head");
    assert_eq!(fires_after(&witness, &early), stale, "from the future");
    assert_eq!(fires_after(&witness, &foreign), stale, "another tenant");
    assert_eq!(fires_after(&witness, &word), Ok(()));
}

#[test]
fn a_run_that_the_runner_lost_is_named_and_can_end_in_failure_only() {
    let mut granted = Granted::new();
    let (run, _) = granted.fire(Granted::open(granted.first)).unwrap();
    granted.tenant.restart();
    let open = ask(&mut granted.tenant.jail, JailRequest::StandingDue).unwrap();
    let JailReply::StandingDue { open, .. } = open else { panic!("another answer") };
    let [lost] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((lost.run, lost.scheduled_at), (run, Some(granted.first)));

    let mut close = |result| {
        let close = JailRequest::CloseRun(Box::new(CloseRun { run, result }));
        ask(&mut granted.tenant.jail, close).map(drop)
    };
    assert_eq!(close(CodeResult::Output("{}".to_owned())), Err("run-not-open".to_owned()));
    let failed =
        FailedStep { code: "run-lost".to_owned(), status: None, retry_after_s: None, about: None };
    assert_eq!(close(CodeResult::Failed(failed)), Ok(()));

    assert_eq!(granted.refused(|_| ()), "standing-used");
}
