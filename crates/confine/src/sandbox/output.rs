//! Fetches the output file out of the scratch directory of a sandbox that has ended.
//!
//! The code chose what lies there, so nothing about it is taken for granted.
//!
//! Invariants:
//! * No link is followed, nothing but a regular file is read, and opening never blocks.
//! * At most `limit` bytes are read.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};

/// What lies at the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    Absent,
    Content(Vec<u8>),
    TooLarge,
    NotAFile,
}

/// Reads the file `name` in the directory.
pub(super) fn fetch(scratch: &OwnedFd, name: &str, limit: usize) -> io::Result<Fetched> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(scratch, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Fetched::Absent),
        // A link, a socket, a file that its owner may not read.
        Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(Fetched::NotAFile),
        Err(errno) => return Err(errno.into()),
    };
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Ok(Fetched::NotAFile);
    }
    let mut content = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::from(file).take(one_more).read_to_end(&mut content)?;
    Ok(if content.len() > limit { Fetched::TooLarge } else { Fetched::Content(content) })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::PathBuf};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let (path, dir) = directory("limit");
        fs::write(path.join("out"), "12345").unwrap();

        assert_eq!(fetch(&dir, "out", 5).unwrap(), Fetched::Content(b"12345".to_vec()));
        assert_eq!(fetch(&dir, "out", 4).unwrap(), Fetched::TooLarge);
        assert_eq!(fetch(&dir, "other", 4).unwrap(), Fetched::Absent);
    }

    #[test]
    fn links_directories_and_pipes_are_not_read() {
        let (path, dir) = directory("kinds");
        fs::write(path.join("secret"), "x").unwrap();
        symlink(path.join("secret"), path.join("link")).unwrap();
        fs::create_dir(path.join("dir")).unwrap();
        rustix::fs::mknodat(&dir, "fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();

        for name in ["link", "dir", "fifo"] {
            assert_eq!(fetch(&dir, name, 9).unwrap(), Fetched::NotAFile, "{name}");
        }
    }

    fn directory(name: &str) -> (PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("writ-output-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let dir = File::open(&path).unwrap().into();
        (path, dir)
    }
}
