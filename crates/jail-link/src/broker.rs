//! A cell has no network: it asks the connect broker for a connected socket (DESIGN §7).
//!
//! The descriptor travels beside [`BrokerReply::Connected`]. The cell checks the peer again.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use writ_model::Cidr;

/// Connect me to this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerRequest {
    /// Host name or IP literal, from the connection.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Otherwise refused ranges that the connection allows.
    pub allow_cidrs: Vec<Cidr>,
}

/// The broker's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BrokerReply {
    /// Connected; the descriptor is beside this message.
    Connected {
        /// The address it is connected to.
        peer: SocketAddr,
    },
    /// Not connected.
    Refused(BrokerRefusal),
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerRefusal {
    /// The name has no address.
    #[error("host name does not resolve")]
    NoAddress,
    /// Every address lies in a refused range that the connection does not allow.
    #[error("host resolves to a refused address range only")]
    RefusedAddress,
    /// Nobody answered.
    #[error("connection failed")]
    Unreachable,
    /// The request was not one.
    #[error("request is malformed")]
    Malformed,
}
