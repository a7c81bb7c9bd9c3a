//! How a charter entry is signed: root signatures or writs, and witnesses' cosignatures.
//!
//! In: an entry as it travels. Out: its body and, for a writ, who signed it; or a refusal.
//! Not here: whether the entry follows the one before it and may (`state`).

use std::collections::BTreeMap;

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{Digest, TenantId, UnixTime};

use super::{Change, CharterState};
use crate::{
    digest::{sha256, sha256_parts},
    idc::{IdcError, UnverifiedIdc, VerifiedIdc},
    issuer::TokenKeys,
    json,
    jws::{self, HeaderExtra, JwsError, ObjectType, UnverifiedJws},
    key::{PublicKey, SigningError, SigningKey},
    writ::{Order, VerifiedWrit, WritError},
};

/// An entry's body: its place in the chain and what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryBody {
    /// Its number; entry 0 is the first.
    pub seq: u64,
    /// The digest of the entry before; absent in entry 0.
    pub prev: Option<Digest>,
    /// What it changes.
    pub change: Change,
}

/// An entry as it travels and is stored. `body` holds the exact text that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signed_by", rename_all = "lowercase", deny_unknown_fields)]
pub enum UnverifiedEntry {
    /// Root keys signed the body.
    Roots {
        /// JSON of an [`EntryBody`].
        body: String,
        /// One compact `charter-root+jwt` per root key, over the body.
        signatures: Vec<String>,
    },
    /// A person signed a `charter.append` writ over the body's digest.
    Writ {
        /// JSON of an [`EntryBody`].
        body: String,
        /// The compact writ.
        writ: String,
        /// Its signer's credential.
        idc: UnverifiedIdc,
        /// Writs of others over the same body, where a change needs a second signer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<SignedWrit>,
        /// Compact `cosignature+jwt` of witnesses; none yet on a candidate.
        cosignatures: Vec<String>,
    },
}

/// A `charter.append` writ with its signer's credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedWrit {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// Why an entry's signatures are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The body is not that of an entry.
    #[error("entry's body is refused")]
    Body(#[source] json::JsonError),
    /// Too few valid root signatures.
    #[error("entry has {valid} valid root signatures of {needed}")]
    Roots {
        /// Valid ones by distinct keys.
        valid: usize,
        /// Needed ones.
        needed: usize,
    },
    /// The signer's credential is refused.
    #[error("signer's credential is refused")]
    Idc(#[source] IdcError),
    /// The writ is refused.
    #[error("writ is refused")]
    Writ(#[source] WritError),
    /// The writ is not a `charter.append` over this body and its `prev`.
    #[error("writ is not over this entry")]
    OtherContent,
    /// Too few cosignatures by witnesses that the state before names.
    #[error("entry has {valid} cosignatures of witnesses, of {needed} needed")]
    Witnesses {
        /// Cosignatures by distinct witnesses.
        valid: usize,
        /// Needed ones.
        needed: usize,
    },
    /// A witness's cosignature is over another entry or does not verify, and too few are left.
    #[error("cosignature is refused")]
    Cosignature,
}

impl EntryError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Body(_) => "charter-body",
            Self::Roots { .. } => "charter-roots",
            Self::Idc(error) => error.code(),
            Self::Writ(error) => error.code(),
            Self::OtherContent => "charter-content",
            Self::Witnesses { .. } => "charter-witness",
            Self::Cosignature => "charter-cosignature",
        }
    }
}

/// What a witness signs over a candidate that it verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignatureClaims {
    /// The tenant.
    pub ten: TenantId,
    /// The entry's number.
    pub seq: u64,
    /// The digest of the entry before.
    pub prev: Digest,
    /// The digest of the entry.
    pub digest: Digest,
    /// When the witness verified it.
    pub at: UnixTime,
}

impl UnverifiedEntry {
    /// The exact text of the body.
    #[must_use]
    pub fn body_text(&self) -> &str {
        match self {
            Self::Roots { body, .. } | Self::Writ { body, .. } => body,
        }
    }

    /// The credentials of those who signed with a login, the first signer's first.
    pub fn credentials(&self) -> impl Iterator<Item = &UnverifiedIdc> {
        let (first, others) = match self {
            Self::Roots { .. } => (None, [].as_slice()),
            Self::Writ { idc, others, .. } => (Some(idc), others.as_slice()),
        };
        first.into_iter().chain(others.iter().map(|other| &other.idc))
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`EntryError::Body`].
    pub fn body(&self) -> Result<EntryBody, EntryError> {
        json::parse_as(self.body_text().as_bytes()).map_err(EntryError::Body)
    }

    /// The entry's digest: of a root entry its body's, of any other its writ's (DESIGN §3). Where
    /// several people signed it is over all of their writs, a line each, so that no second signature
    /// can be exchanged behind the witnesses.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Roots { body, .. } => sha256(body.as_bytes()),
            Self::Writ { writ, others, .. } => {
                let mut parts = vec![writ.as_bytes()];
                for other in others {
                    parts.extend([b"\n".as_slice(), other.writ.as_bytes()]);
                }
                sha256_parts(&parts)
            }
        }
    }
}

/// Counts root signatures over `body` by distinct keys of `roots`.
pub(super) fn check_roots(
    body: &str,
    signatures: &[String],
    roots: &[PublicKey],
    needed: usize,
) -> Result<(), EntryError> {
    let signed_by = |root: &&PublicKey| {
        signatures.iter().any(|signature| {
            UnverifiedJws::parse(signature)
                .and_then(|jws| jws.verify(ObjectType::CharterRoot, root))
                .is_ok_and(|verified| verified.payload() == body.as_bytes())
        })
    };
    let distinct: std::collections::BTreeSet<_> = roots.iter().filter(signed_by).collect();
    if needed == 0 || distinct.len() < needed {
        return Err(EntryError::Roots { valid: distinct.len(), needed });
    }
    Ok(())
}

/// Verifies the writ of an entry at `now` and that it is over this body; returns its signer.
pub(super) fn check_writ(
    (body, writ, idc): (&str, &str, &UnverifiedIdc),
    before: &CharterState,
    keys: TokenKeys<'_>,
    now: UnixTime,
) -> Result<VerifiedIdc, EntryError> {
    let idc = before.verify_idc(idc, keys, now).map_err(EntryError::Idc)?;
    let writ = VerifiedWrit::verify(writ, &idc, before.ten(), now).map_err(EntryError::Writ)?;
    let expected = Order::CharterAppend { cnt: sha256(body.as_bytes()) };
    if writ.claims().order != expected || writ.claims().charter != before.head() {
        return Err(EntryError::OtherContent);
    }
    Ok(idc)
}

/// Verifies the cosignatures over an entry; returns when each of at least `needed` distinct witnesses made
/// its own. A witness's first counts. What others say beside them, another witness's bad cosignature
/// included, harms nothing: one corrupt witness of several must not stop what enough of them cosigned.
pub(super) fn check_cosignatures<'w>(
    cosignatures: &[String],
    witnesses: impl Iterator<Item = &'w PublicKey>,
    needed: usize,
    expected: impl Fn(UnixTime) -> CosignatureClaims,
) -> Result<Vec<UnixTime>, EntryError> {
    let witnesses: BTreeMap<String, &PublicKey> =
        witnesses.map(|key| (key.thumbprint().to_string(), key)).collect();
    let mut said: BTreeMap<String, Option<UnixTime>> = BTreeMap::new();
    for compact in cosignatures {
        let Ok(jws) = UnverifiedJws::parse(compact) else { continue };
        let kid = jws.kid().unwrap_or_default().to_owned();
        let Some(witness) = witnesses.get(&kid) else { continue };
        if said.contains_key(&kid) {
            continue;
        }
        let claims: Result<CosignatureClaims, JwsError> =
            jws.verify(ObjectType::Cosignature, witness).and_then(|verified| verified.claims());
        let at = claims.ok().filter(|claims| *claims == expected(claims.at)).map(|one| one.at);
        said.insert(kid, at);
    }
    let made: Vec<UnixTime> = said.values().copied().flatten().collect();
    if needed > 0 && made.len() >= needed {
        return Ok(made);
    }
    if made.len() < said.len() {
        return Err(EntryError::Cosignature);
    }
    Err(EntryError::Witnesses { valid: made.len(), needed })
}

/// Signs an entry's body with a root key.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign_root(
    body: &str,
    root: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    let extra =
        HeaderExtra { kid: Some(root.public().thumbprint().to_string()), ..HeaderExtra::default() };
    jws::sign(root, random, ObjectType::CharterRoot, extra, body.as_bytes())
}

/// Signs what a witness says of a candidate.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign_cosignature(
    claims: &CosignatureClaims,
    witness: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    jws::sign_claims(witness, random, ObjectType::Cosignature, claims)
}
