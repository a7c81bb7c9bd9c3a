//! A connected socket from the broker, whose real peer is checked again.
//!
//! In: a host of the connection, the ranges it allows, a deadline. Out: a TCP socket.
//!
//! Invariant: the kernel's word on the peer counts, not the broker's. The broker belongs to the
//! runner, which may be stolen; where TLS is off, this check is all that there is.

use std::{
    net::{IpAddr, TcpStream},
    time::Instant,
};

use rustix::net::{SocketType, sockopt};
use writ_confine::{Channel, ChannelError};
use writ_jail_link::{BrokerRefusal, BrokerReply, BrokerRequest, decode, encode};
use writ_model::{Cidr, ConnectionHost, address_allowed};

use super::Failed;

const GONE: Failed = Failed::new("connect-failed");
const REFUSED: Failed = Failed::new("connect-refused-address");
const LATE: Failed = Failed::new("connect-timeout");

/// Asks the broker for a socket to a host of the connection.
pub(super) fn connect(
    broker: &Channel,
    host: &ConnectionHost,
    allow_cidrs: &[Cidr],
    deadline: Instant,
) -> Result<TcpStream, Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(LATE);
    }
    broker.set_timeout(Some(left)).map_err(|_| GONE)?;
    let request = BrokerRequest {
        host: host.host.clone(),
        port: host.port,
        allow_cidrs: allow_cidrs.to_vec(),
    };
    let frame = encode(&request).map_err(|_| GONE)?;
    broker.send(&frame, None).map_err(|error| lost(&error))?;
    let (frame, descriptor) = broker.receive().map_err(|error| lost(&error))?.ok_or(GONE)?;
    match decode(&frame).map_err(|_| GONE)? {
        BrokerReply::Refused(BrokerRefusal::RefusedAddress) => Err(REFUSED),
        BrokerReply::Refused(BrokerRefusal::NoAddress) => Err(Failed::new("connect-no-address")),
        BrokerReply::Refused(BrokerRefusal::Unreachable | BrokerRefusal::Malformed) => Err(GONE),
        BrokerReply::Connected { .. } => {
            let descriptor = descriptor.ok_or(GONE)?;
            if sockopt::socket_type(&descriptor).map_err(|_| GONE)? != SocketType::STREAM {
                return Err(REFUSED);
            }
            let socket = TcpStream::from(descriptor);
            check_peer(&socket, host, allow_cidrs)?;
            Ok(socket)
        }
    }
}

fn check_peer(
    socket: &TcpStream,
    host: &ConnectionHost,
    allow_cidrs: &[Cidr],
) -> Result<(), Failed> {
    let peer = socket.peer_addr().map_err(|_| GONE)?;
    let literal: Option<IpAddr> = host.host.parse().ok();
    let expected = peer.port() == host.port && literal.is_none_or(|literal| peer.ip() == literal);
    if expected && address_allowed(peer.ip(), allow_cidrs) { Ok(()) } else { Err(REFUSED) }
}

fn lost(error: &ChannelError) -> Failed {
    match error {
        ChannelError::TimedOut => LATE,
        _ => GONE,
    }
}
