//! The small world that histories happen in: its people, keys and names; and real entries of told steps.
//!
//! Keys are made from fixed bytes, so that a seed gives the same history to the byte.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use writ_evidence::{
    charter::{
        Change, CharterState, CosignatureClaims, EntryBody, Genesis, RunnerEnrollment, SignedWrit,
        UnverifiedEntry, sign_cosignature, sign_root,
    },
    checkpoint::{self, CheckpointClaims},
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, nonce_for},
    issuer::{FetchedKeys, IdTokenAlgorithm, Issuer, IssuerClient, IssuerKey, JwksEndpoint},
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, PublicKey, SigningKey},
    seal::SealingPrivateKey,
    writ::{self, Operation, Order, WritClaims},
};
use writ_model::{
    ConnectionHost, Principal, RunnerGroupId, RunnerId, ServiceAccountName, TenantId,
};
use writ_testkit::{
    charter_model::{By, Cosigned, Login, Over, Place, RootSignature, Signature, Step},
    tenant::NOON,
};

use crate::changes::ACCOUNTS;

pub(crate) const A: &str = "https://idp.example";
pub(crate) const B: &str = "https://other-idp.example";
/// How many runners there may be; entry 0 names the first.
const RUNNERS: u8 = 4;

/// Somebody's login, with its credential.
pub(crate) struct Card {
    pub(crate) login: Login,
    idc: UnverifiedIdc,
}

/// Everybody and everything.
pub(crate) struct World {
    secret: BTreeMap<PublicKey, SigningKey>,
    pub(crate) roots: Vec<PublicKey>,
    pub(crate) jails: Vec<PublicKey>,
    pub(crate) issuer_keys: Vec<PublicKey>,
    /// The keys that service accounts may have.
    pub(crate) account_keys: Vec<PublicKey>,
    pub(crate) cards: Vec<Card>,
    /// The beginnings that there may be.
    pub(crate) beginnings: Vec<(UnverifiedEntry, Genesis)>,
    /// What witnesses have fetched of the issuers' keys, and the same as a list.
    pub(crate) fetched: (FetchedKeys, Vec<PublicKey>),
}

fn key(name: &str) -> SigningKey {
    // A PKCS#8 document of an Ed25519 key (RFC 8410 §7).
    let mut document = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    document.extend(sha256(name.as_bytes()).as_bytes());
    SigningKey::from_pkcs8(Algorithm::EdDsa, &document).unwrap()
}

pub(crate) fn person(iss: &str, sub: &str) -> Principal {
    Principal { iss: iss.to_owned(), sub: sub.to_owned() }
}

fn pinned(key: &PublicKey) -> IssuerKey {
    IssuerKey { kid: key.thumbprint().to_string(), jwk: key.clone().into() }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut secret = BTreeMap::new();
        let mut keys = |name: &str, count: u8| -> Vec<PublicKey> {
            let made = (0..count).map(|number| key(&format!("{name} {number}")));
            made.map(|key| {
                let public = key.public().clone();
                secret.insert(public.clone(), key);
                public
            })
            .collect()
        };
        let (roots, jails) = (keys("root", 5), keys("jail", RUNNERS));
        let (issuer_keys, own) = (keys("issuer", 4), keys("person", 9));
        let account_keys = keys("account", 3);
        let fetched = vec![issuer_keys[0].clone(), issuer_keys[2].clone()];
        let mut of_issuers = FetchedKeys::default();
        for iss in [A, B] {
            of_issuers.replace(iss, fetched.iter().map(pinned).collect());
        }
        let mut world = Self {
            secret,
            roots,
            jails,
            issuer_keys,
            account_keys,
            cards: Vec::new(),
            beginnings: Vec::new(),
            fetched: (of_issuers, fetched),
        };
        world.cards = world.make_cards(&own);
        world.beginnings = (0..6).map(|number| world.beginning(number)).collect();
        world
    }

    /// Who has logged in how: (issuer, subject, client, groups, key of the issuer, key of their own).
    fn make_cards(&self, own: &[PublicKey]) -> Vec<Card> {
        type Row =
            (&'static str, &'static str, &'static str, &'static [&'static str], usize, usize);
        let rows: [Row; 12] = [
            (A, "ann", "writ-cli", &["ops"], 0, 0),
            (A, "bob", "writ-cli", &[], 0, 1),
            (A, "cyd", "writ-cli", &["ops", "leads"], 0, 2),
            (A, "dee", "writ-cli", &[], 0, 3),
            (A, "eve", "writ-cli", &["leads"], 0, 4),
            (B, "fay", "writ-cli", &["ops"], 2, 5),
            // Ann's other key; Eve with Ann's key; a client that may not; keys that may not count.
            (A, "ann", "writ-cli", &["ops"], 0, 6),
            (A, "eve", "writ-cli", &["leads"], 0, 0),
            (A, "bob", "writ-limited", &[], 0, 7),
            (A, "dee", "writ-cli", &[], 1, 3),
            (B, "fay", "writ-cli", &["ops", "leads"], 3, 8),
            // Of the same name elsewhere.
            (B, "ann", "writ-cli", &[], 2, 6),
        ];
        rows.into_iter()
            .map(|(iss, sub, client, groups, issuer_key, key)| {
                self.card(Login {
                    person: person(iss, sub),
                    client: client.to_owned(),
                    groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                    // Ann and Fay show a second factor with their first keys.
                    amr: [0, 5].contains(&key).then(|| "mfa".to_owned()).into_iter().collect(),
                    issuer_key: Some(self.issuer_keys[issuer_key].clone()),
                    key: own[key].clone(),
                    iat: NOON,
                    exp: NOON.plus(3600),
                })
            })
            .chain(self.account_cards())
            .collect()
    }

    /// The credentials of service accounts: two keys of the first, one of the second, and one that may be either's.
    fn account_cards(&self) -> impl Iterator<Item = Card> {
        [(0, 0), (0, 1), (1, 2), (1, 0)].into_iter().map(|(account, key)| {
            let name: ServiceAccountName = ACCOUNTS[account].parse().unwrap();
            let login = Login {
                person: (&name).into(),
                client: name.to_string(),
                groups: BTreeSet::new(),
                amr: BTreeSet::new(),
                issuer_key: None,
                key: self.account_keys[key].clone(),
                iat: NOON,
                exp: NOON.plus(3600),
            };
            let (mode, id_token, cic) = (IdcMode::Key, String::new(), self.commitment(&login));
            Card { idc: UnverifiedIdc { mode, id_token, cic, refreshed: None }, login }
        })
    }

    fn commitment(&self, login: &Login) -> String {
        let extra = HeaderExtra {
            jwk: Some(login.key.clone()),
            rz: Some(URL_SAFE_NO_PAD.encode([7; 32])),
            ..HeaderExtra::default()
        };
        let own = &self.secret[&login.key];
        jws::sign(own, &SystemRandom::new(), ObjectType::Cic, extra, b"").unwrap()
    }

    fn card(&self, login: Login) -> Card {
        let random = SystemRandom::new();
        let cic = self.commitment(&login);
        let claims = json!({
            "iss": login.person.iss, "sub": login.person.sub, "aud": login.client,
            "groups": login.groups, "amr": login.amr, "nonce": nonce_for(&cic), "iat": login.iat, "exp": login.exp,
        });
        let issuer_key = login.issuer_key.as_ref().unwrap();
        let kid = Some(issuer_key.thumbprint().to_string());
        let extra = HeaderExtra { kid, ..HeaderExtra::default() };
        let issuer = &self.secret[issuer_key];
        let payload = claims.to_string();
        let id_token =
            jws::sign(issuer, &random, ObjectType::IdToken, extra, payload.as_bytes()).unwrap();
        let idc = UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None };
        Card { login, idc }
    }

    /// One of six beginnings: threshold 1 to 3 of three root keys, one owner or two, one issuer or two.
    fn beginning(&self, number: u8) -> (UnverifiedEntry, Genesis) {
        let two = number >= 3;
        let mut owners = vec![person(A, "ann")];
        let mut issuers = vec![self.issuer(A, 0)];
        if two {
            owners.push(person(B, "fay"));
            issuers.push(self.issuer(B, 0));
        }
        let genesis = Genesis {
            roots: self.roots[..3].to_vec(),
            threshold: 1 + number % 3,
            issuers,
            owners,
            runner: self.runner(0),
        };
        let body = EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis.clone()) };
        let body = serde_json::to_string(&body).unwrap();
        let sign = |root| sign_root(&body, &self.secret[root], &SystemRandom::new()).unwrap();
        let signatures = genesis.roots.iter().map(sign).collect();
        (UnverifiedEntry::Roots { body, signatures }, genesis)
    }

    /// A record of an issuer; those from 6 on can't be meant.
    pub(crate) fn issuer(&self, iss: &str, variant: usize) -> Issuer {
        let usual = vec![Operation::RunStart, Operation::CharterAppend];
        let clients = vec![
            IssuerClient::new("writ-cli", usual),
            IssuerClient::new("writ-limited", vec![Operation::RunStart]),
        ];
        let first = if iss == A { 0 } else { 2 };
        let keys = |which: &[usize]| -> Vec<IssuerKey> {
            which.iter().map(|key| pinned(&self.issuer_keys[first + key])).collect()
        };
        let algorithms = vec![IdTokenAlgorithm::EdDsa];
        let mut issuer = Issuer {
            keys: keys(&[0]),
            groups_claim: Some("groups".to_owned()),
            ..Issuer::new(iss, algorithms, clients)
        };
        match variant {
            0 => {}
            1 => issuer.keys = keys(&[0, 1]),
            2 => issuer.groups_claim = None,
            3 => issuer.clients.truncate(0),
            4 => issuer.max_age_s = 100,
            5 => {
                let host =
                    ConnectionHost { host: "idp.example".to_owned(), port: 443, plaintext: false };
                let path = "/keys".to_owned();
                issuer.jwks = Some(JwksEndpoint { host, path, allow_cidrs: Vec::new() });
                issuer.keys.clear();
            }
            6 => issuer.algorithms.clear(),
            7 => issuer.keys.clear(),
            8 => issuer.clients.clear(),
            _ => issuer.clients[0].device_flow = true,
        }
        if variant == 3 {
            issuer.clients = vec![IssuerClient::new("writ-cli", vec![Operation::RunStart])];
        }
        issuer
    }

    /// The enrollment of a runner by its number.
    pub(crate) fn runner(&self, number: u8) -> RunnerEnrollment {
        RunnerEnrollment {
            id: RunnerId::from_bits(u128::from(number) + 1),
            group: RunnerGroupId::from_bits(u128::from(number) + 1),
            jail_key: self.jails[usize::from(number)].clone(),
            link_key: key(&format!("link {number}")).public().clone(),
            sealing_key: SealingPrivateKey::from_bytes(&[number + 1; 32]).public(),
        }
    }

    /// The entry that a told step is, after `state`.
    pub(crate) fn entry(&self, state: &CharterState, step: &Step) -> UnverifiedEntry {
        let (mut seq, mut prev) = (state.seq() + 1, state.head());
        match step.place {
            Place::Next => {}
            Place::OtherNumber => seq += 1,
            Place::OtherBefore => prev = sha256(b"another entry"),
        }
        let body = EntryBody { seq, prev: Some(prev), change: step.change.clone() };
        let body = serde_json::to_string(&body).unwrap();
        match &step.by {
            By::Roots(signatures) => {
                let signatures = signatures.iter().map(|one| self.root(&body, one)).collect();
                UnverifiedEntry::Roots { body, signatures }
            }
            By::People { signers, cosigned } => self.by_people(state, body, (signers, cosigned)),
        }
    }

    fn root(&self, body: &str, signature: &RootSignature) -> String {
        let signed = if signature.over_this { body } else { "{}" };
        sign_root(signed, &self.secret[&signature.by], &SystemRandom::new()).unwrap()
    }

    fn by_people(
        &self,
        state: &CharterState,
        body: String,
        (signers, cosigned): (&[Signature], &[Cosigned]),
    ) -> UnverifiedEntry {
        let mut writs: Vec<SignedWrit> =
            signers.iter().map(|signer| self.writ(state, &body, signer)).collect();
        let SignedWrit { writ, idc } = writs.remove(0);
        let mut entry =
            UnverifiedEntry::Writ { body, writ, idc, others: writs, cosignatures: Vec::new() };
        let digest = entry.digest();
        let made = cosigned.iter().map(|one| {
            let claims = CosignatureClaims {
                ten: state.ten(),
                seq: state.seq() + 1,
                prev: state.head(),
                digest: if one.over_this { digest } else { sha256(b"another entry") },
                at: one.at,
            };
            sign_cosignature(&claims, &self.secret[&one.by], &SystemRandom::new()).unwrap()
        });
        let made = made.collect();
        if let UnverifiedEntry::Writ { cosignatures, .. } = &mut entry {
            *cosignatures = made;
        }
        entry
    }

    fn writ(&self, state: &CharterState, body: &str, signature: &Signature) -> SignedWrit {
        let Signature { login, signed_at, lives_s, over } = signature;
        let card = self.cards.iter().find(|card| card.login == *login).unwrap();
        let mut claims = WritClaims {
            ten: state.ten(),
            principal: login.person.clone(),
            idc: card.idc.digest(),
            jti: format!("jti-of-entry-{:020}", state.seq() + 1),
            iat: *signed_at,
            exp: signed_at.plus(*lives_s),
            charter: state.head(),
            order: Order::CharterAppend { cnt: sha256(body.as_bytes()) },
        };
        let mut key = &self.secret[&login.key];
        match over {
            Over::This => {}
            Over::OtherBody => claims.order = Order::CharterAppend { cnt: sha256(b"another") },
            Over::OtherTenant => claims.ten = TenantId(sha256(b"another tenant")),
            Over::OtherHead => claims.charter = sha256(b"another entry"),
            Over::OtherKey => key = &self.secret[&self.jails[0]],
            Over::OtherName => claims.principal = person(A, "somebody-else"),
        }
        let writ = writ::sign(&claims, key, &SystemRandom::new()).unwrap();
        SignedWrit { writ, idc: card.idc.clone() }
    }

    /// A checkpoint of the audit log by a witness.
    pub(crate) fn checkpoint(&self, claims: &CheckpointClaims, witness: &PublicKey) -> String {
        checkpoint::sign(claims, &self.secret[witness], &SystemRandom::new()).unwrap()
    }
}
