//! Connects to a jail that a service manager starts behind a socket, as a user of its own (DESIGN §7).
//!
//! In: the socket's path and the user that must answer. Out: the two links that the launcher hands over.
//!
//! Invariants:
//! * nothing is sent: whoever answers has to give first, so that a squatter on the path gets nothing;
//! * both links were made by a process of the expected user, or there are none. The kernel says so: what it
//!   says of the listening socket itself is only who made that, which is the service manager.
//!
//! Not here: what is said over the links (`jail_client`, `broker`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use writ_confine::{Channel, ChannelError};
use writ_jail_link::{LauncherLink, decode};

/// How long the launcher may take: it is started by the connection, and one before may still be ending.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no jail at a socket.
#[derive(Debug, thiserror::Error)]
pub enum JailSocketError {
    /// Nobody listens there, or this user may not connect.
    #[error("cannot connect to `{}`; is the jail's socket unit started, and this user in its group?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: ChannelError,
    },
    /// The launcher did not answer, or hung up: it takes the runner's user alone, or it did not start.
    #[error("nobody handed over the jail at `{}`; see the log of its launcher", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What came instead.
        #[source]
        source: ChannelError,
    },
    /// Somebody else answered.
    #[error("user {found} answers at `{}`, where the jail's user {expected} should", path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The jail's user.
        expected: u32,
        /// Who it was.
        found: u32,
    },
}

/// Takes the jail's link and the broker's announcements from the launcher at `path`.
///
/// # Errors
///
/// [`JailSocketError`].
pub(crate) fn connect(path: &Path, user: u32) -> Result<(Channel, Channel), JailSocketError> {
    connect_within(PATIENCE, path, user)
}

fn connect_within(
    patience: Duration,
    path: &Path,
    user: u32,
) -> Result<(Channel, Channel), JailSocketError> {
    let connection = Channel::connect(path)
        .map_err(|source| JailSocketError::Connect { path: path.to_owned(), source })?;
    let taken = |expected| {
        let (link, maker) = connection
            .set_timeout(Some(patience))
            .and_then(|()| take(&connection, expected))
            .map_err(|source| JailSocketError::NoAnswer { path: path.to_owned(), source })?;
        if maker == user {
            return Ok(link);
        }
        Err(JailSocketError::Stranger { path: path.to_owned(), expected: user, found: maker })
    };
    Ok((taken(LauncherLink::Jail)?, taken(LauncherLink::Cells)?))
}

/// The next link, if it is this one, and the user whose process made it.
fn take(connection: &Channel, expected: LauncherLink) -> Result<(Channel, u32), ChannelError> {
    let (message, link) = connection.receive()?.ok_or(ChannelError::Closed)?;
    match (decode::<LauncherLink>(&message), link) {
        (Ok(said), Some(link)) if said == expected => {
            let link = Channel::from_fd(link)?;
            let maker = link.peer_uid()?;
            Ok((link, maker))
        }
        _ => Err(ChannelError::Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::{fd::AsFd as _, unix::net::UnixListener},
        thread::{self, JoinHandle},
    };

    use writ_jail_link::encode;

    use super::*;

    /// What a launcher, or somebody in its place, does with a connection; what it was sent meanwhile.
    type Answer = fn(&Channel);

    const AT_ONCE: Duration = Duration::from_millis(200);

    #[test]
    fn links_that_the_expected_user_made_are_taken_in_their_order() {
        let answer: Answer = |connection| {
            give(connection, LauncherLink::Jail);
            give(connection, LauncherLink::Cells);
        };
        let socket = Socket::new(answer);

        assert!(connect_within(PATIENCE, &socket.path, own()).is_ok());
    }

    #[test]
    fn a_squatter_on_the_path_is_refused_and_gets_nothing() {
        let socket = Socket::new(|connection| give(connection, LauncherLink::Jail));

        let refused = connect_within(PATIENCE, &socket.path, own() + 1).unwrap_err();

        let stranger = JailSocketError::Stranger {
            path: socket.path.clone(),
            expected: own() + 1,
            found: own(),
        };
        assert_eq!(refused.to_string(), stranger.to_string());
        assert_eq!(socket.received(), None, "the squatter was sent something");
    }

    #[test]
    fn whatever_is_no_link_of_a_launcher_is_refused() {
        let answers: [Answer; 5] = [
            |_| {},
            |connection| give(connection, LauncherLink::Cells),
            |connection| connection.send(b"\"jail\"", None).unwrap(),
            |connection| {
                let (link, _) = Channel::pair().unwrap();
                connection.send(b"hello", Some(link.as_fd())).unwrap();
            },
            |connection| {
                let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
                connection.send(b"\"jail\"", Some(tcp.as_fd())).unwrap();
            },
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            let socket = Socket::new(answer);
            let refused = connect_within(PATIENCE, &socket.path, own());
            assert!(matches!(refused, Err(JailSocketError::NoAnswer { .. })), "{number}");
        }
    }

    #[test]
    fn somebody_who_never_answers_is_not_waited_for_for_ever() {
        let socket = Socket::new(|_| thread::sleep(2 * AT_ONCE));

        let refused = connect_within(AT_ONCE, &socket.path, own()).unwrap_err();

        assert!(matches!(
            refused,
            JailSocketError::NoAnswer { source: ChannelError::TimedOut, .. }
        ));
    }

    #[test]
    fn a_path_where_nobody_listens_is_said_with_what_to_look_at() {
        let said = connect(Path::new("/nonexistent/jail.sock"), own()).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/jail.sock") && said.contains("socket unit"), "{said}");
    }

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn give(connection: &Channel, link: LauncherLink) {
        let (_kept, handed) = Channel::pair().unwrap();
        connection.send(&encode(&link).unwrap(), Some(handed.as_fd())).unwrap();
    }

    struct Socket {
        path: PathBuf,
        thread: JoinHandle<Option<Vec<u8>>>,
        _folder: tempfile::TempDir,
    }

    impl Socket {
        fn new(answer: Answer) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("jail.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let thread = thread::spawn(move || {
                let connection = Channel::from_fd(listener.accept().unwrap().0.into()).unwrap();
                answer(&connection);
                // What the other side has sent until it hung up.
                let _ = rustix::net::shutdown(&connection, rustix::net::Shutdown::Write);
                connection.receive().ok().flatten().map(|(message, _)| message)
            });
            Self { path, thread, _folder: folder }
        }

        fn received(self) -> Option<Vec<u8>> {
            self.thread.join().unwrap()
        }
    }
}
