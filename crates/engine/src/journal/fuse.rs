//! Cuts the power at a chosen commit, for tests: the writer ends, and nobody is answered.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Where the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// This many commits are durable and answered; the next is never made.
    BeforeCommit(u64),
    /// This many commits are durable; the last of them is never answered.
    AfterCommit(u64),
}

/// Counts commits, and cuts the power at one of them.
#[derive(Default)]
pub(crate) struct Fuse {
    commits: AtomicU64,
    blown: AtomicBool,
    cut: Mutex<Option<Cut>>,
}

impl Fuse {
    pub(crate) fn set(&self, cut: Cut) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.blown.load(Ordering::SeqCst)
    }

    pub(super) fn cuts_before_commit(&self) -> bool {
        self.blow_if(Cut::BeforeCommit(self.commits()))
    }

    pub(super) fn cuts_after_commit(&self) -> bool {
        let commits = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        self.blow_if(Cut::AfterCommit(commits))
    }

    fn blow_if(&self, here: Cut) -> bool {
        let blown = *self.cut.lock().unwrap_or_else(PoisonError::into_inner) == Some(here);
        self.blown.fetch_or(blown, Ordering::SeqCst);
        blown
    }
}
