//! What happens to a read, a webhook or a push of charter entries: it waits, the runner takes it, the runner answers.
//!
//! Invariants:
//! * what nobody answers in time is refused;
//! * webhooks and pushes come from anybody: few of either wait at once, so that they keep no reader out, nor
//!   each other;
//! * only the runner that the tenant's charter enrolls takes or answers; its key comes from the
//!   charter that it brings, folded from this gateway's own anchor;
//! * an answer passes through to the one who asked, and is kept nowhere.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::{Notify, oneshot};
use writ_api::{
    GatewayHello, GatewayReply, GatewayTake, Problem, Push, PushEntries, ReadCharter, ReadOutput,
    ReadWhat, WebhookDelivery,
};
use writ_evidence::{
    charter::{CharterState, FoldError},
    idc::UnverifiedIdc,
    key::PublicKey,
    proof::{ExpectedRequest, VerifiedProof},
};
use writ_model::{RunId, RunnerId, TenantId, UnixTime, WebhookPath, limits::CLOCK_SKEW_S};
use writ_policy::Policies;

/// How long a reader waits for the runner.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a runner's request is held while nobody reads.
const HOLD: Duration = Duration::from_secs(20);
/// Most reads that wait at once.
const WAITING_MAX: usize = 1000;
/// Most webhooks that wait at once: each costs a process that verifies it.
const DELIVERIES_MAX: usize = 16;
/// Most pushes that wait at once: each costs the jail signatures to check, and nobody but the charter's signers
/// has reason to make one.
const PUSHES_MAX: usize = 8;
/// Most request proofs of the runner remembered at once.
const PROOFS_MAX: usize = 100_000;

/// A read as it arrived.
pub(crate) struct Asked {
    pub(crate) run: RunId,
    pub(crate) what: ReadWhat,
    pub(crate) idc: UnverifiedIdc,
    pub(crate) proof: String,
    pub(crate) method: String,
    pub(crate) url: String,
}

/// A webhook's delivery as it arrived.
pub(crate) struct Delivered {
    pub(crate) path: WebhookPath,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A read of the charter as it arrived.
pub(crate) struct AskedCharter {
    pub(crate) from: u64,
    pub(crate) idc: UnverifiedIdc,
    pub(crate) proof: String,
    pub(crate) url: String,
}

type Answer = Result<String, Problem>;

#[derive(Default)]
struct Inner {
    charter: Option<CharterState>,
    next: u64,
    /// What the runner has not taken yet.
    waiting: GatewayTake,
    /// Webhooks that nobody has answered yet, taken or not.
    delivering: usize,
    /// Pushes that nobody has answered yet, taken or not.
    pushing: usize,
    asked: BTreeMap<u64, oneshot::Sender<Answer>>,
    proofs: BTreeMap<String, UnixTime>,
}

impl Inner {
    /// A number to reply to, and where the reply arrives.
    fn expect(&mut self) -> (u64, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        self.next += 1;
        self.asked.insert(self.next, sender);
        (self.next, receiver)
    }

    /// As [`Self::expect`], for a read.
    fn expect_read(&mut self) -> Result<(u64, oneshot::Receiver<Answer>), Problem> {
        if self.asked.len() >= WAITING_MAX {
            return Err(Problem::new(503, "too-many-reads", "too many reads wait"));
        }
        Ok(self.expect())
    }
}

/// What somebody waits with.
#[derive(Clone, Copy)]
enum With {
    Read,
    Webhook,
    Push,
}

/// Somebody who waits for an answer. However that ends, by hanging up too, nothing of theirs is kept.
struct Waiting<'a> {
    reads: &'a Reads,
    id: u64,
    with: With,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.reads.lock();
        inner.asked.remove(&self.id);
        let GatewayTake { reads, deliveries, pushes, charter_reads } = &mut inner.waiting;
        reads.retain(|read| read.id != self.id);
        deliveries.retain(|delivery| delivery.id != self.id);
        pushes.retain(|push| push.id != self.id);
        charter_reads.retain(|read| read.id != self.id);
        match self.with {
            With::Read => {}
            With::Webhook => inner.delivering -= 1,
            With::Push => inner.pushing -= 1,
        }
    }
}

/// Reads and webhooks on their way.
pub(crate) struct Reads {
    ten: TenantId,
    policies: Policies,
    inner: Mutex<Inner>,
    work: Notify,
}

impl Reads {
    pub(crate) fn new(ten: TenantId, policies: Policies) -> Self {
        Self { ten, policies, inner: Mutex::default(), work: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a read to the runner and waits for its answer.
    pub(crate) async fn ask(&self, asked: Asked) -> Answer {
        let (id, receiver) = {
            let mut inner = self.lock();
            let (id, receiver) = inner.expect_read()?;
            let Asked { run, what, idc, proof, method, url } = asked;
            inner.waiting.reads.push(ReadOutput { id, run, what, idc, proof, method, url });
            (id, receiver)
        };
        self.answered(Waiting { reads: self, id, with: With::Read }, receiver).await
    }

    /// Hands a read of the charter to the runner and waits for its answer.
    pub(crate) async fn ask_charter(&self, asked: AskedCharter) -> Answer {
        let (id, receiver) = {
            let mut inner = self.lock();
            let (id, receiver) = inner.expect_read()?;
            let AskedCharter { from, idc, proof, url } = asked;
            let method = "GET".to_owned();
            inner.waiting.charter_reads.push(ReadCharter { id, from, idc, proof, method, url });
            (id, receiver)
        };
        self.answered(Waiting { reads: self, id, with: With::Read }, receiver).await
    }

    /// Hands entries of the charter to the runner and waits for what becomes of them.
    pub(crate) async fn push(&self, pushed: PushEntries) -> Answer {
        let (id, receiver) = {
            let mut inner = self.lock();
            if inner.pushing >= PUSHES_MAX {
                return Err(Problem::new(429, "too-many-pushes", "too many pushes wait")
                    .with_remedy("try again in a moment"));
            }
            let (id, receiver) = inner.expect();
            inner.waiting.pushes.push(Push { id, pushed });
            inner.pushing += 1;
            (id, receiver)
        };
        self.answered(Waiting { reads: self, id, with: With::Push }, receiver).await
    }

    /// Hands a webhook's delivery to the runner and waits for what becomes of it.
    pub(crate) async fn deliver(&self, delivered: Delivered) -> Answer {
        let (id, receiver) = {
            let mut inner = self.lock();
            if inner.delivering >= DELIVERIES_MAX {
                return Err(Problem::new(429, "too-many-webhooks", "too many webhooks wait"));
            }
            let (id, receiver) = inner.expect();
            let Delivered { path, headers, body } = delivered;
            let body = URL_SAFE_NO_PAD.encode(body);
            inner.waiting.deliveries.push(WebhookDelivery { id, path, headers, body });
            inner.delivering += 1;
            (id, receiver)
        };
        self.answered(Waiting { reads: self, id, with: With::Webhook }, receiver).await
    }

    async fn answered(&self, waiting: Waiting<'_>, receiver: oneshot::Receiver<Answer>) -> Answer {
        let away = || {
            Problem::new(503, "runner-away", "the runner does not answer")
                .with_remedy("start the runner, then ask again")
        };
        self.work.notify_waiters();
        let answered = tokio::time::timeout(PATIENCE, receiver).await;
        drop(waiting);
        answered.ok().and_then(Result::ok).unwrap_or_else(|| Err(away()))
    }

    /// What there is for the runner, at once or after at most 20 s.
    pub(crate) async fn take(&self) -> GatewayTake {
        let deadline = tokio::time::Instant::now() + HOLD;
        loop {
            let woken = self.work.notified();
            let taken = std::mem::take(&mut self.lock().waiting);
            if !taken.is_empty() || tokio::time::timeout_at(deadline, woken).await.is_err() {
                return taken;
            }
        }
    }

    /// Passes the runner's answer on.
    pub(crate) fn reply(&self, reply: GatewayReply) {
        let asked = self.lock().asked.remove(&reply.id);
        if let Some(sender) = asked {
            // The reader may have gone away; then the answer is nobody's.
            let _ = sender.send(reply.result);
        }
    }

    /// Folds the charter that a runner brings, from this gateway's anchor; returns the number of the first entry
    /// that is lacking.
    pub(crate) fn hello(&self, hello: &GatewayHello) -> Result<u64, FoldError> {
        let mut inner = self.lock();
        for entry in &hello.entries {
            match &mut inner.charter {
                None => inner.charter = Some(CharterState::found(entry, self.ten)?),
                Some(state) if state.knows_head(entry.digest()) => {}
                Some(state) => state.append(entry, &self.policies)?,
            }
        }
        Ok(inner.charter.as_ref().map_or(0, |state| state.seq().saturating_add(1)))
    }

    /// The key that a runner's requests are signed with, once its charter is here.
    pub(crate) fn link_key(&self, runner: RunnerId) -> Option<PublicKey> {
        let inner = self.lock();
        inner.charter.as_ref()?.runner(runner).map(|runner| runner.link_key.clone())
    }

    /// Verifies a runner's request proof, once.
    pub(crate) fn admit(
        &self,
        proof: &str,
        key: &PublicKey,
        expected: ExpectedRequest<'_>,
    ) -> Result<(), Problem> {
        let now = now();
        let proof = VerifiedProof::verify(proof, key, expected, now)
            .map_err(|error| Problem::new(401, error.code(), error.to_string()))?;
        let mut inner = self.lock();
        if inner.proofs.len() >= PROOFS_MAX {
            inner.proofs.retain(|_, until| *until > now);
        }
        if inner.proofs.len() >= PROOFS_MAX {
            return Err(Problem::new(503, "proof-window-full", "too many requests"));
        }
        let until = proof.iat().plus(2 * CLOCK_SKEW_S);
        match inner.proofs.insert(proof.jti().to_owned(), until) {
            Some(_) => {
                Err(Problem::new(401, "proof-replayed", "the request proof was used before"))
            }
            None => Ok(()),
        }
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs())
}

#[cfg(test)]
mod tests {
    use writ_model::Digest;

    use super::*;

    #[tokio::test]
    async fn a_sender_that_hangs_up_leaves_nothing_behind() {
        let reads =
            Reads::new(TenantId(Digest::from_bytes([1; 32])), Policies::built_in().unwrap());
        let delivery = || Delivered {
            path: "alerts".parse().unwrap(),
            headers: Vec::new(),
            body: b"{}".to_vec(),
        };
        for _ in 0..2 * DELIVERIES_MAX {
            let hung_up = tokio::time::timeout(Duration::from_millis(1), reads.deliver(delivery()));
            assert!(hung_up.await.is_err());
        }
        let inner = reads.lock();
        assert_eq!((inner.asked.len(), inner.delivering), (0, 0));
        assert!(inner.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_flood_of_pushes_is_bounded_and_keeps_no_webhook_out() {
        let reads =
            Reads::new(TenantId(Digest::from_bytes([1; 32])), Policies::built_in().unwrap());
        let push = || reads.push(PushEntries { entries: Vec::new() });
        let mut waiting: Vec<_> = (0..PUSHES_MAX).map(|_| Box::pin(push())).collect();
        for push in &mut waiting {
            let waits = tokio::time::timeout(Duration::from_millis(1), push.as_mut()).await;
            assert!(waits.is_err());
        }

        let refused = push().await.unwrap_err();
        let delivery = reads.deliver(Delivered {
            path: "alerts".parse().unwrap(),
            headers: Vec::new(),
            body: Vec::new(),
        });
        let webhook = tokio::time::timeout(Duration::from_millis(1), delivery).await;

        assert_eq!(refused.code, "too-many-pushes");
        assert!(webhook.is_err(), "it waits as if there were no pushes");
        drop(waiting);
        assert_eq!(reads.lock().pushing, 0);
    }
}
