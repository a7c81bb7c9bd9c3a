//! A connection's question: is it as it was signed, and may this person have it tested?
//!
//! A test has the credential read and sends it nowhere, so it takes `connection.use` of its signer
//! alone: there is no publisher.

use writ_evidence::charter::{CharterState, ConnectionRecord};
use writ_model::{Actor, ConnectionName, PinnedConnection};

use crate::{Denied, Permit, Policies, Right};

impl Policies {
    /// Decides whether `signer` may have a connection tested now, and what exactly that is.
    ///
    /// # Errors
    ///
    /// [`Denied`]: the signer lacks `connection.use`, `connection-unknown`, `secret-path-not-listed`.
    pub fn decide_connection_test(
        &self,
        charter: &CharterState,
        signer: Actor<'_>,
        name: &ConnectionName,
    ) -> Result<(Permit, PinnedConnection), Denied> {
        // First of all, so that who may not use a connection does not learn that there is one.
        let permit = self.decide(charter, signer, Right::ConnectionUse(name))?;
        let record = known(charter, name)?;
        check_secret_path(charter, record)?;
        Ok((permit, PinnedConnection { name: name.clone(), digest: record.digest }))
    }
}

/// The connection is as it was pinned, and its workspace still lists its secret.
pub(crate) fn check_connection(
    charter: &CharterState,
    pinned: &PinnedConnection,
) -> Result<(), Denied> {
    let record = known(charter, &pinned.name)?;
    if record.digest != pinned.digest {
        let rule = format!("connection {} has changed since it was pinned", pinned.name);
        return Err(Denied::new("connection-changed", rule));
    }
    check_secret_path(charter, record)
}

fn known<'a>(
    charter: &'a CharterState,
    name: &ConnectionName,
) -> Result<&'a ConnectionRecord, Denied> {
    charter.connection(name).ok_or_else(|| {
        Denied::new("connection-unknown", format!("the charter has no connection {name}"))
    })
}

fn check_secret_path(charter: &CharterState, record: &ConnectionRecord) -> Result<(), Denied> {
    let name = &record.connection.name;
    let listed = charter.workspace(name.workspace()).is_some_and(|workspace| {
        workspace.secret_paths.iter().any(|path| record.connection.secret.is_under(path))
    });
    if listed {
        return Ok(());
    }
    let rule = format!("workspace {} does not list the secret path of {name}", name.workspace());
    Err(Denied::new("secret-path-not-listed", rule))
}
