//! The runner's end of the conversation with its jail: many requests in flight, each answered once.
//!
//! A thread reads replies; requests are written from wherever they arise. When the jail is gone,
//! every waiting request and every later one fails with [`JailError::Gone`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::sync::{oneshot, watch};
use writ_confine::Channel;
use writ_jail_link::{Described, Envelope, JailReply, JailRequest, Refused, decode, encode};

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The jail refused.
    #[error("the jail refused")]
    Refused(#[source] Refused),
    /// The jail has stopped for good, and says nothing of what was asked.
    #[error("the jail has stopped")]
    Stopped(#[source] Refused),
    /// The jail has ended.
    #[error("the jail has ended; see its log, or run `writ doctor`")]
    Gone,
    /// The jail answered something else than was asked.
    #[error("the jail's answer is not one to the request")]
    Unexpected,
    /// The request is too long.
    #[error("the request is longer than the link to the jail allows")]
    TooLong,
}

impl JailError {
    /// The stable code of this failure: the jail's own, if it refused.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refused) | Self::Stopped(refused) => &refused.code,
            Self::Gone | Self::Unexpected => "jail-gone",
            Self::TooLong => "order-too-long",
        }
    }
}

type Waiting = Arc<Mutex<Option<BTreeMap<u64, oneshot::Sender<JailReply>>>>>;

/// The jail, as its runner knows it.
pub struct JailClient {
    channel: Arc<Channel>,
    sending: Mutex<()>,
    next: AtomicU64,
    waiting: Waiting,
    ended: Arc<watch::Sender<bool>>,
}

impl JailClient {
    /// Takes over the jail's link.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let channel = Arc::new(channel);
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let ended = Arc::new(watch::Sender::new(false));
        let (reading, answered) = (Arc::clone(&channel), Arc::clone(&waiting));
        let tell = Arc::clone(&ended);
        thread::spawn(move || {
            read_replies(&reading, &answered);
            tell.send_replace(true);
        });
        Self { channel, sending: Mutex::new(()), next: AtomicU64::new(1), waiting, ended }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`JailError`]; a refusal is `Refused`.
    pub async fn ask(&self, message: JailRequest) -> Result<JailReply, JailError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = encode(&Envelope { id, message }).map_err(|_| JailError::TooLong)?;
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().ok_or(JailError::Gone)?.insert(id, sender);
        }
        // The jail reads as fast as it can; a frame is at most a few megabytes on a local socket.
        tokio::task::block_in_place(|| {
            let _one_frame_at_a_time = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
            self.channel.send(&frame, None)
        })
        .map_err(|_| JailError::Gone)?;
        match receiver.await {
            Ok(JailReply::Refused(refused)) if refused.stopped => Err(JailError::Stopped(refused)),
            Ok(JailReply::Refused(refused)) => Err(JailError::Refused(refused)),
            Ok(reply) => Ok(reply),
            Err(_) => Err(JailError::Gone),
        }
    }

    /// Asks who the jail is.
    ///
    /// # Errors
    ///
    /// [`JailError`].
    pub async fn describe(&self) -> Result<Described, JailError> {
        match self.ask(JailRequest::Describe).await? {
            JailReply::Described(described) => Ok(*described),
            _ => Err(JailError::Unexpected),
        }
    }

    /// Asks for a statement.
    ///
    /// # Errors
    ///
    /// [`JailError`].
    pub async fn statement(&self, message: JailRequest) -> Result<String, JailError> {
        match self.ask(message).await? {
            JailReply::Statement { statement } => Ok(statement),
            _ => Err(JailError::Unexpected),
        }
    }

    /// Resolves when the jail has ended.
    pub async fn gone(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`, so this ends only when the value is true.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Closes the link, upon which the jail ends.
    pub fn hang_up(&self) {
        // An already closed socket is as good.
        let _ = rustix::net::shutdown(&*self.channel, rustix::net::Shutdown::Both);
    }
}

fn read_replies(channel: &Channel, waiting: &Waiting) {
    while let Ok(Some((frame, _))) = channel.receive() {
        let Ok(Envelope { id, message }) = decode::<Envelope<JailReply>>(&frame) else { break };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.as_mut().and_then(|waiting| waiting.remove(&id)) {
            // Whoever asked may have gone away; the answer is then nobody's.
            let _ = sender.send(message);
        }
    }
    // Dropping the senders tells everybody who waits.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
