//! What there is to do for a runner, and who waits for a witness's verdict.
//!
//! Nothing is dispatched from memory alone: tasks are computed from the store at each request, so
//! a crash on either side loses none.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use writ_api::{CandidateVerdict, RunnerTask, Take};
use writ_evidence::{
    charter::Subject, checkpoint::CheckpointClaims, jws::UnverifiedJws, merkle, writ::Operation,
};
use writ_model::{Digest, RunnerGroupId, RunnerId, UnixTime};

use crate::{clock, store::StoreError, tenant::Tenant};

/// How long a runner's request is held while there is nothing to do.
const HOLD: Duration = Duration::from_secs(20);

/// What witnesses have answered about the candidate of the moment, and who waits for the outcome.
#[derive(Default)]
pub(crate) struct Verdicts {
    waiting: Mutex<BTreeMap<Digest, oneshot::Sender<CandidateVerdict>>>,
    /// Forgotten by a restart: then they are asked again, and answer the same.
    answered: Mutex<BTreeMap<Digest, BTreeMap<RunnerId, CandidateVerdict>>>,
}

impl Verdicts {
    /// Waits for the outcome over a candidate.
    pub(crate) fn expect(&self, digest: Digest) -> oneshot::Receiver<CandidateVerdict> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, sender);
        receiver
    }

    /// Whether a witness has answered about a candidate.
    pub(crate) fn has_answered(&self, digest: Digest, witness: RunnerId) -> bool {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(&digest).is_some_and(|answers| answers.contains_key(&witness))
    }

    /// Remembers a witness's answer; returns every answer so far.
    pub(crate) fn take(
        &self,
        digest: Digest,
        witness: RunnerId,
        verdict: CandidateVerdict,
    ) -> Vec<CandidateVerdict> {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|known, _| *known == digest);
        let answers = answered.entry(digest).or_default();
        answers.insert(witness, verdict);
        answers.values().cloned().collect()
    }

    /// Hands the outcome to whoever waits for it.
    pub(crate) fn tell(&self, digest: Digest, verdict: CandidateVerdict) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        if let Some(sender) = waiting {
            // The waiter may have given up; the candidate was dealt with either way.
            let _ = sender.send(verdict);
        }
    }
}

/// How often a witness is asked to say how new the charter is, and others are told, in seconds.
const ATTEST_EVERY_S: u64 = 3600;

/// The newest checkpoint of each witness: its word of how new the charter is. Forgotten by a restart: then
/// they are asked again.
#[derive(Default)]
pub(crate) struct Attestations {
    newest: Mutex<BTreeMap<RunnerId, Attestation>>,
}

/// One witness's word.
struct Attestation {
    head: Digest,
    at: UnixTime,
    compact: String,
}

impl Attestations {
    /// Keeps a witness's verified checkpoint.
    pub(crate) fn take(&self, witness: RunnerId, claims: &CheckpointClaims, compact: &str) {
        let (head, at, compact) = (claims.charter, claims.at, compact.to_owned());
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(witness, Attestation { head, at, compact });
    }

    /// Whether a witness has said nothing of this head for a while.
    fn wants(&self, witness: RunnerId, head: Digest, now: UnixTime) -> bool {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest
            .get(&witness)
            .is_none_or(|word| word.head != head || now.since(word.at) >= ATTEST_EVERY_S)
    }

    /// What others than `runner` have said of this head, newer by a while than what it has been told.
    fn for_runner(&self, runner: RunnerId, head: Digest, told: Option<UnixTime>) -> Vec<String> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |at: UnixTime| told.is_none_or(|told| at >= told.plus(ATTEST_EVERY_S));
        newest
            .iter()
            .filter(|(witness, word)| **witness != runner && word.head == head && is_news(word.at))
            .map(|(_, word)| word.compact.clone())
            .collect()
    }
}

/// Tasks for a runner, at once or after at most 20 s.
pub(crate) async fn take(
    tenant: &Tenant,
    runner: RunnerId,
    take: &Take,
) -> Result<Vec<RunnerTask>, StoreError> {
    let deadline = tokio::time::Instant::now() + HOLD;
    if let Some(statement) = not_remembered(tenant, runner, take)? {
        return Ok(vec![RunnerTask::Shown { statement }]);
    }
    loop {
        let woken = tenant.work.notified();
        let tasks = due(tenant, runner, take)?;
        if !tasks.is_empty() {
            return Ok(tasks);
        }
        if tokio::time::timeout_at(deadline, woken).await.is_err() {
            return Ok(Vec::new());
        }
    }
}

/// The newest statement of the runner's jail, if the jail says that it has made fewer: its state was restored, or
/// another jail has its key, and it stops once it has seen it.
fn not_remembered(
    tenant: &Tenant,
    runner: RunnerId,
    take: &Take,
) -> Result<Option<String>, StoreError> {
    let charter = tenant.charter();
    let (Some(made), Some(enrolled)) = (take.statements, charter.runner(runner)) else {
        return Ok(None);
    };
    let jail = enrolled.jail_key.thumbprint();
    let newest = tenant.store.newest_statement(jail)?;
    if newest <= made { Ok(None) } else { tenant.store.statement(jail, newest) }
}

/// What is due, in the order in which it should be done: the charter first, since everything
/// else is judged under it.
fn due(tenant: &Tenant, runner: RunnerId, take: &Take) -> Result<Vec<RunnerTask>, StoreError> {
    let charter = tenant.charter();
    let mut tasks = Vec::new();
    if take.charter_seq.is_none_or(|seq| seq < charter.seq()) {
        let entries = tenant.store.entries(take.charter_seq.map_or(0, |seq| seq + 1))?;
        tasks.push(RunnerTask::Charter { entries });
        return Ok(tasks);
    }
    if take.charter_seq.is_some_and(|seq| seq > charter.seq()) {
        // Entries were pushed to its gateway, or this is a control plane that was restored.
        tasks.push(RunnerTask::SendCharter { after: charter.seq() });
        return Ok(tasks);
    }
    let Some(enrolled) = charter.runner(runner) else { return Ok(tasks) };
    if charter.is_suspended(&Subject::Runner(runner)) {
        return Ok(tasks);
    }
    let checkpoints = tenant.attestations.for_runner(runner, charter.head(), take.attested_at);
    if !checkpoints.is_empty() {
        tasks.push(RunnerTask::Attestations { checkpoints });
    }
    let witness = charter.is_witness(runner);
    if witness
        && let Some(candidate) = tenant.store.candidate()?
        && !tenant.verdicts.has_answered(candidate.digest(), runner)
    {
        tasks.push(RunnerTask::Cosign { candidate: Box::new(candidate) });
    }
    for pending in tenant.store.pending_starts()? {
        let sealed = pending.order.sealed.into_iter().find(|sealed| sealed.runner == runner);
        if let Some(sealed) = sealed {
            let (writ, idc) = (pending.order.writ, pending.order.idc);
            tasks.push(RunnerTask::Start { writ, idc, sealed: sealed.sealed });
        }
    }
    tasks.extend(words_about_runs(tenant, enrolled.group)?);
    for (order, session) in tenant.store.pending_revokes(enrolled.group)? {
        let (writ, idc, session) = (order.writ, order.idc, Box::new(session));
        tasks.push(RunnerTask::RevokeSession { writ, idc, session });
    }
    for (digest, order) in tenant.store.pending_tests(enrolled.group)? {
        // A test takes as long as its hosts do; its runner goes on taking tasks meanwhile.
        if !take.testing.contains(&digest) {
            let (writ, idc) = (order.writ, order.idc);
            tasks.push(RunnerTask::TestConnection { writ, idc });
        }
    }
    if tasks.is_empty() && witness {
        // Word of how new the charter is, is for others: a tenant of one runner needs none.
        let others = charter.runners().nth(1).is_some();
        let wanted = others && tenant.attestations.wants(runner, charter.head(), clock::now());
        tasks.extend(checkpoint(tenant, take.checkpoint_size, wanted)?);
    }
    Ok(tasks)
}

/// Orders about runs that there are already: to cancel, to approve, to go on.
fn words_about_runs(tenant: &Tenant, group: RunnerGroupId) -> Result<Vec<RunnerTask>, StoreError> {
    let mut tasks = Vec::new();
    for pending in tenant.store.pending_resumes()? {
        let (writ, idc) = (pending.order.writ, pending.order.idc);
        let run = pending.run;
        // The writ was verified when it was taken; for whom and which of the three it is, it says itself.
        tasks.extend(match peeked(&writ) {
            Some(Peeked { aud, .. }) if aud != group => None,
            Some(Peeked { op: Operation::RunCancel, .. }) => {
                Some(RunnerTask::Cancel { run, writ, idc })
            }
            Some(Peeked { op: Operation::RunApprove, .. }) => {
                Some(RunnerTask::Approve { run, writ, idc })
            }
            _ => Some(RunnerTask::Resume { run, writ, idc }),
        });
    }
    Ok(tasks)
}

/// What a writ to a runner says of itself.
#[derive(serde::Deserialize)]
struct Peeked {
    op: Operation,
    aud: RunnerGroupId,
}

fn peeked(writ: &str) -> Option<Peeked> {
    UnverifiedJws::parse(writ).ok()?.peek().ok()
}

/// A tree for the witness to sign, if records were added since the last, or its word is wanted.
fn checkpoint(
    tenant: &Tenant,
    signed: u64,
    wanted: bool,
) -> Result<Option<RunnerTask>, StoreError> {
    if !wanted && tenant.store.audit_size()? == tenant.store.checkpoint_size()? {
        return Ok(None);
    }
    let leaves = tenant.store.leaves()?;
    let old = usize::try_from(signed).map_err(|_| StoreError::Row)?;
    let consistency = if old == 0 {
        Vec::new()
    } else {
        merkle::consistency_proof(&leaves, old).ok_or(StoreError::Row)?
    };
    Ok(Some(RunnerTask::Checkpoint {
        size: leaves.len() as u64,
        root: merkle::root(&leaves),
        consistency,
    }))
}
