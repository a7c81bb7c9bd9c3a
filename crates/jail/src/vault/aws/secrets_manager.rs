//! What is asked of AWS Secrets Manager, and what it says: `GetSecretValue`, JSON protocol 1.1.
//!
//! In: a reference. Out: a body to sign and send; from the answer, the secret or an error with its code. A service's
//! text is read for its error type and never repeated.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use writ_model::SecretRef;
use zeroize::Zeroizing;

/// The protocol's headers.
pub const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-amz-json-1.1"),
    ("x-amz-target", "secretsmanager.GetSecretValue"),
];

/// The body that asks for a reference's secret.
#[must_use]
pub fn body(reference: &SecretRef) -> String {
    let mut body = json!({ "SecretId": reference.path() });
    if let (Some(stage), Some(members)) = (reference.version(), body.as_object_mut()) {
        members.insert("VersionStage".to_owned(), stage.into());
    }
    body.to_string()
}

/// Why an answer holds no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The answer is not what the service documents.
    #[error("the answer of AWS Secrets Manager is malformed")]
    Malformed,
    /// A field is asked for, and the secret is no JSON object.
    #[error("the secret is no JSON object")]
    NotJson,
    /// The secret has no such field.
    #[error("the secret has no such field")]
    FieldMissing,
    /// The field is not text.
    #[error("the secret's field is not text")]
    FieldType,
    /// There is no such secret.
    #[error("there is no such secret")]
    NotFound,
    /// The login may not read it.
    #[error("the login may not read the secret")]
    Denied,
    /// The login is not taken.
    #[error("AWS does not take the login")]
    LoginRefused,
    /// The service could not decrypt it.
    #[error("AWS could not decrypt the secret")]
    Decryption,
    /// The secret is about to be deleted, or is in another state in which it can't be read.
    #[error("the secret is in a state in which it can't be read")]
    Deleted,
    /// Any other answer.
    #[error("AWS Secrets Manager answered with an unexpected status")]
    Status,
}

impl AnswerError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "aws-sm-answer",
            Self::NotJson => "aws-sm-not-json",
            Self::FieldMissing => "aws-sm-field-missing",
            Self::FieldType => "aws-sm-field-type",
            Self::NotFound => "aws-sm-not-found",
            Self::Denied => "aws-sm-denied",
            Self::LoginRefused => "aws-sm-login-refused",
            Self::Decryption => "aws-sm-decryption",
            Self::Deleted => "aws-sm-deleted",
            Self::Status => "aws-sm-status",
        }
    }
}

/// Reads an answer: the secret's text, or the field of its JSON that the reference names.
///
/// # Errors
///
/// [`AnswerError`]: the answer holds no such secret.
pub fn read(
    reference: &SecretRef,
    status: u16,
    answer: &Value,
) -> Result<Zeroizing<Vec<u8>>, AnswerError> {
    if status != 200 {
        return Err(refusal(status, answer));
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    match (text("SecretString"), text("SecretBinary"), reference.field()) {
        (Some(secret), _, None) => Ok(Zeroizing::new(secret.as_bytes().to_vec())),
        (Some(secret), _, Some(field)) => self::field(secret, field),
        (None, Some(binary), None) => {
            STANDARD.decode(binary).map(Zeroizing::new).map_err(|_| AnswerError::Malformed)
        }
        (None, Some(_), Some(_)) => Err(AnswerError::NotJson),
        (None, None, _) => Err(AnswerError::Malformed),
    }
}

fn field(secret: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, AnswerError> {
    let fields: Value = serde_json::from_str(secret).map_err(|_| AnswerError::NotJson)?;
    match fields.as_object().ok_or(AnswerError::NotJson)?.get(name) {
        None | Some(Value::Null) => Err(AnswerError::FieldMissing),
        Some(Value::String(value)) => Ok(Zeroizing::new(value.as_bytes().to_vec())),
        Some(_) => Err(AnswerError::FieldType),
    }
}

/// The error's type, after the last `#` (Smithy's AWS JSON protocols).
fn refusal(status: u16, answer: &Value) -> AnswerError {
    let said = answer.get("__type").and_then(Value::as_str).unwrap_or_default();
    match said.rsplit('#').next().unwrap_or_default() {
        "ResourceNotFoundException" => AnswerError::NotFound,
        "AccessDeniedException" => AnswerError::Denied,
        "InvalidSignatureException"
        | "IncompleteSignature"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "ExpiredTokenException" => AnswerError::LoginRefused,
        "DecryptionFailure" => AnswerError::Decryption,
        "InvalidRequestException" => AnswerError::Deleted,
        _ if status == 403 => AnswerError::Denied,
        _ => AnswerError::Status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(reference: &str, status: u16, answer: &Value) -> Result<Vec<u8>, &'static str> {
        let secret = read(&reference.parse().unwrap(), status, answer);
        secret.map(|secret| secret.to_vec()).map_err(AnswerError::code)
    }

    #[test]
    fn a_secret_is_its_text_or_a_field_of_it() {
        let answer = json!({ "SecretString": "{\"token\":\"t0ken\",\"number\":1}" });
        assert_eq!(read_as("aws-sm:a#token", 200, &answer).unwrap(), b"t0ken");
        assert!(read_as("aws-sm:a", 200, &answer).unwrap().starts_with(b"{"));
        assert_eq!(read_as("aws-sm:a#number", 200, &answer), Err("aws-sm-field-type"));
        assert_eq!(read_as("aws-sm:a#none", 200, &answer), Err("aws-sm-field-missing"));
        let plain = json!({ "SecretString": "plain" });
        assert_eq!(read_as("aws-sm:a#token", 200, &plain), Err("aws-sm-not-json"));
        let binary = json!({ "SecretBinary": "AAEC" });
        assert_eq!(read_as("aws-sm:a", 200, &binary).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_refusal_is_a_code_and_never_the_services_words() {
        for (said, status, code) in [
            ("ResourceNotFoundException", 400, "aws-sm-not-found"),
            ("com.amazonaws#AccessDeniedException", 400, "aws-sm-denied"),
            ("InvalidSignatureException", 400, "aws-sm-login-refused"),
            ("SomethingNew", 500, "aws-sm-status"),
        ] {
            let answer = json!({ "__type": said, "message": "canary" });
            assert_eq!(read_as("aws-sm:a", status, &answer), Err(code));
        }
    }

    #[test]
    fn a_version_stage_is_asked_for_by_name() {
        let reference = "aws-sm:prod/slack#token@AWSPREVIOUS".parse().unwrap();
        assert_eq!(body(&reference), r#"{"SecretId":"prod/slack","VersionStage":"AWSPREVIOUS"}"#);
    }
}
