//! A listening socket that a service manager made and passed: `sd_listen_fds(3)`.
//!
//! The manager binds and listens, and starts this program when somebody connects, with the socket as
//! descriptor 3 and the variables `LISTEN_PID` and `LISTEN_FDS`. [`take_listener`] takes the socket and
//! forgets the variables, as if it had been called with `unset_environment`.
//!
//! Invariants:
//! * a socket is taken only if the variables name this very process, and one socket;
//! * it is a Unix stream socket that listens, or it is refused.
//!
//! Not here: whom to believe (`Channel::peer_uid`), what is said (`writ_jail_link`).

use std::{
    env, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, accept_with, sockopt},
};

use crate::{Channel, ChannelError, sys};

/// What the service manager says by, `LISTEN_FDNAMES` included, which says nothing here.
const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// No service manager started this process with a socket.
    #[error(
        "this process was not started with a socket (LISTEN_PID and LISTEN_FDS of \
         sd_listen_fds(3) do not name it)"
    )]
    NotActivated,
    /// More or fewer than one.
    #[error("this process was started with {found} sockets; it takes one")]
    Count {
        /// How many.
        found: u32,
    },
    /// It is another kind of socket, or not a socket.
    #[error("descriptor 3 is not a Unix stream socket that listens")]
    Kind,
    /// The environment or the socket failed.
    #[error("cannot take over the socket")]
    Io(#[source] io::Error),
}

/// A socket that others connect to.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

/// Takes the socket that this process was started with. Call before anything else is opened.
///
/// # Errors
///
/// * [`ActivationError::NotActivated`]: start it by a service manager, with a socket.
/// * [`ActivationError::Count`], [`ActivationError::Kind`]: mend the socket's unit.
/// * [`ActivationError::Io`]: the process has several threads, or the descriptor is not open.
///
/// # Spec
///
/// `sd_listen_fds(3)`, `SD_LISTEN_FDS_START` = 3.
pub fn take_listener() -> Result<Listener, ActivationError> {
    let said = |name: &str| env::var(name).ok();
    count(said("LISTEN_PID").as_deref(), said("LISTEN_FDS").as_deref(), std::process::id())?;
    sys::forget_variables(&VARIABLES).map_err(ActivationError::Io)?;
    Listener::from_fd(sys::take_passed_descriptor().map_err(ActivationError::Io)?)
}

/// Whether the variables pass one socket to this process.
fn count(pid: Option<&str>, sockets: Option<&str>, own: u32) -> Result<(), ActivationError> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    if number(pid) != Some(own) {
        return Err(ActivationError::NotActivated);
    }
    match number(sockets) {
        None => Err(ActivationError::NotActivated),
        Some(1) => Ok(()),
        Some(found) => Err(ActivationError::Count { found }),
    }
}

impl Listener {
    /// Takes over a socket that listens, and makes it blocking.
    ///
    /// # Errors
    ///
    /// * [`ActivationError::Kind`], [`ActivationError::Io`].
    pub fn from_fd(socket: OwnedFd) -> Result<Self, ActivationError> {
        let listens = sockopt::socket_acceptconn(&socket) == Ok(true)
            && sockopt::socket_domain(&socket) == Ok(AddressFamily::UNIX)
            && sockopt::socket_type(&socket) == Ok(SocketType::STREAM);
        if !listens {
            return Err(ActivationError::Kind);
        }
        let failed = |errno: Errno| ActivationError::Io(errno.into());
        rustix::io::ioctl_fionbio(&socket, false).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Waits for somebody to connect.
    ///
    /// # Errors
    ///
    /// * [`ChannelError::Socket`]: no descriptors are left.
    pub fn accept(&self) -> Result<Channel, ChannelError> {
        loop {
            match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(connection) => return Channel::from_fd(connection),
                // Whoever connected has gone again.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(ChannelError::Socket(errno.into())),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    };

    use super::*;

    #[test]
    fn one_socket_for_this_process_is_taken_and_nothing_else() {
        assert!(count(Some("7"), Some("1"), 7).is_ok());
        for (pid, sockets) in [(None, Some("1")), (Some("8"), Some("1")), (Some("7"), None)] {
            let refused = count(pid, sockets, 7);
            assert!(matches!(refused, Err(ActivationError::NotActivated)), "{pid:?} {sockets:?}");
        }
        for found in [0, 2] {
            let refused = count(Some("7"), Some(&found.to_string()), 7);
            assert!(matches!(refused, Err(ActivationError::Count { found: is }) if is == found));
        }
    }

    #[test]
    fn only_a_unix_stream_socket_that_listens_is_listened_on() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let (datagrams, _other) = UnixDatagram::pair().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        for socket in [stream.into(), datagrams.into(), tcp.into(), null.into()] {
            assert!(matches!(Listener::from_fd(socket), Err(ActivationError::Kind)));
        }
    }

    #[test]
    fn whoever_connects_is_known_by_user() {
        let path = std::env::temp_dir().join(format!("writ-listener-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let bound = UnixListener::bind(&path).unwrap();
        bound.set_nonblocking(true).unwrap();
        let listener = Listener::from_fd(bound.into()).unwrap();

        let ours = Channel::connect(&path).unwrap();
        let theirs = listener.accept().unwrap();
        std::fs::remove_file(&path).unwrap();

        assert_eq!(theirs.peer_uid().unwrap(), rustix::process::geteuid().as_raw());
        ours.send(b"hello", None).unwrap();
        assert_eq!(theirs.receive().unwrap().unwrap().0, b"hello");
    }
}
