//! AWS credentials from the shared credentials file, or from the environment in the same form.
//!
//! In: the file's bytes and a profile's name. Out: an access key, with its session token if it has one.
//! What the environment holds (`AWS_ACCESS_KEY_ID` and its companions) is handed over as such a file by
//! the launcher, which then starts itself anew without it.
//!
//! Not here: profiles that lead elsewhere (`role_arn`, `credential_process`, `sso_…`) and the metadata
//! services of machines and containers.

mod ini;

use std::fmt::Write as _;

use zeroize::Zeroizing;

use self::ini::{Section, Setting};

/// Variables of the environment, and what the credentials file calls them.
pub const ENVIRONMENT: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    ("AWS_SESSION_TOKEN", "aws_session_token"),
];

/// An access key. No `Debug`, no `Clone`; wiped when dropped.
pub struct AwsCredentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

/// Why there are no credentials. Nothing of the file is in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AwsCredentialsError {
    /// A line of the file has no meaning.
    #[error("cannot read AWS credentials: line {line} has no meaning")]
    Malformed {
        /// The line, from 1.
        line: usize,
    },
    /// The file has no such profile.
    #[error("cannot read AWS credentials: there is no such profile")]
    Profile,
    /// The profile has no access key, or half of one.
    #[error("cannot read AWS credentials: the profile has no access key")]
    Key,
}

impl AwsCredentialsError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed { .. } => "aws-credentials-malformed",
            Self::Profile => "aws-credentials-profile",
            Self::Key => "aws-credentials-key",
        }
    }
}

impl AwsCredentials {
    /// Credentials as they are.
    #[must_use]
    pub const fn new(
        access_key_id: String,
        secret_access_key: Zeroizing<String>,
        session_token: Option<Zeroizing<String>>,
    ) -> Self {
        Self { access_key_id, secret_access_key, session_token }
    }

    /// Reads a profile of a shared credentials file.
    ///
    /// # Errors
    ///
    /// [`AwsCredentialsError`].
    pub fn read(file: &[u8], profile: &str) -> Result<Self, AwsCredentialsError> {
        let sections = ini::parse(file)
            .map_err(|malformed| AwsCredentialsError::Malformed { line: malformed.line })?;
        let section = sections.get(profile).ok_or(AwsCredentialsError::Profile)?;
        let access_key_id = line(section, "aws_access_key_id");
        let secret_access_key = line(section, "aws_secret_access_key");
        let (Some(id), Some(key)) = (access_key_id, secret_access_key) else {
            return Err(AwsCredentialsError::Key);
        };
        Ok(Self::new(id.to_string(), key, line(section, "aws_session_token")))
    }

    /// The key's id; not secret by itself.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(crate) fn secret_access_key(&self) -> &[u8] {
        self.secret_access_key.as_bytes()
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.as_str())
    }
}

fn line(section: &Section, name: &str) -> Option<Zeroizing<String>> {
    match section.get(name) {
        Some(Setting::Line(value)) if !value.is_empty() => Some(value.clone()),
        Some(Setting::Line(_) | Setting::Nested) | None => None,
    }
}

/// The environment's credentials as a file of one profile, `default`; nothing if there are none.
#[must_use]
pub fn file_of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Zeroizing<String>> {
    let mut file = Zeroizing::new("[default]\n".to_owned());
    let mut found = false;
    for (name, setting) in ENVIRONMENT {
        if let Some(value) = variable(name).map(Zeroizing::new).filter(|value| !value.is_empty()) {
            found = true;
            // Writing to a string does not fail.
            let _ = writeln!(file, "{setting} = {}", value.as_str());
        }
    }
    found.then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[default]\naws_access_key_id = AKID\naws_secret_access_key = abc/+def\n\n\
                        [work]\naws_access_key_id=AKIDWORK\naws_secret_access_key=x\n\
                        aws_session_token=t=u=v\n[half]\naws_access_key_id = AKID\n";

    #[test]
    fn a_profile_is_read_and_no_other() {
        let default = AwsCredentials::read(FILE.as_bytes(), "default").unwrap_or_else(|_| panic!());
        assert_eq!(default.access_key_id(), "AKID");
        assert_eq!(default.secret_access_key(), b"abc/+def");
        assert_eq!(default.session_token(), None);
        let work = AwsCredentials::read(FILE.as_bytes(), "work").unwrap_or_else(|_| panic!());
        assert_eq!(work.session_token(), Some("t=u=v"));
    }

    #[test]
    fn what_is_missing_or_has_no_meaning_is_named_and_nothing_of_it_shown() {
        let code = |file: &[u8], profile| AwsCredentials::read(file, profile).err().unwrap().code();
        assert_eq!(code(FILE.as_bytes(), "other"), "aws-credentials-profile");
        assert_eq!(code(FILE.as_bytes(), "half"), "aws-credentials-key");
        assert_eq!(code(b"[default]\nnonsense\n", "default"), "aws-credentials-malformed");
        assert_eq!(code(b"[default]\na=1\na=2\n", "default"), "aws-credentials-malformed");
    }

    #[test]
    fn the_environment_is_handed_over_as_a_file_that_reads_back() {
        let variable = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKIDENV".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("s3cr3t/+=".to_owned()),
            _ => None,
        };
        let file = file_of_environment(variable).unwrap();
        let read = AwsCredentials::read(file.as_bytes(), "default").unwrap_or_else(|_| panic!());
        assert_eq!(read.secret_access_key(), b"s3cr3t/+=");
        assert!(file_of_environment(|_| None).is_none());
    }
}
