//! What parameters and packs can, and can't, make of a request.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn order() -> Value {
    json!({
        "name": "github.issues.create",
        "action": {
            "summary": "", "effect": "write", "idempotency": "none",
            "parameters": {
                "owner": {"type": "string", "required": true},
                "repo": {"type": "string", "required": true, "max_length": 100},
                "state": {"type": "string", "enum": ["open", "closed"]},
                "query": {"type": "string"},
                "page": {"type": "integer"},
                "draft": {"type": "boolean"},
                "title": {"type": "string"},
                "labels": {"type": "strings", "max_length": 2},
            },
            "request": {
                "method": "POST", "path": "/repos/{owner}/{repo}/issues",
                "query": ["state", "query", "page"], "body": ["title", "labels", "draft"],
            },
            "response": {"success": [201], "projection": {"type": "object", "members": {}}},
        },
        "parameters": {"owner": "o", "repo": "r"},
        "connection": {
            "name": "secops/github", "kind": "bearer",
            "hosts": [{"host": "api.github.com", "port": 443}], "secret": "local:a",
        },
        "idempotency_key": "step-key", "timeout_s": 5,
    })
}

fn rendered(order: Value) -> Result<Rendered, Failed> {
    render(&serde_json::from_value(order).unwrap())
}

fn with_parameters(parameters: Value) -> Result<Rendered, Failed> {
    let mut order = order();
    order["parameters"] = parameters;
    rendered(order)
}

fn with_action(member: &str, value: Value) -> Result<Rendered, Failed> {
    let mut order = order();
    *order["action"].pointer_mut(member).unwrap() = value;
    rendered(order)
}

fn header<'a>(request: &'a Rendered, name: &str) -> Vec<&'a str> {
    let values = request.headers.iter().filter(|(other, _)| other == name);
    values.map(|(_, value)| value.to_str().unwrap()).collect()
}

#[test]
fn a_parameter_stays_one_path_segment_whatever_is_in_it() {
    let request = with_parameters(json!({"owner": "a/../b?x#y%2f\u{e9}", "repo": "r"})).unwrap();
    assert_eq!(request.target, "/repos/a%2F..%2Fb%3Fx%23y%252f%C3%A9/r/issues");
}

#[test]
fn dots_alone_are_refused_as_a_segment() {
    for dots in [".", "..", ""] {
        let refused = with_parameters(json!({"owner": dots, "repo": "r"}));
        assert_eq!(refused, Err(Failed::new("parameter-value")));
    }
}

#[test]
fn control_characters_are_refused_in_path_and_query_and_escaped_in_a_body() {
    for text in ["a\r\nHost: evil", "a\n", "\0", "a\u{85}b", "\u{7f}"] {
        for given in
            [json!({"owner": text, "repo": "r"}), json!({"owner": "o", "repo": "r", "query": text})]
        {
            assert_eq!(with_parameters(given), Err(Failed::new("parameter-value")));
        }
    }
    let request =
        with_parameters(json!({"owner": "o", "repo": "r", "title": "two\r\nlines"})).unwrap();
    assert_eq!(request.body.unwrap(), br#"{"title":"two\r\nlines"}"#);
}

#[test]
fn parameters_are_checked_against_the_pack() {
    for (given, code) in [
        (json!({"owner": "o"}), "parameter-missing"),
        (json!({"owner": "o", "repo": null}), "parameter-missing"),
        (json!({"owner": "o", "repo": "r", "x": 1}), "parameter-unknown"),
        (json!({"owner": 1, "repo": "r"}), "parameter-type"),
        (json!({"owner": ["o"], "repo": "r"}), "parameter-type"),
        (json!({"owner": "o", "repo": "r", "page": 1.5}), "parameter-type"),
        (json!({"owner": "o", "repo": "r", "page": u64::MAX}), "parameter-type"),
        (json!({"owner": "o", "repo": "r", "draft": "true"}), "parameter-type"),
        (json!({"owner": "o", "repo": "r", "labels": [1]}), "parameter-type"),
        (json!({"owner": "o", "repo": "r", "labels": ["a", "b", "c"]}), "parameter-value"),
        (json!({"owner": "o", "repo": "r", "labels": ["a".repeat(1025)]}), "parameter-value"),
        (json!({"owner": "o", "repo": "r".repeat(101)}), "parameter-value"),
        (json!({"owner": "o", "repo": "r", "state": "any"}), "parameter-value"),
    ] {
        assert_eq!(with_parameters(given), Err(Failed::new(code)), "{code}");
    }
}

#[test]
fn absent_and_null_parameters_are_absent_from_query_and_body() {
    let request =
        with_parameters(json!({"owner": "o", "repo": "r", "title": "t", "state": null, "page": 2}))
            .unwrap();
    assert_eq!(request.target, "/repos/o/r/issues?page=2");
    assert_eq!(request.body.unwrap(), br#"{"title":"t"}"#);
}

#[test]
fn a_query_cannot_be_widened_by_a_value() {
    let request =
        with_parameters(json!({"owner": "o", "repo": "r", "query": "a&state=open#b+c d"})).unwrap();
    assert_eq!(request.target, "/repos/o/r/issues?query=a%26state%3Dopen%23b%2Bc%20d");
}

#[test]
fn a_pack_cannot_set_what_the_connection_or_the_cell_sets() {
    for name in ["Authorization", "Cookie", "HOST", "Transfer-Encoding", "User-Agent", "TE"] {
        let fixed = with_action("/request", {
            let mut request = order()["action"]["request"].clone();
            request["headers"] = json!({name: "x"});
            request
        });
        assert_eq!(fixed, Err(Failed::new("pack-header")), "{name}");
        let key = with_action("/idempotency", json!({"key": name}));
        assert_eq!(key, Err(Failed::new("pack-header")), "{name}");
    }
}

#[test]
fn a_header_that_would_split_the_message_is_refused() {
    for (name, value) in [("X-A", "1\r\nHost: evil"), ("X-A: 1\r\nX-B", "1"), ("", "1")] {
        let mut order = order();
        order["action"]["request"]["headers"] = json!({name: value});
        assert_eq!(rendered(order), Err(Failed::new("pack-header")), "{name}");
    }
}

#[test]
fn the_idempotency_key_goes_into_the_declared_header_once() {
    let request = with_action("/idempotency", json!({"key": "Idempotency-Key"})).unwrap();
    assert_eq!(header(&request, "idempotency-key"), ["step-key"]);
    let mut order = order();
    order["action"]["idempotency"] = json!({"key": "Idempotency-Key"});
    order["action"]["request"]["headers"] = json!({"idempotency-key": "fixed"});
    assert_eq!(rendered(order), Err(Failed::new("pack-header")));
}

#[test]
fn a_body_is_json_unless_the_pack_names_its_type() {
    assert_eq!(header(&rendered(order()).unwrap(), "content-type"), ["application/json"]);
    let mut order = order();
    order["action"]["request"]["headers"] = json!({"Content-Type": "application/scim+json"});
    let request = rendered(order).unwrap();
    assert_eq!(header(&request, "content-type"), ["application/scim+json"]);
}

#[test]
fn a_malformed_path_in_a_pack_is_refused() {
    for path in [
        "repos/{owner}",
        "//evil.example/{owner}",
        "/a/../b",
        "/./a",
        "/a?x=1",
        "/a#b",
        "/a b",
        "/%2e%2e/a",
        "/{owner",
        "/owner}",
        "/a\\b",
        "",
    ] {
        let refused = with_action("/request/path", json!(path));
        assert_eq!(refused, Err(Failed::new("pack-path")), "{path}");
    }
    let unknown = with_action("/request/path", json!("/{nobody}"));
    assert_eq!(unknown, Err(Failed::new("parameter-missing")));
}

proptest! {
    #[test]
    fn any_text_stays_one_segment_and_comes_back_as_it_was(text in "\\PC{1,40}") {
        prop_assume!(text != "." && text != "..");
        let request = with_parameters(json!({"owner": text, "repo": "r"})).unwrap();
        let segments: Vec<&str> = request.target.split('/').collect();
        prop_assert_eq!(segments.len(), 5);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        prop_assert!(segments[2].bytes().all(plain));
        prop_assert_eq!(decoded(segments[2]), text.as_bytes());
    }

    #[test]
    fn whatever_is_rendered_is_a_request_target(text in any::<String>(), page in any::<i64>()) {
        let given = json!({"owner": text, "repo": "r", "query": text, "page": page});
        let Ok(request) = with_parameters(given) else { return Ok(()) };
        let target: hyper::Uri = request.target.parse().unwrap();
        prop_assert_eq!(target.host(), None);
        prop_assert_eq!(target.to_string(), request.target);
        prop_assert_eq!(target.query().unwrap().matches('&').count(), 1);
    }
}

/// The other direction of `encode`, written apart from it.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2).unwrap(), 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
