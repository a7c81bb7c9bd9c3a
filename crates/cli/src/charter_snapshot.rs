//! The charter as this folder last folded it, so that a command folds only what came after.
//!
//! In: the folder beside whose trust anchor it lies. Out: a state of that tenant, or none, and then the charter is
//! folded from entry 0.
//!
//! The file is believed as far as the folder is, which also holds the trust anchor and the login's key; its first
//! line is the digest of the rest, so that damage is noticed.

use std::{fs, io, path::PathBuf};

use writ_evidence::{charter::CharterState, digest::sha256};
use writ_model::{Digest, limits::SNAPSHOT_EVERY};

use crate::place::Place;

fn path(place: &Place) -> PathBuf {
    place.folder.join("charter.snapshot")
}

/// The state that was kept, if it is of this tenant.
pub(crate) fn find(place: &Place) -> Option<CharterState> {
    let bytes = fs::read(path(place)).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (digest, state) = bytes.split_at_checked(end)?;
    let digest: Digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let state = CharterState::resume(state.get(1..)?, digest).ok()?;
    (state.ten() == place.settings.tenant).then_some(state)
}

/// Keeps a state, if enough was folded since the one before. Failing to costs time alone.
pub(crate) fn keep(place: &Place, state: &CharterState, before: Option<u64>) {
    if state.seq() < before.unwrap_or(0).saturating_add(SNAPSHOT_EVERY) {
        return;
    }
    if let Err(error) = write(place, state) {
        tracing::warn!(error = %error, "the folded charter is not kept");
    }
}

fn write(place: &Place, state: &CharterState) -> io::Result<()> {
    let bytes = state.snapshot();
    let mut text = sha256(&bytes).to_string().into_bytes();
    text.push(b'\n');
    text.extend(bytes);
    // Commands run side by side: each writes a file of its own, and the last one stays.
    let next = path(place).with_extension(format!("next-{}", std::process::id()));
    fs::write(&next, text)?;
    fs::rename(&next, path(place))
}

#[cfg(test)]
mod tests {
    use writ_evidence::charter::UnverifiedEntry;
    use writ_model::TenantId;

    use super::*;

    const ENTRIES: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../runner/tests/fixtures/charter-before.jsonl");

    #[test]
    fn a_folder_takes_up_what_it_folded_for_its_own_tenant_and_nothing_that_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(ENTRIES).unwrap();
        let first: UnverifiedEntry = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let ten = TenantId(first.digest());
        let state = CharterState::found(&first, ten).unwrap();
        let place = |tenant: TenantId| {
            let settings = format!(
                "tenant = '{tenant}'\nserver_url = ''\ngateway_url = ''\nissuer_url = ''\nclient_id = ''"
            );
            let settings = toml::from_str(&settings).unwrap();
            Place { folder: folder.path().to_owned(), settings }
        };
        assert_eq!(find(&place(ten)), None);
        keep(&place(ten), &state, None);
        assert_eq!(find(&place(ten)), None, "one entry is folded sooner than read");

        write(&place(ten), &state).unwrap();

        assert_eq!(find(&place(ten)), Some(state));
        assert_eq!(find(&place(TenantId(Digest::from_bytes([1; 32])))), None);
        let path = path(&place(ten));
        let changed = fs::read_to_string(&path).unwrap().replacen("owner", "other", 1);
        fs::write(&path, changed).unwrap();
        assert_eq!(find(&place(ten)), None);
    }
}
