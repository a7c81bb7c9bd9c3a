//! Vectors that nobody here wrote: Wycheproof's JSON Web Signatures and Keys, and Merkle proofs.
//!
//! No invalid vector is accepted; each valid one that is refused is counted under a reviewed reason.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use writ_evidence::{jws::UnverifiedJws, key::PublicKey, merkle};
use writ_model::Digest;

fn corpora() -> PathBuf {
    std::env::var_os("WRIT_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    )
}

fn load(path: &Path) -> Value {
    let text = fs::read(path)
        .unwrap_or_else(|_| panic!("corpus missing: {}; set WRIT_CORPORA", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// The key of a group as a verifier is given it, without its private members.
fn public(group: &Value) -> Value {
    let mut key =
        if group["public"].is_object() { &group["public"] } else { &group["private"] }.clone();
    if let Some(members) = key.as_object_mut() {
        members.remove("d");
    }
    key
}

/// Why a valid vector is refused: its algorithm is not one that Writ takes.
fn reviewed(jwk: &Value) -> Option<&'static str> {
    match (jwk["kty"].as_str(), jwk["crv"].as_str(), jwk["alg"].as_str()) {
        (Some("oct"), _, _) => Some("HMAC: a shared secret proves nothing to a third party"),
        (Some("RSA"), _, _) => Some("RSA: not among the algorithms here yet"),
        (Some("EC"), Some("P-521"), _) => Some("ES512: not among the algorithms here"),
        (Some("EC"), _, Some(alg)) if alg.starts_with("ECDH") => Some("a key for encryption"),
        _ => None,
    }
}

fn run(file: &str) -> BTreeMap<String, u32> {
    let corpus = load(&corpora().join("wycheproof").join(file));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for group in corpus["testGroups"].as_array().unwrap() {
        let jwk = public(group);
        let key = PublicKey::from_jwk(&jwk);
        for test in group["tests"].as_array().unwrap() {
            let Some(text) = test["jws"].as_str() else {
                *counts.entry("not a JWS: refused".to_owned()).or_default() += 1;
                continue;
            };
            let accepted = key.as_ref().is_ok_and(|key| {
                UnverifiedJws::parse(text).and_then(|jws| jws.verify_signature(key)).is_ok()
            });
            let outcome = match (test["result"].as_str().unwrap(), accepted) {
                ("valid", true) => "valid, accepted".to_owned(),
                ("invalid", false) => "invalid, refused".to_owned(),
                ("invalid", true) => panic!("{file} {}: accepted {test}", test["tcId"]),
                (_, _) => {
                    let reason = reviewed(&jwk).unwrap_or_else(|| {
                        if jwk["keys"].is_array() {
                            "a key set: Writ looks one key up by its issuer's record"
                        } else {
                            panic!("{file} {}: refused {test}", test["tcId"])
                        }
                    });
                    format!("valid, refused: {reason}")
                }
            };
            *counts.entry(outcome).or_default() += 1;
        }
    }
    println!("{file}: {counts:#?}");
    counts
}

#[test]
fn wycheproof_signatures() {
    let counts = run("json_web_signature_test.json");
    assert_eq!(counts.values().sum::<u32>(), 401);
    assert!(counts["valid, accepted"] >= 2);
}

#[test]
fn wycheproof_keys() {
    assert_eq!(run("json_web_key_test.json").values().sum::<u32>(), 26);
}

#[test]
fn wycheproof_crypto() {
    let counts = run("json_web_crypto_test.json");
    assert!(counts["valid, accepted"] >= 1);
}

fn digest(value: &Value) -> Option<Digest> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

fn proof(value: &Value) -> Option<Vec<Digest>> {
    match value {
        Value::Null => Some(Vec::new()),
        list => list.as_array()?.iter().map(digest).collect(),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .unwrap_or_else(|_| panic!("corpus missing: {}; set WRIT_CORPORA", folder.display()))
    {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn holds_inclusion(test: &Value) -> bool {
    let verified = || {
        let place = (test["leafIdx"].as_u64()?, test["treeSize"].as_u64()?);
        let (leaf, root) = (digest(&test["leafHash"])?, digest(&test["root"])?);
        merkle::verify_inclusion(leaf, place, &proof(&test["proof"])?, root).ok()
    };
    verified().is_some()
}

fn holds_consistency(test: &Value) -> bool {
    let verified = || {
        let (size1, size2) = (test["size1"].as_u64()?, test["size2"].as_u64()?);
        let (root1, root2) = (digest(&test["root1"])?, digest(&test["root2"])?);
        merkle::verify_consistency(size1, root1, size2, root2, &proof(&test["proof"])?).ok()
    };
    verified().is_some()
}

#[test]
fn merkle_corpus_proofs_hold_and_bad_ones_do_not() {
    let (mut good, mut bad, mut stricter) = (0, 0, 0);
    for (folder, holds) in
        [("inclusion", holds_inclusion as fn(&Value) -> bool), ("consistency", holds_consistency)]
    {
        for path in files(&corpora().join("merkle").join(folder)) {
            let test = load(&path);
            match (test["wantErr"].as_bool().unwrap(), holds(&test)) {
                (true, false) => bad += 1,
                (false, true) => good += 1,
                (true, true) => panic!("accepted {}", path.display()),
                // From an empty tree nothing can be proved, so Writ refuses to call it proved.
                (false, false) if test["size1"].as_u64() == Some(0) => stricter += 1,
                // A root of Writ's is 32 bytes; these are the words "don't care".
                (false, false) if digest(&test["root1"]).is_none() => stricter += 1,
                (false, false) => panic!("refused {}", path.display()),
            }
        }
    }
    println!(
        "merkle: {good} good hold, {bad} bad refused, {stricter} refused though lax readers take them"
    );
    assert!(good >= 10 && bad >= 100);
}
