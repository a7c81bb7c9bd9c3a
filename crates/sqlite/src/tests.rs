//! What an upgrade promises, with the power cut at every point of it: a process that is killed there, by
//! SIGKILL, and what another finds.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::PathBuf,
    process::Command,
};

use tempfile::TempDir;

use super::*;

/// A schema as it once was, and as it is.
const BEFORE: Schema = Schema { name: "the notes", mark: 0x0077_7269, steps: BEFORE_STEPS };
const TODAY: Schema = Schema { name: "the notes", mark: 0x0077_7269, steps: TODAY_STEPS };
const BEFORE_STEPS: &[Step] =
    &[Step { to: 2, sql: "CREATE TABLE note (text TEXT NOT NULL) STRICT" }];
const TODAY_STEPS: &[Step] = &[
    Step { to: 2, sql: "CREATE TABLE note (text TEXT NOT NULL) STRICT" },
    Step {
        to: 3,
        sql: "ALTER TABLE note ADD COLUMN length INTEGER; UPDATE note SET length = length(text)",
    },
    Step { to: 4, sql: "CREATE INDEX note_by_length ON note (length)" },
];

const POINTS: [Point; 6] = [
    Point::CopyWritten,
    Point::CopyKept,
    Point::Stepped(3),
    Point::Committed(3),
    Point::Stepped(4),
    Point::Committed(4),
];

const KILLED: &str = "WRIT_SQLITE_KILLED_FILE";
const AT: &str = "WRIT_SQLITE_KILLED_AT";

#[test]
fn killed_at_any_point_of_an_upgrade_a_file_is_whole_and_the_next_start_goes_on() {
    if let Some(path) = std::env::var_os(KILLED) {
        return be_killed(&PathBuf::from(path));
    }
    for (index, point) in POINTS.into_iter().enumerate() {
        let (folder, path) = before();

        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::killed_at_any_point_of_an_upgrade_a_file_is_whole_and_the_next_start_goes_on"])
            .env(KILLED, &path)
            .env(AT, index.to_string())
            .output()
            .unwrap();
        assert_eq!(ended.status.signal(), Some(9), "{point:?}");

        let mut connection = Connection::open(&path).unwrap();
        let version = version(&connection);
        let steps_done = match point {
            Point::CopyWritten | Point::CopyKept | Point::Stepped(3) => 2,
            Point::Committed(3) | Point::Stepped(_) => 3,
            Point::Committed(_) => 4,
        };
        assert_eq!(version, steps_done, "{point:?}");
        TODAY.bring_up(&mut connection, &path).unwrap();
        assert_eq!(lengths(&connection), [("first".to_owned(), 5), ("second".to_owned(), 6)]);
        let copy = Connection::open(backup_path(&path, 2)).unwrap();
        assert_eq!(texts(&copy), ["first", "second"], "{point:?}");
        drop(folder);
    }
}

/// Upgrades the file, and is killed at the point that it was told.
fn be_killed(path: &Path) {
    let at = POINTS[std::env::var(AT).unwrap().parse::<usize>().unwrap()];
    let mut connection = open(path);
    let mut kill = |point| {
        if point == at {
            let own = std::process::id().to_string();
            Command::new("kill").args(["-9", &own]).status().unwrap();
            std::thread::sleep(std::time::Duration::from_mins(1));
        }
    };
    TODAY.bring_up_watched(&mut connection, path, &mut kill).unwrap();
}

#[test]
fn a_file_that_grew_and_one_that_was_made_today_have_the_same_schema() {
    let (_folder, path) = before();
    let mut grown = open(&path);
    assert_eq!(TODAY.bring_up(&mut grown, &path).unwrap(), Found::Older(2));
    assert_eq!(TODAY.bring_up(&mut grown, &path).unwrap(), Found::Current);

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.db");
    let mut made = open(&path);
    assert_eq!(TODAY.bring_up(&mut made, &path).unwrap(), Found::New);

    assert_eq!(schema(&grown), schema(&made));
    assert_eq!(version(&made), TODAY.newest());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "a new file needs no copy");
}

#[test]
fn a_copy_is_its_owners_alone_and_replaces_one_of_an_earlier_attempt() {
    let (_folder, path) = before();
    let copy = backup_path(&path, 2);
    fs::write(&copy, "of an earlier attempt").unwrap();
    fs::write(beside_next(&copy), "broken off").unwrap();

    TODAY.bring_up(&mut open(&path), &path).unwrap();

    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(texts(&Connection::open(&copy).unwrap()), ["first", "second"]);
    assert!(!beside_next(&copy).exists());
}

#[test]
fn a_copy_put_back_is_a_file_of_the_version_before() {
    let (_folder, path) = before();
    TODAY.bring_up(&mut open(&path), &path).unwrap();
    fs::rename(backup_path(&path, 2), &path).unwrap();

    let mut connection = open(&path);
    assert_eq!(BEFORE.bring_up(&mut connection, &path).unwrap(), Found::Current);
    assert_eq!(texts(&connection), ["first", "second"]);
}

#[test]
fn newer_forgotten_and_foreign_files_are_refused_with_a_code_and_left_as_they_are() {
    let prepared: [(&str, &str); 5] = [
        ("PRAGMA user_version = 5", "data-newer"),
        ("PRAGMA user_version = 1", "data-forgotten"),
        ("PRAGMA user_version = -1", "data-foreign"),
        ("PRAGMA user_version = 0; CREATE TABLE other (x)", "data-foreign"),
        ("PRAGMA user_version = 2; PRAGMA application_id = 7", "data-foreign"),
    ];
    for (sql, code) in prepared {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("notes.db");
        let mut connection = open(&path);
        connection.execute_batch(sql).unwrap();
        let before = schema(&connection);

        let refused = TODAY.bring_up(&mut connection, &path).unwrap_err();

        assert_eq!(refused.code(), code, "{sql}");
        assert_eq!(schema(&connection), before);
        assert!(!backup_path(&path, 2).exists());
        let said = refused.to_string();
        assert!(said.contains("the notes"), "{said}");
    }
}

#[test]
fn without_room_for_the_copy_nothing_is_changed() {
    let (_folder, path) = before();
    // A folder in the place of the copy can't be replaced by a file, whoever runs this.
    fs::create_dir(beside_next(&backup_path(&path, 2))).unwrap();
    let mut connection = open(&path);

    let refused = TODAY.bring_up(&mut connection, &path).unwrap_err();

    assert_eq!(refused.code(), "data-backup");
    assert_eq!(version(&connection), 2);
}

#[test]
fn only_copies_of_this_file_are_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.db");
    let stay =
        ["notes.db", "notes.db-wal", "notes.db.lock", "other.db.v2.backup", "notes.db.vx.backup"];
    let go = ["notes.db.v2.backup", "notes.db.v31.backup", "notes.db.v2.backup.next"];
    for name in stay.iter().chain(&go) {
        fs::write(folder.path().join(name), "").unwrap();
    }

    remove_backups(&path).unwrap();
    remove_backups(&path).unwrap();

    let left = |names: &[&str]| names.iter().filter(|n| folder.path().join(n).exists()).count();
    assert_eq!((left(&stay), left(&go)), (stay.len(), 0));
}

fn before() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.db");
    let mut connection = open(&path);
    BEFORE.bring_up(&mut connection, &path).unwrap();
    connection.execute("INSERT INTO note VALUES ('first'), ('second')", []).unwrap();
    (folder, path)
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection
}

fn beside_next(copy: &Path) -> PathBuf {
    copy.with_extension("backup.next")
}

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn texts(connection: &Connection) -> Vec<String> {
    let mut statement = connection.prepare("SELECT text FROM note ORDER BY text").unwrap();
    let texts = statement.query_map([], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

fn lengths(connection: &Connection) -> Vec<(String, i64)> {
    let mut statement = connection.prepare("SELECT text, length FROM note ORDER BY text").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn schema(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
