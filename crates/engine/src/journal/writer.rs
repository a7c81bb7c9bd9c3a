//! The one writer: a thread that commits whatever waits, together.

use std::{sync::mpsc, thread};

use rusqlite::{Connection, Savepoint, Transaction};
use tokio::sync::oneshot;

use super::JournalError;

/// Most writes in one commit.
const GROUP_MAX: usize = 256;

type Work = Box<dyn FnOnce(&Savepoint<'_>) -> Result<Answer, JournalError> + Send>;
/// Called once the commit has succeeded, or with why it has not.
type Answer = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// The queue to the writer thread. Dropping it ends the thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Work>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Self {
        let (queue, work) = mpsc::channel();
        thread::spawn(move || serve(connection, &work));
        Self { queue }
    }

    /// Writes, and returns when it is on disk. Writes that wait at the same time share a commit;
    /// one that fails takes back only itself.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Savepoint<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |savepoint| match write(savepoint) {
            Ok(value) => Ok(Box::new(move |committed| {
                // Whoever waited may have gone away.
                let _ = sender.send(committed.map(|()| value));
            })),
            Err(error) => {
                let again = JournalError::Row;
                let _ = sender.send(Err(error));
                Err(again)
            }
        });
        self.queue.send(work).map_err(|_| JournalError::WriterGone)?;
        receiver.await.map_err(|_| JournalError::WriterGone)?
    }
}

fn serve(mut connection: Connection, queue: &mpsc::Receiver<Work>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        commit(&mut connection, group);
    }
}

fn commit(connection: &mut Connection, group: Vec<Work>) {
    let Ok(mut transaction) = connection.transaction() else { return };
    let answers: Vec<Answer> =
        group.into_iter().filter_map(|work| apply(&mut transaction, work)).collect();
    let committed = transaction.commit().is_ok();
    for answer in answers {
        answer(if committed { Ok(()) } else { Err(JournalError::Row) });
    }
}

fn apply(transaction: &mut Transaction<'_>, work: Work) -> Option<Answer> {
    let savepoint = transaction.savepoint().ok()?;
    // Dropping the savepoint without a commit takes the write back.
    let answer = work(&savepoint).ok()?;
    savepoint.commit().ok()?;
    Some(answer)
}
