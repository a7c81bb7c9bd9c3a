//! Looks up headers that a signature scheme reads.
//!
//! Invariants: names are compared without case; a header that stands there twice is refused, since
//! two readers could take two of them; a value is short printable ASCII.

use writ_model::UnixTime;

use super::{WebhookError, malformed};

/// Longest value that is read.
const VALUE_MAX: usize = 4096;
/// Most digits of a time in seconds.
const DIGITS_MAX: usize = 12;

/// The headers of one delivery.
pub(super) struct Headers<'a>(&'a [(&'a str, &'a [u8])]);

impl<'a> Headers<'a> {
    pub(super) const fn new(headers: &'a [(&'a str, &'a [u8])]) -> Self {
        Self(headers)
    }

    /// The value of a header that stands there exactly once.
    pub(super) fn one(&self, name: &str) -> Result<&'a str, WebhookError> {
        let mut values = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let missing = || WebhookError::HeaderMissing { header: name.to_owned() };
        let (_, value) = values.next().ok_or_else(missing)?;
        if values.next().is_some() {
            return Err(WebhookError::HeaderRepeated { header: name.to_owned() });
        }
        let value = value.trim_ascii();
        let printable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let text = std::str::from_utf8(value).ok();
        text.filter(|text| printable && (1..=VALUE_MAX).contains(&text.len()))
            .ok_or_else(|| malformed(name))
    }

    /// A time in whole seconds, and the text that was signed for it.
    pub(super) fn timestamp(&self, name: &str) -> Result<(&'a str, UnixTime), WebhookError> {
        let text = self.one(name)?;
        Ok((text, seconds(text).ok_or_else(|| malformed(name))?))
    }
}

/// Whole seconds, in digits alone.
pub(super) fn seconds(text: &str) -> Option<UnixTime> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits && text.len() <= DIGITS_MAX;
    fits.then(|| text.parse().ok().map(UnixTime)).flatten()
}
