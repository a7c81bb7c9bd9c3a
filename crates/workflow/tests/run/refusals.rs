//! What is refused as a document is read: by a code, with a place, with what is supported.

use writ_workflow::{Diagnostic, bundle};

use crate::world::{document, parse};

/// Tasks with a mark at what is refused, and the code of it.
const REFUSED: &[(&str, &str)] = &[
    ("\n  - a:\n      listen: §{}", "missing"),
    ("\n  - a:\n      listen: {to: {§any: []}}", "unsupported-listen"),
    (
        "\n  - a:\n      listen: {to: {one: {with: {type: §com.example.started.v1}}}}",
        "unsupported-listen",
    ),
    (
        "\n  - a:\n      listen: {to: {one: {with: {type: dev.writ.approval.v1, data: {message: m, quorum: §0}}}}}",
        "quorum",
    ),
    (
        "\n  - a:\n      listen: {to: {one: {with: {type: dev.writ.approval.v1, data: §{}}}}}",
        "missing",
    ),
    (
        "\n  - a:\n      listen: {read: §raw, to: {one: {with: {type: dev.writ.approval.v1, data: {message: m}}}}}",
        "unsupported-listen",
    ),
    ("\n  - a:\n      call: §grpc\n      with: {}", "unsupported-call"),
    ("\n  - a:\n      call: http\n      with: §{}", "missing"),
    ("\n  - a:\n      call: http\n      with: {method: §head, endpoint: {}}", "method"),
    (
        "\n  - a:\n      call: http\n      with: {method: get, endpoint: §'https://a.example/'}",
        "http-connection",
    ),
    (
        "\n  - a:\n      call: http\n      with: {method: get, endpoint: {uri: 'https://a.example', authentication: §{bearer: {token: t}}}}",
        "inline-authentication",
    ),
    ("\n  - a: {set: {}, timeout: §PT1S}", "reference"),
    ("\n  - a: {set: {}, timeout: {after: §never}}", "duration"),
    ("\n  - a: {for: {in: §1}, do: []}", "expression"),
    ("\n  - a: {for: {in: .x, each: §input}, do: []}", "catch-as"),
    ("\n  - a: {for: §{in: .x, each: a, at: a}, do: []}", "variable"),
    ("\n  - a: {for: {in: .x}, do: [{b: {set: {x: §'${ $other }'}}}]}", "expression"),
    ("\n  - a: {run: §{}}", "missing"),
    ("\n  - a: {run: {shell: {command: §'${ .x }'}}}", "code"),
    ("\n  - a: {run: {shell: {command: x, environment: {§PATH: x}}}}", "environment"),
    ("\n  - a: {run: {shell: {command: x}, return: §everything}}", "return"),
    ("\n  - a: {run: {shell: {command: x}, await: §false}}", "unsupported"),
    ("\n  - a: {run: {shell: {command: x, stdin: a, arguments: §{b: c}}}}", "arguments"),
    ("\n  - a: {set: {}}\n  - §a: {set: {}}", "task-name"),
    ("\n  - §end: {set: {}}", "task-name"),
    ("\n  - a: {set: {}, then: §nowhere}", "then"),
    ("\n  - a: {set: {x: §'${ $secrets.token }'}}", "secrets-refused"),
    ("\n  - a: {set: {x: §'${ range(10) }'}}", "expression"),
    ("\n  - a: {set: {x: §'Hi ${ .n }'}}", "expression"),
    ("\n  - a: {set: {x: §'${ $output }'}}", "expression"),
    ("\n  - a: {set: {x: §'${ $error }'}}", "expression"),
    ("\n  - a: {set: §text}", "set"),
    ("\n  - a: {wait: §soon}", "duration"),
    ("\n  - a: {run: {§container: {image: x}}}", "unsupported"),
    ("\n  - a: {run: {script: {language: §cobol, code: x}}}", "language"),
    ("\n  - a: {run: {script: {language: python, code: §'${ .x }'}}}", "code"),
    ("\n  - a: {run: {script: {language: python, code: x, arguments: §1}}}", "arguments"),
    ("\n  - a: {call: 'x.y:1.0.0@default', with: {connection: §'${ .c }'}}", "connection"),
    ("\n  - a: {call: 'x.y:1.0.0@default', with: {connection: §other/c}}", "connection"),
    ("\n  - a: {call: §'x.y:latest@default', with: {connection: c}}", "unsupported-call"),
    ("\n  - a: {try: [], catch: {retry: §{delay: PT1S}}}", "retry-limit"),
    ("\n  - a: {try: [], catch: {retry: §none}}", "reference"),
    ("\n  - a: {try: [], catch: {as: §input}}", "catch-as"),
    ("\n  - a: {try: [], catch: {retry: {§jitter: {}, limit: {duration: PT1S}}}}", "unsupported"),
    ("\n  - a: {raise: {error: §unknown}}", "reference"),
    ("\n  - a: {switch: [{a: {then: end}}, {§b: {then: end}}]}", "switch"),
    ("\n  - a: {if: §true, set: {}}", "expression"),
];

#[test]
fn what_is_not_supported_is_refused_where_it_stands() {
    for (marked, code) in REFUSED {
        let source = document(&marked.replace('§', ""));
        let before = document(marked).split('§').next().unwrap_or_default().to_owned();
        let line = before.lines().count();
        let column = before.lines().last().map_or(0, str::len) + 1;

        let found = refused(&source);

        let place = (found.code, found.line, found.column);
        assert_eq!(place, (*code, line as u64, column as u64), "{marked}: {found}");
        assert!(!found.help.is_empty(), "{found}");
    }
}

#[test]
fn every_finding_is_reported_at_once_in_the_order_of_the_text() {
    let source = document(
        "\n  - a: {listen: {}}\n  - b: {set: {}}\n  - c: {do: [{d: {wait: soon}}]}\n  - e: {call: grpc}",
    );
    let findings = writ_workflow::parse(&source).unwrap_err();
    let places: Vec<_> = findings.iter().map(|found| (found.line, found.code)).collect();
    assert_eq!(places, [(3, "missing"), (5, "duration"), (6, "unsupported-call")]);
}

#[test]
fn heads_must_say_what_they_are() {
    let good = document("\n  - a: {set: {}}");
    for (from, to, code) in [
        ("'1.0.3'", "'1.1.0'", "dsl"),
        ("'1.0.3'", "'1.0.3; x'", "dsl"),
        ("secops", "SecOps", "namespace"),
        ("name: test", "name: ../x", "name"),
        ("'1.0.0'", "latest", "version"),
        ("document:", "extra: 1\ndocument:", "unsupported"),
        ("do:", "do: []\ndo:", "yaml"),
    ] {
        assert_eq!(refused(&good.replacen(from, to, 1)).code, code, "{to}");
    }
}

#[test]
fn a_footprint_lists_each_action_with_its_connection_and_each_code() {
    let document = parse(&document(
        r"
  - a: {call: 'github.issues.create:1.2.0@default', with: {connection: github}}
  - b:
      try: [{c: {call: 'slack.chat.post:2.0.0@default', with: {connection: slack}}}]
      catch: {do: [{d: {run: {script: {language: python, code: 'print(1)'}}}}]}
  - e: {if: .never, call: 'github.issues.create:1.2.0@default', with: {connection: github}}",
    ));

    let actions: Vec<String> = document
        .footprint()
        .actions
        .iter()
        .map(|used| format!("{}:{} {}", used.action, version(&used.pack), used.connection))
        .collect();

    assert_eq!(
        actions,
        ["github.issues.create:1.2.0 secops/github", "slack.chat.post:2.0.0 secops/slack"]
    );
    assert_eq!(document.footprint().code.len(), 1);
}

#[test]
fn a_bundle_keeps_the_text_exactly_and_takes_nothing_else() {
    let source = document("\n  - a: {set: {}} # kept");
    let bytes = bundle::close(&source);

    let kept: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(kept["document"].as_str(), Some(source.as_str()));
    assert_eq!(bundle::open(&bytes).unwrap().name().to_string(), "secops/test");
    for bad in
        [&b"{}"[..], b"{\"document\":\"\",\"x\":1}", b"[]", b"", b"{\"document\":\"do: []\"}"]
    {
        assert!(bundle::open(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn json_is_read_as_yaml_is() {
    let source = r#"{"document": {"dsl": "1.0.0", "namespace": "secops", "name": "j", "version": "0.1.0", "title": "T", "summary": "S"}, "do": [{"a": {"set": {"x": 1}}}]}"#;
    let document = parse(source);
    assert_eq!(
        (document.title(), document.summary(), document.version()),
        (Some("T"), Some("S"), "0.1.0")
    );
}

#[test]
fn bombs_are_refused() {
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let block: Vec<String> = (0..3000).map(|depth| format!("{}a:", " ".repeat(depth))).collect();
    let block = block.join("\n");
    let mut laughs = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push(format!("a{level}: &a{level} [{before}]"));
    }
    let deep_do = format!("{}{}", "[{a: {do: ".repeat(60), "[]".to_owned() + &"}}]".repeat(60));
    for bomb in [
        nested,
        block,
        laughs.join("\n"),
        document(&format!(" {deep_do}")),
        " ".repeat(2 << 20),
        "\0".to_owned(),
    ] {
        assert!(writ_workflow::parse(&bomb).is_err());
    }
}

fn refused(source: &str) -> Diagnostic {
    match writ_workflow::parse(source) {
        Ok(_) => panic!("taken: {source}"),
        Err(findings) => findings.into_iter().next().expect("a refusal says why"),
    }
}

fn version(pack: &writ_workflow::PackRef) -> &str {
    match pack {
        writ_workflow::PackRef::Version(version) => version,
        writ_workflow::PackRef::Inline(text) => text,
    }
}

#[test]
fn a_host_is_literal_and_a_path_is_plain() {
    for uri in [
        "${ .uri }",
        "https://{host}/",
        "https://user@a.example/",
        "https://A.example/",
        "https://a.example:port/",
        "ftp://a.example/",
        "https://a.example/../admin",
        "https://a.example//b",
        "https://a.example/{a",
        "https://a.example/{a.b}",
        "https://a.example/a b",
        "https:///a",
    ] {
        let tasks = format!(
            "\n  - a:\n      call: http\n      with: {{method: get, endpoint: {{uri: '{uri}', authentication: {{use: c}}}}}}"
        );
        let found = refused(&document(&tasks));
        assert_eq!(found.code, "endpoint", "{uri}: {found}");
    }
}
