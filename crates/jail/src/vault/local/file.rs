//! The vault file and its key file on disk.
//!
//! Format 2: one JSON object a line, first `{"format": 2}`, then for each secret `{"id", "name", "value"}`, each
//! base64url; rewritten whole. Format 1 is the same without its first line, and becomes 2 with the next change.
//!
//! Invariants:
//! * both files are made for their owner alone (0600), and appear complete or not at all;
//! * whoever changes the vault holds a lock on the key file meanwhile.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    VaultError,
    keys::{KEY_LEN, Keys},
};

/// Largest vault file, in bytes.
const VAULT_MAX: u64 = 16 * 1024 * 1024;

/// The format that is written.
const FORMAT: u32 = 2;

/// What the first line says.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
}

/// One secret, as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) value: String,
}

/// The key file, locked until this is dropped, and what it says.
pub(super) struct LockedKey {
    keys: Keys,
    /// Dropping it unlocks.
    _file: File,
}

impl LockedKey {
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
        flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        Ok(Self { keys: Keys::read(&file)?, _file: file })
    }

    /// Makes the key the first time, but never a new one for a vault that has records.
    pub(super) fn open_or_create(vault: &Path, path: &Path) -> Result<Self, VaultError> {
        match Self::open(path) {
            Err(VaultError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        if !load(vault)?.is_empty() {
            return Err(VaultError::KeyMissing);
        }
        create_key(path)?;
        Self::open(path)
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// Writes a key beside, then links it into place: it is there complete or not at all, and one
/// that somebody else has just made stays.
fn create_key(path: &Path) -> Result<(), VaultError> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| VaultError::Unsafe)?;
    let mut name = [0; 8];
    SystemRandom::new().fill(&mut name).map_err(|_| VaultError::Unsafe)?;
    let beside = beside(path, &format!("{:016x}", u64::from_be_bytes(name)));
    write_new(&beside, bytes.as_slice())?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => sync_folder(path),
    }
}

/// All records; none if there is no file.
pub(super) fn load(vault: &Path) -> Result<Vec<Record>, VaultError> {
    match File::open(vault) {
        Ok(file) => read(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// All records of an open vault.
pub(super) fn read(file: &File) -> Result<Vec<Record>, VaultError> {
    let mut text = Vec::new();
    file.take(VAULT_MAX + 1).read_to_end(&mut text)?;
    // A vault that was cut short would look like one with fewer secrets.
    if text.len() as u64 > VAULT_MAX || text.last().is_some_and(|last| *last != b'\n') {
        return Err(VaultError::Malformed);
    }
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
    // A header is read leniently: that of a newer format may say more.
    match lines.peek().and_then(|line| serde_json::from_slice::<Header>(line).ok()) {
        Some(Header { format: FORMAT }) => drop(lines.next()),
        Some(Header { format: found }) if found > FORMAT => {
            return Err(VaultError::Newer { found, known: FORMAT });
        }
        Some(_) => return Err(VaultError::Malformed),
        // Format 1 has none.
        None => {}
    }
    lines.map(|line| serde_json::from_slice(line).map_err(|_| VaultError::Malformed)).collect()
}

/// Writes the whole file beside the old one, then puts it in its place. The caller holds the lock.
pub(super) fn replace(vault: &Path, records: &[Record]) -> Result<(), VaultError> {
    let mut text = serde_json::to_vec(&Header { format: FORMAT }).map_err(io::Error::from)?;
    text.push(b'\n');
    for record in records {
        serde_json::to_writer(&mut text, record).map_err(io::Error::from)?;
        text.push(b'\n');
    }
    if text.len() as u64 > VAULT_MAX {
        return Err(VaultError::Length);
    }
    let next = beside(vault, "next");
    // Left behind by somebody who was killed: the lock says that nobody is writing it now.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write_new(&next, &text)?;
    fs::rename(&next, vault)?;
    sync_folder(vault)
}

/// The file of the same name with an addition, in the same folder.
fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(addition);
    PathBuf::from(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> Result<(), VaultError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?)
}
