//! The audit log's tree: RFC 6962 hashes, roots, inclusion and consistency proofs.
//!
//! Pure functions over leaf hashes, and a [`Frontier`] for whoever only appends.
//! Not here: what a leaf is of (`audit`), who signs a root (`checkpoint`).

use writ_model::Digest;

use crate::digest::{sha256, sha256_parts};

/// Why a proof is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// Sizes or index make no sense together.
    #[error("sizes or index of the proof are impossible")]
    Range,
    /// Too many or too few hashes for these sizes.
    #[error("proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("proof leads to another root")]
    Root,
}

/// Hash of a leaf (RFC 6962 §2.1).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    sha256_parts(&[&[0], data])
}

/// Hash of an inner node (RFC 6962 §2.1).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Root over leaf hashes (RFC 6962 §2.1); of none, the hash of nothing.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The largest power of two smaller than `size`, which is at least 2.
const fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// Proof that leaf `index` is in the tree over `leaves` (RFC 6962 §2.1.1); `None` if it is not.
#[must_use]
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut proof, sibling) = if index < at {
        (inclusion_proof(left, index)?, root(right))
    } else {
        (inclusion_proof(right, index - at)?, root(left))
    };
    proof.push(sibling);
    Some(proof)
}

/// Proof that the tree over `leaves` extends the one over its first `old` (RFC 6962 §2.1.2);
/// `None` if `old` is 0 or more than there are.
#[must_use]
pub fn consistency_proof(leaves: &[Digest], old: usize) -> Option<Vec<Digest>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    Some(subproof(leaves, old, true))
}

fn subproof(leaves: &[Digest], old: usize, whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut proof, sibling) = if old <= at {
        (subproof(left, old, whole), root(right))
    } else {
        (subproof(right, old - at, false), root(left))
    };
    proof.push(sibling);
    proof
}

/// Verifies that a leaf is in a tree.
///
/// # Errors
///
/// [`MerkleError`].
///
/// # Spec
///
/// RFC 9162 §2.1.3.2.
pub fn verify_inclusion(
    leaf: Digest,
    (index, size): (u64, u64),
    proof: &[Digest],
    root: Digest,
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::Range);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(MerkleError::Length);
    }
    if hash == root { Ok(()) } else { Err(MerkleError::Root) }
}

/// Verifies that the tree of `size2` and `root2` extends that of `size1` and `root1`.
///
/// # Errors
///
/// [`MerkleError`]. From size 0 nothing can be proved, so it is refused.
///
/// # Spec
///
/// RFC 9162 §2.1.4.2.
pub fn verify_consistency(
    size1: u64,
    root1: Digest,
    size2: u64,
    root2: Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    if size1 == 0 || size1 > size2 {
        return Err(MerkleError::Range);
    }
    if size1 == size2 {
        return match (proof, root1 == root2) {
            ([], true) => Ok(()),
            ([], false) => Err(MerkleError::Root),
            _ => Err(MerkleError::Length),
        };
    }
    let (first, rest) = if size1.is_power_of_two() {
        (root1, proof)
    } else {
        proof.split_first().map(|(first, rest)| (*first, rest)).ok_or(MerkleError::Length)?
    };
    let shift = (size1 - 1).trailing_ones();
    let (mut at, mut last) = ((size1 - 1) >> shift, (size2 - 1) >> shift);
    let (mut old, mut new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(MerkleError::Length);
    }
    if old == root1 && new == root2 { Ok(()) } else { Err(MerkleError::Root) }
}

/// The right edge of a growing tree: enough to append and to compute the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of complete subtrees, largest first: one for each bit of `size`.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        let joined =
            self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(|| sha256(&[]))
    }
}
