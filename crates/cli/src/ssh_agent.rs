//! An Ed25519 key that an SSH agent holds, as a login's key: the agent signs, the key is never seen.
//!
//! In: the agent at `SSH_AUTH_SOCK` (SSH agent protocol, draft-ietf-sshm-ssh-agent §3; encodings of
//! RFC 4251 §5, keys and signatures of RFC 8709). Out: [`SigningKey`]s whose signatures are the raw 64 bytes.
//!
//! Invariants:
//! * only plain Ed25519 keys: an agent signs exactly the bytes it is given with them, so that the
//!   signature is a JWS's. (Keys in FIDO tokens sign something else, and are passed over);
//! * every signature is verified before it is used (`evidence`'s `SigningKey`);
//! * nothing that Writ has signed is an SSH login or an SSH signature, nor the other way round: a JWS
//!   begins with `eyJ`, what SSH signs with a length below 2^24 or with `SSHSIG`.
//!
//! Not here: who may use the agent. Whoever it is forwarded to can sign with the key while the login is
//! fresh; `ssh-add -c` makes it ask.

use std::{env, io, os::unix::net::UnixStream, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use writ_evidence::{
    digest::sha256,
    key::{Agent, PublicKey, SigningError, SigningKey},
};

use crate::failure::Failure;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Longest answer of an agent, in bytes: what `ssh` itself takes.
const ANSWER_MAX: usize = 256 * 1024;
/// How long an agent may take: it may ask the person first.
const PATIENCE: Duration = Duration::from_mins(2);
const ED25519: &[u8] = b"ssh-ed25519";

/// A key that the agent offers.
struct Offered {
    public: PublicKey,
    comment: String,
    fingerprint: String,
}

/// The agent's Ed25519 key of this comment or fingerprint; its only one if `named` is empty.
pub(crate) fn choose(named: &str) -> Result<PublicKey, Failure> {
    let offered = offered().map_err(|error| {
        Failure::because("ssh-agent", "cannot ask the SSH agent for its keys", &error)
            .with_remedy("start one, and let SSH_AUTH_SOCK name its socket")
    })?;
    let wanted =
        |key: &&Offered| named.is_empty() || key.comment == named || key.fingerprint == named;
    let mut fitting = offered.iter().filter(wanted);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only.public.clone()),
        (None, _) => Err(Failure::new("ssh-agent", "the SSH agent holds no such Ed25519 key")
            .with_remedy("add one with `ssh-add`; keys of other types are not taken")),
        (Some(_), Some(_)) => {
            let keys: Vec<String> =
                offered.iter().map(|key| format!("{} {}", key.fingerprint, key.comment)).collect();
            let cause = format!("the SSH agent holds several Ed25519 keys: {}", keys.join(", "));
            Err(Failure::new("ssh-agent", cause)
                .with_remedy("name one by its fingerprint: `--ssh-agent=SHA256:…`"))
        }
    }
}

/// A key that the agent signs with.
pub(crate) fn signing_key(public: &PublicKey) -> Option<SigningKey> {
    let blob = blob(public.as_ed25519()?);
    Some(SigningKey::elsewhere(public.clone(), Box::new(SshAgent { blob })))
}

/// A key in the agent, by its public half as the protocol writes it.
struct SshAgent {
    blob: Vec<u8>,
}

impl Agent for SshAgent {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, &self.blob);
        put(&mut request, message);
        request.extend([0; 4]);
        let answer = ask(&request).map_err(|_| SigningError)?;
        signature(&answer).ok_or(SigningError)
    }
}

/// The raw signature in a `SIGN_RESPONSE` (RFC 8709 §6).
fn signature(answer: &[u8]) -> Option<Vec<u8>> {
    let (SIGN_RESPONSE, rest) = answer.split_first().map(|(kind, rest)| (*kind, rest))? else {
        return None;
    };
    let mut signature = Reader(Reader(rest).string()?);
    let (format, raw) = (signature.string()?, signature.string()?);
    (format == ED25519 && raw.len() == 64 && signature.0.is_empty()).then(|| raw.to_vec())
}

fn offered() -> io::Result<Vec<Offered>> {
    let answer = ask(&[REQUEST_IDENTITIES])?;
    identities(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "malformed answer"))
}

fn identities(answer: &[u8]) -> Option<Vec<Offered>> {
    let (IDENTITIES_ANSWER, rest) = answer.split_first().map(|(kind, rest)| (*kind, rest))? else {
        return None;
    };
    let mut rest = Reader(rest);
    let mut found = Vec::new();
    for _ in 0..rest.u32()? {
        let (key, comment) = (rest.string()?, rest.string()?);
        let mut parts = Reader(key);
        if parts.string()? != ED25519 {
            continue;
        }
        let raw: &[u8; 32] = parts.string()?.try_into().ok()?;
        let comment = String::from_utf8_lossy(comment);
        found.push(Offered {
            public: PublicKey::from_ed25519(raw).ok()?,
            // It is shown on a terminal.
            comment: comment.chars().filter(|c| !c.is_control()).take(100).collect(),
            fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(key).as_bytes())),
        });
    }
    Some(found)
}

/// The public key as the protocol writes it (RFC 8709 §4).
fn blob(raw: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, ED25519);
    put(&mut blob, raw);
    blob
}

/// One request and its answer, each with its length before it.
fn ask(request: &[u8]) -> io::Result<Vec<u8>> {
    use io::{Read as _, Write as _};
    let path = env::var_os("SSH_AUTH_SOCK")
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "SSH_AUTH_SOCK is not set"))?;
    let mut agent = UnixStream::connect(path)?;
    agent.set_read_timeout(Some(PATIENCE))?;
    agent.set_write_timeout(Some(PATIENCE))?;
    let mut framed = Vec::new();
    put(&mut framed, request);
    agent.write_all(&framed)?;
    let mut length = [0; 4];
    agent.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
    }
    let mut answer = vec![0; length];
    agent.read_exact(&mut answer)?;
    Ok(answer)
}

/// A `string` of RFC 4251 §5.
fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing that is put here comes near 4 GiB; a length that did not fit would be refused by the agent.
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(bytes);
}

/// Reads the encodings of RFC 4251 §5.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![kind];
        for part in parts {
            put(&mut bytes, part);
        }
        bytes
    }

    fn signed(format: &[u8], raw: &[u8]) -> Vec<u8> {
        let mut inner = Vec::new();
        put(&mut inner, format);
        put(&mut inner, raw);
        answer(SIGN_RESPONSE, &[&inner])
    }

    #[test]
    fn a_signature_of_another_format_or_length_is_none() {
        assert_eq!(signature(&signed(ED25519, &[7; 64])), Some(vec![7; 64]));
        assert_eq!(signature(&signed(b"sk-ssh-ed25519@openssh.com", &[7; 64])), None);
        assert_eq!(signature(&signed(ED25519, &[7; 63])), None);
        assert_eq!(signature(&[5]), None);
        assert_eq!(signature(&[]), None);
        let whole = signed(ED25519, &[7; 64]);
        for cut in 0..whole.len() {
            assert_eq!(signature(whole.get(..cut).unwrap()), None, "cut at {cut}");
        }
    }

    #[test]
    fn keys_of_other_types_are_passed_over_and_a_malformed_answer_is_none() {
        let mut bytes = vec![IDENTITIES_ANSWER, 0, 0, 0, 2];
        let mut rsa = Vec::new();
        put(&mut rsa, b"ssh-rsa");
        put(&mut rsa, &[1, 0, 1]);
        // The base point (RFC 8032 §5.1), which is a key like any other.
        let mut raw = [0x66; 32];
        raw[0] = 0x58;
        for (key, comment) in [(rsa, &b"rsa"[..]), (blob(&raw), b"ann\x1b[2J")] {
            put(&mut bytes, &key);
            put(&mut bytes, comment);
        }
        let found = identities(&bytes).unwrap();
        let comments: Vec<&str> = found.iter().map(|key| key.comment.as_str()).collect();
        assert_eq!(comments, ["ann[2J"], "what a terminal would obey is left out");
        for cut in 0..bytes.len() {
            assert!(identities(bytes.get(..cut).unwrap()).is_none(), "cut at {cut}");
        }
    }
}
