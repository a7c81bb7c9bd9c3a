//! A state file of the version before, of this version and of a newer one.

use std::{fs, fs::OpenOptions, path::PathBuf};

use tempfile::TempDir;
use writ_model::{IsolationMode, IsolationReport};

use super::*;
use crate::flow::Jail;

/// Written by an earlier version; see `tests/fixtures/README.md`.
const BEFORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state-format-1");
const FORMAT_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state-format-2");
const FORMAT_3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state-format-3");
const NAMED: &str = "[{\"format\":4}]\n";

#[test]
fn a_file_of_a_version_before_keeps_everything_and_is_named_once() {
    for (before, head, tree, counts) in [
        (BEFORE, 4, 10, [4, 3, 1, 1, 1]),
        (FORMAT_2, 4, 15, [4, 6, 2, 2, 2]),
        (FORMAT_3, 5, 12, [5, 4, 1, 1, 2]),
    ] {
        let (_folder, path) = copy_of(before);

        for _ in 0..2 {
            let state = StateFile::open(file(&path), UnixTime(0)).unwrap();
            let memory = state.memory();
            assert!(memory.key.is_some());
            assert!(memory.anchor.is_some());
            assert_eq!(memory.head.unwrap().0, head);
            assert_eq!(memory.tree.unwrap().0, tree);
            let found = [
                memory.cosigned.len(),
                memory.statements.len(),
                memory.used.len(),
                memory.accepted.len(),
                memory.closed.len(),
            ];
            assert_eq!(found, counts);
            assert_eq!(memory.format, Some(FORMAT));
        }

        let whole = fs::read_to_string(&path).unwrap();
        assert_eq!(whole, format!("{}{NAMED}", fs::read_to_string(before).unwrap()));
        let report = IsolationReport::new(IsolationMode::Full, [], false);
        assert!(Jail::start(StateFile::open(file(&path), UnixTime(0)).unwrap(), report).is_ok());
    }
}

#[test]
fn killed_anywhere_in_the_naming_a_file_loses_nothing() {
    let before_it = fs::read_to_string(BEFORE).unwrap();
    for written in 0..=NAMED.len() {
        let (_folder, path) = before();
        fs::write(&path, format!("{before_it}{}", NAMED.get(..written).unwrap())).unwrap();

        let state = StateFile::open(file(&path), UnixTime(0)).unwrap();

        assert_eq!(state.memory().statements.len(), 3, "{written}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{before_it}{NAMED}"), "{written}");
    }
}

#[test]
fn a_new_file_says_its_format_first() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state");

    drop(StateFile::open(file(&path), UnixTime(0)).unwrap());

    assert_eq!(fs::read_to_string(&path).unwrap(), NAMED);
}

#[test]
fn a_newer_file_is_refused_before_what_is_unknown_in_it_and_left_as_it_is() {
    let (_folder, path) = before();
    let newer = "[{\"format\":5}]\n[{\"something-new\":1}]\n";
    let text = format!("{}{newer}", fs::read_to_string(BEFORE).unwrap());
    fs::write(&path, &text).unwrap();

    let refused = StateFile::open(file(&path), UnixTime(0)).err().unwrap();

    assert!(matches!(refused, StateError::Newer { found: 5 }));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_format_that_goes_back_is_damage() {
    let (_folder, path) = before();
    fs::write(&path, format!("{NAMED}{NAMED}")).unwrap();
    assert!(matches!(
        StateFile::open(file(&path), UnixTime(0)).err(),
        Some(StateError::Damaged { line: 2 })
    ));
}

fn before() -> (TempDir, PathBuf) {
    copy_of(BEFORE)
}

fn copy_of(fixture: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state");
    fs::copy(fixture, &path).unwrap();
    (folder, path)
}

/// As launcher A opens it.
fn file(path: &PathBuf) -> File {
    OpenOptions::new().read(true).append(true).create(true).open(path).unwrap()
}

#[test]
fn what_has_expired_is_not_taken_up_and_who_signed_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state");
    let signer = Principal { iss: "https://idp.example".to_owned(), sub: "ann".to_owned() };
    let by = Some(SignIn { principal: signer.clone(), at: UnixTime(40) });
    let used = |jti: &str, until| Record::Used {
        jti: jti.to_owned(),
        until: UnixTime(until),
        by: by.clone(),
        attests: Some(UnixTime(40)),
    };
    let mut state = StateFile::open(file(&path), UnixTime(0)).unwrap();
    state.append(vec![used("spent", 100)]).unwrap();
    state.append(vec![used("lives", 101)]).unwrap();

    let state = StateFile::open(file(&path), UnixTime(100)).unwrap();

    assert_eq!(state.memory().used.len(), 1);
    assert!(state.memory().used.knows("lives"));
    assert_eq!(state.memory().sign_ins.get(&signer), Some(&UnixTime(40)));
    assert_eq!(state.memory().attested, Some(UnixTime(40)));
}
