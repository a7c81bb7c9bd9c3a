//! The connect broker: cells have no network, so they ask here for connected sockets (DESIGN §7).
//!
//! Resolves once, refuses address ranges that the connection does not allow, connects, and passes
//! the descriptor. The cell checks the peer again: this process is trusted for availability only.
//! One short-lived thread serves one cell.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::Duration,
};

use writ_confine::Channel;
use writ_jail_link::{BrokerRefusal, BrokerReply, BrokerRequest, CellStarted, decode, encode};
use writ_model::address_allowed;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves every cell that launcher A announces, until the launcher ends.
pub(crate) fn serve(announcements: Channel) {
    thread::spawn(move || {
        while let Ok(Some((frame, Some(socket)))) = announcements.receive() {
            if decode::<CellStarted>(&frame).is_err() {
                break;
            }
            if let Ok(cell) = Channel::from_fd(socket) {
                thread::spawn(move || serve_cell(&cell));
            }
        }
    });
}

fn serve_cell(cell: &Channel) {
    while let Ok(Some((frame, _))) = cell.receive() {
        let connected = decode::<BrokerRequest>(&frame)
            .map_err(|_| BrokerRefusal::Malformed)
            .and_then(|request| connect(&request));
        let sent = match &connected {
            Ok((peer, socket)) => encode(&BrokerReply::Connected { peer: *peer })
                .is_ok_and(|reply| cell.send(&reply, Some(socket.as_fd())).is_ok()),
            Err(refusal) => {
                tracing::info!(reason = %refusal, "connect refused");
                encode(&BrokerReply::Refused(*refusal))
                    .is_ok_and(|reply| cell.send(&reply, None).is_ok())
            }
        };
        if !sent {
            return;
        }
    }
}

fn connect(request: &BrokerRequest) -> Result<(SocketAddr, OwnedFd), BrokerRefusal> {
    let addresses: Vec<SocketAddr> = (request.host.as_str(), request.port)
        .to_socket_addrs()
        .map_err(|_| BrokerRefusal::NoAddress)?
        .collect();
    if addresses.is_empty() {
        return Err(BrokerRefusal::NoAddress);
    }
    let allowed: Vec<SocketAddr> = addresses
        .into_iter()
        .filter(|address| address_allowed(address.ip(), &request.allow_cidrs))
        .collect();
    if allowed.is_empty() {
        return Err(BrokerRefusal::RefusedAddress);
    }
    for address in allowed {
        if let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            return Ok((address, stream.into()));
        }
    }
    Err(BrokerRefusal::Unreachable)
}
