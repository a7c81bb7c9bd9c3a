//! The journal's own promises: grouped commits, settings, who may open it.

use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use tempfile::TempDir;

use super::{fuse::Cut, *};

const KEY: [u8; 32] = [7; 32];

#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    let folder = TempDir::new().unwrap();
    let journal = Arc::new(open(&folder, KEY).unwrap());
    let (go, held) = std::sync::mpsc::channel::<()>();
    let (tell, holding) = tokio::sync::oneshot::channel();
    let first = Arc::clone(&journal);
    let first = tokio::spawn(async move {
        let hold = move |_: &Savepoint<'_>| {
            tell.send(()).unwrap();
            held.recv().map_err(|_| JournalError::Row)
        };
        first.writer.write(hold).await
    });
    holding.await.unwrap();
    let told: Vec<_> = (0..100)
        .map(|n| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move { journal.tell_again(format!("{n}")).await })
        })
        .collect();
    // On this one thread, each runs up to its wait within as many turns as there are writes.
    for _ in 0..=told.len() {
        tokio::task::yield_now().await;
    }

    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    for told in told {
        told.await.unwrap().unwrap();
    }

    assert_eq!(journal.outbox().unwrap().len(), 100);
    assert_eq!(journal.fuse().commits(), 2);
}

#[tokio::test]
async fn a_write_that_fails_takes_back_only_itself() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder, KEY).unwrap();

    let (good, bad) = tokio::join!(
        journal.tell_again("good".to_owned()),
        journal.writer.write(|transaction| {
            tell(transaction, "bad")?;
            Err::<(), _>(JournalError::Row)
        }),
    );

    good.unwrap();
    assert!(matches!(bad, Err(JournalError::Row)));
    let told: Vec<String> =
        journal.outbox().unwrap().into_iter().map(|item| item.payload).collect();
    assert_eq!(told, ["good"]);
}

#[tokio::test]
async fn a_write_that_was_never_committed_fails() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder, KEY).unwrap();
    journal.fuse().set(Cut::BeforeCommit(0));

    assert!(matches!(journal.tell_again("lost".to_owned()).await, Err(JournalError::WriterGone)));
    drop(journal);

    assert!(open(&folder, KEY).unwrap().outbox().unwrap().is_empty());
}

#[test]
fn a_storage_key_that_is_not_the_journals_is_refused_before_any_run_is_judged() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder, KEY).unwrap());
    assert!(matches!(open(&folder, [8; 32]).err(), Some(JournalError::StorageKey)));
    assert!(open(&folder, KEY).is_ok());
}

#[test]
fn a_journal_of_another_schema_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let other = Connection::open(folder.path().join("journal.db")).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();

    let refused = open(&folder, KEY).err().unwrap();

    assert_eq!(refused.code(), "data-newer");
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn a_journal_of_the_version_before_keeps_everything_and_erasing_takes_its_copy_along() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::copy(fixtures.join("journal-schema-2.db"), &path).unwrap();
    let key = std::fs::read(fixtures.join("journal-schema-2.key")).unwrap();

    let journal = open(&folder, key.try_into().unwrap()).unwrap();

    let run: RunId = "run_c54b952c00acaa6bc52cb86918b4ebbf".parse().unwrap();
    let row = journal.run(run).unwrap().unwrap();
    assert_eq!(row.status.phase, Phase::Completed);
    let seal = journal.seal_of(run, &row).unwrap();
    assert_eq!(journal.events(&seal).unwrap().len(), 2);
    let outcome = Journal::outcome(&seal, &row).unwrap().unwrap();
    assert!(serde_json::to_string(&outcome).unwrap().contains("Hello, Ada!"));
    let copy = writ_sqlite::backup_path(&path, 2);
    assert!(copy.exists());

    journal.forget(run).await.unwrap();
    assert!(!copy.exists(), "the copy still has the run's key");
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder, KEY).unwrap();
    journal.tell_again("x".to_owned()).await.unwrap();

    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
        files += 1;
    }
    assert!(files >= 3, "database, write-ahead log and lock");
}

fn open(folder: &TempDir, key: [u8; 32]) -> Result<Journal, JournalError> {
    Journal::open(&folder.path().join("journal.db"), &Zeroizing::new(key))
}
