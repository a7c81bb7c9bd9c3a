//! One tenant: its database, its folded charter, and what wakes those who wait.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio::sync::{Mutex as AsyncMutex, Notify};
use writ_evidence::charter::{CharterState, FoldError, UnverifiedEntry};
use writ_model::{TenantId, limits::SNAPSHOT_EVERY};
use writ_policy::Policies;

use crate::{
    dispatch::{Attestations, Verdicts},
    http::ProofWindow,
    issuer_keys::IssuerKeys,
    sessions::Sessions,
    store::{Store, StoreError},
};

/// Why a tenant can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database failed.
    #[error("the tenant's database cannot be read")]
    Store(#[from] StoreError),
    /// The charter in it does not fold.
    #[error("the tenant's charter does not fold")]
    Charter(#[from] FoldError),
    /// The database holds no charter.
    #[error("the tenant's database holds no charter")]
    Empty,
}

/// One tenant of this control plane.
pub(crate) struct Tenant {
    id: TenantId,
    pub(crate) store: Store,
    pub(crate) policies: Arc<Policies>,
    charter: RwLock<Arc<CharterState>>,
    /// Held while a change of the charter is on its way to the witness and back.
    pub(crate) appending: AsyncMutex<()>,
    /// Held while an entry is folded and stored: several runners may bring the same.
    storing: Mutex<()>,
    pub(crate) verdicts: Verdicts,
    /// Wakes runners that wait for something to do.
    pub(crate) work: Notify,
    pub(crate) proofs: Mutex<ProofWindow>,
    pub(crate) issuer_keys: IssuerKeys,
    pub(crate) attestations: Attestations,
    pub(crate) sessions: Sessions,
}

impl Tenant {
    /// Opens a database and folds its charter, from where it was last written down: what is stored is believed as far
    /// as this server's own database is.
    pub(crate) fn open(path: &Path, policies: Arc<Policies>) -> Result<Self, OpenError> {
        let store = Store::open(path)?;
        let mut state: Option<CharterState> = store.folded()?;
        let kept = state.as_ref().map(CharterState::seq);
        loop {
            let from = state.as_ref().map_or(0, |charter| charter.seq() + 1);
            let page = store.entries(from)?;
            if page.is_empty() {
                break;
            }
            for entry in &page {
                match &mut state {
                    None => {
                        state = Some(CharterState::found(entry, TenantId(entry.digest()))?);
                    }
                    Some(charter) => charter.append(entry, &*policies)?,
                }
            }
        }
        let charter = state.ok_or(OpenError::Empty)?;
        if charter.seq() >= kept.unwrap_or(0).saturating_add(SNAPSHOT_EVERY) {
            store.put_folded(&charter)?;
        }
        Ok(Self {
            id: charter.ten(),
            sessions: Sessions::open(&store)?,
            store,
            policies,
            charter: RwLock::new(Arc::new(charter)),
            appending: AsyncMutex::new(()),
            storing: Mutex::new(()),
            verdicts: Verdicts::default(),
            work: Notify::new(),
            proofs: Mutex::new(ProofWindow::default()),
            issuer_keys: IssuerKeys::default(),
            attestations: Attestations::default(),
        })
    }

    /// The tenant's id.
    pub(crate) const fn id(&self) -> TenantId {
        self.id
    }

    /// The folded charter as it is now.
    pub(crate) fn charter(&self) -> Arc<CharterState> {
        Arc::clone(&self.charter.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Folds, stores and shows a cosigned entry.
    pub(crate) fn append(&self, entry: &UnverifiedEntry) -> Result<Arc<CharterState>, OpenError> {
        let _one_at_a_time = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = (*self.charter()).clone();
        next.append(entry, &*self.policies)?;
        self.store.append_entry(next.seq(), entry)?;
        if next.seq().is_multiple_of(SNAPSHOT_EVERY) {
            self.store.put_folded(&next)?;
        }
        let next = Arc::new(next);
        *self.charter.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        Ok(next)
    }
}
