//! Users of this machine by number or by name, as `/etc/passwd` has them.
//!
//! A name service would bring code and connections of its own into the launchers, so that there is none:
//! a user that only one knows is given by number.

use std::{fs, io};

const PASSWD: &str = "/etc/passwd";

/// Why a user is not known.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no user of that name.
    #[error("`{PASSWD}` has no user `{name}`; a user of a name service is given by number")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The list can't be read.
    #[error("cannot read `{PASSWD}`")]
    Read(#[source] io::Error),
}

/// The number of a user that is given by number or by name.
///
/// # Errors
///
/// [`UserError`]: give the number.
pub fn uid_of(user: &str) -> Result<u32, UserError> {
    if let Some(uid) = number(user) {
        return Ok(uid);
    }
    let passwd = fs::read_to_string(PASSWD).map_err(UserError::Read)?;
    find(&passwd, user).ok_or_else(|| UserError::Unknown { name: user.to_owned() })
}

fn find(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next().is_some_and(|first| first == name && !first.is_empty());
        if found { fields.nth(1).and_then(number) } else { None }
    })
}

/// The largest number means "no user" to the kernel.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().filter(|uid| *uid != u32::MAX) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "root:x:0:0::/root:/bin/sh\nbroken:x\nwrit-jail:x:997:996::/:/sbin/nologin\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        assert_eq!(find(LIST, "writ-jail"), Some(997));
        assert_eq!(find(LIST, "root"), Some(0));
        for name in ["writ", "jail", "broken", "", "x"] {
            assert_eq!(find(LIST, name), None, "{name}");
        }
    }

    #[test]
    fn a_number_is_taken_as_it_is() {
        assert_eq!(uid_of("0").unwrap(), 0);
        assert_eq!(uid_of("7199").unwrap(), 7199);
        for text in ["-1", "+1", "4294967295", "4294967296", "", "no-such-user-here"] {
            assert!(uid_of(text).is_err(), "{text}");
        }
    }
}
