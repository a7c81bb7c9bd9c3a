//! What a standing writ may say.

use serde_json::{Value, json};

use super::*;
use crate::json::parse_as;

fn standing() -> Value {
    json!({
        "name": "secops/nightly",
        "runner_group": "rg_00000000000000000000000000000001",
        "automation": "secops/scan",
        "bundle": Digest::from_bytes([1; 32]),
        "trigger": { "schedule": {
            "schedule": { "cron": { "expression": "30 2 * * *", "time_zone": "Europe/Berlin" } },
            "missed_runs": "once",
        } },
        "parameters": { "fixed": { "digest": KeyedDigest::from_bytes([2; 32]),
            "sealed": Digest::from_bytes([3; 32]) } },
        "bounds": { "max_runs": 2, "per_s": 86400, "concurrency": 1 },
        "expires_at": 1_767_225_600u64,
    })
}

fn read(value: &Value) -> Result<StandingWrit, crate::json::JsonError> {
    parse_as(value.to_string().as_bytes())
}

fn with(pointer: &str, new: Value) -> Value {
    let mut value = standing();
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

fn webhook(verifier: &Value) -> Value {
    with("/trigger", json!({ "webhook": { "path": "alerts", "verifier": verifier } }))
}

fn verifiers() -> [Value; 6] {
    let key = json!({ "crv": "Ed25519", "kty": "OKP",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    [
        json!({ "scheme": "github", "secrets": ["local:hooks/github"], "remember_s": 604_800 }),
        json!({ "scheme": "slack", "secrets": ["local:a", "local:b"], "max_age_s": 300 }),
        json!({ "scheme": "stripe", "header": "stripe-signature", "secrets": ["local:a"],
            "max_age_s": 300 }),
        json!({ "scheme": "standard-webhooks", "by": { "secrets": ["local:a"] },
            "prefix": "webhook", "max_age_s": 300 }),
        json!({ "scheme": "standard-webhooks", "by": { "keys": [key] }, "prefix": "svix",
            "max_age_s": 300 }),
        json!({ "scheme": "ed25519", "keys": [key], "header": "x-signature-ed25519",
            "encoding": "hex",
            "freshness": { "timestamp": { "header": "x-signature-timestamp", "max_age_s": 300 } } }),
    ]
}

#[test]
fn a_standing_writ_is_written_as_it_was_read() {
    let plain = read(&standing()).unwrap();
    assert_eq!(serde_json::to_value(&plain).unwrap(), standing());
    for verifier in verifiers() {
        let value = webhook(&verifier);
        let read = read(&value).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
    }
}

#[test]
fn a_webhook_without_what_verifies_it_is_not_a_trigger() {
    for verifier in verifiers() {
        for (name, _) in verifier.as_object().unwrap() {
            let mut less = verifier.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(read(&webhook(&less)).is_err(), "{name} of {verifier}");
        }
        for (pointer, size) in [("/secrets", 5), ("/keys", 5), ("/by/secrets", 5), ("/by/keys", 5)]
        {
            let Some(list) = verifier.pointer(pointer) else { continue };
            for list in [json!([]), json!(vec![list[0].clone(); size])] {
                let mut other = verifier.clone();
                *other.pointer_mut(pointer).unwrap() = list;
                assert!(read(&webhook(&other)).is_err(), "{other}");
            }
        }
    }
    let none = with("/trigger", json!({ "webhook": { "path": "alerts" } }));
    assert!(read(&none).is_err());
}

#[test]
fn a_key_of_another_algorithm_verifies_no_webhook() {
    let p256 = json!({ "crv": "P-256", "kty": "EC",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    let verifier = json!({ "scheme": "ed25519", "keys": [p256], "header": "x-signature",
        "encoding": "base64", "freshness": { "window": { "remember_s": 259_200 } } });
    assert!(read(&webhook(&verifier)).is_err());
}

#[test]
fn numbers_out_of_their_bounds_are_refused() {
    for (pointer, bad) in [
        ("/bounds/max_runs", json!(0)),
        ("/bounds/max_runs", json!(10_001)),
        ("/bounds/concurrency", json!(0)),
        ("/bounds/concurrency", json!(101)),
        ("/bounds/per_s", json!(59)),
        ("/bounds", json!({ "max_runs": 1, "per_s": 60, "concurrency": 1, "burst": 9 })),
        ("/expires_at", json!(-1)),
        ("/parameters", json!("any")),
        ("/trigger", json!({ "schedule": { "schedule": { "after": { "delay_s": 60 } } } })),
    ] {
        assert!(read(&with(pointer, bad.clone())).is_err(), "{pointer} {bad}");
    }
    for (name, bad) in [("max_age_s", 0), ("max_age_s", 3601)] {
        let mut slack = verifiers()[1].clone();
        slack[name] = json!(bad);
        assert!(read(&webhook(&slack)).is_err(), "{name} {bad}");
    }
    for bad in [259_199, 7_776_001] {
        let mut github = verifiers()[0].clone();
        github["remember_s"] = json!(bad);
        assert!(read(&webhook(&github)).is_err(), "{bad}");
    }
}

#[test]
fn a_standing_writ_ends_within_90_days_and_not_before_it_begins() {
    let writ = read(&standing()).unwrap();
    let end = writ.expires_at;
    assert!(writ.check(end).is_err());
    assert!(writ.check(UnixTime(end.0 - 1)).is_ok());
    assert!(writ.check(UnixTime(end.0 - STANDING_LIFETIME_S)).is_ok());
    assert!(writ.check(UnixTime(end.0 - STANDING_LIFETIME_S - 1)).is_err());
}

#[test]
fn a_standing_writ_runs_nothing_of_another_workspace() {
    let writ = read(&with("/automation", json!("finance/pay"))).unwrap();
    assert!(writ.check(UnixTime(writ.expires_at.0 - 1)).is_err());
}

#[test]
fn a_schedule_brings_no_parameters_of_its_own() {
    let scheduled = read(&with("/parameters", json!("event"))).unwrap();
    assert!(scheduled.check(UnixTime(scheduled.expires_at.0 - 1)).is_err());

    let mut hook = webhook(&verifiers()[0]);
    hook["parameters"] = json!("event");
    let hook = read(&hook).unwrap();
    assert!(hook.check(UnixTime(hook.expires_at.0 - 1)).is_ok());
}
