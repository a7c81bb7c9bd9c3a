//! What is a code, by where it stands; what can't be read as one.

use super::super::super::tree::tree;
use super::*;

const TAKERS: &str = "
impl Failed { pub(crate) const fn new(code: &'static str) -> Self { Self { code } } }
impl<'a> Node<'a> { fn finding(&self, at: Map<u8>, code: &str, help: impl Into<String>) {} }
fn refused(status: u16, code: String) {}
";

fn found(text: &str) -> Codes {
    find(&tree(&[("crates/a/src/takers.rs", TAKERS), ("crates/a/src/b.rs", text)]))
}

fn codes(text: &str) -> Vec<String> {
    let found = found(text);
    assert_eq!(found.unread, Vec::new(), "{text}");
    found.said.into_iter().map(|said| said.code).collect()
}

#[test]
fn an_argument_for_a_code_is_found_however_it_is_called() {
    for call in [
        "fn b() { Failed::new(\"cell-died\") }",
        "const GONE: Failed = Failed::new(\"cell-died\");",
        "fn b() { x.map_err(|_| Failed::new(\n    \"cell-died\",\n)) }",
        "fn b() { node.finding(f(1, 2), \"cell-died\", \"some help\") }",
        "fn b() { refused(404, \"cell-died\".to_owned()) }",
        "fn b() { super::takers::refused(404, \"cell-died\".to_owned()) }",
        "const DIED: &str = \"cell-died\"; fn b() { Failed::new(DIED) }",
        "impl B { fn of(code: &str) {} fn b() { Self::of(\"cell-died\") } }",
    ] {
        assert_eq!(codes(call), ["cell-died"], "{call}");
    }
}

#[test]
fn each_branch_of_an_argument_is_a_code() {
    assert_eq!(
        codes("fn b() { Failed::new(if x { \"too-large\" } else { \"broken\" }) }").len(),
        2
    );
}

#[test]
fn what_a_function_called_code_returns_is_a_code() {
    let text = "impl E { const fn code(&self) -> &'static str { match self { A => \"a-b\", B => \"c\" } } }
        fn fault_code(x: &str) -> String { format!(\"no code {x}\"); \"faulted\".to_owned() }
        fn run_code(x: u8) -> u8 { f(\"not-one\") }";

    assert_eq!(codes(text), ["a-b", "c", "faulted"]);
}

#[test]
fn values_of_fields_and_variables_called_code_are_codes() {
    let text = "fn b() { let code = match x { \"asked\" | \"too\" => \"a\", _ => \"b\" };
        Self { status, code: Some(\"raised\".to_owned()), name: \"n\" } }
        struct S { code: &'static str, other: u8 }";

    assert_eq!(codes(text), ["a", "b", "raised"]);
}

#[test]
fn a_question_about_a_code_is_none() {
    let text =
        "fn code(&self) -> &str { if self.code == \"asked\" { row.get(\"code\") } else { \"a\" } }";

    assert_eq!(codes(text), ["a"]);
}

#[test]
fn what_is_called_code_is_passed_on() {
    let text =
        "fn b(code: &str) { Failed::new(code); Failed::new(error.code()); Failed::new(&x.code) }";

    assert_eq!(codes(text), Vec::<String>::new());
}

#[test]
fn a_code_that_cannot_be_seen_is_found() {
    for (text, what) in [
        ("fn b(what: &str) { Failed::new(what) }", "`what` stands for a code"),
        ("fn b() { x.map_err(Failed::new) }", "`new` is not called here"),
        ("fn b() { Failed::new(\"Cell died\") }", "`Cell died` is no code"),
        ("fn b() { Failed::new(&format!(\"{a}-{b}\")) }", "`{a}-{b}` is no code"),
    ] {
        let unread = found(text).unread;
        assert_eq!(unread.first().map(|(_, line, what)| (*line, what.as_str())), Some((1, what)));
    }
}

#[test]
fn tests_and_other_folders_say_no_codes() {
    let text = "#[cfg(test)]\nmod tests { fn b() { Failed::new(\"a\") } }";
    let elsewhere = [
        ("crates/a/src/takers.rs", TAKERS),
        ("crates/a/tests/b.rs", "fn b() { Failed::new(\"a\") }"),
        ("testkit/src/b.rs", "fn b() { Failed::new(\"a\") }"),
    ];

    assert_eq!(codes(text), Vec::<String>::new());
    assert_eq!(find(&tree(&elsewhere)).said, Vec::new());
}

#[test]
fn the_same_name_of_another_crate_or_a_variable_takes_no_code() {
    let text = "fn b() { let refused = |a, b| c; refused(1, what) }";
    let other =
        [("crates/a/src/takers.rs", TAKERS), ("crates/o/src/b.rs", "fn b() { refused(1, what) }")];

    assert_eq!(codes(text), Vec::<String>::new());
    assert!(find(&tree(&other)).unread.is_empty());
}
