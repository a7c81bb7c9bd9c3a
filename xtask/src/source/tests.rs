//! What counts as code, and what as test code.

use super::*;

fn words(text: &str) -> Vec<String> {
    let source = Source::read(text);
    source.tokens().iter().map(|token| token.text.clone()).collect()
}

fn production(text: &str) -> String {
    let tokens = Source::read(text).production();
    tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn comments_give_no_tokens() {
    assert_eq!(words("a // b\nc /* d /* e */ f */ g"), ["a", "c", "g"]);
}

#[test]
fn strings_and_characters_give_no_tokens() {
    assert_eq!(words(r#"a("b \" c", 'd', '\'', b"e", b'f', c"g")"#).join(""), "a(,,,,,)");
}

#[test]
fn raw_strings_end_only_with_as_many_hashes() {
    assert_eq!(words("a r#\"b \" c\"# d br\"e\\\" f"), ["a", "d", "f"]);
}

#[test]
fn lifetimes_and_raw_names_are_code() {
    assert_eq!(words("&'a r#type").join(" "), "& ' a r # type");
}

#[test]
fn a_name_that_ends_in_r_does_not_open_a_raw_string() {
    assert_eq!(words("for \"x\" in y").join(" "), "for in y");
}

#[test]
fn lines_are_counted_through_strings_and_comments() {
    let source = Source::read("/*\n*/ a\n\"\n\" b");

    let lines: Vec<_> = source.tokens().iter().map(|token| token.line).collect();

    assert_eq!(lines, [2, 4]);
}

#[test]
fn strings_are_tokens_for_who_asks_and_stand_where_they_are() {
    let text = "a(\"b\",\n\"c\"\n, d \"e\")\n#[cfg(test)]\nconst F: &str = \"f\";\n// \"g\"";

    let tokens = Source::read(text).production_with_strings();

    let told: Vec<_> = tokens.iter().map(|token| (token.text.as_str(), token.line)).collect();
    assert_eq!(
        told,
        [
            ("a", 1),
            ("(", 1),
            ("\"b\"", 1),
            (",", 1),
            ("\"c\"", 2),
            (",", 3),
            ("d", 3),
            ("\"e\"", 3),
            (")", 3)
        ]
    );
    assert_eq!(tokens.iter().filter_map(Token::string).collect::<Vec<_>>(), ["b", "c", "e"]);
}

#[test]
fn an_inline_test_module_is_not_production() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { let c = [1]; }\n}\nfn d() {}\n";

    assert_eq!(production(text), "fn a ( ) { } fn d ( ) { }");
    assert_eq!(Source::read(text).production_lines(), 2);
}

#[test]
fn a_test_item_with_more_attributes_ends_where_it_ends() {
    let text = "#[cfg(test)]\n#[derive(Debug)]\nfn a(x: [u8; 3]) -> u8 { 1 }\nfn b() {}";

    assert_eq!(production(text), "fn b ( ) { }");
}

#[test]
fn code_under_not_test_is_production() {
    assert_eq!(production("#[cfg(not(test))] use a;"), "# [ cfg ( not ( test ) ) ] use a ;");
}

#[test]
fn test_modules_in_files_of_their_own_are_known() {
    let source = Source::read("mod a;\n#[cfg(test)]\nmod tests;\nmod b;");

    assert!(source.declares_test_module("tests"));
    assert!(!source.declares_test_module("a"));
    assert!(!source.declares_test_module("b"));
}

#[test]
fn broken_text_ends_without_an_error() {
    for text in ["\"", "/*", "r#\"", "'", "#[cfg(test)]", "#[cfg(test)] mod a {", "'\\"] {
        let _ = Source::read(text).production();
    }
}
