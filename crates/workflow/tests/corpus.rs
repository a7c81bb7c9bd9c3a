//! The specification's own examples: each is taken, or refused with a place and what is supported.

#![cfg(test)]

use std::{fs, path::PathBuf};

fn corpus(folder: &str) -> Vec<(PathBuf, String)> {
    let root = std::env::var_os("WRIT_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let folder = root.join("serverless-workflow").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("corpus missing: {}; set WRIT_CORPORA", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn corpus_every_example_is_taken_or_refused_with_place_and_help() {
    let (mut taken, mut refused) = (0, 0);
    for (path, source) in corpus("examples") {
        match writ_workflow::parse(&source) {
            Ok(_) => taken += 1,
            Err(findings) => {
                let first = findings.first().expect("a refusal says why");
                assert!(first.line > 0 && first.column > 0, "{}: {first}", path.display());
                refused += 1;
                println!("refused {}: {first}", path.file_name().unwrap().display());
            }
        }
    }
    println!("examples: {taken} taken, {refused} refused");
    assert!(taken >= 4, "only {taken} examples are taken");
}

#[test]
fn corpus_invalid_documents_are_refused_with_line_and_column() {
    let files = corpus("invalid");
    assert!(!files.is_empty());
    for (path, source) in files {
        let findings = writ_workflow::parse(&source).expect_err(&path.display().to_string());
        assert!(findings.iter().all(|f| f.line > 0 && f.column > 0), "{}", path.display());
    }
}
