//! Messages between runner, launchers, jail and cells: framed bytes, each with at most one
//! descriptor.
//!
//! A frame is a length (`u32`, big-endian) and that many bytes, over a connected Unix stream
//! socket; a descriptor travels beside the frame's first bytes (`SCM_RIGHTS`). Calls block.
//!
//! Invariants:
//! * A length over [`LINK_MESSAGE_MAX`] is refused before a byte of it is read.
//! * Memory grows with what has arrived, never with what a header promises.
//! * A received descriptor is close-on-exec. A second one in the same frame is closed, and the
//!   frame refused.
//! * After any error the channel is out of step: drop it.
//!
//! Not here: what messages mean (`writ_jail_link`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, connect, recvmsg, sendmsg, socket_with, socketpair, sockopt,
    },
};
use writ_model::limits::LINK_MESSAGE_MAX;

use crate::sys;

const HEADER_LEN: usize = 4;
/// How much is read at once, and so how far memory runs ahead of what has arrived.
const CHUNK: usize = 64 * 1024;
/// Room for as many descriptors as are received before the kernel cuts the rest off.
const DESCRIPTOR_ROOM: usize = 4;

/// Why a message was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The message is longer than the link carries.
    #[error("a message of {length} bytes is longer than the limit of {LINK_MESSAGE_MAX}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// The other end closed the socket within a message.
    #[error("the peer closed the channel within a message")]
    Truncated,
    /// A message came with more than one descriptor; all were closed.
    #[error("a message came with more than one descriptor")]
    SurplusDescriptors,
    /// Nothing came, or nothing could be sent, within the time set.
    #[error("the peer did not keep up within the time set")]
    TimedOut,
    /// The other end is gone.
    #[error("the peer has closed the channel")]
    Closed,
    /// The message is not what the protocol has next.
    #[error("the peer sent a message that does not belong here")]
    Unexpected,
    /// The socket failed.
    #[error("cannot use the channel's socket")]
    Socket(#[source] io::Error),
}

/// A message, and the descriptor that came with it.
pub type Received = (Vec<u8>, Option<OwnedFd>);

/// One end of a connection that carries messages and descriptors.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Makes two ends that are connected to each other.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: no descriptors are left.
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(socket_error)?;
        Ok((Self { socket: a }, Self { socket: b }))
    }

    /// Connects to whoever listens at `path`.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: nobody listens there, or this user may not connect.
    pub fn connect(path: &Path) -> Result<Self, ChannelError> {
        let address = SocketAddrUnix::new(path).map_err(socket_error)?;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(socket_error)?;
        connect(&socket, &address).map_err(socket_error)?;
        Ok(Self { socket })
    }

    /// Takes over a connected Unix stream socket and makes it blocking.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: it is not a socket that can be made blocking.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, ChannelError> {
        rustix::io::ioctl_fionbio(&socket, false).map_err(socket_error)?;
        Ok(Self { socket })
    }

    /// Gives the socket back.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// The user that the other end's process ran as when the sockets were connected.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: the socket is no Unix socket.
    pub fn peer_uid(&self) -> Result<u32, ChannelError> {
        sys::peer_uid(self.socket.as_fd()).map_err(ChannelError::Socket)
    }

    /// Bounds how long one `send` or `receive` waits without progress; `None` waits for ever.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: the duration is zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ChannelError> {
        sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, timeout)
            .and_then(|()| {
                sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Send, timeout)
            })
            .map_err(socket_error)
    }

    /// Sends one message, with a copy of a descriptor if one is given.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::TooLong`]: over [`LINK_MESSAGE_MAX`] bytes; nothing was sent.
    /// * [`ChannelError::Closed`], [`ChannelError::TimedOut`], [`ChannelError::Socket`].
    pub fn send(
        &self,
        message: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), ChannelError> {
        let too_long = || ChannelError::TooLong { length: message.len() };
        if message.len() > LINK_MESSAGE_MAX {
            return Err(too_long());
        }
        let header = u32::try_from(message.len()).map_err(|_| too_long())?.to_be_bytes();
        let mut sent = 0;
        let mut descriptor = descriptor;
        while sent < HEADER_LEN + message.len() {
            let head = header.get(sent..).unwrap_or_default();
            let body = message.get(sent.saturating_sub(HEADER_LEN)..).unwrap_or_default();
            sent += self.send_some(&[IoSlice::new(head), IoSlice::new(body)], descriptor)?;
            // It went with the first bytes; a second copy would be a second descriptor.
            descriptor = None;
        }
        Ok(())
    }

    fn send_some(
        &self,
        parts: &[IoSlice<'_>],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<usize, ChannelError> {
        let descriptors = descriptor.map(|fd| [fd]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if let Some(descriptors) = &descriptors {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            match sendmsg(&self.socket, parts, &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(socket_error(errno)),
            }
        }
    }

    /// Receives one message and the descriptor that came with it; `None` once the other end has
    /// closed the channel between messages.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::TooLong`]: the header promises more than [`LINK_MESSAGE_MAX`] bytes.
    /// * [`ChannelError::Truncated`]: the channel ended within a message.
    /// * [`ChannelError::SurplusDescriptors`]: two or more came; all are closed.
    /// * [`ChannelError::TimedOut`], [`ChannelError::Socket`].
    pub fn receive(&self) -> Result<Option<Received>, ChannelError> {
        let mut descriptor = None;
        let mut header = Vec::with_capacity(HEADER_LEN);
        if !self.fill(&mut header, HEADER_LEN, &mut descriptor)? {
            return Ok(None);
        }
        let header: [u8; HEADER_LEN] = header.try_into().map_err(|_| ChannelError::Truncated)?;
        let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
        if length > LINK_MESSAGE_MAX {
            return Err(ChannelError::TooLong { length });
        }
        let mut message = Vec::new();
        if !self.fill(&mut message, length, &mut descriptor)? {
            return Err(ChannelError::Truncated);
        }
        Ok(Some((message, descriptor)))
    }

    /// Reads until `into` holds `length` bytes. False if the channel ended before the first.
    fn fill(
        &self,
        into: &mut Vec<u8>,
        length: usize,
        descriptor: &mut Option<OwnedFd>,
    ) -> Result<bool, ChannelError> {
        while into.len() < length {
            let held = into.len();
            into.resize(length.min(held + CHUNK), 0);
            let room = into.get_mut(held..).unwrap_or_default();
            let received = self.receive_some(room, descriptor)?;
            into.truncate(held + received);
            match received {
                0 if held == 0 => return Ok(false),
                0 => return Err(ChannelError::Truncated),
                _ => {}
            }
        }
        Ok(true)
    }

    fn receive_some(
        &self,
        room: &mut [u8],
        descriptor: &mut Option<OwnedFd>,
    ) -> Result<usize, ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_ROOM))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let parts = &mut [IoSliceMut::new(&mut *room)];
            match recvmsg(&self.socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(ChannelError::Closed),
                Err(errno) => return Err(socket_error(errno)),
            }
        };
        let mut surplus = message.flags.contains(ReturnFlags::CTRUNC);
        for received in control.drain() {
            let RecvAncillaryMessage::ScmRights(descriptors) = received else { continue };
            for received in descriptors {
                // The replaced one is closed by being dropped.
                surplus |= descriptor.replace(received).is_some();
            }
        }
        if surplus { Err(ChannelError::SurplusDescriptors) } else { Ok(message.bytes) }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn socket_error(errno: Errno) -> ChannelError {
    match errno {
        Errno::PIPE | Errno::CONNRESET => ChannelError::Closed,
        Errno::AGAIN => ChannelError::TimedOut,
        errno => ChannelError::Socket(errno.into()),
    }
}

#[cfg(test)]
mod tests;
