//! A checkpoint: a witness's signature over the audit log's tree and the charter head at once.
//!
//! The log has no key of its own; a checkpoint counts with a witness's signature alone
//! (DESIGN §11). A witness signs only a tree that extends the last one it signed.

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{Digest, TenantId, UnixTime};

use crate::{
    jws::{self, JwsError, ObjectType, UnverifiedJws},
    key::{PublicKey, SigningError, SigningKey},
};

/// What a witness says of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointClaims {
    /// The tenant, which is the log's origin.
    pub ten: TenantId,
    /// How many leaves.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
    /// The charter head.
    pub charter: Digest,
    /// Number of the witness's own newest statement; a log that lacks one withholds it.
    pub statements: u64,
    /// When.
    pub at: UnixTime,
}

/// Signs a checkpoint.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign(
    claims: &CheckpointClaims,
    witness: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    jws::sign_claims(witness, random, ObjectType::Checkpoint, claims)
}

/// Verifies a checkpoint by the witness's enrolled key.
///
/// # Errors
///
/// [`JwsError`].
pub fn verify(compact: &str, witness: &PublicKey) -> Result<CheckpointClaims, JwsError> {
    UnverifiedJws::parse(compact)?.verify(ObjectType::Checkpoint, witness)?.claims()
}
