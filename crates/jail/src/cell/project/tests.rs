//! What leaves has exactly the declared shape.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn shape() -> Projection {
    serde_json::from_value(json!({
        "type": "object",
        "members": {
            "number": {"type": "integer", "required": true},
            "title": {"type": "string", "max_length": 5},
            "open": {"type": "boolean"},
            "labels": {"type": "array", "max_items": 2, "items": {
                "type": "object", "members": {"name": {"type": "string", "required": true}},
            }},
        },
    }))
    .unwrap()
}

fn refused(answer: &Value) {
    assert_eq!(project_answer(&shape(), answer), Err(Failed::new("response-shape")), "{answer}");
}

#[test]
fn what_is_not_declared_does_not_leave() {
    let answer = json!({"number": 1, "secret": "s", "labels": [{"name": "a", "token": "t"}]});
    let expected = json!({"number": 1, "title": null, "open": null, "labels": [{"name": "a"}]});
    assert_eq!(project_answer(&shape(), &answer), Ok(expected));
}

#[test]
fn another_type_fails_the_call() {
    for answer in [
        json!({"number": "1"}),
        json!({"number": 1.5}),
        json!({"number": u64::MAX}),
        json!({"number": {}}),
        json!({"number": 1, "title": 1}),
        json!({"number": 1, "open": 0}),
        json!({"number": 1, "labels": {}}),
        json!({"number": 1, "labels": ["a"]}),
        json!([]),
        json!("text"),
    ] {
        refused(&answer);
    }
}

#[test]
fn what_is_required_and_absent_or_null_fails_the_call() {
    for answer in [
        json!({}),
        json!({"number": null}),
        json!({"number": 1, "labels": [{}]}),
        json!({"number": 1, "labels": [{"name": null}]}),
        json!(null),
    ] {
        refused(&answer);
    }
}

#[test]
fn an_empty_answer_is_null_where_nothing_is_required() {
    let shape = Projection::Object { members: std::collections::BTreeMap::new() };
    assert_eq!(project_answer(&shape, &Value::Null), Ok(Value::Null));
}

#[test]
fn what_is_longer_than_declared_fails_the_call_and_is_not_cut() {
    let labels = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
    refused(&json!({"number": 1, "labels": labels}));
    refused(&json!({"number": 1, "title": "123456"}));
    // Characters count, not bytes.
    let answer = json!({"number": 1, "title": "ééééé"});
    assert_eq!(project_answer(&shape(), &answer).unwrap()["title"], "ééééé");
}

#[test]
fn bounds_hold_where_the_pack_gives_none() {
    let text = Projection::String { required: false, max_length: None };
    assert!(project(&text, &json!("a".repeat(LENGTH_MAX))).is_ok());
    assert!(project(&text, &json!("a".repeat(LENGTH_MAX + 1))).is_err());
    let list = Projection::Array { items: Box::new(text), max_items: None };
    assert!(project(&list, &json!(vec!["a"; ITEMS_MAX])).is_ok());
    assert!(project(&list, &json!(vec!["a"; ITEMS_MAX + 1])).is_err());
}

proptest! {
    #[test]
    fn whatever_leaves_is_declared(shape in any_shape(), answer in any_answer()) {
        if let Ok(output) = project_answer(&shape, &answer) {
            prop_assert!(conforms(&shape, &output), "{:?} gave {}", shape, output);
        }
    }
}

/// The projection's meaning, said a second way.
fn conforms(shape: &Projection, output: &Value) -> bool {
    match (shape, output) {
        (
            Projection::String { required, .. }
            | Projection::Integer { required }
            | Projection::Boolean { required },
            Value::Null,
        ) => !required,
        (_, Value::Null) => true,
        (Projection::String { max_length, .. }, Value::String(text)) => {
            text.chars().count() <= max_length.unwrap_or(LENGTH_MAX)
        }
        (Projection::Integer { .. }, number) => number.is_i64(),
        (Projection::Boolean { .. }, truth) => truth.is_boolean(),
        (Projection::Object { members }, Value::Object(given)) => {
            given.len() == members.len()
                && given.iter().all(|(name, value)| {
                    members.get(name).is_some_and(|shape| conforms(shape, value))
                })
        }
        (Projection::Array { items, max_items }, Value::Array(given)) => {
            given.len() <= max_items.unwrap_or(ITEMS_MAX)
                && given.iter().all(|item| conforms(items, item))
        }
        _ => false,
    }
}

fn any_shape() -> impl Strategy<Value = Projection> {
    let leaf = prop_oneof![
        (any::<bool>(), proptest::option::of(0..6_usize))
            .prop_map(|(required, max_length)| Projection::String { required, max_length }),
        any::<bool>().prop_map(|required| Projection::Integer { required }),
        any::<bool>().prop_map(|required| Projection::Boolean { required }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::btree_map("[ab]", inner.clone(), 0..3)
                .prop_map(|members| Projection::Object { members }),
            (inner, proptest::option::of(0..3_usize)).prop_map(|(items, max_items)| {
                Projection::Array { items: Box::new(items), max_items }
            }),
        ]
    })
}

/// Few names, so that answers and shapes meet.
fn any_answer() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,7}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
