//! What holds for every object, tree and seal, not only for those in the examples.

#![cfg(test)]

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use proptest::prelude::*;
use writ_evidence::{
    digest::{RunKey, sha256},
    jws::{self, HeaderExtra, ObjectType, UnverifiedJws},
    key::{Algorithm, SigningKey},
    merkle::{self, Frontier},
    seal::{self, SealingPrivateKey},
};
use writ_model::Digest;
use zeroize::Zeroizing;

fn keys() -> [SigningKey; 2] {
    let random = SystemRandom::new();
    let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    [
        SigningKey::from_pkcs8(Algorithm::EdDsa, ed25519.as_ref()).unwrap(),
        SigningKey::from_pkcs8(Algorithm::Es256, p256.as_ref()).unwrap(),
    ]
}

fn sign(key: &SigningKey, payload: &[u8]) -> String {
    jws::sign(key, &SystemRandom::new(), ObjectType::Writ, HeaderExtra::default(), payload).unwrap()
}

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|index| merkle::leaf_hash(&index.to_be_bytes())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_key_signs_it_verifies_and_no_other_key_or_type_does(
        payload in proptest::collection::vec(any::<u8>(), 0..512),
    ) {
        let [a, b] = keys();
        for (key, other) in [(&a, &b), (&b, &a)] {
            let compact = sign(key, &payload);
            let parse = || UnverifiedJws::parse(&compact).unwrap();
            let verified = parse().verify(ObjectType::Writ, key.public()).unwrap();
            prop_assert_eq!(verified.payload(), &payload[..]);
            prop_assert!(parse().verify(ObjectType::Writ, other.public()).is_err());
            prop_assert!(parse().verify(ObjectType::Receipt, key.public()).is_err());
        }
    }

    /// Any one character changed, the last of a base64url part included, which a lax decoder lets
    /// through.
    #[test]
    fn any_changed_character_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        for key in keys() {
            let compact = sign(&key, br#"{"a":1}"#);
            let at = at.index(compact.len());
            let mut changed = compact.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != compact);
            let verified = UnverifiedJws::parse(&changed)
                .and_then(|jws| jws.verify(ObjectType::Writ, key.public()));
            prop_assert!(verified.is_err(), "{}", changed);
        }
    }

    #[test]
    fn no_text_panics_the_parser(text in ".{0,200}") {
        let _ = UnverifiedJws::parse(&text);
        let _ = writ_evidence::json::parse(text.as_bytes());
    }

    #[test]
    fn every_inclusion_and_consistency_is_provable_and_no_changed_proof_holds(
        size in 1_usize..140, a in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(size);
        let root = merkle::root(&leaves);
        let index = a.index(size);
        let place = (index as u64, size as u64);
        let proof = merkle::inclusion_proof(&leaves, index).unwrap();
        prop_assert!(merkle::verify_inclusion(leaves[index], place, &proof, root).is_ok());
        let old = index + 1;
        let (old_size, old_root) = (old as u64, merkle::root(&leaves[..old]));
        let grown = merkle::consistency_proof(&leaves, old).unwrap();
        let verify = |proof: &[Digest]| {
            merkle::verify_consistency(old_size, old_root, size as u64, root, proof)
        };
        prop_assert!(verify(&grown).is_ok());

        let wrong = Digest::from_bytes([9; 32]);
        prop_assert!(merkle::verify_inclusion(wrong, place, &proof, root).is_err());
        if !proof.is_empty() {
            let mut changed = proof.clone();
            changed[flip.index(proof.len())] = wrong;
            prop_assert!(merkle::verify_inclusion(leaves[index], place, &changed, root).is_err());
        }
        if !grown.is_empty() {
            let mut changed = grown.clone();
            changed[flip.index(grown.len())] = wrong;
            prop_assert!(verify(&changed).is_err());
        }
    }

    #[test]
    fn a_frontier_has_the_root_of_the_whole_tree(size in 0_usize..200) {
        let leaves = leaves(size);
        let mut frontier = Frontier::default();
        for leaf in &leaves {
            frontier.push(*leaf);
        }
        prop_assert_eq!(frontier.root(), merkle::root(&leaves));
    }

    #[test]
    fn a_sealed_input_opens_for_its_runner_and_its_writ_only(
        input in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(),
    ) {
        let runner = SealingPrivateKey::from_bytes(&[1; 32]);
        let other = SealingPrivateKey::from_bytes(&[2; 32]);
        let key = RunKey::from_bytes(Zeroizing::new([3; 32]));
        let writ = sha256(b"writ");
        let sealed =
            seal::seal(&runner.public(), writ, (&key, &input), &SystemRandom::new()).unwrap();

        let opened = seal::open(&runner, writ, &sealed).unwrap();
        prop_assert_eq!(&*opened.input, &input);
        prop_assert_eq!(opened.run_key.expose(), key.expose());
        prop_assert!(seal::open(&other, writ, &sealed).is_err());
        prop_assert!(seal::open(&runner, sha256(b"another"), &sealed).is_err());
        let mut changed = sealed.clone();
        let at = at.index(changed.ciphertext.len() - 1);
        let to = if changed.ciphertext.as_bytes()[at] == b'A' { "B" } else { "A" };
        changed.ciphertext.replace_range(at..=at, to);
        prop_assert!(seal::open(&runner, writ, &changed).is_err());
    }
}
