//! A jail with a tenant of its own: real keys, a real state file, and whatever its people sign.

use std::fs::File;

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use writ_evidence::{
    charter::{
        Change, EntryBody, Genesis, RunnerEnrollment, UnverifiedEntry, WitnessQuorum, sign_root,
    },
    checkpoint::CheckpointClaims,
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc, nonce_for},
    issuer::{IdTokenAlgorithm, Issuer, IssuerClient, IssuerKey},
    jws::{self, HeaderExtra, ObjectType},
    key::{Algorithm, SigningKey},
    seal::SealingPrivateKey,
    writ::{self, Operation, Order, WritClaims},
};
use writ_jail::{
    flow::{Handled, Jail},
    state::StateFile,
};
use writ_jail_link::{JailReply, JailRequest};
use writ_model::{
    Digest, IsolationMode, IsolationReport, Principal, RunnerGroupId, RunnerId, TenantId, UnixTime,
};

const ISSUER: &str = "https://idp.example";

fn random_key() -> SigningKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    SigningKey::from_pkcs8(Algorithm::EdDsa, document.as_ref()).unwrap()
}

pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    UnixTime(since.as_secs())
}

pub(crate) fn person(sub: &str) -> Principal {
    Principal { iss: ISSUER.to_owned(), sub: sub.to_owned() }
}

/// A login and its key.
pub(crate) struct Login {
    pub(crate) idc: UnverifiedIdc,
    pub(crate) key: SigningKey,
}

/// A jail and its tenant, whose owner is Ann.
pub(crate) struct JailTenant {
    file: tempfile::NamedTempFile,
    pub(crate) jail: Jail,
    pub(crate) root: SigningKey,
    issuer: SigningKey,
    pub(crate) entries: Vec<UnverifiedEntry>,
    ten: TenantId,
    head: Digest,
    jtis: u32,
}

fn start(file: &File) -> Jail {
    let state = StateFile::open(file.try_clone().unwrap(), now()).unwrap();
    Jail::start(state, IsolationReport::new(IsolationMode::Full, [], false)).unwrap()
}

pub(crate) fn ask(jail: &mut Jail, request: JailRequest) -> Result<JailReply, String> {
    ask_at(jail, request, now())
}

/// The same with another clock.
pub(crate) fn ask_at(
    jail: &mut Jail,
    request: JailRequest,
    at: UnixTime,
) -> Result<JailReply, String> {
    match jail.handle(request, at) {
        Handled::Reply(reply) => match *reply {
            JailReply::Refused(refused) => Err(refused.code),
            reply => Ok(reply),
        },
        Handled::Call(_) | Handled::Test(_) | Handled::Webhook(_) => Ok(JailReply::Done),
    }
}

fn genesis(root: &SigningKey, issuer: &SigningKey, jail: &mut Jail) -> UnverifiedEntry {
    let Ok(JailReply::Described(described)) = ask(jail, JailRequest::Describe) else { panic!() };
    let operations = vec![
        Operation::RunStart,
        Operation::RunApprove,
        Operation::RunResume,
        Operation::CharterAppend,
    ];
    let key = issuer.public();
    let genesis = Genesis {
        roots: vec![root.public().clone()],
        threshold: 1,
        issuers: vec![Issuer {
            keys: vec![IssuerKey { kid: key.thumbprint().to_string(), jwk: key.clone().into() }],
            ..Issuer::new(
                ISSUER,
                vec![IdTokenAlgorithm::EdDsa],
                vec![IssuerClient::new("writ-cli", operations)],
            )
        }],
        owners: vec![person("ann")],
        runner: RunnerEnrollment {
            id: RunnerId::from_bits(1),
            group: RunnerGroupId::from_bits(1),
            jail_key: described.jail_key,
            link_key: random_key().public().clone(),
            sealing_key: SealingPrivateKey::from_bytes(&[1; 32]).public(),
        },
    };
    let body = EntryBody { seq: 0, prev: None, change: Change::Genesis(genesis) };
    let body = serde_json::to_string(&body).unwrap();
    let signatures = vec![sign_root(&body, root, &SystemRandom::new()).unwrap()];
    UnverifiedEntry::Roots { body, signatures }
}

impl JailTenant {
    pub(crate) fn found() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut jail = start(file.as_file());
        let issuer = random_key();
        let root = random_key();
        let first = genesis(&root, &issuer, &mut jail);
        let (ten, head) = (TenantId(first.digest()), first.digest());
        ask(&mut jail, JailRequest::Join { ten, head: None }).unwrap();
        ask(&mut jail, JailRequest::Charter { entries: vec![first.clone()] }).unwrap();
        Self { file, jail, root, issuer, entries: vec![first], ten, head, jtis: 0 }
    }

    pub(crate) fn log_in(&self, sub: &str) -> Login {
        let key = random_key();
        let random = SystemRandom::new();
        let extra = HeaderExtra {
            jwk: Some(key.public().clone()),
            rz: Some(URL_SAFE_NO_PAD.encode([7; 32])),
            ..HeaderExtra::default()
        };
        let cic = jws::sign(&key, &random, ObjectType::Cic, extra, b"").unwrap();
        let (iat, nonce) = (now(), nonce_for(&cic));
        let claims = json!({"iss": ISSUER, "sub": sub, "aud": "writ-cli", "nonce": nonce, "iat": iat, "exp": iat.plus(3600)});
        let kid = Some(self.issuer.public().thumbprint().to_string());
        let extra = HeaderExtra { kid, ..HeaderExtra::default() };
        let payload = claims.to_string();
        let id_token =
            jws::sign(&self.issuer, &random, ObjectType::IdToken, extra, payload.as_bytes());
        let id_token = id_token.unwrap();
        Login { idc: UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None }, key }
    }

    pub(crate) fn sign(&mut self, login: &Login, sub: &str, order: Order) -> String {
        self.jtis += 1;
        let iat = now();
        let claims = WritClaims {
            ten: self.ten,
            principal: person(sub),
            idc: login.idc.digest(),
            jti: format!("jti-of-a-test-{:08}", self.jtis),
            iat,
            exp: iat.plus(120),
            charter: self.head,
            order,
        };
        writ::sign(&claims, &login.key, &SystemRandom::new()).unwrap()
    }

    /// What somebody would change next.
    pub(crate) fn candidate(&mut self, sub: &str, change: Change) -> UnverifiedEntry {
        let seq = self.entries.len() as u64;
        let body = EntryBody { seq, prev: Some(self.head), change };
        let body = serde_json::to_string(&body).unwrap();
        let login = self.log_in(sub);
        let order = Order::CharterAppend { cnt: sha256(body.as_bytes()) };
        let writ = self.sign(&login, sub, order);
        let (idc, others, cosignatures) = (login.idc, Vec::new(), Vec::new());
        UnverifiedEntry::Writ { body, writ, idc, others, cosignatures }
    }

    pub(crate) fn change(&mut self, change: Change) {
        let mut entry = self.candidate("ann", change);
        let candidate = Box::new(entry.clone());
        let cosigned = ask(&mut self.jail, JailRequest::Cosign { candidate });
        let Ok(JailReply::Cosigned { cosignature }) = cosigned else { panic!("not cosigned") };
        if let UnverifiedEntry::Writ { cosignatures, .. } = &mut entry {
            cosignatures.push(cosignature);
        }
        self.head = entry.digest();
        self.entries.push(entry.clone());
        ask(&mut self.jail, JailRequest::Charter { entries: vec![entry] }).unwrap();
    }

    /// Root keys say after how many seconds the charter is stale.
    pub(crate) fn set_max_staleness(&mut self, seconds: u32) {
        self.set_witnesses(&[RunnerId::from_bits(1)], Some(seconds));
    }

    /// Root keys name witnesses, one of whom cosigns.
    pub(crate) fn set_witnesses(&mut self, named: &[RunnerId], max_staleness_s: Option<u32>) {
        let witnesses = named.iter().copied().collect();
        self.root_change(Change::WitnessSet(WitnessQuorum {
            witnesses,
            threshold: 1,
            max_staleness_s,
        }));
    }

    /// Root keys make a change.
    pub(crate) fn root_change(&mut self, change: Change) {
        let entry = self.rooted(self.entries.len(), change, &self.root);
        self.head = entry.digest();
        self.entries.push(entry.clone());
        ask(&mut self.jail, JailRequest::Charter { entries: vec![entry] }).unwrap();
    }

    /// A change as the entry of a number, signed by a key.
    pub(crate) fn rooted(&self, seq: usize, change: Change, key: &SigningKey) -> UnverifiedEntry {
        let prev = Some(self.entries[seq - 1].digest());
        let body = serde_json::to_string(&EntryBody { seq: seq as u64, prev, change }).unwrap();
        let signatures = vec![sign_root(&body, key, &SystemRandom::new()).unwrap()];
        UnverifiedEntry::Roots { body, signatures }
    }

    /// What is in the state file now: a backup that should not be.
    pub(crate) fn backup(&self) -> Vec<u8> {
        std::fs::read(self.file.path()).unwrap()
    }

    /// The jail dies, and the next one starts from such a backup.
    pub(crate) fn restore(&mut self, backup: &[u8]) {
        std::fs::write(self.file.path(), backup).unwrap();
        self.restart_without_charter();
    }

    /// Enrolls another runner, whose jail's key is returned.
    pub(crate) fn enroll(&mut self, number: u8) -> SigningKey {
        let key = random_key();
        let enrollment = RunnerEnrollment {
            id: RunnerId::from_bits(number.into()),
            group: RunnerGroupId::from_bits(number.into()),
            jail_key: key.public().clone(),
            link_key: random_key().public().clone(),
            sealing_key: SealingPrivateKey::from_bytes(&[number; 32]).public(),
        };
        self.change(Change::RunnerEnroll(Box::new(enrollment)));
        key
    }

    /// A checkpoint of a jail's that names the newest entry.
    pub(crate) fn checkpoint(&self, at: UnixTime) -> CheckpointClaims {
        CheckpointClaims {
            ten: self.ten,
            size: 1,
            root: self.head,
            charter: self.head,
            statements: 0,
            at,
        }
    }

    /// The newest entry.
    pub(crate) fn newest(&self) -> UnverifiedEntry {
        self.entries.last().unwrap().clone()
    }

    /// The jail dies, and its next life is shown nothing yet.
    pub(crate) fn restart_without_charter(&mut self) {
        self.jail = start(self.file.as_file());
    }

    /// The jail dies, and its next life is shown the charter.
    pub(crate) fn restart(&mut self) {
        self.restart_without_charter();
        let entries = self.entries.clone();
        ask(&mut self.jail, JailRequest::Charter { entries }).unwrap();
    }
}
