//! Tests of connections against real services: what is reached, what is sent, and that a test fails
//! with the very code that a call fails with.

#![cfg(test)]

use serde_json::json;
use writ_jail_link::{BrokerRefusal, ConnectionTried, FailedStep};

use crate::cell::tests::{
    service::{Service, answer},
    setting::{Broker, CREDENTIAL, Setting},
};

const CREATED: &str = r#"{"number":7}"#;

fn created() -> Service {
    Service::tls("localhost", answer("201 Created", "", CREATED))
}

fn code(tried: &ConnectionTried) -> &str {
    tried.failed.as_ref().map_or("", |failed| &failed.code)
}

#[test]
fn a_host_that_proves_its_name_is_reached_and_is_sent_nothing() {
    let service = created();
    let setting = Setting::new(&service);

    assert_eq!(setting.tried(), ConnectionTried { reached: 1, failed: None });

    let asked = setting.asked();
    assert_eq!((asked.host.as_str(), asked.port), ("localhost", service.port));
    assert_eq!(asked.allow_cidrs.len(), 1);
    assert!(setting.was_asked_nothing_more());
    assert_eq!(service.request(), "");
}

#[test]
fn a_plaintext_host_is_reached_and_is_sent_nothing_either() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["connection"]["hosts"][0]["plaintext"] = json!(true);

    assert_eq!(setting.tried(), ConnectionTried { reached: 1, failed: None });
    assert_eq!(service.request(), "");
}

#[test]
fn every_host_is_reached_in_turn_and_nothing_is_tried_after_the_first_that_is_not() {
    let (first, second) = (created(), Service::plaintext(answer("201 Created", "", CREATED)));
    let mut setting = Setting::new(&first);
    setting.order["connection"]["hosts"] = json!([
        { "host": "localhost", "port": first.port },
        { "host": "localhost", "port": second.port },
        { "host": "localhost", "port": 1 },
    ]);

    let tried = setting.tried();

    assert_eq!((tried.reached, code(&tried)), (1, "tls-failed"));
    assert_eq!(setting.asked().port, first.port);
    assert_eq!(setting.asked().port, second.port);
    assert!(setting.was_asked_nothing_more());
}

#[test]
fn a_secret_that_is_not_read_is_named_and_no_host_is_connected_to() {
    let service = created();
    let mut setting = Setting::new(&service);
    setting.order["connection"]["secret"] = json!("local:github/none");

    let tried = setting.tried();

    let about = Some("local:github/none".to_owned());
    let code = "credential-not-found".to_owned();
    let failed = FailedStep { code, status: None, retry_after_s: None, about };
    assert_eq!(tried, ConnectionTried { reached: 0, failed: Some(failed) });
    assert!(setting.was_asked_nothing_more());
    assert!(!service.was_reached());
}

/// A way for a call to go wrong before its request.
type Wrong = fn(&mut Setting);

#[test]
fn a_test_fails_with_the_code_that_a_call_fails_with() {
    let wrongs: [(&str, Wrong); 14] = [
        ("vault-io", |setting| {
            let folder = setting.files.as_ref().unwrap().path().join("vault");
            std::fs::remove_file(&folder).unwrap();
            std::fs::create_dir(folder).unwrap();
        }),
        ("vault-key-file", |setting| {
            let key = setting.files.as_ref().unwrap().path().join("key");
            std::fs::write(key, "x").unwrap();
        }),
        ("credential-not-found", |setting| setting.files = None),
        ("secret-manager-not-configured", |setting| {
            setting.order["connection"]["secret"] = json!("vault:secret/github#token");
        }),
        ("secret-manager-not-configured", |setting| {
            setting.order["connection"]["secret"] = json!("aws-sm:prod/github");
        }),
        ("connect-refused-address", |setting| {
            setting.order["connection"]["allow_cidrs"] = json!([]);
        }),
        ("connect-refused-address", |setting| {
            setting.broker = Broker::Refuses(BrokerRefusal::RefusedAddress);
        }),
        ("connect-no-address", |setting| {
            setting.broker = Broker::Refuses(BrokerRefusal::NoAddress);
        }),
        ("connect-failed", |setting| {
            setting.broker = Broker::Refuses(BrokerRefusal::Unreachable);
        }),
        ("connect-failed", |setting| setting.broker = Broker::HandsNothing),
        ("connect-refused-address", |setting| setting.broker = Broker::HandsDatagramSocket),
        ("connect-failed", |setting| setting.broker = Broker::HangsUp),
        ("tls-failed", |setting| setting.roots = created().roots()),
        ("tls-failed", |setting| {
            setting.order["connection"]["hosts"][0]["host"] = json!("127.0.0.1");
        }),
    ];
    for (expected, wrong) in wrongs {
        let (service, called) = (created(), created());
        let (mut testing, mut calling) = (Setting::new(&service), Setting::new(&called));
        wrong(&mut testing);
        wrong(&mut calling);

        let tried = testing.tried();

        assert_eq!(code(&tried), expected);
        assert_eq!(calling.code(), expected, "a call differs");
    }
    for (credential, expected) in
        [(&b"short"[..], "credential-too-short"), (b"with a space", "credential-malformed")]
    {
        let service = created();
        let setting = Setting::with_credential(&service, credential);
        assert_eq!(code(&setting.tried()), expected);
        assert_eq!(setting.code(), expected, "a call differs");
    }
}

#[test]
fn a_host_that_says_nothing_runs_into_the_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let service = created();
    let mut setting = Setting::new(&service);
    let port = listener.local_addr().unwrap().port();
    setting.order["connection"]["hosts"][0]["port"] = json!(port);
    setting.order["timeout_s"] = json!(1);

    let started = std::time::Instant::now();
    let tried = setting.tried();

    assert_eq!(code(&tried), "http-timeout");
    assert!(started.elapsed() < std::time::Duration::from_millis(2500));
}

#[test]
fn what_a_test_says_holds_no_credential() {
    let (service, refused) = (created(), created());
    let passed = Setting::new(&service);
    let mut failed = Setting::new(&refused);
    failed.roots = created().roots();
    for setting in [passed, failed] {
        let said = serde_json::to_string(&setting.tried()).unwrap();
        assert!(!said.contains(CREDENTIAL) && !said.contains("ghp_"), "{said}");
    }
}
