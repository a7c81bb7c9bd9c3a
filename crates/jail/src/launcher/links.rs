//! Where launcher A's links to the runner are from: its own descriptors, or a socket.
//!
//! Spawned by the runner, it has them as descriptors 0 and 1, and is the runner's own user. Started by a
//! service manager, as a user of its own, it waits at a socket for the one connection of the runner's user,
//! makes both links and hands the runner's ends over. What is done with them is the same.
//!
//! Invariants:
//! * nobody but the runner's user is given anything; others are hung up on, and the wait goes on;
//! * one launcher serves one connection; the service manager starts another for the next.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::geteuid;
use writ_confine::{Channel, ChannelError, Listener, take_listener};
use writ_jail_link::{LauncherLink, encode};

use super::{LauncherError, take_standard_sockets};

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The runner that spawned this launcher.
    Parent,
    /// The runner that connects to the socket that this launcher was started with, as this user.
    Socket {
        /// The runner's user.
        runner: u32,
    },
}

/// The launcher's ends.
#[derive(Debug)]
pub(super) struct Links {
    /// The jail's end of its conversation with the runner.
    pub(super) jail: OwnedFd,
    /// Where cells are announced.
    pub(super) announcements: Channel,
    /// Whether the runner is the same user as this launcher.
    pub(super) uid_shared: bool,
}

impl Links {
    /// Takes them, or waits for whom they are for.
    pub(super) fn take(caller: Caller) -> Result<Self, LauncherError> {
        match caller {
            Caller::Parent => {
                let (jail, announcements) = take_standard_sockets()?;
                let announcements = Channel::from_fd(announcements)?;
                let uid_shared = announcements.peer_uid()? == geteuid().as_raw();
                Ok(Self { jail, announcements, uid_shared })
            }
            Caller::Socket { runner } => wait_for(&take_listener()?, runner),
        }
    }
}

/// Waits until the runner's user has connected.
fn wait_for(listener: &Listener, runner: u32) -> Result<Links, LauncherError> {
    loop {
        let connection = listener.accept()?;
        match admit(&connection, runner) {
            Ok(Some(links)) => return Ok(links),
            Ok(None) => {}
            // Whoever connected has gone again: there is nobody to serve.
            Err(error) => eprintln!("writ-jail: a connection broke off: {error}"),
        }
    }
}

/// Hands the links over, if it is the runner's user that connected.
fn admit(connection: &Channel, runner: u32) -> Result<Option<Links>, ChannelError> {
    let found = connection.peer_uid()?;
    if found != runner {
        eprintln!(
            "writ-jail: refused a connection: user {found} is not the runner's user {runner}"
        );
        return Ok(None);
    }
    let (jail, jail_of_runner) = Channel::pair()?;
    let (announcements, cells_of_runner) = Channel::pair()?;
    for (link, end) in
        [(LauncherLink::Jail, jail_of_runner), (LauncherLink::Cells, cells_of_runner)]
    {
        let message = encode(&link).map_err(|_| ChannelError::Unexpected)?;
        connection.send(&message, Some(end.as_fd()))?;
    }
    let uid_shared = runner == geteuid().as_raw();
    Ok(Some(Links { jail: jail.into_fd(), announcements, uid_shared }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use writ_jail_link::decode;

    use super::*;

    #[test]
    fn the_runners_user_is_given_both_links_and_they_work() {
        let own = geteuid().as_raw();
        let (ours, theirs) = Channel::pair().unwrap();

        let links = admit(&theirs, own).unwrap().unwrap();

        let jail = end(&ours, LauncherLink::Jail);
        let cells = end(&ours, LauncherLink::Cells);
        assert_eq!(jail.peer_uid().unwrap(), own);
        jail.send(b"a request", None).unwrap();
        let received = Channel::from_fd(links.jail).unwrap().receive().unwrap().unwrap();
        assert_eq!(received.0, b"a request");
        links.announcements.send(b"a cell", None).unwrap();
        assert_eq!(cells.receive().unwrap().unwrap().0, b"a cell");
        assert!(links.uid_shared);
    }

    #[test]
    fn another_user_is_hung_up_on_without_a_word() {
        let (ours, theirs) = Channel::pair().unwrap();

        assert!(admit(&theirs, geteuid().as_raw() + 1).unwrap().is_none());

        drop(theirs);
        assert!(ours.receive().unwrap().is_none());
    }

    #[test]
    fn somebody_who_connects_and_leaves_does_not_end_the_wait() {
        let path = std::env::temp_dir().join(format!("writ-links-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = Listener::from_fd(UnixListener::bind(&path).unwrap().into()).unwrap();
        drop(Channel::connect(&path).unwrap());
        let runner = Channel::connect(&path).unwrap();

        let links = wait_for(&listener, geteuid().as_raw()).unwrap();

        std::fs::remove_file(&path).unwrap();
        end(&runner, LauncherLink::Jail);
        drop(links);
    }

    fn end(connection: &Channel, expected: LauncherLink) -> Channel {
        let (message, descriptor) = connection.receive().unwrap().unwrap();
        assert_eq!(decode::<LauncherLink>(&message).unwrap(), expected);
        Channel::from_fd(descriptor.unwrap()).unwrap()
    }
}
