//! What the jail does with each request: verify, decide, remember, answer.
//!
//! The one enforcement point (DESIGN §4). Reads top to bottom; each stage is a line here and a
//! function in `flow/…`. A stage that fails refuses the whole request, with the rule.
//!
//! Invariants:
//! * nothing is answered that was not first remembered, where it has to be;
//! * every decision is made under the newest charter that the jail has folded;
//! * a jail that has seen a newer charter head than it was shown since it started decides nothing;
//! * a jail that has stopped (`stop`) decides, folds and signs nothing, whatever it is asked.

pub(crate) mod action;
mod approve;
mod cancel;
mod code;
mod demand;
mod issuer_keys;
mod open;
mod read;
mod refuse;
mod session;
mod snapshot;
mod staleness;
mod standing;
mod stop;
mod test_connection;
mod witness;

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use writ_evidence::{
    charter::CharterState,
    digest::sha256,
    jws::UnverifiedJws,
    key::{Algorithm, SigningKey},
    statement::{self, Done, Says, Statement},
};
use writ_jail_link::{CellTask, Described, JailReply, JailRequest};
use writ_model::{Digest, IsolationReport, RunId, RunnerId, TenantId, UnixTime};
use writ_policy::Policies;

use crate::{
    runs::{AcceptedRun, StepPermit},
    state::{Attempt, Record, StateFile},
};

pub use issuer_keys::WantedKeys;
pub(crate) use refuse::Refusing;
pub use standing::PendingDelivery;
pub use test_connection::PermittedTest;

/// Seconds that a cell has for its one call.
const CALL_TIMEOUT_S: u32 = 30;

/// Everything the jail knows.
pub struct Jail {
    state: StateFile,
    key: SigningKey,
    random: SystemRandom,
    isolation: IsolationReport,
    isolation_digest: Digest,
    policies: Policies,
    charter: Option<CharterState>,
    snapshots: snapshot::UnderWay,
    runs: BTreeMap<RunId, AcceptedRun>,
    proofs: BTreeMap<String, UnixTime>,
    issuer_keys: issuer_keys::KnownKeys,
}

/// What becomes of a request.
pub enum Handled {
    /// It is answered.
    Reply(Box<JailReply>),
    /// A cell has to be asked first; then [`Jail::finish_action`].
    Call(Box<PermittedCall>),
    /// A cell has to be asked first; then [`Jail::finish_test`].
    Test(Box<PermittedTest>),
    /// A cell has to be asked first; then [`Jail::finish_delivery`].
    Webhook(Box<PendingDelivery>),
}

/// A call that was permitted and remembered as begun.
pub struct PermittedCall {
    /// The run.
    pub run: RunId,
    /// The permit, to be spent on the receipt.
    pub permit: StepPermit,
    /// What the cell is told.
    pub task: CellTask,
    /// Whether beginning it again after a crash is harmless.
    pub(crate) repeatable: bool,
}

impl Jail {
    /// Takes up the jail's memory; the first time, makes its key.
    ///
    /// # Errors
    ///
    /// The state file, the random source or the built-in policies fail; the jail does not start.
    pub fn start(mut state: StateFile, isolation: IsolationReport) -> Result<Self, StartError> {
        if state.memory().key.is_none() {
            state.append(vec![Record::Key(new_key()?)]).map_err(|_| StartError::State)?;
        }
        let key = stored_key(&state)?;
        let report = serde_json::to_vec(&isolation).map_err(|_| StartError::State)?;
        Ok(Self {
            key,
            state,
            random: SystemRandom::new(),
            isolation,
            isolation_digest: sha256(&report),
            policies: Policies::built_in().map_err(|_| StartError::Policies)?,
            charter: None,
            snapshots: snapshot::UnderWay::default(),
            runs: BTreeMap::new(),
            proofs: BTreeMap::new(),
            issuer_keys: issuer_keys::KnownKeys::default(),
        })
    }

    /// Answers a request, or says which cell to ask first.
    pub fn handle(&mut self, request: JailRequest, now: UnixTime) -> Handled {
        self.state.forget_expired(now);
        if let Some(refusing) = self.stopped_for(&request) {
            return Handled::Reply(Box::new(self.refuse(refusing, now)));
        }
        let reply = match request {
            JailRequest::Describe => Ok(self.describe(now)),
            JailRequest::Join { ten, head } => self.join(ten, head, now),
            JailRequest::Charter { entries } => self.fold(&entries, now),
            JailRequest::TakeSnapshot { from } => self.take_snapshot(from),
            JailRequest::ResumeCharter { digest, from, bytes } => {
                self.resume_charter(digest, from, &bytes)
            }
            JailRequest::Cosign { candidate } => self.cosign(&candidate, now),
            JailRequest::CosignPushed { candidate } => self.cosign_pushed(&candidate, now),
            JailRequest::MayReadCharter(read) => self.may_read_charter(&read, now),
            JailRequest::Checkpoint { size, root, consistency } => {
                self.sign_tree(size, root, &consistency, now)
            }
            JailRequest::Attest { checkpoints } => self.attest(&checkpoints, now),
            JailRequest::OpenRun(open) => self.open_run(&open, now),
            JailRequest::StandingDue => self.standing_due(now),
            JailRequest::OpenStanding(open) => match self.open_standing(*open, now) {
                Ok(handled) => return handled,
                Err(refusing) => Err(refusing),
            },
            JailRequest::ReopenRun(reopen) => self.reopen_run(&reopen, now),
            JailRequest::CallAction(call) => match self.permit_action(&call, now) {
                Ok(permitted) => return Handled::Call(Box::new(permitted)),
                Err(refusing) => Err(refusing),
            },
            JailRequest::PermitCode(code) => self.permit_code(&code, now),
            JailRequest::RecordCode(done) => self.record_code(*done, now),
            JailRequest::ResumeRun(resume) => self.resume_run(&resume, now),
            JailRequest::CancelRun(cancel) => self.cancel_run(&cancel, now),
            JailRequest::TestConnection(test) => match self.permit_test(&test, now) {
                Ok(handled) => return handled,
                Err(refusing) => Err(refusing),
            },
            JailRequest::RevokeSession(revoke) => self.revoke_session(&revoke, now),
            JailRequest::CloseRun(close) => self.close_run(&close, now),
            JailRequest::RequestApproval(request) => self.request_approval(&request, now),
            JailRequest::RequestCallApproval { call, deadline } => {
                self.request_call_approval(&call, deadline, now)
            }
            JailRequest::WasBegun { run, step, attempt } => {
                Ok(JailReply::Begun(self.state.memory().begun.contains(&Attempt {
                    run,
                    step,
                    attempt,
                })))
            }
            JailRequest::ApproveRun(approve) => self.approve_run(&approve, now),
            JailRequest::MayReadApproval(read) => self.may_read(&read, read::What::Approval, now),
            JailRequest::MayRead(read) => self.may_read(&read, read::What::Output, now),
            JailRequest::Shown { statement } => self.shown(&statement),
            JailRequest::Statements { after } => Ok(self.statements(after)),
        };
        let reply = reply.unwrap_or_else(|refusing| self.refuse(refusing, now));
        Handled::Reply(Box::new(reply))
    }

    fn describe(&self, now: UnixTime) -> JailReply {
        let memory = self.state.memory();
        JailReply::Described(Box::new(Described {
            jail_key: self.key.public().clone(),
            isolation: self.isolation.clone(),
            ten: memory.anchor,
            head: memory.head.map(|(_, digest)| digest),
            stopped: self.stopped().map(Refusing::unsaid),
            charter_seq: self.charter.as_ref().map(CharterState::seq),
            snapshots: memory.snapshots.clone(),
            statements: memory.statements.len() as u64,
            checkpoint_size: memory.tree.map_or(0, |(size, _)| size),
            attested_at: memory.attested_by_others,
            now,
        }))
    }

    /// A page of statements, for delivery.
    fn statements(&self, after: u64) -> JailReply {
        const PAGE: usize = 64;
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let statements =
            self.state.memory().statements.iter().skip(skip).take(PAGE).cloned().collect();
        JailReply::Statements { statements }
    }

    /// The receipt that a writ was answered with before, if it is one of this kind and about this run.
    ///
    /// SECURITY: the control plane names the run beside the writ. A receipt about another run, or of another
    /// operation, is no answer here: the runner would do to the run that was named what nobody ordered.
    fn answered(&self, writ: Digest, expected: impl Fn(&Says) -> bool) -> Option<JailReply> {
        let memory = self.state.memory();
        let statement = memory.statement(*memory.answered.get(&writ)?)?;
        // The file is the jail's own; the claims are read, not verified again.
        let peeked: Statement = UnverifiedJws::parse(statement).ok()?.peek().ok()?;
        let statement = statement.to_owned();
        expected(&peeked.says).then_some(JailReply::Statement { statement })
    }

    /// The receipt of this kind about a run that a writ was answered with before.
    fn answered_about(
        &self,
        run: RunId,
        writ: Digest,
        expected: impl Fn(&Done) -> bool,
    ) -> Option<JailReply> {
        self.answered(
            writ,
            |says| matches!(says, Says::Receipt(receipt) if receipt.run == run && expected(&receipt.done)),
        )
    }

    /// The charter, if it is folded at least as far as this jail has ever seen.
    fn current_charter(&self) -> Result<&CharterState, Refusing> {
        let behind = || {
            Refusing::unsigned(
                "charter-behind",
                "the jail has not been shown the charter as far as it has seen it before",
            )
        };
        let charter = self.charter.as_ref().ok_or_else(behind)?;
        let seen = self.state.memory().head;
        let reached =
            seen.is_none_or(|(seq, digest)| charter.seq() >= seq && charter.knows_head(digest));
        if reached { Ok(charter) } else { Err(behind()) }
    }

    /// This jail's own enrollment, found by its key.
    fn own_runner<'a>(
        &self,
        charter: &'a CharterState,
    ) -> Result<&'a writ_evidence::charter::RunnerEnrollment, Refusing> {
        charter
            .runners()
            .find(|runner| &runner.jail_key == self.key.public())
            .ok_or_else(|| Refusing::unsigned("not-enrolled", "the charter enrolls no such jail"))
    }

    fn own_id(&self, charter: &CharterState) -> Result<RunnerId, Refusing> {
        self.own_runner(charter).map(|runner| runner.id)
    }

    /// Numbers, signs and remembers a statement, together with `others`.
    fn state_with(
        &mut self,
        says: Says,
        now: UnixTime,
        others: Vec<Record>,
    ) -> Result<String, Refusing> {
        if let Some(stopped) = self.stopped() {
            return Err(stopped);
        }
        let charter = self.current_charter()?;
        let under = (charter.ten(), charter.head());
        self.sign(under, says, now, others)
    }

    /// The same under any head of a tenant's charter.
    fn sign(
        &mut self,
        (ten, charter): (TenantId, Digest),
        says: Says,
        now: UnixTime,
        mut others: Vec<Record>,
    ) -> Result<String, Refusing> {
        let failed = |_| Refusing::unsigned("jail-state", "the jail cannot write its state file");
        let memory = self.state.memory();
        let statement = Statement {
            ver: 1,
            ten,
            seq: memory.statements.len() as u64 + 1,
            prev: memory.last_statement(),
            charter,
            at: now,
            isolation: self.isolation_digest,
            says,
        };
        let compact = statement::sign(&statement, &self.key, &self.random)
            .map_err(|_| Refusing::unsigned("jail-state", "the jail cannot sign"))?;
        others.push(Record::Statement(compact.clone()));
        self.state.append(others).map_err(failed)?;
        Ok(compact)
    }
}

/// Why a jail does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The state file can't be used.
    #[error("the jail cannot use its state file")]
    State,
    /// The random source failed, or the stored key is not one.
    #[error("the jail has no usable key")]
    Key,
    /// The built-in policies are not valid.
    #[error("the built-in policies are not valid")]
    Policies,
}

fn new_key() -> Result<zeroize::Zeroizing<String>, StartError> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let document = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| StartError::Key)?;
    Ok(zeroize::Zeroizing::new(URL_SAFE_NO_PAD.encode(document.as_ref())))
}

fn stored_key(state: &StateFile) -> Result<SigningKey, StartError> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = state.memory().key.as_ref().ok_or(StartError::Key)?;
    let pkcs8 = zeroize::Zeroizing::new(
        URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| StartError::Key)?,
    );
    SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).map_err(|_| StartError::Key)
}
