//! The test of a connection: everything that a call does, but its request.
//!
//! Reads top to bottom in [`serve`]: credential → placed → each host: socket → TLS. The same resolver,
//! the same broker and the same TLS as in `cell::serve`, so that no test passes what a run can't do.
//!
//! Invariants: the credential is wiped before the first host is connected to; not one byte of HTTP is
//! sent; nothing is tried after the first failure.
//!
//! Not here: whether a service takes the credential. Only a call says that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::RootCertStore;
use writ_confine::Channel;
use writ_jail_link::{ConnectionTried, FailedStep, TestOrder};
use writ_model::Connection;

use super::{
    Failed, about_secret,
    credential::{self, Network},
    egress, exchange, step, step_of,
};
use crate::vault::Sources;

/// Tests a connection.
pub(super) fn serve(
    order: &TestOrder,
    broker: &Channel,
    sources: Sources,
    roots: &Arc<RootCertStore>,
) -> ConnectionTried {
    let connection = &order.connection;
    let deadline = Instant::now() + Duration::from_secs(u64::from(order.timeout_s));
    let network = Network { broker, roots: Arc::clone(roots), deadline };
    if let Err(failure) = read(connection, sources, &network) {
        return ConnectionTried { reached: 0, failed: Some(step_of(failure, connection)) };
    }
    let (reached, failed) = reach(connection, &network);
    ConnectionTried { reached, failed }
}

/// Reads the credential as a call would, and sees that it can be put where the connection says.
fn read(connection: &Connection, sources: Sources, network: &Network<'_>) -> Result<(), Failed> {
    let resolved =
        credential::resolve(&connection.secret, sources, network).map_err(about_secret)?;
    let placed = exchange::placed(&connection.kind, &resolved.credential);
    placed.map(drop).ok_or(about_secret(Failed::new("http-request")))
}

/// Connects to each host and completes TLS where it is spoken; how many were reached, and what then failed.
fn reach(connection: &Connection, network: &Network<'_>) -> (usize, Option<FailedStep>) {
    if connection.hosts.is_empty() {
        return (0, Some(step(Failed::new("connection-without-host"))));
    }
    let Network { broker, roots, deadline } = network;
    for (reached, host) in connection.hosts.iter().enumerate() {
        let tried = egress::connect(broker, host, &connection.allow_cidrs, *deadline).and_then(
            // Nothing is said: the conversation is over as soon as TLS stands.
            |socket| {
                let said_nothing = async |_: &mut exchange::Sender| Ok(());
                exchange::conversation(*deadline, socket, host, Arc::clone(roots), said_nothing)
            },
        );
        if let Err(failure) = tried {
            return (reached, Some(step(failure)));
        }
    }
    (connection.hosts.len(), None)
}

#[cfg(test)]
mod tests;
