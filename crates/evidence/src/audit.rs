//! Does an audit log hold, whole, offline?
//!
//! In: every record, the checkpoints, and the tenant's trust anchor. Out: a summary, or the first
//! bad record and why. Nobody's word is taken: charter entries are folded, writs and statements
//! verified by the keys that the fold names, and the tree is compared with what a witness signed.
//!
//! What it proves, up to the newest checkpoint: no record was removed, altered or reordered, and
//! no statement that the jail had made by then is withheld (each jail's `seq` has no gap).
//!
//! What was cut off at the end, and which of two logs is the true one, no log says of itself: [`Known`] holds
//! what somebody has from elsewhere.
//!
//! Not here: reading the export (`cli`), which records a control plane writes (`server`).

mod elsewhere;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_model::{Digest, TenantId, UnixTime};

pub use self::elsewhere::{Behind, Known};
use self::{elsewhere::Freshness, runs::Runs};
use crate::{
    charter::{Change, CharterState, EntryBody, MayAppend, RootFork, UnverifiedEntry},
    checkpoint,
    digest::sha256_parts,
    idc::UnverifiedIdc,
    issuer::TokenKeys,
    json,
    jws::UnverifiedJws,
    merkle::{self, Frontier},
    statement::{CharterForked, Says, VerifiedStatement},
    writ::VerifiedWrit,
};

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// A charter entry: JSON of an [`UnverifiedEntry`].
    Charter,
    /// A writ: JSON of a [`WritRecord`].
    Writ,
    /// The control plane's early decision: JSON of a [`DecisionNote`]. Nobody's evidence.
    Decision,
    /// A jail's acceptance, compact.
    Acceptance,
    /// A jail's refusal, compact.
    Refusal,
    /// A jail's receipt, compact.
    Receipt,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Charter, Self::Writ, Self::Decision, Self::Acceptance, Self::Refusal, Self::Receipt];

    /// The kind, as written and digested.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charter => "charter",
            Self::Writ => "writ",
            Self::Decision => "decision",
            Self::Acceptance => "acceptance",
            Self::Refusal => "refusal",
            Self::Receipt => "receipt",
        }
    }

    /// The kind of a statement.
    #[must_use]
    pub const fn of(says: &Says) -> Self {
        match says {
            Says::Acceptance(_) => Self::Acceptance,
            Says::Refusal(_) | Says::Forked(_) => Self::Refusal,
            Says::Receipt(_) | Says::Tested(_) | Says::Revoked(_) => Self::Receipt,
        }
    }
}

/// One record: its salted digest is the leaf, its bytes lie beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// What it is of.
    pub kind: RecordKind,
    /// 16 random bytes, base64url, so that a leaf does not give its bytes away.
    pub salt: String,
    /// The exact bytes.
    pub body: String,
}

impl AuditRecord {
    /// Makes a record with a salt that the caller drew.
    #[must_use]
    pub fn new(kind: RecordKind, salt: [u8; 16], body: String) -> Self {
        Self { kind, salt: URL_SAFE_NO_PAD.encode(salt), body }
    }

    /// The record's RFC 6962 leaf hash, over SHA-256 of salt, kind and body.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let data = sha256_parts(&[
            self.salt.as_bytes(),
            b".",
            self.kind.as_str().as_bytes(),
            b".",
            self.body.as_bytes(),
        ]);
        merkle::leaf_hash(data.as_bytes())
    }
}

/// A writ and its signer's credential, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritRecord {
    /// The compact writ.
    pub writ: String,
    /// Its signer's credential.
    pub idc: UnverifiedIdc,
}

/// The control plane's early decision over a writ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionNote {
    /// Digest of the writ.
    pub writ: Digest,
    /// Whether it was relayed.
    pub relayed: bool,
    /// Stable code, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: UnixTime,
}

/// What a log that holds contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSummary {
    /// Records under the newest checkpoint.
    pub verified: u64,
    /// Records after it, verified one by one but not yet under a witness's signature.
    pub uncovered: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<RecordKind, u64>,
    /// The charter head.
    pub charter: Digest,
    /// When the newest checkpoint was signed.
    pub checkpoint_at: UnixTime,
    /// Statements that a jail made after an entry that it had not been shown, however short a time.
    pub behind: Vec<Behind>,
    /// Forks that a jail was shown: it has stopped.
    pub forks: Vec<ForkSeen>,
}

/// A fork that a jail's statement speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkSeen {
    /// Index of the statement's record.
    pub index: u64,
    /// The two entries.
    pub fork: RootFork,
    /// Whether the statement holds the other entry with its signatures, so that nobody's word is taken for it.
    pub proven: bool,
}

/// The first thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit log is bad at record {index}: {why}")]
pub struct BadRecord {
    /// Index of the first bad record; the log's size if something is missing at its end.
    pub index: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Verifies a whole log.
///
/// # Errors
///
/// [`BadRecord`]: the first record that does not hold.
pub fn verify(
    records: &[AuditRecord],
    checkpoints: &[String],
    ten: TenantId,
    known: &Known,
    may: &impl MayAppend,
) -> Result<AuditSummary, BadRecord> {
    let mut reader = Reader::default();
    for record in records {
        reader.read(record, ten, may)?;
    }
    let charter = reader.charter.as_ref().ok_or_else(|| BadRecord {
        index: 0,
        why: "the log holds no charter entry 0".to_owned(),
    })?;
    let newest = check_tree(records, checkpoints, charter, &reader)?;
    check_known(records, known, charter, &reader)?;
    Ok(AuditSummary {
        verified: newest.size,
        uncovered: reader.index.saturating_sub(newest.size),
        kinds: reader.kinds,
        charter: charter.head(),
        checkpoint_at: newest.at,
        behind: reader.freshness.behind(),
        forks: reader.forks,
    })
}

/// Compares the log with what is known from elsewhere.
fn check_known(
    records: &[AuditRecord],
    known: &Known,
    charter: &CharterState,
    reader: &Reader,
) -> Result<(), BadRecord> {
    let bad = |index, why: String| BadRecord { index, why };
    if let Some(head) = known.charter_heads.iter().find(|head| !reader.heads.contains_key(head)) {
        let why = format!("the log lacks charter head {head}, which is known from elsewhere");
        return Err(bad(reader.index, why));
    }
    for checkpoint in &known.checkpoints {
        check_tree(records, std::slice::from_ref(checkpoint), charter, reader).map_err(
            |differs| {
                let why =
                    format!("a checkpoint known from elsewhere is of another log: {}", differs.why);
                bad(differs.index, why)
            },
        )?;
    }
    Ok(())
}

/// Compares the records with every checkpoint, oldest first, so that the first range that differs
/// is named.
fn check_tree(
    records: &[AuditRecord],
    checkpoints: &[String],
    charter: &CharterState,
    reader: &Reader,
) -> Result<checkpoint::CheckpointClaims, BadRecord> {
    let bad = |index, why: String| BadRecord { index, why };
    let mut tree = Frontier::default();
    let mut remaining = records.iter();
    let mut newest = None;
    for compact in checkpoints {
        let covered = tree.size();
        let (jail, claims) = checkpoint_of(compact, charter).map_err(|why| bad(covered, why))?;
        if claims.ten != charter.ten() || claims.size < covered {
            return Err(bad(covered, "checkpoint is another log's or goes back".to_owned()));
        }
        while tree.size() < claims.size {
            let missing =
                || bad(tree.size(), "records that a witness signed are missing".to_owned());
            tree.push(remaining.next().ok_or_else(missing)?.leaf());
        }
        if tree.root() != claims.root {
            let last = claims.size.saturating_sub(1);
            let why = format!("records {covered} to {last} are not those that the witness signed");
            return Err(bad(covered, why));
        }
        reader.check_witness(jail, claims.charter).map_err(|why| bad(covered, why))?;
        if claims.statements > reader.chains.get(&jail).map_or(0, |(seq, _)| *seq) {
            let made = claims.statements;
            let why =
                format!("the witness had made {made} statements, and the log ends before that");
            return Err(bad(reader.index, why));
        }
        newest = Some(claims);
    }
    newest.ok_or_else(|| bad(0, "the log has no checkpoint of a witness".to_owned()))
}

/// A checkpoint by the jail that signed it, which is or was enrolled; the thumbprint names the jail.
fn checkpoint_of(
    compact: &str,
    charter: &CharterState,
) -> Result<(Digest, checkpoint::CheckpointClaims), String> {
    let refused = |error| format!("checkpoint is refused: {error}");
    let jws = UnverifiedJws::parse(compact).map_err(refused)?;
    let signer = jws.kid().unwrap_or_default().to_owned();
    let runner = charter
        .all_runners()
        .find(|runner| runner.jail_key.thumbprint().to_string() == signer)
        .ok_or("checkpoint is by no jail that was ever enrolled")?;
    let claims = checkpoint::verify(compact, &runner.jail_key).map_err(refused)?;
    Ok((runner.jail_key.thumbprint(), claims))
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    index: u64,
    charter: Option<CharterState>,
    /// The number of each entry, by its digest: a head.
    heads: BTreeMap<Digest, u64>,
    /// Who the witnesses' jails were from an entry on, by thumbprint; the newest last.
    witnesses: Vec<(u64, BTreeSet<Digest>)>,
    /// Per jail key: number and digest of its newest statement.
    chains: BTreeMap<Digest, (u64, Digest)>,
    runs: Runs,
    freshness: Freshness,
    forks: Vec<ForkSeen>,
    kinds: BTreeMap<RecordKind, u64>,
}

impl Reader {
    fn read(
        &mut self,
        record: &AuditRecord,
        ten: TenantId,
        may: &impl MayAppend,
    ) -> Result<(), BadRecord> {
        let checked = match record.kind {
            RecordKind::Charter => self.read_charter(&record.body, ten, may),
            RecordKind::Writ => self.read_writ(&record.body),
            RecordKind::Decision => read_decision(&record.body),
            RecordKind::Acceptance | RecordKind::Refusal | RecordKind::Receipt => {
                self.read_statement(&record.body, record.kind)
            }
        };
        let salt = URL_SAFE_NO_PAD.decode(&record.salt).is_ok_and(|salt| salt.len() == 16);
        let checked = if salt { checked } else { Err("salt is not 16 bytes".to_owned()) };
        checked.map_err(|why| BadRecord { index: self.index, why })?;
        *self.kinds.entry(record.kind).or_default() += 1;
        self.index += 1;
        Ok(())
    }

    fn charter(&self) -> Result<&CharterState, String> {
        self.charter.as_ref().ok_or_else(|| "it comes before charter entry 0".to_owned())
    }

    fn read_charter(
        &mut self,
        body: &str,
        ten: TenantId,
        may: &impl MayAppend,
    ) -> Result<(), String> {
        let entry: UnverifiedEntry =
            serde_json::from_str(body).map_err(|_| "not a charter entry".to_owned())?;
        match &mut self.charter {
            None => self.charter = Some(CharterState::found(&entry, ten).map_err(|e| chain(&e))?),
            Some(charter) => charter.append(&entry, may).map_err(|e| chain(&e))?,
        }
        if let Ok(EntryBody { change: Change::StandingSet(standing), .. }) = entry.body() {
            self.runs.granted(entry.digest(), standing.name);
        }
        self.note_witnesses();
        let seq = self.charter.as_ref().map_or(0, CharterState::seq);
        self.freshness.entry(seq, &entry);
        Ok(())
    }

    /// Remembers the head and, where they changed, its witnesses.
    fn note_witnesses(&mut self) {
        let Some(charter) = &self.charter else { return };
        self.heads.insert(charter.head(), charter.seq());
        let witnesses: BTreeSet<Digest> = charter
            .runners()
            .filter(|runner| charter.is_witness(runner.id))
            .map(|runner| runner.jail_key.thumbprint())
            .collect();
        if self.witnesses.last().is_none_or(|(_, before)| *before != witnesses) {
            self.witnesses.push((charter.seq(), witnesses));
        }
    }

    /// Whether a jail was a witness under the head that it names.
    fn check_witness(&self, jail: Digest, head: Digest) -> Result<(), String> {
        let seq =
            self.heads.get(&head).ok_or("the witness knew a charter head that the log lacks")?;
        let then = self.witnesses.iter().rev().find(|(from, _)| from <= seq);
        if then.is_some_and(|(_, witnesses)| witnesses.contains(&jail)) {
            return Ok(());
        }
        Err("the checkpoint's signer was no witness then".to_owned())
    }

    fn read_writ(&mut self, body: &str) -> Result<(), String> {
        let record: WritRecord =
            json::parse_as(body.as_bytes()).map_err(|_| "not a writ record".to_owned())?;
        let charter = self.charter()?;
        let signed_at = signed_at(&record.writ)?;
        // Where keys are fetched, the jail that accepted the writ has verified the token: its
        // signed acceptance stands in the log, and an issuer's rotation breaks no history.
        let idc = charter
            .verify_idc(&record.idc, TokenKeys::Witnessed, signed_at)
            .map_err(|error| chain(&error))?;
        let writ = VerifiedWrit::verify(&record.writ, &idc, charter.ten(), signed_at)
            .map_err(|error| chain(&error))?;
        if !charter.knows_head(writ.claims().charter) {
            return Err("the writ names a charter head that the log lacks".to_owned());
        }
        self.runs.ordered(writ.digest());
        Ok(())
    }

    fn read_statement(&mut self, body: &str, kind: RecordKind) -> Result<(), String> {
        let charter = self.charter()?;
        let jws = UnverifiedJws::parse(body).map_err(|error| chain(&error))?;
        let key_id = jws.kid().unwrap_or_default().to_owned();
        let runner = charter
            .all_runners()
            .find(|runner| runner.jail_key.thumbprint().to_string() == key_id)
            .ok_or("no jail that was ever enrolled has this key")?;
        let jail = runner.jail_key.thumbprint();
        let verified = VerifiedStatement::verify(body, &runner.jail_key, charter.ten())
            .map_err(|error| chain(&error))?;
        let statement = verified.statement();
        if RecordKind::of(&statement.says) != kind {
            return Err("the statement is of another kind".to_owned());
        }
        let head = *self
            .heads
            .get(&statement.charter)
            .ok_or("the jail knew a charter head that the log lacks")?;
        let before = self.chains.get(&jail);
        let follows = statement.seq == before.map_or(0, |(seq, _)| *seq) + 1
            && statement.prev == before.map(|(_, digest)| *digest);
        if !follows {
            return Err("it does not follow the jail's statement before: one is missing".to_owned());
        }
        if let Says::Forked(CharterForked { fork, entry }) = &statement.says {
            let shown = entry.as_ref().and_then(|entry| charter.root_fork(entry));
            let proven = shown.as_ref() == Some(fork);
            self.forks.push(ForkSeen { index: self.index, fork: *fork, proven });
        }
        let next = (statement.seq, verified.digest());
        self.runs.follow(&statement.says, jail)?;
        self.freshness.statement(self.index, head, statement.at);
        self.chains.insert(jail, next);
        Ok(())
    }
}

fn read_decision(body: &str) -> Result<(), String> {
    json::parse_as::<DecisionNote>(body.as_bytes())
        .map(drop)
        .map_err(|_| "not a decision".to_owned())
}

/// When a writ says that it was signed: what its credential's freshness is judged at.
fn signed_at(writ: &str) -> Result<UnixTime, String> {
    #[derive(Deserialize)]
    struct Iat {
        iat: UnixTime,
    }
    let claims: Iat =
        UnverifiedJws::parse(writ).and_then(|jws| jws.peek()).map_err(|error| chain(&error))?;
    Ok(claims.iat)
}

/// An error and what is behind it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
