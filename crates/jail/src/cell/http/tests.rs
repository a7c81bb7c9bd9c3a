//! `call: http` against a real service: what is sent, what is refused, what comes back.

#![cfg(test)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use writ_jail_link::CellOutcome;

use crate::cell::tests::{
    service::{Service, answer},
    setting::{CREDENTIAL, Setting, code},
};

fn get(target: &str) -> Value {
    json!({ "method": "GET", "target": target, "output": "content" })
}

fn output(outcome: CellOutcome) -> Value {
    match outcome {
        CellOutcome::Output(output) => output,
        CellOutcome::Failed(failed) => panic!("the call failed: {failed:?}"),
    }
}

#[test]
fn a_request_is_what_the_document_spells_out_with_its_data_encoded() {
    let body = "Content-Type: application/json\r\n";
    let service = Service::tls("localhost", answer("200 OK", body, r#"{"id":7}"#));
    let call = json!({ "method": "POST", "target": "/pets/{id}?kind={kind}", "output": "content" });
    let parameters = json!({
        "uri": { "id": "a/../b", "kind": "x&y=z" },
        "query": { "tag": ["one", "t&wo"], "none": null, "n": 3 },
        "headers": { "X-Trace": "t" },
        "body": { "name": "n" },
    });

    assert_eq!(output(Setting::new(&service).http(&call, &parameters)), json!({ "id": 7 }));

    let request = service.request();
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    let first = "POST /pets/a%2F..%2Fb?kind=x%26y%3Dz&tag=one&tag=t%26wo&n=3 HTTP/1.1";
    assert_eq!(head.lines().next(), Some(first));
    assert!(head.contains("x-trace: t\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {CREDENTIAL}")), "{head}");
    assert_eq!(sent, r#"{"name":"n"}"#);
}

#[test]
fn the_host_is_one_of_the_connections_to_the_port_and_to_tls() {
    let service = Service::tls("localhost", answer("200 OK", "", ""));
    let port = service.port;
    for host in [
        json!({ "host": "localhost", "port": port, "plaintext": true }),
        json!({ "host": "localhost", "port": port ^ 1 }),
        json!({ "host": "127.0.0.1", "port": port }),
        json!({ "host": "LOCALHOST", "port": port }),
    ] {
        let setting = Setting::new(&service);
        let mut call = get("/");
        call["host"] = host;
        assert_eq!(code(&setting.http(&call, &json!({}))), "host-outside-connection");
        assert!(setting.was_asked_nothing_more());
    }
    assert!(!service.was_reached());
}

#[test]
fn what_would_change_the_request_is_refused_before_a_credential_is_opened() {
    let service = Service::tls("localhost", answer("200 OK", "", ""));
    for (target, parameters, expected) in [
        ("/{a}", json!({}), "parameter-missing"),
        ("/{a}", json!({ "uri": { "a": ".." } }), "parameter-value"),
        ("/{a}", json!({ "uri": { "a": "x\r\nX: y" } }), "parameter-value"),
        ("/", json!({ "query": { "a": { "b": 1 } } }), "parameter-type"),
        ("/", json!({ "headers": { "Authorization": "x" } }), "parameter-header"),
        ("/", json!({ "headers": { "Host": "x" } }), "parameter-header"),
        ("/", json!({ "headers": { "Cookie": "x" } }), "parameter-header"),
        ("/", json!({ "headers": { "Transfer-Encoding": "chunked" } }), "parameter-header"),
        ("/", json!({ "headers": { "X": "a\nb" } }), "parameter-header"),
        ("/", json!({ "headers": { "X": "a", "x": "b" } }), "parameter-header"),
    ] {
        let mut setting = Setting::new(&service);
        setting.files = None;
        assert_eq!(code(&setting.http(&get(target), &parameters)), expected, "{parameters}");
    }
    assert!(!service.was_reached());
}

#[test]
fn a_redirect_is_an_error_or_an_answer_and_is_never_followed() {
    let other = Service::plaintext(answer("200 OK", "", ""));
    let location = format!("Location: http://127.0.0.1:{}/\r\n", other.port);
    for (redirect, expected) in [(false, "http-redirect"), (true, "")] {
        let service = Service::tls("localhost", answer("302 Found", &location, ""));
        let mut call = get("/");
        call["redirect"] = redirect.into();
        assert_eq!(code(&Setting::new(&service).http(&call, &json!({}))), expected);
    }
    assert!(!other.was_reached());
}

#[test]
fn an_output_is_content_the_whole_response_or_raw() {
    for (kind, fields, expected) in [
        ("content", "Content-Type: text/plain\r\n", json!("{\"a\":1}")),
        ("content", "Content-Type: application/problem+json\r\n", json!({ "a": 1 })),
        ("raw", "", json!(STANDARD.encode("{\"a\":1}"))),
    ] {
        let service = Service::tls("localhost", answer("200 OK", fields, "{\"a\":1}"));
        let call = json!({ "method": "GET", "target": "/", "output": kind });
        assert_eq!(output(Setting::new(&service).http(&call, &json!({}))), expected, "{kind}");
    }
    let service = Service::tls("localhost", answer("201 Created", "X-Kept: k\r\n", "text"));
    let call = json!({ "method": "GET", "target": "/a?b=c", "output": "response" });
    let response =
        output(Setting::new(&service).http(&call, &json!({ "headers": { "x-s": "v" } })));
    assert_eq!((&response["statusCode"], &response["content"]), (&json!(201), &json!("text")));
    assert_eq!(response["headers"]["x-kept"], "k");
    let uri = format!("https://localhost:{}/a?b=c", service.port);
    let request = json!({ "method": "GET", "uri": uri, "headers": { "x-s": "v" } });
    assert_eq!(response["request"], request);
}

#[test]
fn an_echo_of_the_credential_is_redacted_in_bodies_headers_and_names() {
    let fields = format!("Content-Type: application/json\r\nX-Echo: {CREDENTIAL}\r\n");
    let body = json!({ CREDENTIAL: 1, "in": [format!("you sent {CREDENTIAL}")], "kept": "k" });
    let service = Service::tls("localhost", answer("200 OK", &fields, &body.to_string()));
    let call = json!({ "method": "GET", "target": "/", "output": "response" });
    let response = output(Setting::new(&service).http(&call, &json!({})));
    assert!(!response.to_string().contains(CREDENTIAL), "{response}");
    assert_eq!(response["headers"]["x-echo"], "[redacted]");
    let content = json!({ "[redacted]": 1, "in": ["[redacted]"], "kept": "k" });
    assert_eq!(response["content"], content);

    let encoded = STANDARD.encode(format!("token {CREDENTIAL}"));
    let service =
        Service::tls("localhost", answer("200 OK", "Content-Type: text/html\r\n", &encoded));
    assert_eq!(output(Setting::new(&service).http(&get("/"), &json!({}))), "[redacted]");
    let service = Service::tls("localhost", answer("200 OK", "", CREDENTIAL));
    let call = json!({ "method": "GET", "target": "/", "output": "raw" });
    assert_eq!(output(Setting::new(&service).http(&call, &json!({}))), "[redacted]");
}

#[test]
fn a_body_that_is_not_what_its_type_says_is_a_code() {
    for (fields, body, expected) in [
        ("Content-Type: application/json\r\n", "<html>", "response-not-json"),
        ("Content-Encoding: gzip\r\n", "x", "http-encoding"),
    ] {
        let service = Service::tls("localhost", answer("200 OK", fields, body));
        assert_eq!(code(&Setting::new(&service).http(&get("/"), &json!({}))), expected);
    }
}
