//! Computes digests: SHA-256 of content, and HMAC-SHA-256 of run data under a run key.
//!
//! Invariant: a [`RunKey`] has no `Debug`, `Display`, `Clone` or `Serialize` and is wiped on
//! drop; whoever holds it can test guesses about a run's data.

use aws_lc_rs::{digest as sha, hmac};
use subtle::ConstantTimeEq as _;
use writ_model::{Digest, KeyedDigest};
use zeroize::Zeroizing;

/// SHA-256 of `bytes` (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    sha256_parts(&[bytes])
}

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256_parts(parts: &[&[u8]]) -> Digest {
    let mut context = sha::Context::new(&sha::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest::from_bytes(bytes)
}

/// What a keyed digest is of. Its text goes in front of the bytes, so that an output can't pass
/// for an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunDatum {
    /// The run's input.
    Input,
    /// What went into a step.
    StepInput,
    /// What came out of a step.
    StepOutput,
    /// What people are asked to approve, under the salt of the asking ([`crate::approval`]).
    Approval,
    /// Which asking a salt is for.
    ApprovalSalt,
    /// Which delivery of a webhook started the run ([`crate::standing`]).
    Delivery,
}

impl RunDatum {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Input => b"input",
            Self::StepInput => b"step-input",
            Self::StepOutput => b"step-output",
            Self::Approval => b"approval",
            Self::ApprovalSalt => b"salt-of-approval",
            Self::Delivery => b"delivery",
        }
    }
}

/// The 32-byte key of one run's digests, drawn by the client (DESIGN §2).
pub struct RunKey(Zeroizing<[u8; 32]>);

impl RunKey {
    /// Wraps 32 bytes that the caller drew or opened.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for sealing and for keeping a run across a restart.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA-256 of the label of `what` and `bytes` (RFC 2104).
    #[must_use]
    pub fn digest(&self, what: RunDatum, bytes: &[u8]) -> KeyedDigest {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(what.label());
        context.update(bytes);
        let mut tag = [0; 32];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        KeyedDigest::from_bytes(tag)
    }

    /// Whether `claimed` is the digest of `bytes`, compared in constant time.
    #[must_use]
    pub fn matches(&self, claimed: KeyedDigest, what: RunDatum, bytes: &[u8]) -> bool {
        self.digest(what, bytes).as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_cannot_pass_for_an_output() {
        let key = RunKey::from_bytes(Zeroizing::new([1; 32]));
        let input = key.digest(RunDatum::StepInput, b"x");
        assert!(key.matches(input, RunDatum::StepInput, b"x"));
        assert!(!key.matches(input, RunDatum::StepOutput, b"x"));
    }

    #[test]
    fn sha256_is_the_standard_one() {
        assert_eq!(
            sha256(b"abc").to_string(),
            "sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
        );
    }
}
