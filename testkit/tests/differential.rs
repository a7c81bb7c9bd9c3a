//! What other implementations sign is verified here, and what is signed here they verify; what neither
//! signed, both refuse.
//!
//! The others: `jose` and `dpop` of npm (what a console would run), and `joserfc` for CPython.

#![cfg(test)]

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_evidence::{
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, VerifiedIdc, audience_for, nonce_for},
    issuer::{
        FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, IssuerPublicKey, TokenKeys, Workload,
        parse_jwks,
    },
    jws::{self, HeaderExtra, ObjectType, UnverifiedJws},
    key::{PublicKey, SigningKey},
    proof::{self, ExpectedRequest, ProofClaims, VerifiedProof},
    statement::{self, Refusal, Says, Statement, VerifiedStatement},
    writ::{Operation, VerifiedWrit},
};
use writ_model::{Digest, TenantId, UnixTime};
use writ_testkit::{
    foreign::Foreign,
    keys::{new_issuer_key, new_key, now},
    rsa_issuer::RsaIssuer,
    tenant::NOON,
};

const IDP: &str = "https://idp.example";
/// How many objects of each kind; each has other claims.
const ROUNDS: usize = 4;
const USER_ALGORITHMS: [&str; 2] = ["EdDSA", "ES256"];

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn public(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(private);
    }
    jwk
}

fn ten() -> TenantId {
    TenantId(sha256(b"tenant"))
}

/// Texts that encoders like to disagree about, another for each round.
fn text(round: usize) -> String {
    let texts = ["plain", "Grüße, 世界", "quote \" slash / back \\", "tab\tline\n\u{7f}\u{2028}"];
    format!("{} {round} {}", texts[round % texts.len()], "x".repeat(round * 37))
}

/// An object, the public key it was signed with, and what it was signed as.
struct Signed {
    compact: String,
    jwk: Value,
    alg: String,
    typ: &'static str,
    payload: String,
}

impl Signed {
    fn order(&self, compact: &str) -> Value {
        json!({
            "do": "verify", "compact": compact, "jwk": self.jwk, "alg": self.alg, "typ": self.typ,
        })
    }

    /// Whether we take `compact` as this object's kind by this object's key.
    fn is_taken_here(&self, compact: &str) -> bool {
        let Ok(jws) = UnverifiedJws::parse(compact) else { return false };
        if self.typ == ObjectType::IdToken.typ() {
            let key = IssuerPublicKey::from_jwk(&self.jwk).unwrap();
            let algorithm = IdTokenAlgorithm::named(&self.alg).unwrap();
            return jws.verify_id_token([&key].into_iter(), &[algorithm]).is_ok();
        }
        let object = OBJECTS.into_iter().find(|object| object.typ() == self.typ).unwrap();
        jws.verify(object, &PublicKey::from_jwk(&self.jwk).unwrap()).is_ok()
    }

    /// The object with one thing about it changed; canonical, so that only its meaning refuses it.
    fn mutations(&self, other: &Self) -> Vec<(&'static str, String)> {
        let parts: Vec<&str> = self.compact.split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let flipped = |part: &str, at: usize| {
            let mut bytes = decode(part);
            let at = at % bytes.len();
            bytes[at] ^= 1;
            encode(bytes)
        };
        let header = |name: &str, value: &str| {
            let mut header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
            header[name] = json!(value);
            encode(header.to_string())
        };
        let (payload, signature) = (parts[1], parts[2]);
        let appended = encode([decode(payload), b" ".to_vec()].concat());
        let theirs = other.compact.rsplit_once('.').unwrap().1;
        vec![
            ("payload", format!("{}.{appended}.{signature}", parts[0])),
            ("first of the signature", format!("{}.{payload}.{}", parts[0], flipped(signature, 0))),
            ("last of the signature", format!("{}.{payload}.{}", parts[0], flipped(signature, 63))),
            ("another's signature", format!("{}.{payload}.{theirs}", parts[0])),
            ("no signature", format!("{}.{payload}.", parts[0])),
            ("none", format!("{}.{payload}.", header("alg", "none"))),
            ("HS256", format!("{}.{payload}.{signature}", header("alg", "HS256"))),
            ("typ", format!("{}.{payload}.{signature}", header("typ", "other+jwt"))),
            ("kid", format!("{}.{payload}.{signature}", header("kid", "another"))),
        ]
    }
}

const OBJECTS: [ObjectType; 9] = [
    ObjectType::Cic,
    ObjectType::Writ,
    ObjectType::CharterRoot,
    ObjectType::Cosignature,
    ObjectType::Checkpoint,
    ObjectType::Acceptance,
    ObjectType::Refusal,
    ObjectType::Receipt,
    ObjectType::Dpop,
];

/// Every mutation of every object is refused there and here.
fn both_refuse(foreign: Foreign, signed: &[Signed]) -> usize {
    let mut orders = Vec::new();
    for (index, object) in signed.iter().enumerate() {
        let other = &signed[(index + 1) % signed.len()];
        for (name, mutated) in object.mutations(other) {
            assert!(!object.is_taken_here(&mutated), "{name}: {} {}", object.typ, object.alg);
            orders.push(object.order(&mutated));
        }
    }
    for (order, answer) in orders.iter().zip(foreign.ask(&orders).unwrap()) {
        assert_eq!(answer, Value::Null, "{foreign:?} takes {order}");
    }
    orders.len()
}

/// Logins, writs and statements whose every signature is made there.
struct Theirs {
    foreign: Foreign,
    /// A private key for each of ours and of the issuers' algorithms.
    users: Vec<Value>,
    issuers: Vec<(IdTokenAlgorithm, Value)>,
}

impl Theirs {
    fn new(foreign: Foreign) -> Self {
        let algorithms = IdTokenAlgorithm::ALL.map(IdTokenAlgorithm::as_str);
        let named = USER_ALGORITHMS.iter().chain(&algorithms);
        let orders: Vec<Value> = named.map(|alg| json!({ "do": "key", "alg": alg })).collect();
        let mut users = foreign.ask(&orders).unwrap();
        let keys = users.split_off(USER_ALGORITHMS.len());
        Self { foreign, users, issuers: IdTokenAlgorithm::ALL.into_iter().zip(keys).collect() }
    }

    fn issuer_records(&self) -> (Vec<Issuer>, FetchedKeys) {
        let mut set = Vec::new();
        for (algorithm, key) in &self.issuers {
            let mut jwk = public(key);
            jwk["kid"] = json!(algorithm.as_str());
            set.push(jwk);
        }
        let set = json!({ "keys": set }).to_string();
        let client = IssuerClient::new("writ", vec![Operation::CharterAppend]);
        let sub = [("sub".to_owned(), "ann".to_owned())];
        let workload = Workload {
            name: "ann".to_owned(),
            claims: sub.into(),
            operations: vec![Operation::CharterAppend],
        };
        let issuer = Issuer {
            keys: parse_jwks(set.as_bytes()).unwrap(),
            workloads: vec![workload],
            ..Issuer::new(IDP, IdTokenAlgorithm::ALL.to_vec(), vec![client])
        };
        (vec![issuer], FetchedKeys::default())
    }

    /// A login of each key at each issuer in each mode, signed there.
    fn logins(&self) -> Vec<TheirLogin> {
        let mut orders = Vec::new();
        let mut issuers = Vec::new();
        let mut users = Vec::new();
        for round in 0..ROUNDS {
            for (user, alg) in self.users.iter().zip(USER_ALGORITHMS) {
                for issuer in &self.issuers {
                    let rz = encode(sha256(text(round).as_bytes()).as_bytes());
                    let header =
                        json!({ "alg": alg, "typ": "cic+jwt", "jwk": public(user), "rz": rz });
                    orders.push(json!({
                        "do": "sign", "jwk": user, "header": header, "payload": "",
                    }));
                    issuers.push((round, issuer));
                    users.push((user.clone(), alg));
                }
            }
        }
        let cics = self.foreign.texts(&orders).unwrap();
        orders.clear();
        for ((round, (algorithm, key)), cic) in issuers.iter().zip(&cics) {
            let alg = algorithm.as_str();
            let header = json!({ "alg": alg, "kid": alg, "typ": "JWT" });
            let payload = token_claims(*round, cic).to_string();
            orders.push(json!({ "do": "sign", "jwk": key, "header": header, "payload": payload }));
        }
        let tokens = self.foreign.texts(&orders).unwrap();
        let mut logins = Vec::new();
        for (index, (key, alg)) in users.into_iter().enumerate() {
            let mode = mode(issuers[index].0);
            let (id_token, cic) = (tokens[index].clone(), cics[index].clone());
            let idc = UnverifiedIdc { mode, id_token, cic, refreshed: None };
            logins.push(TheirLogin { key, alg, idc });
        }
        logins
    }
}

/// A login whose every signature is made there.
struct TheirLogin {
    key: Value,
    alg: &'static str,
    idc: UnverifiedIdc,
}

const fn mode(round: usize) -> IdcMode {
    if round.is_multiple_of(2) { IdcMode::Nonce } else { IdcMode::Workload }
}

fn token_claims(round: usize, cic: &str) -> Value {
    let mut claims = json!({
        "iss": IDP, "sub": "ann", "iat": NOON, "exp": NOON.plus(3600), "name": text(round),
    });
    match mode(round) {
        IdcMode::Nonce => {
            claims["aud"] = json!("writ");
            claims["nonce"] = json!(nonce_for(cic));
        }
        IdcMode::Workload => claims["aud"] = json!(audience_for(cic)),
        IdcMode::Key => panic!("no token stands behind a key that the charter enrolls"),
    }
    claims
}

fn writ_claims(idc: &VerifiedIdc, round: usize) -> Value {
    json!({
        "op": "charter.append", "cnt": sha256(text(round).as_bytes()), "ver": 1, "ten": ten(),
        "iss": IDP, "sub": "ann", "idc": idc.digest(), "jti": format!("jti-of-writ-{round:08}"),
        "iat": NOON, "exp": NOON.plus(300), "charter": sha256(b"head"),
    })
}

#[test]
fn logins_and_writs_that_jose_and_joserfc_sign_are_verified_here_and_their_mutations_nowhere() {
    for foreign in Foreign::ALL {
        let theirs = Theirs::new(foreign);
        let (issuers, keys) = theirs.issuer_records();
        let logins = theirs.logins();
        let verify = |login: &TheirLogin| {
            login.idc.verify(&issuers, TokenKeys::Fetched(&keys), NOON).unwrap()
        };
        let verified: Vec<VerifiedIdc> = logins.iter().map(verify).collect();
        let mut orders = Vec::new();
        for (index, TheirLogin { key, alg, .. }) in logins.iter().enumerate() {
            let idc = &verified[index];
            let header = json!({ "alg": alg, "typ": "writ+jwt", "kid": idc.digest() });
            let payload = writ_claims(idc, index).to_string();
            orders.push(json!({ "do": "sign", "jwk": key, "header": header, "payload": payload }));
        }
        let writs = foreign.texts(&orders).unwrap();
        let mut signed = Vec::new();
        for ((TheirLogin { key, alg, idc }, verified), compact) in
            logins.iter().zip(&verified).zip(writs)
        {
            let writ = VerifiedWrit::verify(&compact, verified, ten(), NOON).unwrap();
            assert_eq!(writ.claims().principal, *verified.principal());
            let object = |compact: &str, jwk: &Value, alg: &str, typ| Signed {
                compact: compact.to_owned(),
                jwk: public(jwk),
                alg: alg.to_owned(),
                typ,
                payload: String::new(),
            };
            signed.push(object(&compact, key, alg, "writ+jwt"));
            signed.push(object(&idc.cic, key, alg, "cic+jwt"));
            let token = UnverifiedJws::parse(&idc.id_token).unwrap();
            let kid = token.kid().unwrap();
            let issuer = theirs.issuers.iter().find(|(algorithm, _)| algorithm.as_str() == kid);
            signed.push(object(&idc.id_token, &issuer.unwrap().1, kid, "JWT"));
        }
        assert!(signed.iter().all(|object| object.is_taken_here(&object.compact)));
        let refused = both_refuse(foreign, &signed);
        println!("{foreign:?}: {} signed there and verified here, {refused} refused", signed.len());
    }
}

#[test]
fn statements_and_every_other_object_that_they_sign_are_verified_here() {
    for foreign in Foreign::ALL {
        let theirs = Theirs::new(foreign);
        let mut signed = Vec::new();
        let mut orders = Vec::new();
        for (key, alg) in theirs.users.iter().zip(USER_ALGORITHMS) {
            for (round, object) in OBJECTS.into_iter().enumerate() {
                let mut header = json!({ "alg": alg, "typ": object.typ() });
                if matches!(object, ObjectType::Cic | ObjectType::Dpop) {
                    header["jwk"] = public(key);
                }
                let payload = match object {
                    ObjectType::Refusal => serde_json::to_string(&a_statement(round)).unwrap(),
                    _ => json!({ "text": text(round), "round": round }).to_string(),
                };
                orders.push(json!({
                    "do": "sign", "jwk": key, "header": header, "payload": payload,
                }));
                let (jwk, alg, typ) = (public(key), alg.to_owned(), object.typ());
                signed.push(Signed { compact: String::new(), jwk, alg, typ, payload });
            }
        }
        for (object, compact) in signed.iter_mut().zip(foreign.texts(&orders).unwrap()) {
            object.compact = compact;
            assert!(object.is_taken_here(&object.compact), "{foreign:?} {}", object.typ);
            let payload = object.compact.split('.').nth(1).unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(payload).unwrap(), object.payload.as_bytes());
            if object.typ == ObjectType::Refusal.typ() {
                let jail = PublicKey::from_jwk(&object.jwk).unwrap();
                VerifiedStatement::verify(&object.compact, &jail, ten()).unwrap();
            }
        }
        both_refuse(foreign, &signed);
    }
}

fn a_statement(round: usize) -> Statement {
    let refusal = Refusal {
        writ: Some(sha256(b"writ")),
        run: None,
        step: None,
        code: "policy-denied".to_owned(),
        reason: text(round),
    };
    Statement {
        ver: 1,
        ten: ten(),
        seq: round as u64 + 1,
        prev: (round > 0).then(|| sha256(b"before")),
        charter: sha256(b"head"),
        at: NOON,
        isolation: sha256(b"isolation"),
        says: Says::Refusal(refusal),
    }
}

/// Every kind of object, signed here by both kinds of keys.
fn ours() -> Vec<Signed> {
    let mut signed = Vec::new();
    for key in [new_key().unwrap(), new_issuer_key().unwrap()] {
        for (round, object) in OBJECTS.into_iter().enumerate() {
            let payload = json!({ "text": text(round), "round": round }).to_string();
            let carries = matches!(object, ObjectType::Cic | ObjectType::Dpop);
            let extra = HeaderExtra {
                kid: (!carries).then(|| key.public().thumbprint().to_string()),
                jwk: carries.then(|| key.public().clone()),
                rz: (object == ObjectType::Cic).then(|| encode([7; 32])),
            };
            let payload = if object == ObjectType::Cic { String::new() } else { payload };
            let compact =
                jws::sign(&key, &SystemRandom::new(), object, extra, payload.as_bytes()).unwrap();
            signed.push(by(&key, compact, object.typ(), payload));
        }
        let statement = a_statement(signed.len());
        let compact = statement::sign(&statement, &key, &SystemRandom::new()).unwrap();
        let payload = serde_json::to_string(&statement).unwrap();
        signed.push(by(&key, compact, "refusal+jwt", payload));
        let claims = proof_claims(NOON, Some(sha256(b"idc")));
        let compact = proof::sign(&claims, &key, &SystemRandom::new()).unwrap();
        signed.push(by(&key, compact, "dpop+jwt", serde_json::to_string(&claims).unwrap()));
        let payload = json!({ "iss": IDP, "sub": text(3) }).to_string();
        let random = SystemRandom::new();
        let extra = HeaderExtra::default();
        let token = jws::sign(&key, &random, ObjectType::IdToken, extra, payload.as_bytes());
        signed.push(by(&key, token.unwrap(), "JWT", payload));
    }
    let rsa = RsaIssuer::new().unwrap();
    for algorithm in [IdTokenAlgorithm::Rs256, IdTokenAlgorithm::Ps256] {
        let claims = json!({ "iss": IDP, "sub": text(1) });
        let compact = rsa.sign(algorithm, &claims).unwrap();
        let (jwk, alg) = (rsa.jwk(None), algorithm.as_str().to_owned());
        signed.push(Signed { compact, jwk, alg, typ: "JWT", payload: claims.to_string() });
    }
    signed
}

fn by(key: &SigningKey, compact: String, typ: &'static str, payload: String) -> Signed {
    let alg = key.public().algorithm().as_str().to_owned();
    Signed { compact, jwk: key.public().to_jwk(), alg, typ, payload }
}

#[test]
fn every_kind_of_object_that_is_signed_here_jose_and_joserfc_verify_with_the_same_payload() {
    let signed = ours();
    assert!(signed.iter().all(|object| object.is_taken_here(&object.compact)));
    for foreign in Foreign::ALL {
        let orders: Vec<Value> =
            signed.iter().map(|object| object.order(&object.compact)).collect();
        for (object, answer) in signed.iter().zip(foreign.ask(&orders).unwrap()) {
            assert_eq!(answer, json!(object.payload), "{foreign:?} {} {}", object.typ, object.alg);
        }
        let refused = both_refuse(foreign, &signed);
        println!("{foreign:?}: {} signed here and verified there, {refused} refused", signed.len());
    }
}

fn proof_claims(iat: UnixTime, ath: Option<Digest>) -> ProofClaims {
    ProofClaims {
        htm: "POST".to_owned(),
        htu: "https://writ.example/v1/runs".to_owned(),
        iat,
        jti: "jti-of-a-request-proof".to_owned(),
        ath,
    }
}

fn expected(url: &str) -> ExpectedRequest<'_> {
    ExpectedRequest { method: "GET", url, idc: None }
}

#[test]
fn request_proofs_that_npm_dpop_makes_are_proofs_of_that_request_by_that_key_now() {
    let jose = Foreign::Jose;
    let keys = jose
        .ask(&[json!({ "do": "key", "alg": "ES256" }), json!({ "do": "key", "alg": "ES256" })])
        .unwrap();
    let url = "https://writ.example/v1/tenants/t/runner/orders";
    let order = |alg: &str, key: &Value| json!({ "do": "dpop", "jwk": key, "alg": alg, "htm": "GET", "htu": url });
    let proofs = jose.texts(&vec![order("ES256", &keys[0]); ROUNDS]).unwrap();
    let [key, other] = [0, 1].map(|index| PublicKey::from_jwk(&public(&keys[index])).unwrap());
    let mut seen = std::collections::BTreeSet::new();
    for proof in &proofs {
        let verified = VerifiedProof::verify(proof, &key, expected(url), now()).unwrap();
        assert!(seen.insert(verified.jti().to_owned()), "each has a `jti` of its own");
        let code = |key: &PublicKey, request: ExpectedRequest<'_>, at: UnixTime| {
            VerifiedProof::verify(proof, key, request, at).unwrap_err().code()
        };
        assert_eq!(code(&other, expected(url), now()), "proof-key");
        assert_eq!(code(&key, expected("https://writ.example/"), now()), "proof-request");
        let post = ExpectedRequest { method: "POST", ..expected(url) };
        assert_eq!(code(&key, post, now()), "proof-request");
        let person = ExpectedRequest { idc: Some(sha256(b"idc")), ..expected(url) };
        assert_eq!(code(&key, person, now()), "proof-request");
        assert_eq!(code(&key, expected(url), now().plus(120)), "proof-stale");
        assert_eq!(code(&key, expected(url), UnixTime(now().0 - 120)), "proof-stale");
    }
    // RFC 9864's name for EdDSA, which `dpop` writes, is not the one that DESIGN §3 takes.
    let ed25519 = jose.ask(&[json!({ "do": "key", "alg": "EdDSA" })]).unwrap().remove(0);
    let renamed = jose.texts(&[order("EdDSA", &ed25519)]).unwrap().remove(0);
    let key = PublicKey::from_jwk(&public(&ed25519)).unwrap();
    let refused = VerifiedProof::verify(&renamed, &key, expected(url), now()).unwrap_err();
    assert_eq!(refused.code(), "proof-signature");
}
