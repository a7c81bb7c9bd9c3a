//! Whose turn it is to perform an effect: so many at once for each workspace, first come first
//! served, so that a workspace with much to do holds up nobody but itself.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The turns of every workspace.
pub(super) struct Turns {
    at_once: NonZeroUsize,
    workspaces: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Turns {
    pub(super) const fn new(at_once: NonZeroUsize) -> Self {
        Self { at_once, workspaces: Mutex::new(BTreeMap::new()) }
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub(super) async fn take(&self, workspace: &str) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.of(workspace).acquire_owned().await
    }

    fn of(&self, workspace: &str) -> Arc<Semaphore> {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = workspaces.get(workspace) {
            return Arc::clone(semaphore);
        }
        let semaphore = Arc::new(Semaphore::new(self.at_once.get()));
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
}
