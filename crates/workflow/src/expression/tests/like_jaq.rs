//! What is taken means what it means in jaq, which evaluates each case beside ours.

use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::Val;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{EvaluateError, VALUE_DEPTH_MAX};
use super::evaluate;

#[test]
fn every_construct_means_what_it_means_in_jaq() {
    let cases = CONSTRUCTS.iter().chain(FUNCTIONS);
    let cases = cases.flat_map(|source| inputs().into_iter().map(move |input| (source, input)));
    let different: Vec<String> =
        cases.filter_map(|(source, input)| difference(source, &input)).collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_case_has_a_value_for_some_input() {
    let never: Vec<_> = CONSTRUCTS
        .iter()
        .chain(FUNCTIONS)
        .filter(|source| inputs().iter().all(|input| jaq(source, input).is_none()))
        .collect();
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn joining_large_lists_with_run_data_stays_usable() {
    let events: Vec<Value> = (0..5_000).map(|n| json!({"id": n, "kind": "login"})).collect();
    let input = json!({"events": events, "x": {"source": "siem", "severity": 3}});

    let joined = evaluate(".events | map(. + {r: $input.x})", &input).unwrap();

    assert_eq!(joined.as_array().unwrap().len(), 5_000);
    assert_eq!(joined[17]["r"]["source"], "siem");
}

#[test]
fn a_path_into_large_data_costs_what_it_looks_at() {
    let input = json!({"id": 7, "blob": "x".repeat(900_000), "list": vec![1; 100_000]});
    let long = vec![".id"; 60].join(" + ");

    assert_eq!(evaluate(&long, &input), Ok(json!(420)));
}

#[test]
fn one_value_is_given_or_none_at_all() {
    assert_eq!(evaluate("empty", &json!(1)), Err(EvaluateError::Count(0)));
    assert_eq!(evaluate("1, 2", &json!(1)), Err(EvaluateError::Count(2)));
    assert_eq!(evaluate("0 / 0", &json!(1)), Err(EvaluateError::Failed));
}

#[test]
fn results_deeper_than_json_parsers_go_are_refused() {
    let mut deep = json!(1);
    for _ in 0..VALUE_DEPTH_MAX {
        deep = json!([deep]);
    }

    assert!(evaluate(".", &deep).is_ok());
    assert_eq!(evaluate("[.]", &deep), Err(EvaluateError::TooDeep));
}

#[test]
fn tests_match_in_linear_time() {
    let input = json!("a".repeat(30_000));
    assert_eq!(evaluate("test(\"^(a+)+$\")", &input), Ok(json!(true)));
    assert_eq!(evaluate("test(\"^(a|aa)+b$\")", &input), Ok(json!(false)));
    assert_eq!(evaluate("test(\"ALERT\"; \"i\")", &json!("an alert")), Ok(json!(true)));
}

/// jq gives nothing for what is not there; jaq has it an error.
#[test]
fn members_that_are_not_there_are_deleted_without_ado() {
    let value = json!({"a": 1, "b": {"c": 2, "d": 3}});
    assert_eq!(evaluate("del(.a, .b.c)", &value), Ok(json!({"b": {"d": 3}})));
    assert_eq!(evaluate("del(.x, .x.y)", &value), Ok(value.clone()));
    assert_eq!(evaluate("del(.a.b)", &value), Err(EvaluateError::Failed));
}

#[test]
fn lists_are_joined_and_entries_read_as_by_jq() {
    assert_eq!(evaluate("join(\"-\")", &json!([1, null, "b", true])), Ok(json!("1--b-true")));
    assert_eq!(evaluate("join(\"-\")", &json!([[1]])), Err(EvaluateError::Failed));
    let tags = json!([{"Key": "team", "Value": "secops"}, {"Key": "env", "Value": null}]);
    assert_eq!(evaluate("from_entries", &tags), Ok(json!({"team": "secops", "env": null})));
}

#[test]
fn texts_are_encoded_and_decoded() {
    assert_eq!(evaluate("@base64d", &json!("aGkgdGhlcmU=")), Ok(json!("hi there")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_goes_through_unchanged(value in json_value()) {
        prop_assert_eq!(evaluate(".", &value), Ok(value.clone()));
        prop_assert_eq!(evaluate("[.][0]", &value), Ok(value.clone()));
        prop_assert_eq!(evaluate("tojson | fromjson", &value), Ok(value.clone()));
        prop_assert_eq!(evaluate(". == $input", &value), Ok(json!(true)));
    }

    #[test]
    fn any_value_is_treated_as_by_jaq(value in json_value(), source in prop::sample::select(FUNCTIONS)) {
        assert_same(source, &value);
    }

    #[test]
    fn any_pair_is_ordered_as_by_jaq(a in json_value(), b in json_value()) {
        let both = json!([a, b]);
        for source in ["sort", "unique", ".[0] < .[1]", ".[0] == .[1]", "min", "max", "[.[0] | contains($input[1])?]", "[(.[0] + .[1])?]", "[(.[0] * .[1])?]", "[(.[0] - .[1])?]"] {
            assert_same(source, &both);
        }
    }
}

fn assert_same(source: &str, input: &Value) {
    assert_eq!(difference(source, input), None);
}

fn difference(source: &str, input: &Value) -> Option<String> {
    let (ours, theirs) = (evaluate(source, input).ok(), jaq(source, input));
    if JQ_NOT_JAQ.contains(&source) && (ours.is_none() || theirs.is_none()) {
        return None;
    }
    let same = same(ours.as_ref(), theirs.as_ref());
    (!same).then(|| format!("{source} on {input}: {ours:?}, jaq: {theirs:?}"))
}

/// Numbers are compared by value: `1.0` and `1` are one number in jq.
fn same(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    match (ours, theirs) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a == b || a.as_f64() == b.as_f64(),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.len() == b.len() && a.iter().all(|(name, a)| same(Some(a), b.get(name)))
        }
        (ours, theirs) => ours == theirs,
    }
}

/// The one value that jaq gives.
fn jaq(source: &str, input: &Value) -> Option<Value> {
    let arena = Arena::default();
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let modules = Loader::new(definitions).load(&arena, File { code: source, path: () }).unwrap();
    let filter = Compiler::default()
        .with_funs(functions)
        .with_global_vars(["$input"])
        .compile(modules)
        .unwrap_or_else(|_| panic!("jaq does not know {source}"));
    let value = || jaq_json::read::parse_single(input.to_string().as_bytes()).unwrap();
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([value()]));
    // Two are enough to know that there is not one; jaq's `fromjson` may go on for ever.
    let outputs: Vec<_> = filter.id.run((context, value())).map(unwrap_valr).take(2).collect();
    match outputs.as_slice() {
        [Ok(one)] => serde_json::from_str(&one.to_string()).ok(),
        _ => None,
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        (-1000_i32..1000).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "[a-cA-C ,.é]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn inputs() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(3),
        json!(-2.5),
        json!("a, b,c"),
        json!("12"),
        json!(" Grüße <&> "),
        json!([]),
        json!([3, 1, 2, 1]),
        json!([[1, 2], [3, [4]], 5]),
        json!([{"a": 2, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "z"}]),
        json!(["b", "a", "b"]),
        json!([{"key": "k", "value": 1}, {"key": "l", "value": null}]),
        json!([true, null]),
        json!({}),
        json!({"a": 1, "b": {"c": [1, 2, 3]}, "d": null, "e": "text"}),
        json!({"a": false, "b": "s", "list": [{"id": 1, "on": true}, {"id": 2, "on": false}]}),
    ]
}

/// Where jaq gives a value for data of the wrong kind and jq an error, or the other way about; ours
/// is as jq's, or an error.
const JQ_NOT_JAQ: &[&str] = &[
    ".[0]",
    ".[-1]",
    ".[1:3]",
    ".[:2]",
    ".[-2:]",
    ". as [$a, $b] | [$b, $a]",
    "reduce .[]? as [$a, $b] (0; . + 1)",
    "to_entries",
    "from_entries",
    "with_entries({key: .key, value: [.value]})",
    "flatten",
    "reverse",
    "abs",
    "has(\"a\")",
    "has(0)",
    "ltrimstr(\"a\")",
    "rtrimstr(\"c\")",
    "index(\",\")",
    "rindex(\",\")",
    "first",
    "last",
    "nth(1)",
    "in({\"a\": 1})",
    "sort_by(.a)",
    "sort_by(.a, .b)",
    "group_by(.a)",
    "unique_by(.a)",
    "min_by(.a)",
    "max_by(.a)",
];

const CONSTRUCTS: &[&str] = &[
    ".",
    ".a",
    ".a?",
    ".b.c",
    ".[\"a\"]",
    ".[0]",
    ".[-1]",
    ".[1:3]",
    ".[:2]",
    ".[-2:]",
    "[.[]]",
    "[.[]?]",
    "[..]",
    "[.. | numbers?]",
    "1",
    "1.5",
    "\"x\"",
    "\"a\\(.)b\"",
    "\"\\(.a?) and \\(.b?)\"",
    "@json \"v=\\(.)\"",
    "[]",
    "{}",
    "[1, 2, .]",
    "{a: 1, b: .}",
    "{\"x\": .}",
    "{(\"k\" + \"1\"): .}",
    "[{a: (1, 2), b: (3, 4)}]",
    "{$input}",
    "[.a, .b]",
    "-(3)",
    "-1",
    ". as $x | [$x, $x]",
    "[.[] as $x | $x]",
    ". as [$a, $b] | [$b, $a]",
    "[.[] as {a: $a, b: $b} | [$a, $b]]",
    ". as {a: $x} | $x",
    "[.[]? | . as $x | [$x]]",
    "[[1, 2] | .[0], .[1] | . + 1 | tostring | length]",
    "[(1, 2) + (10, 20)]",
    "[(1, 2) - (10, 20)]",
    "[(1, 2) * (3, 4)]",
    "[(true, false) or (true, false)]",
    "[(true, false) and (true, false)]",
    "[(1, 2) < (1, 2, 3)]",
    "[.[]? // 9]",
    ".a? // \"none\"",
    "empty // 1",
    "[(1, null, 2) // 3 | [.]]",
    "[(false, 1) // 2]",
    "[.[]? | (.a // 9)?]",
    "[(false, 1, error)? // 2]",
    "[.[]? | if . then 1 else 2 end]",
    "if .a? then .b? elif . then 1 else 2 end",
    "if . then 1 end",
    "[if (true, false) then 1 else 2 end]",
    "[(1, error, 2)?]",
    "[.[] | .a?]",
    "[.[]? | try error]",
    "[try (1, error)]",
    "1 + 2 * 3 - 4 / 2 % 3",
    "7 % 3",
    "-7 % 3",
    "5 / 2",
    "1 == 1.0",
    "null < false",
    "[] < {}",
    "\"a\" < \"b\"",
    ". == .",
    ". != null",
    ". >= 1",
    "null + 1",
    "\"a\" + \"b\"",
    "[1] + [2]",
    "{a: 1} + {b: 2}",
    "{a: {b: 1}} * {a: {c: 2}}",
    "[1, 2, 1] - [1]",
    "\"a,b\" / \",\"",
    "\"ab\" * 3",
    "\"ab\" * 0",
    "reduce (1, 2, 3) as $x (0; . + $x)",
    "reduce .[]? as $x (0; . + 1)",
    "reduce .[]? as [$a, $b] (0; . + 1)",
    "[foreach (1, 2, 3) as $x (0; . + $x)]",
    "[foreach (1, 2, 3) as $x (0; . + $x; [$x, .])]",
    "reduce empty as $x (7; . + 1)",
    "[limit(2; 1, 2, 3)]",
    "[limit(2; 1, 2, error)]",
    "[limit(0; 1)]",
    "first(1, error)",
    "[first(empty)]",
    "[last(1, 2)]",
    "[.[]? | select(. > 1)]",
    "[.[\"a\", \"b\"]?]",
    "[.[]?][0]",
    "[.[]?[]?]",
    ".. | select(. == 3)",
    "[\"a\"] | .[0] as $x | {($x): 1}",
    "$input == .",
    "[$input | .a?]",
    "true, false | select(.)",
    "null | not",
    "1e3",
    "0.1 + 0.2",
    "9007199254740993",
    "100000000000000000000",
    "9223372036854775807 + 1",
    "4611686018427387904 * 4",
    "\"\\u00e9\\n\\t\"",
    "[.[]? | [.[]?] | length]",
];

const FUNCTIONS: &[&str] = &[
    "not",
    "type",
    "length",
    "utf8bytelength",
    "keys",
    "keys_unsorted",
    "to_entries",
    "from_entries",
    "with_entries({key: .key, value: [.value]})",
    "map(.)",
    "map(.a)",
    "map(. + 1)",
    "map(., .)",
    "map(select(. > 1))",
    "map_values(.)",
    "map_values(. + 1)",
    "map_values(empty)",
    "add",
    "add(.[]?)",
    "any",
    "all",
    "any(. > 1)",
    "any(.[]?; . > 1)",
    "all(.[]?; . > 0)",
    "all(. > 0)",
    "flatten",
    "reverse",
    "tostring",
    "tonumber",
    "tojson",
    "fromjson",
    "ascii_downcase",
    "ascii_upcase",
    "trim",
    "ltrim",
    "rtrim",
    "floor",
    "ceil",
    "round",
    "abs",
    "has(\"a\")",
    "has(0)",
    "contains(\"a\")",
    "contains([1])",
    "contains({a: 1})",
    "contains([\"b\"])",
    "startswith(\"a\")",
    "endswith(\"c\")",
    "ltrimstr(\"a\")",
    "rtrimstr(\"c\")",
    "split(\",\")",
    "split(\"\")",
    "index(\",\")",
    "rindex(\",\")",
    "sort",
    "sort_by(.a)",
    "sort_by(.a, .b)",
    "group_by(.a)",
    "unique",
    "unique_by(.a)",
    "min",
    "max",
    "min_by(.a)",
    "max_by(.a)",
    "first",
    "last",
    "nth(1)",
    "in({\"a\": 1})",
    "inside(\"a, b,c, d\")",
    "inside([1, 2, 3])",
    "test(\"a\")",
    "test(\"^[A-Z]\"; \"i\")",
    "values",
    "nulls",
    "numbers",
    "strings",
    "booleans",
    "arrays",
    "objects",
    "@text",
    "@json",
    "@base64",
    "@uri",
    "@html",
    "true",
    "false",
    "null",
    "[empty]",
    "[error?]",
];
