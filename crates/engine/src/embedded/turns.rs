//! Whose turn it is to perform an effect: so many at once for each workspace, first come first
//! served, so that a workspace with much to do holds up nobody but itself.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The turns of every workspace.
pub(super) struct Turns {
    at_once: NonZeroUsize,
    workspaces: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    is_closed: AtomicBool,
}

/// A turn; it lasts until it is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

impl Turns {
    pub(super) const fn new(at_once: NonZeroUsize) -> Self {
        let workspaces = Mutex::new(BTreeMap::new());
        Self { at_once, workspaces, is_closed: AtomicBool::new(false) }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// There are no more turns.
    pub(super) async fn take(&self, workspace: &str) -> Result<Turn, AcquireError> {
        self.of(workspace).acquire_owned().await
    }

    /// Gives out no more turns; those that were given last until they are dropped.
    pub(super) fn close(&self) {
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed.store(true, Ordering::SeqCst);
        workspaces.values().for_each(|semaphore| semaphore.close());
    }

    /// Whether nobody has a turn.
    pub(super) fn are_idle(&self) -> bool {
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.values().all(|free| free.available_permits() == self.at_once.get())
    }

    fn of(&self, workspace: &str) -> Arc<Semaphore> {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = workspaces.get(workspace) {
            return Arc::clone(semaphore);
        }
        let semaphore = Arc::new(Semaphore::new(self.at_once.get()));
        if self.is_closed.load(Ordering::SeqCst) {
            semaphore.close();
        }
        workspaces.insert(workspace.to_owned(), Arc::clone(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_workspace_that_has_no_turn_left_waits_and_holds_up_no_other() {
        let turns = Turns::new(NonZeroUsize::MIN);
        let first = turns.take("a").await.unwrap();

        assert!(timeout(Duration::from_millis(20), turns.take("a")).await.is_err());
        assert!(timeout(Duration::from_secs(5), turns.take("b")).await.is_ok());

        drop(first);
        assert!(timeout(Duration::from_secs(5), turns.take("a")).await.is_ok());
    }
    #[tokio::test]
    async fn once_closed_no_turn_is_given_and_the_last_one_back_makes_them_idle() {
        let turns = Turns::new(NonZeroUsize::MIN);
        let given = turns.take("a").await.unwrap();
        turns.close();
        assert!(turns.take("a").await.is_err() && turns.take("b").await.is_err());
        assert!(!turns.are_idle());
        drop(given);
        assert!(turns.are_idle());
    }
}
