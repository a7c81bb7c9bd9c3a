//! A connected socket from the broker, whose real peer is checked again.

use std::net::{IpAddr, SocketAddr, TcpStream};

use writ_confine::Channel;
use writ_jail_link::{BrokerRefusal, BrokerReply, BrokerRequest, decode, encode};
use writ_model::{Cidr, ConnectionHost, address_allowed};

use super::Failed;

/// Asks the broker for a socket to a host of the connection.
pub(super) fn connect(
    broker: &Channel,
    host: &ConnectionHost,
    allow_cidrs: &[Cidr],
) -> Result<TcpStream, Failed> {
    let request = BrokerRequest {
        host: host.host.clone(),
        port: host.port,
        allow_cidrs: allow_cidrs.to_vec(),
    };
    let gone = || Failed::new("connect-failed");
    let frame = encode(&request).map_err(|_| gone())?;
    broker.send(&frame, None).map_err(|_| gone())?;
    let (frame, descriptor) = broker.receive().ok().flatten().ok_or_else(gone)?;
    match decode(&frame).map_err(|_| gone())? {
        BrokerReply::Refused(BrokerRefusal::RefusedAddress) => {
            Err(Failed::new("connect-refused-address"))
        }
        BrokerReply::Refused(BrokerRefusal::NoAddress) => Err(Failed::new("connect-no-address")),
        BrokerReply::Refused(BrokerRefusal::Unreachable | BrokerRefusal::Malformed) => Err(gone()),
        BrokerReply::Connected { .. } => {
            let socket = TcpStream::from(descriptor.ok_or_else(gone)?);
            check_peer(&socket, host, allow_cidrs)?;
            Ok(socket)
        }
    }
}

/// The kernel's word on the peer counts, not the broker's.
fn check_peer(
    socket: &TcpStream,
    host: &ConnectionHost,
    allow_cidrs: &[Cidr],
) -> Result<(), Failed> {
    let peer: SocketAddr = socket.peer_addr().map_err(|_| Failed::new("connect-failed"))?;
    let literal: Option<IpAddr> = host.host.parse().ok();
    let expected = peer.port() == host.port && literal.is_none_or(|literal| peer.ip() == literal);
    if expected && address_allowed(peer.ip(), allow_cidrs) {
        return Ok(());
    }
    Err(Failed::new("connect-refused-address"))
}
