//! Encodes and decodes messages: strict JSON, bounded in length.

use serde::{Serialize, de::DeserializeOwned};
use writ_model::limits::LINK_MESSAGE_MAX;

/// A message could not be encoded or decoded. The text never quotes the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than [`LINK_MESSAGE_MAX`].
    #[error("message is longer than the link allows")]
    TooLong,
    /// Not a message of the expected kind.
    #[error("message is not of the expected kind")]
    Malformed,
}

/// Encodes a message.
///
/// # Errors
///
/// [`MessageError::TooLong`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, MessageError> {
    let bytes = serde_json::to_vec(message).map_err(|_| MessageError::Malformed)?;
    if bytes.len() > LINK_MESSAGE_MAX { Err(MessageError::TooLong) } else { Ok(bytes) }
}

/// Decodes a message.
///
/// # Errors
///
/// [`MessageError`]: both.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    if bytes.len() > LINK_MESSAGE_MAX {
        return Err(MessageError::TooLong);
    }
    serde_json::from_slice(bytes).map_err(|_| MessageError::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_number_is_said_the_same_however_often_it_is_passed_on() {
        for text in ["4.888888888888889e+54", "0.1", "1e-320", "123456789.123456789"] {
            let once: Value = decode(text.as_bytes()).unwrap();
            let again: Value = decode(&encode(&once).unwrap()).unwrap();
            assert_eq!(once, again, "{text}");
        }
    }
}
