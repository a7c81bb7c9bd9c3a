//! A cell's whole call, against a real service over real sockets: what it sends, what it refuses
//! to send, what comes back, and what never does.

pub(super) mod service;
pub(super) mod setting;

use std::{thread, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::json;
use writ_jail_link::BrokerRefusal;

use self::{
    service::{Service, answer},
    setting::{Broker, CREDENTIAL, Setting, code},
};

const CREATED: &str = r#"{"number":7,"title":"t","secret":"s","labels":[{"name":"a","id":1}]}"#;

#[test]
fn a_permitted_call_is_made_over_tls_and_only_declared_fields_come_back() {
    let service = Service::tls("localhost", answer("201 Created", "", CREATED));
    let setting = Setting::new(&service);
    let output = setting.output();

    assert_eq!(output, json!({"number": 7, "title": "t", "note": null, "labels": [{"name": "a"}]}));
    let asked = setting.asked();
    assert_eq!((asked.host.as_str(), asked.port), ("localhost", service.port));
    let request = service.request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head.lines().map(str::to_lowercase).collect();
    assert_eq!(lines.remove(0), "post /repos/o%2f..%2fp/issues?state=open http/1.1");
    lines.sort();
    let expected = [
        "accept-encoding: identity".to_owned(),
        format!("authorization: bearer {}", CREDENTIAL.to_lowercase()),
        "connection: close".to_owned(),
        format!("content-length: {}", body.len()),
        "content-type: application/json".to_owned(),
        format!("host: localhost:{}", service.port),
        "idempotency-key: step-key".to_owned(),
        "user-agent: writ/0.1.0".to_owned(),
        "x-api-version: 1".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(body, r#"{"title":"t"}"#);
}

#[test]
fn plaintext_is_spoken_only_where_the_connection_says_so() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["connection"]["hosts"][0]["plaintext"] = json!(true);
    assert_eq!(setting.output()["number"], 7);

    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let setting = Setting::new(&service);
    assert_eq!(setting.code(), "tls-failed");
    assert!(!service.request().contains(CREDENTIAL));
}

#[test]
fn an_error_status_is_a_code_and_a_number_and_never_the_services_text() {
    let body = format!("internal details, {CREDENTIAL}");
    let service = Service::tls("localhost", answer("500 Trouble Within", "", &body));
    let failed = Setting::new(&service).failed();
    let expected = json!({"code": "http-status", "status": 500});
    assert_eq!(serde_json::to_value(&failed).unwrap(), expected);
}

#[test]
fn a_service_may_ask_to_wait_in_seconds_or_until_a_date() {
    for (field, expected) in [
        ("Retry-After: 7\r\n", Some(7)),
        ("Retry-After: 999999\r\n", Some(24 * 3600)),
        ("Retry-After: Fri, 31 Dec 2100 00:00:00 GMT\r\n", Some(24 * 3600)),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ] {
        let service = Service::tls("localhost", answer("429 Too Many Requests", field, "{}"));
        let failed = Setting::new(&service).failed();
        assert_eq!(failed.code, "http-status");
        assert_eq!((failed.status, failed.retry_after_s), (Some(429), expected), "{field}");
    }
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let other = Service::plaintext(answer("201 Created", "", CREATED));
        let location = format!("Location: http://127.0.0.1:{}/\r\n", other.port);
        let service = Service::tls("localhost", answer(status, &location, ""));
        let setting = Setting::new(&service);
        let failed = setting.failed();
        assert_eq!(failed.code, "http-redirect");
        assert_eq!(failed.status, status.split_once(' ').unwrap().0.parse().ok());
        setting.asked();
        assert!(setting.was_asked_nothing_more());
        assert!(!other.was_reached());
    }
}

#[test]
fn a_credential_that_a_service_echoes_does_not_come_back() {
    let mut echoes = vec![format!("you sent {CREDENTIAL}."), CREDENTIAL.replace('g', "%67")];
    for before in ["", "x", "xx"] {
        echoes.push(STANDARD.encode(format!("{before}{CREDENTIAL}:tail")));
        echoes.push(URL_SAFE.encode(format!("{before}{CREDENTIAL}")));
    }
    for echo in echoes {
        let body = json!({
            "number": 7, "title": "kept", "note": echo,
            "labels": [{"name": echo}, {"name": "kept"}],
        });
        let service = Service::tls("localhost", answer("201 Created", "", &body.to_string()));
        let output = Setting::new(&service).output();
        let expected = json!({
            "number": 7, "title": "kept", "note": "[redacted]",
            "labels": [{"name": "[redacted]"}, {"name": "kept"}],
        });
        assert_eq!(output, expected, "{echo}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let announced = answer("201 Created", "", &format!("\"{}\"", "a".repeat(5 * 1024 * 1024)));
    let endless = |stream: &mut dyn service::Stream, _: &str| {
        let head = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    };
    for service in [Service::tls("localhost", announced), Service::tls("localhost", endless)] {
        assert_eq!(Setting::new(&service).code(), "http-too-large");
    }
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let long = format!("X-Long: {}\r\n", "a".repeat(256 * 1024));
    let many = "X-Many: 1\r\n".repeat(200);
    for fields in [long, many] {
        let service = Service::tls("localhost", answer("201 Created", &fields, CREATED));
        assert_eq!(Setting::new(&service).code(), "http-failed");
    }
}

#[test]
fn a_service_that_is_silent_or_drips_runs_into_the_deadline() {
    let silent = |_: &mut dyn service::Stream, _: &str| thread::sleep(Duration::from_secs(3));
    let drips = |stream: &mut dyn service::Stream, _: &str| {
        for byte in b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}" {
            let sent = stream.write_all(&[*byte]).and_then(|()| stream.flush());
            if sent.is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    };
    for service in [Service::tls("localhost", silent), Service::tls("localhost", drips)] {
        let mut setting = Setting::new(&service);
        setting.order["timeout_s"] = json!(1);
        let started = std::time::Instant::now();
        assert_eq!(setting.code(), "http-timeout");
        assert!(started.elapsed() < Duration::from_millis(2500));
    }
}

#[test]
fn an_answer_cut_short_is_a_failure() {
    let cut = |stream: &mut dyn service::Stream, _: &str| {
        let text = "HTTP/1.1 201 Created\r\nContent-Length: 200\r\n\r\n{\"number\":7}";
        stream.write_all(text.as_bytes()).unwrap();
    };
    assert_eq!(Setting::new(&Service::tls("localhost", cut)).code(), "http-failed");
}

#[test]
fn a_packed_body_is_not_unpacked() {
    for field in ["Content-Encoding: gzip\r\n", "Content-Encoding: identity, br\r\n"] {
        let service = Service::tls("localhost", answer("201 Created", field, CREATED));
        assert_eq!(Setting::new(&service).code(), "http-encoding");
    }
}

#[test]
fn an_answer_of_another_shape_is_a_failure() {
    for (body, expected) in [
        (r#"{"number":"7"}"#, "response-shape"),
        (r#"{"title":"t"}"#, "response-shape"),
        ("", "response-shape"),
        ("<html>", "response-not-json"),
        (r#"{"number":7} {}"#, "response-not-json"),
    ] {
        let service = Service::tls("localhost", answer("201 Created", "", body));
        assert_eq!(Setting::new(&service).code(), expected, "{body}");
    }
}

#[test]
fn a_credential_is_not_sent_to_whoever_shows_another_names_certificate() {
    let service = Service::tls("other.example", answer("201 Created", "", CREATED));
    let setting = Setting::new(&service);
    assert_eq!(setting.code(), "tls-failed");
    assert_eq!(service.request(), "");
}

#[test]
fn a_credential_is_not_sent_to_whoever_shows_a_certificate_nobody_vouches_for() {
    let service = Service::tls("localhost", answer("201 Created", "", CREATED));
    let stranger = Service::tls("localhost", answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.roots = stranger.roots();
    assert_eq!(setting.code(), "tls-failed");
    assert_eq!(service.request(), "");
}

#[test]
fn a_socket_to_an_address_that_is_not_allowed_is_refused() {
    let service = Service::tls("localhost", answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["connection"]["allow_cidrs"] = json!(["10.0.0.0/8"]);
    assert_eq!(setting.code(), "connect-refused-address");
    assert_eq!(service.request(), "");
}

#[test]
fn a_socket_to_another_port_or_another_literal_than_asked_for_is_refused() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let other = Service::plaintext(answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["connection"]["hosts"][0]["plaintext"] = json!(true);
    setting.broker = Broker::ConnectsTo(other.port);
    assert_eq!(setting.code(), "connect-refused-address");

    setting.order["connection"]["hosts"][0]["host"] = json!("127.0.0.2");
    setting.order["connection"]["allow_cidrs"] = json!(["127.0.0.0/8"]);
    setting.broker = Broker::ConnectsTo(service.port);
    assert_eq!(setting.code(), "connect-refused-address");
    assert_eq!((service.request(), other.request()), (String::new(), String::new()));
}

#[test]
fn what_a_broker_may_do_instead_of_connecting_is_a_code() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    for (broker, expected) in [
        (Broker::Refuses(BrokerRefusal::RefusedAddress), "connect-refused-address"),
        (Broker::Refuses(BrokerRefusal::NoAddress), "connect-no-address"),
        (Broker::Refuses(BrokerRefusal::Unreachable), "connect-failed"),
        (Broker::HandsNothing, "connect-failed"),
        (Broker::HandsUnixSocket, "connect-failed"),
        (Broker::HandsDatagramSocket, "connect-refused-address"),
        (Broker::HangsUp, "connect-failed"),
        (Broker::IsSilent, "connect-timeout"),
    ] {
        let mut setting = Setting::new(&service);
        setting.broker = broker;
        setting.order["timeout_s"] = json!(1);
        assert_eq!(setting.code(), expected, "{broker:?}");
    }
}

#[test]
fn a_parameter_with_a_line_break_is_refused_before_the_credential_is_opened() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["parameters"]["owner"] = json!("o\r\nHost: evil");
    // A vault that can't be opened would be another failure.
    setting.files = None;
    assert_eq!(setting.code(), "parameter-value");
    assert!(setting.was_asked_nothing_more());
}

#[test]
fn a_credential_that_cannot_be_used_safely_is_not_used() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    for (credential, expected) in [
        (&b"1234567"[..], "credential-too-short"),
        (b"with a space in it", "credential-malformed"),
        (b"with\r\nX-Header: 1", "credential-malformed"),
        ("wïth-ümläuts".as_bytes(), "credential-malformed"),
    ] {
        let setting = Setting::with_credential(&service, credential);
        assert_eq!(setting.code(), expected);
        assert!(setting.was_asked_nothing_more());
    }
    let mut setting = Setting::new(&service);
    setting.order["connection"]["secret"] = json!("local:another");
    assert_eq!(setting.code(), "credential-not-found");
}

#[test]
fn a_cell_that_is_sent_something_else_answers_with_a_code() {
    let service = Service::plaintext(answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    setting.order["surplus"] = json!(1);
    assert_eq!(code(&setting.outcome_by_channel()), "cell-malformed");
    setting.order.as_object_mut().unwrap().remove("surplus");
    setting.order["connection"]["hosts"] = json!([]);
    assert_eq!(code(&setting.outcome_by_channel()), "connection-without-host");
}

#[test]
fn a_password_goes_into_basic_authentication_and_its_pair_does_not_come_back() {
    let pair = STANDARD.encode(format!("ann:{CREDENTIAL}"));
    let body = json!({"number": 7, "title": format!("Basic {pair}"), "note": CREDENTIAL});
    let service = Service::tls("localhost", answer("201 Created", "", &body.to_string()));
    let mut setting = Setting::new(&service);
    setting.order["connection"]["kind"] = json!({"basic": {"username": "ann"}});
    let output = setting.output();
    assert_eq!((&output["title"], &output["note"]), (&json!("[redacted]"), &json!("[redacted]")));
    assert!(service.request().contains(&format!("authorization: Basic {pair}\r\n")));
}

#[test]
fn a_credential_goes_into_the_services_own_header_and_nowhere_else() {
    let service = Service::tls("localhost", answer("201 Created", "", CREATED));
    let mut setting = Setting::new(&service);
    let header = json!({"name": "X-Api-Key", "prefix": "key "});
    setting.order["connection"]["kind"] = json!({ "header": header });
    setting.output();
    let request = service.request();
    assert!(request.contains(&format!("x-api-key: key {CREDENTIAL}\r\n")), "{request}");
    assert!(!request.contains("authorization"), "{request}");

    let call = json!({"method": "GET", "target": "/", "output": "content"});
    let refused = setting.http(&call, &json!({"headers": {"x-api-key": "mine"}}));
    assert_eq!(code(&refused), "parameter-header");
}
