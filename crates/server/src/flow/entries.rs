//! Entries of the charter that were made without this control plane: pushed to a gateway while it was away or did not
//! pass them on, or made before a backup of its database was restored.
//!
//! They come from whoever made them or from a runner, and are verified as every entry is. A candidate that waits
//! here loses to one that is an entry already: whoever signed it reads again and signs anew.

use writ_api::{Appended, CandidateVerdict, Problem};
use writ_evidence::charter::UnverifiedEntry;

use crate::{
    flow::stored,
    http::problem_of,
    tenant::{OpenError, Tenant},
};

/// Appends an entry that witnesses or root keys have signed; one that is here already is passed over.
pub(crate) fn append_complete(
    tenant: &Tenant,
    entry: &UnverifiedEntry,
) -> Result<Appended, Problem> {
    let digest = entry.digest();
    if tenant.charter().knows_head(digest) {
        return Ok(newest(tenant));
    }
    let candidate = tenant.store.candidate().map_err(stored)?.map(|candidate| candidate.digest());
    match tenant.append(entry) {
        Ok(_) => {}
        // Somebody else has brought it meanwhile.
        Err(_) if tenant.charter().knows_head(digest) => return Ok(newest(tenant)),
        Err(OpenError::Charter(error)) => return Err(problem_of(403, error.code(), &error)),
        Err(error) => return Err(problem_of(500, "store", &error)),
    }
    // Whoever waits for that number here is told at once.
    if let Some(waiting) = candidate {
        let code = "charter-not-next".to_owned();
        let reason = "another change came first, without this control plane".to_owned();
        let lost = CandidateVerdict::Refused { code, reason };
        let won = || CandidateVerdict::Cosigned(String::new());
        tenant.verdicts.tell(waiting, if waiting == digest { won() } else { lost });
    }
    tenant.work.notify_waiters();
    Ok(newest(tenant))
}

fn newest(tenant: &Tenant) -> Appended {
    let charter = tenant.charter();
    Appended { seq: charter.seq(), head: charter.head() }
}

/// Takes entries that a runner's jail has folded. What does not follow is asked for again, from where this control
/// plane is; what does not fold is not believed.
pub(super) fn take_entries(tenant: &Tenant, entries: &[UnverifiedEntry]) {
    for entry in entries {
        if let Err(problem) = append_complete(tenant, entry) {
            let (code, reason) = (problem.code, problem.detail);
            tracing::warn!(code, reason, "an entry that a runner brought is not appended");
            return;
        }
    }
}
