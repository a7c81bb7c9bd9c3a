//! The copy of a file as it was before its upgrade, beside it: `<file>.v<version>.backup`.
//!
//! It is one file without a write-ahead log, complete when it has its name. Whoever promises that data is gone
//! removes it too ([`remove_backups`]).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::Point;

const SUFFIX: &str = ".backup";

/// Where the copy of a file of this version is.
#[must_use]
pub fn backup_path(path: &Path, version: i64) -> PathBuf {
    beside(path, &format!(".v{version}{SUFFIX}"))
}

/// Removes every copy that an upgrade has made of this file, finished or not.
///
/// # Errors
///
/// One could not be removed.
pub fn remove_backups(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let folder = folder_of(path);
    let mut removed = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(name));
        if rest.is_some_and(is_backup) {
            fs::remove_file(entry.path())?;
            removed = true;
        }
    }
    if removed { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether this follows a file's name in that of a copy: `.v<version>.backup`, or the same with `.next` while it
/// is written.
fn is_backup(rest: &str) -> bool {
    let rest = rest.strip_suffix(".next").unwrap_or(rest);
    let version = rest.strip_prefix(".v").and_then(|rest| rest.strip_suffix(SUFFIX));
    version.is_some_and(|version| version.parse::<u32>().is_ok())
}

/// Makes the copy; one of an earlier attempt, which may be older than the file, is replaced.
pub(crate) fn keep(
    connection: &Connection,
    path: &Path,
    version: i64,
    watch: &mut dyn FnMut(Point),
) -> io::Result<()> {
    let copy = backup_path(path, version);
    let next = beside(&copy, ".next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // SQLite takes an empty file that is there, with its mode.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    let name = next.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(io::Error::other)?;
    file.sync_all()?;
    watch(Point::CopyWritten);
    fs::rename(&next, &copy)?;
    File::open(folder_of(path))?.sync_all()?;
    watch(Point::CopyKept);
    Ok(())
}

fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(addition);
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}
