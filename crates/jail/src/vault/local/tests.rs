//! What the vault keeps, and what an altered one does not give away.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::*;

#[test]
fn a_secret_is_kept_listed_replaced_and_removed() {
    let files = Files::new();
    files.put("github/token", b"first").unwrap();
    files.put("github/token", b"second").unwrap();
    files.put("slack/token", b"other").unwrap();

    assert_eq!(files.open("github/token").unwrap(), b"second");
    assert_eq!(files.list().unwrap(), ["github/token", "slack/token"]);
    remove(&files.vault(), &files.key(), "github/token").unwrap();
    assert!(matches!(files.open("github/token"), Err(VaultError::NotFound)));
    assert_eq!(files.open("slack/token").unwrap(), b"other");
    let again = remove(&files.vault(), &files.key(), "github/token");
    assert!(matches!(again, Err(VaultError::NotFound)));
}

#[test]
fn a_vault_of_the_version_before_opens_and_its_next_change_names_the_format() {
    let files = Files::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::copy(fixtures.join("vault-format-1"), files.vault()).unwrap();
    fs::copy(fixtures.join("vault-format-1.key"), files.key()).unwrap();
    fs::set_permissions(files.key(), fs::Permissions::from_mode(0o600)).unwrap();

    assert_eq!(files.list().unwrap(), ["github/token", "slack/token"]);
    assert_eq!(files.open("github/token").unwrap(), b"canary-vault-value");
    assert!(!fs::read_to_string(files.vault()).unwrap().contains("format"));
    files.put("new/token", b"third").unwrap();

    assert!(fs::read_to_string(files.vault()).unwrap().starts_with("{\"format\":2}\n"));
    assert_eq!(files.list().unwrap(), ["github/token", "new/token", "slack/token"]);
    assert_eq!(files.open("slack/token").unwrap(), b"second");
}

#[test]
fn a_vault_of_a_newer_version_is_refused_and_not_changed() {
    let files = Files::new();
    files.put("a", b"value").unwrap();
    let newer = "{\"format\":3,\"more\":true}\n{\"unknown\":1}\n";
    fs::write(files.vault(), newer).unwrap();

    let refused = files.put("b", b"value").unwrap_err();

    assert_eq!(refused.code(), "vault-newer");
    assert!(matches!(files.open("a"), Err(VaultError::Newer { found: 3, .. })));
    assert_eq!(fs::read_to_string(files.vault()).unwrap(), newer);
    fs::write(files.vault(), "{\"format\":1}\n").unwrap();
    assert!(matches!(files.list(), Err(VaultError::Malformed)), "format 1 had no name");
}

#[test]
fn nothing_is_listed_where_there_is_nothing() {
    assert!(Files::new().list().unwrap().is_empty());
}

#[test]
fn the_file_tells_neither_value_nor_path() {
    let files = Files::new();
    files.put("canary-path", b"canary-value").unwrap();
    let text = fs::read_to_string(files.vault()).unwrap();
    let decoded: Vec<u8> = file::load(&files.vault())
        .unwrap()
        .iter()
        .flat_map(|record| [&record.id, &record.name, &record.value])
        .flat_map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
        .collect();
    for canary in ["canary-path", "canary-value"] {
        assert!(!text.contains(canary));
        for before in ["", "x", "xx"] {
            let encoded = STANDARD.encode(format!("{before}{canary}"));
            assert!(!text.contains(encoded.get(3..12).unwrap()), "{canary}");
        }
        assert!(!decoded.windows(canary.len()).any(|window| window == canary.as_bytes()));
    }
}

#[test]
fn the_same_secret_is_never_sealed_to_the_same_bytes() {
    let files = Files::new();
    files.put("a", b"value").unwrap();
    let first = fs::read(files.vault()).unwrap();
    files.put("a", b"value").unwrap();
    assert_ne!(fs::read(files.vault()).unwrap(), first);
}

#[test]
fn parts_swapped_between_records_do_not_open() {
    type Part = fn(&mut Record) -> &mut String;
    let parts: [Part; 3] =
        [|record| &mut record.id, |record| &mut record.name, |record| &mut record.value];
    for (index, part) in parts.into_iter().enumerate() {
        let files = Files::new();
        files.put("a", b"value of a").unwrap();
        files.put("b", b"value of b").unwrap();
        let mut records = file::load(&files.vault()).unwrap();
        let (first, second) = records.split_at_mut(1);
        std::mem::swap(part(&mut first[0]), part(&mut second[0]));
        file::replace(&files.vault(), &records).unwrap();

        let names_only = index == 1;
        assert_eq!(files.open("a").is_ok(), names_only, "a cell looks at id and value");
        if let Ok(opened) = files.open("a") {
            assert_eq!(opened, b"value of a");
        }
        let values_only = index == 2;
        assert_eq!(files.list().is_ok(), values_only, "a list looks at id and name");
    }
}

#[test]
fn another_key_file_opens_nothing_and_changes_nothing() {
    let (files, others) = (Files::new(), Files::new());
    files.put("a", b"value").unwrap();
    others.put("a", b"value").unwrap();
    let before = fs::read(files.vault()).unwrap();
    fs::copy(others.key(), files.key()).unwrap();

    assert!(matches!(files.open("a"), Err(VaultError::NotFound)));
    assert!(matches!(files.list(), Err(VaultError::Refused)));
    assert!(matches!(files.put("b", b"value"), Err(VaultError::Refused)));
    assert_eq!(fs::read(files.vault()).unwrap(), before);
}

#[test]
fn a_lost_key_file_is_not_replaced_by_a_new_one() {
    let files = Files::new();
    files.put("a", b"value").unwrap();
    fs::remove_file(files.key()).unwrap();
    assert!(matches!(files.put("b", b"value"), Err(VaultError::KeyMissing)));
    assert!(!files.key().exists());
}

#[test]
fn a_vault_cut_off_anywhere_opens_nothing() {
    let files = Files::new();
    files.put("a", b"value of a").unwrap();
    files.put("b", b"value of b").unwrap();
    let whole = fs::read(files.vault()).unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(files.vault(), &whole[..length]).unwrap();
        assert!(files.open("b").is_err(), "{length}");
    }
}

#[test]
fn every_altered_character_of_a_value_is_noticed() {
    let files = Files::new();
    files.put("a", b"value of a").unwrap();
    let whole = fs::read_to_string(files.vault()).unwrap();
    let value = whole.rfind(":\"").unwrap() + 2;
    for at in value..whole.len() - 4 {
        let mut altered = whole.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        fs::write(files.vault(), altered).unwrap();
        assert!(files.open("a").is_err(), "{at}");
    }
}

#[test]
fn both_files_are_for_their_owner_alone_and_nothing_is_left_beside_them() {
    let files = Files::new();
    fs::write(files.folder.path().join("vault.next"), b"left behind").unwrap();
    files.put("a", b"value").unwrap();
    for file in [files.vault(), files.key()] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(files.folder.path()).unwrap().count(), 2);
    assert_eq!(fs::read(files.key()).unwrap().len(), 32);
}

#[test]
fn a_key_file_that_others_can_read_is_refused_by_people_and_cells_alike() {
    let files = Files::new();
    files.put("a", b"value").unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(files.key(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(files.put("a", b"y"), Err(VaultError::KeyFile)));
        assert!(matches!(files.open("a"), Err(VaultError::KeyFile)));
    }
}

#[test]
fn a_key_file_of_another_length_is_refused() {
    let files = Files::new();
    files.put("a", b"value").unwrap();
    for length in [0, 31, 33] {
        fs::write(files.key(), vec![7; length]).unwrap();
        assert!(matches!(files.open("a"), Err(VaultError::KeyFile)), "{length}");
    }
}

#[test]
fn a_key_file_that_is_a_link_is_refused() {
    let (files, others) = (Files::new(), Files::new());
    others.put("a", b"value").unwrap();
    symlink(others.key(), files.key()).unwrap();
    assert!(matches!(files.put("a", b"value"), Err(VaultError::Io(_))));
}

#[test]
fn a_secret_has_a_length_that_memory_for_it_has_room_for() {
    let files = Files::new();
    assert!(matches!(files.put("a", b""), Err(VaultError::Length)));
    assert!(matches!(files.put("a", &vec![7; SECRET_MAX + 1]), Err(VaultError::Length)));
    assert!(!files.key().exists());
    files.put("a", &vec![7; SECRET_MAX]).unwrap();
    assert_eq!(files.open("a").unwrap().len(), SECRET_MAX);
}

#[test]
fn secrets_put_at_the_same_time_are_all_kept() {
    let files = Files::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let files = &files;
            scope.spawn(move || files.put(&format!("secret-{number}"), b"value").unwrap());
        }
    });
    assert_eq!(files.list().unwrap().len(), 8);
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn vault(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("vault.key")
    }

    fn put(&self, path: &str, value: &[u8]) -> Result<(), VaultError> {
        put(&self.vault(), &self.key(), path, value)
    }

    fn list(&self) -> Result<Vec<String>, VaultError> {
        list(&self.vault(), &self.key())
    }

    /// As a cell opens it.
    fn open(&self, path: &str) -> Result<Vec<u8>, VaultError> {
        let (vault, key) = (File::open(self.vault())?, File::open(self.key())?);
        open_record(vault.into(), key.into(), path).map(|secret| secret.expose().to_vec())
    }
}
