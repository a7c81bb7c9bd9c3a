//! Expressions that would not end, or would not stay small: refused as they are read, or stopped.

use serde_json::{Value, json};

use super::super::{Budget, Evaluate as _, EvaluateError, Jaq, Variables};
use super::{evaluate, read};

#[test]
fn what_may_not_end_is_refused_and_the_refusal_says_what_is_taken() {
    for source in REFUSED {
        let refusal = read(source).err().unwrap_or_else(|| panic!("{source} is taken"));
        assert!(!refusal.message.is_empty() && !refusal.help.is_empty(), "{source}: {refusal:?}");
    }
}

#[test]
fn secrets_are_refused_by_a_code_of_their_own() {
    for source in ["$secrets", "$secrets.github", "{a: $secrets}", "$authorization.parameter"] {
        assert_eq!(read(source).unwrap_err().code, "secrets-refused", "{source}");
    }
}

#[test]
fn what_grows_or_multiplies_is_stopped() {
    let input = json!((0..1000).collect::<Vec<u32>>());
    for source in STOPPED {
        let stopped = evaluate(source, &input);
        let bounded = matches!(
            stopped,
            Err(EvaluateError::Exhausted | EvaluateError::TooLarge | EvaluateError::TooDeep)
        );
        assert!(bounded, "{source}: {:?}", stopped.map(|value| value.to_string().len()));
    }
}

#[test]
fn doubling_forty_times_is_stopped_however_it_is_shared() {
    for step in [".+.", "[.,.]", "{a: ., b: .}", "\"\\(.)\\(.)\"", "tojson", "[.[], .[]]"] {
        let source = vec![step; 40].join("|");
        let stopped = evaluate(&source, &json!(["x"]));
        assert!(stopped.is_err(), "{step}");
    }
}

#[test]
fn nothing_catches_the_end_of_the_budget() {
    for source in [
        "[.[] | (\"x\" * 1000000000)?]",
        "(\"x\" * 1000000000) // 1",
        "[limit(1; 1, (\"x\" * 1000000000))]",
        "first(1, (\"x\" * 1000000000))",
    ] {
        assert_eq!(evaluate(source, &json!([1, 2])), Err(EvaluateError::Exhausted), "{source}");
    }
}

#[test]
fn an_exhausted_budget_stops_every_later_expression_of_the_event() {
    let budget = Budget::new(1000);
    let long = read("[.[] | . + 1]").unwrap();
    let short = read("1").unwrap();
    let input = json!((0..1000).collect::<Vec<u32>>());
    let run =
        |expression, input: &Value| Jaq.evaluate(expression, input, &Variables::new(), &budget);

    assert_eq!(run(&long, &input), Err(EvaluateError::Exhausted));
    assert_eq!(run(&short, &Value::Null), Err(EvaluateError::Exhausted));
}

#[test]
fn expressions_that_nest_without_brackets_do_not_exhaust_the_stack() {
    for unit in [
        "-",
        "if 1 then ",
        "try ",
        ".|",
        ". as $x|",
        "1+",
        "1//",
        "1,",
        ".a",
        "try -",
        "reduce ",
        "not|",
    ] {
        let source = format!("{}1", unit.repeat(4090 / unit.len()));
        // Taken or refused: what matters is that this returns.
        let _ = read(&source);
    }
    for unit in ["(", "[", "{a:", "\"\\(", ".["] {
        assert!(read(&unit.repeat(4090 / unit.len())).is_err(), "{unit}");
    }
}

#[test]
fn the_work_of_an_expression_is_the_same_every_time() {
    let input = json!((0..50).collect::<Vec<u32>>());
    let expression = read("map(. * 2) | add").unwrap();
    let cost =
        |units| Jaq.evaluate(&expression, &input, &Variables::new(), &Budget::new(units)).is_ok();
    let least = (0..100_000).find(|units| cost(*units)).unwrap();

    assert!(cost(least) && !cost(least - 1) && cost(least));
}

const REFUSED: &[&str] = &[
    "def f: f; f",
    "def f(x): x; f(1)",
    "recurse",
    "recurse(.a)",
    "recurse(.[]?; true)",
    "repeat(1)",
    "range(10)",
    "range(0; 1e9)",
    "range(0; 10; 0)",
    "until(true; 1)",
    "while(true; 1)",
    "input",
    "inputs",
    "input_filename",
    "env",
    "$ENV",
    "$ENV.HOME",
    "now",
    "$__loc__",
    "debug",
    "debug(1)",
    "stderr",
    "halt",
    "halt_error",
    "label $out | break $out",
    "error(1)",
    "getpath([\"a\"])",
    "paths",
    "path(.a)",
    "walk(.)",
    "limit(1e9; 1)",
    "limit(.n; 1)",
    "combinations",
    "transpose",
    "splits(\"a\")",
    "gsub(\"a\"; \"b\")",
    "sub(\"a\"; \"b\")",
    "scan(\".\")",
    "test(.a)",
    "test(\"(a{1000}){1000}\")",
    "test(\"a\"; \"g\")",
    "test(\"(?=a)\")",
    "ltrimstr",
    "implode",
    "explode",
    "tojson(1)",
    "@sh",
    "@csv",
    "import \"a\" as a; 1",
    "include \"a\"; 1",
    ".a = 1",
    ".a |= 1",
    ".a += 1",
    ".a //= 1",
    "$nothing",
    "nothing",
    "map",
    "1 +",
    "",
    "}",
    "del(.[0])",
    "del(.[])",
    "try error catch .",
    "localtime",
    "mktime",
    "strftime(\"%Y\")",
    "input_line_number",
    "splits",
    "ascii",
    "getpath",
    "limit",
    "$__prog_args",
    "modulemeta",
    "get_search_list",
    "ltrimstr(1; 2)",
    "1111111111111111111111111111111111111111",
];

const STOPPED: &[&str] = &[
    "\"x\" * 1000000000",
    "1000000000 * \"x\"",
    "[.[] | $input[] | $input[]]",
    "[.[] | $input[] | $input[] | $input[] | $input[]]",
    "[.[] as $a | .[] as $b | .[] as $c | $a]",
    "map($input | map($input | map(. + 1)))",
    "[{a: .[], b: .[], c: .[]}]",
    "[.[] + .[] + .[]]",
    "[.[] == .[] and .[] == .[]]",
    "[\"\\(.[])\\(.[])\\(.[])\"]",
    "map($input | tojson) | map($input | tojson)",
    "map($input | sort) | map($input | sort)",
    "reduce .[] as $x ([1]; . + .)",
    "reduce .[] as $x (\"x\"; . + .)",
    "reduce .[] as $x (.; [.])",
    "reduce .[] as $x (2; . * .)",
    "reduce .[] as $x ([]; [., .])",
    "[foreach .[] as $x ([1]; . + .)]",
    "map($input | join(\",\")) | join(\",\") | [., ., .] | tojson",
    "[.[] | [$input[] | [$input[] | .]]]",
    "[.. | $input | .. | $input | ..]",
    "map($input | contains($input)) | map($input | contains($input))",
    "map(. as $x | $input - [$x]) | flatten | map(. as $x | $input)",
    "[limit(1000000; .[] | $input[] | $input[])]",
    "group_by($input | map($input))",
    "map($input | unique_by($input))",
    "[.[] | @base64 \"\\($input)\\($input)\"] | tojson | [., .] | tojson",
    "sort_by($input[] | $input[])",
];
