//! What the jail says, signed: acceptance, refusal, receipt (DESIGN §3.5).
//!
//! Every statement of a jail carries `seq` and `prev`, one chain per jail over every kind, so that a
//! dropped statement leaves a gap that anyone can see.
//!
//! In: a compact JWS, the jail's enrolled key and the tenant. Out: [`VerifiedStatement`].
//! Not here: keeping `seq` (the jail's state file); the whole log (`cli`'s `audit verify`).

use std::collections::BTreeSet;

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use writ_model::{
    Actor, AutomationName, CodeLanguage, ConnectionHost, Digest, KeyedDigest, PinnedAction,
    PinnedConnection, Principal, RunId, SecretRef, StandingName, StepId, TenantId, UnixTime,
};

use crate::{
    approval::{ApprovalAsked, ApprovalDecided, ApprovalGate},
    charter::{CodeGrant, RootFork, UnverifiedEntry},
    jws::{self, JwsError, ObjectType, UnverifiedJws},
    key::{PublicKey, SigningError, SigningKey},
    writ::ConnectionGrant,
};

/// A statement and its place in its jail's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Format version, 1.
    pub ver: u8,
    /// The tenant.
    pub ten: TenantId,
    /// Its number in the jail's chain; the first is 1.
    pub seq: u64,
    /// Digest of the jail's statement before; absent in the first.
    pub prev: Option<Digest>,
    /// The charter head under which it was decided.
    pub charter: Digest,
    /// When.
    pub at: UnixTime,
    /// Digest of the isolation report under which it was made.
    pub isolation: Digest,
    /// What it says.
    pub says: Says,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase", deny_unknown_fields)]
pub enum Says {
    /// A writ is accepted.
    Acceptance(Acceptance),
    /// Something is refused.
    Refusal(Refusal),
    /// Something of a run was done.
    Receipt(Receipt),
    /// A connection was tested: a receipt that is of no run.
    Tested(ConnectionTested),
    /// Root keys signed two changes of one number: the jail has stopped, for good.
    Forked(CharterForked),
    /// A session was revoked: a receipt that is of no run.
    Revoked(SessionRevoked),
}

impl Says {
    const fn object(&self) -> ObjectType {
        match self {
            Self::Acceptance(_) => ObjectType::Acceptance,
            Self::Refusal(_) | Self::Forked(_) => ObjectType::Refusal,
            Self::Receipt(_) | Self::Tested(_) | Self::Revoked(_) => ObjectType::Receipt,
        }
    }
}

/// A decision, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// Ids of the deciding policies.
    pub policies: Vec<String>,
    /// The path, for people: `user → binding → workspace`, one per right that was needed.
    pub because: Vec<String>,
}

/// The jail accepts a writ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The run.
    pub run: RunId,
    /// Digest of the accepted writ; of a standing writ, the digest of its charter entry.
    pub writ: Digest,
    /// What fired, if it is a standing writ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingFired>,
    /// Who signed it.
    pub principal: Principal,
    /// The signer's groups in the fresh ID token: they count for this run.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// RFC 7638 thumbprint of the key that signed it, which may be suspended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// Who published the automation.
    pub publisher: Principal,
    /// The automation.
    pub automation: AutomationName,
    /// Its closed bundle.
    pub bundle: Digest,
    /// The input, keyed by the run key.
    pub inp: KeyedDigest,
    /// Connections and actions allowed.
    pub connections: Vec<ConnectionGrant>,
    /// Code allowed.
    pub code: Vec<CodeGrant>,
    /// Tasks that ask people to approve, and what stands behind each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalGate>,
    /// When the run must have ended.
    pub deadline: UnixTime,
    /// Why it was allowed.
    pub decision: DecisionRecord,
}

/// A standing writ fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingFired {
    /// Which.
    pub name: StandingName,
    /// The instant of its schedule; absent if a webhook's delivery fired it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<UnixTime>,
}

impl Acceptance {
    /// The signer, asking at `at`, with the groups that counted when the run was accepted.
    #[must_use]
    pub const fn actor(&self, at: UnixTime) -> Actor<'_> {
        Actor { principal: &self.principal, groups: Some(&self.groups), at: Some(at), login: None }
    }
}

/// The jail refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Digest of the writ, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writ: Option<Digest>,
    /// The run, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Stable code.
    pub code: String,
    /// The rule, in a sentence; never data of the run.
    pub reason: String,
}

/// The jail says that something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The run.
    pub run: RunId,
    /// What was done.
    pub done: Done,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase", deny_unknown_fields)]
pub enum Done {
    /// A system action, by a cell.
    Action(ActionDone),
    /// A code step, by a sandbox; the outcome is the runner's word.
    Code(CodeDone),
    /// A suspended run was resumed by a `run.resume` writ.
    Resumed(RunResumed),
    /// The run was cancelled by a `run.cancel` writ: nothing more of it begins.
    Cancelled(RunCancelled),
    /// People are asked to approve.
    Asked(ApprovalAsked),
    /// Somebody has answered, by a `run.approve` writ.
    Decided(ApprovalDecided),
    /// The run was closed and never opens again.
    Closed(RunClosed),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase", deny_unknown_fields)]
pub enum StepOutcome {
    /// It succeeded.
    Ok {
        /// Keyed digest of the output.
        output: KeyedDigest,
    },
    /// It failed.
    Failed {
        /// Stable code.
        code: String,
        /// HTTP status, if the service answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
}

/// A system action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionDone {
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The action and its pack's digest.
    pub action: PinnedAction,
    /// The connection and its definition's digest.
    pub connection: PinnedConnection,
    /// Why it was allowed.
    pub decision: DecisionRecord,
    /// Keyed digest of the parameters.
    pub input: KeyedDigest,
    /// When it started.
    pub started_at: UnixTime,
    /// How it ended.
    pub outcome: StepOutcome,
}

/// A code step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeDone {
    /// The step.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// The language.
    pub language: CodeLanguage,
    /// Digest of the code.
    pub code: Digest,
    /// Wall-clock limit in seconds.
    pub limit_wall_s: u32,
    /// Memory limit in bytes.
    pub limit_memory: u64,
    /// Keyed digest of the arguments.
    pub input: KeyedDigest,
    /// When it was permitted.
    pub started_at: UnixTime,
    /// How it ended.
    pub outcome: StepOutcome,
}

/// A resumed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResumed {
    /// Digest of the `run.resume` writ.
    pub writ: Digest,
    /// Who signed it.
    pub principal: Principal,
    /// The step in doubt.
    pub step: StepId,
    /// Which attempt of it.
    pub attempt: u32,
    /// Why it was allowed.
    pub decision: DecisionRecord,
}

/// A cancelled run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCancelled {
    /// Digest of the `run.cancel` writ.
    pub writ: Digest,
    /// Who signed it.
    pub principal: Principal,
    /// Why it was allowed.
    pub decision: DecisionRecord,
}

/// A closed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunClosed {
    /// Whether it completed rather than faulted.
    pub completed: bool,
    /// Keyed digest of the output, if it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<KeyedDigest>,
    /// Stable code of the fault, if it faulted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A tested connection: the credential was read as runs read it, and nothing was sent to a service.
///
/// What was tested is said by the charter's definition, which `connection` pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTested {
    /// Digest of the `connection.test` writ.
    pub writ: Digest,
    /// Who signed it.
    pub principal: Principal,
    /// The connection and its definition's digest.
    pub connection: PinnedConnection,
    /// Where its credential is kept: a reference, never a value.
    pub secret: SecretRef,
    /// Why it was allowed.
    pub decision: DecisionRecord,
    /// When it started.
    pub started_at: UnixTime,
    /// The hosts that were reached and, unless they are `plaintext`, proved their name by TLS.
    pub reached: Vec<ConnectionHost>,
    /// How it ended.
    pub outcome: TestOutcome,
}

/// How the test of a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase", deny_unknown_fields)]
pub enum TestOutcome {
    /// The credential was read and every host was reached.
    Ok,
    /// It failed; nothing was tried after that.
    Failed {
        /// Stable code, the same as a run's.
        code: String,
        /// HTTP status, if a secret manager answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// What it failed at.
        at: TestStage,
    },
}

/// What the test of a connection was about when it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestStage {
    /// No cell could be asked, or it died.
    Cell,
    /// The credential.
    Secret,
    /// This host.
    Host(ConnectionHost),
}

/// Two changes that root keys signed at one number, as a jail was shown them. It refuses everything from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterForked {
    /// Which.
    pub fork: RootFork,
    /// The second one, if it is short enough to stand here: whoever has the first needs no other proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<UnverifiedEntry>,
}

/// A revoked session: from then on this jail takes nothing that its key signs for that login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRevoked {
    /// Digest of the `session.revoke` writ.
    pub writ: Digest,
    /// Who signed it.
    pub principal: Principal,
    /// The digest of the session's credential.
    pub session: Digest,
    /// What its issuer vouched for, which no other credential of the same login can change.
    pub commitment: Digest,
    /// Whose session it is.
    pub of: Principal,
    /// Until when it is refused: as long as any issuer lets a login live.
    pub until: UnixTime,
    /// Why it was allowed.
    pub decision: DecisionRecord,
}

/// A statement that its jail signed. Only verification makes one.
#[derive(Debug, Clone)]
pub struct VerifiedStatement {
    digest: Digest,
    statement: Statement,
}

impl VerifiedStatement {
    /// Verifies a compact statement by its jail's enrolled key.
    ///
    /// # Errors
    ///
    /// [`StatementError`].
    pub fn verify(compact: &str, jail: &PublicKey, ten: TenantId) -> Result<Self, StatementError> {
        let unverified = UnverifiedJws::parse(compact).map_err(StatementError::Jws)?;
        let peeked: Statement = unverified.peek().map_err(StatementError::Jws)?;
        let verified =
            unverified.verify(peeked.says.object(), jail).map_err(StatementError::Jws)?;
        let statement: Statement = verified.claims().map_err(StatementError::Jws)?;
        if statement.ver != 1 || statement.ten != ten {
            return Err(StatementError::Tenant);
        }
        Ok(Self { digest: verified.digest(), statement })
    }

    /// SHA-256 of the compact form: the next statement's `prev`.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Form, type, algorithm or signature.
    #[error("statement is refused")]
    Jws(#[source] JwsError),
    /// It is another tenant's, or of another version.
    #[error("statement is for another tenant or of another version")]
    Tenant,
}

/// Signs a statement with the jail's key.
///
/// # Errors
///
/// [`SigningError`]: the random source failed.
pub fn sign(
    statement: &Statement,
    jail: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningError> {
    jws::sign_claims(jail, random, statement.says.object(), statement)
}
