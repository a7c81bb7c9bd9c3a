//! Reads JSON the strict way that signed objects ask for (DESIGN §3).
//!
//! In: bytes. Out: a [`Value`], or a typed refusal. Invariants: no duplicate member names, no
//! trailing data, nesting of at most [`SIGNED_OBJECT_DEPTH`], no number that loses precision as
//! an integer or a double. `serde_json` alone takes the last of two equal names, which lets two
//! readers of one signature see two different claims.
//!
//! Not here: which members an object may have; its own type says that with `deny_unknown_fields`.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use writ_model::limits::SIGNED_OBJECT_DEPTH;

/// Why bytes are not the JSON that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or duplicate members, trailing data, or nested too deep.
    #[error("not strict JSON (duplicate members, trailing data and deep nesting are refused)")]
    NotStrict,
    /// JSON of another shape: a member is missing, unknown or of another type.
    #[error("JSON of another shape: {0}")]
    Shape(String),
}

/// Parses strict JSON.
///
/// # Errors
///
/// [`JsonError::NotStrict`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|_| JsonError::NotStrict)?;
    reader.end().map_err(|_| JsonError::NotStrict)?;
    Ok(value)
}

/// Parses strict JSON into a type.
///
/// # Errors
///
/// Both kinds of [`JsonError`]. The text of a shape error names members, never their values.
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    T::deserialize(parse(bytes)?).map_err(|error| JsonError::Shape(without_values(&error)))
}

/// Serde's messages quote offending values; only the kind of mismatch is kept.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = ["missing field", "unknown field", "unknown variant", "duplicate field"];
    match known.iter().find(|prefix| text.starts_with(**prefix)) {
        Some(_) if text.len() < 200 => text,
        _ => "a member has the wrong type or form".to_owned(),
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= SIGNED_OBJECT_DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_members_are_refused_at_any_depth() {
        assert_eq!(parse(br#"{"a":1,"a":1}"#), Err(JsonError::NotStrict));
        assert_eq!(parse(br#"{"b":[{"a":1,"\u0061":2}]}"#), Err(JsonError::NotStrict));
    }

    #[test]
    fn trailing_data_is_refused() {
        assert_eq!(parse(b"{} {}"), Err(JsonError::NotStrict));
        assert!(parse(b"{} ").is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(SIGNED_OBJECT_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(SIGNED_OBJECT_DEPTH + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_shape_error_never_quotes_a_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Shape {
            #[expect(dead_code, reason = "only its type matters here")]
            a: u64,
        }
        let error = parse_as::<Shape>(br#"{"a":"canary"}"#).unwrap_err();
        assert!(!error.to_string().contains("canary"));
    }
}
