//! The one writer: a thread that commits whatever waits, together.
//!
//! Invariants: a write is answered after its commit, never before; one that fails takes back only
//! itself; when the thread ends, every write that waits fails.

use std::{sync::mpsc, thread};

use rusqlite::{Connection, Savepoint, Transaction};
use tokio::sync::oneshot;

use super::JournalError;

/// Most writes in one commit.
const GROUP_MAX: usize = 256;

/// A write. `None`: it failed, has said so, and is to be taken back.
type Work = Box<dyn FnOnce(&Savepoint<'_>) -> Option<Answer> + Send>;
/// Told whether the commit succeeded.
type Answer = Box<dyn FnOnce(bool) + Send>;

enum Job {
    Write(Work),
    /// Bring the write-ahead log into the database and empty it.
    Checkpoint(oneshot::Sender<Result<(), JournalError>>),
}

/// The queue to the writer thread. Dropping it waits for what was queued.
pub(super) struct Writer {
    /// Taken by `drop` alone.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    #[cfg(test)]
    pub(super) fuse: std::sync::Arc<super::fuse::Fuse>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, JournalError> {
        let (queue, jobs) = mpsc::channel();
        let mut serving = Serving {
            connection,
            #[cfg(test)]
            fuse: std::sync::Arc::default(),
        };
        #[cfg(test)]
        let fuse = std::sync::Arc::clone(&serving.fuse);
        let thread = thread::Builder::new()
            .name("writ-journal".to_owned())
            .spawn(move || serving.serve(&jobs))
            .map_err(JournalError::File)?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            #[cfg(test)]
            fuse,
        })
    }

    /// Writes, and returns when it is on disk. Writes that wait at the same time share a commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (sender, receiver) = oneshot::channel();
        // Whoever waited may have gone away: then nobody is answered.
        let work: Work = Box::new(move |savepoint| match write(savepoint) {
            Ok(value) => Some(Box::new(move |committed| {
                let _ = sender.send(if committed { Ok(value) } else { Err(JournalError::Commit) });
            })),
            Err(error) => {
                let _ = sender.send(Err(error));
                None
            }
        });
        self.put(Job::Write(work))?;
        receiver.await.map_err(|_| JournalError::WriterGone)?
    }

    /// Empties the write-ahead log, so that what was overwritten is in no file.
    pub(super) async fn checkpoint(&self) -> Result<(), JournalError> {
        let (sender, receiver) = oneshot::channel();
        self.put(Job::Checkpoint(sender))?;
        receiver.await.map_err(|_| JournalError::WriterGone)?
    }

    fn put(&self, job: Job) -> Result<(), JournalError> {
        let queue = self.queue.as_ref().ok_or(JournalError::WriterGone)?;
        queue.send(job).map_err(|_| JournalError::WriterGone)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so, and has committed nothing since.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Serving {
    connection: Connection,
    #[cfg(test)]
    fuse: std::sync::Arc<super::fuse::Fuse>,
}

impl Serving {
    fn serve(&mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let (group, checkpoints) = gather(first, jobs);
            if !group.is_empty() && !self.write(group) {
                return;
            }
            for reply in checkpoints {
                let _ = reply.send(checkpoint(&self.connection));
            }
        }
    }

    /// Commits a group, then answers. `false`: a test has cut the power.
    fn write(&mut self, group: Vec<Work>) -> bool {
        #[cfg(test)]
        if self.fuse.cuts_before_commit() {
            return false;
        }
        let (answers, committed) = commit(&mut self.connection, group);
        #[cfg(test)]
        if self.fuse.cuts_after_commit() {
            return false;
        }
        for answer in answers {
            answer(committed);
        }
        true
    }
}

type Checkpoints = Vec<oneshot::Sender<Result<(), JournalError>>>;

/// Everything that waits now.
fn gather(first: Job, jobs: &mpsc::Receiver<Job>) -> (Vec<Work>, Checkpoints) {
    let (mut group, mut checkpoints) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Write(work) => group.push(work),
            Job::Checkpoint(reply) => checkpoints.push(reply),
        }
        next = if group.len() < GROUP_MAX { jobs.try_recv().ok() } else { None };
    }
    (group, checkpoints)
}

fn commit(connection: &mut Connection, group: Vec<Work>) -> (Vec<Answer>, bool) {
    let mut transaction = match connection.transaction() {
        Ok(transaction) => transaction,
        Err(error) => {
            // Dropping the group fails every write in it.
            tracing::error!(error = %error, "the journal cannot begin a commit");
            return (Vec::new(), false);
        }
    };
    let answers = group.into_iter().filter_map(|work| apply(&mut transaction, work)).collect();
    let committed = transaction.commit();
    if let Err(error) = &committed {
        tracing::error!(error = %error, "the journal cannot commit");
    }
    (answers, committed.is_ok())
}

fn apply(transaction: &mut Transaction<'_>, work: Work) -> Option<Answer> {
    let savepoint = transaction.savepoint().ok()?;
    // Dropping the savepoint without a commit takes the write back.
    let answer = work(&savepoint)?;
    savepoint.commit().ok()?;
    Some(answer)
}

fn checkpoint(connection: &Connection) -> Result<(), JournalError> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(JournalError::Busy) }
}
