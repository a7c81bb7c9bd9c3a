//! Charter entries, what they folded to, the candidate that waits for its witness, and content named by digest.

use rusqlite::{OptionalExtension as _, params};
use writ_api::{Content, ContentKind};
use writ_evidence::{
    audit::RecordKind,
    charter::{CharterState, UnverifiedEntry},
    digest::sha256,
};
use writ_model::{
    Digest, UnixTime,
    limits::{CHARTER_PAGE, CHARTER_PAGE_BYTES},
};

use super::{Store, StoreError, audit};

impl Store {
    /// Stores entry 0, once.
    pub(crate) fn found(&self, entry: &UnverifiedEntry, _now: UnixTime) -> Result<(), StoreError> {
        let known: i64 =
            self.lock().query_row("SELECT COUNT(*) FROM charter", [], |row| row.get(0))?;
        if known > 0 { Ok(()) } else { self.append_entry(0, entry) }
    }

    /// Appends a verified entry and drops the candidate that it was.
    pub(crate) fn append_entry(&self, seq: u64, entry: &UnverifiedEntry) -> Result<(), StoreError> {
        let seq = i64::try_from(seq).map_err(|_| StoreError::Row)?;
        let text = serde_json::to_string(entry).map_err(|_| StoreError::Row)?;
        let digest = entry.digest().to_string();
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO charter (seq, digest, entry) VALUES (?1, ?2, ?3)",
                params![seq, digest, text],
            )?;
            transaction.execute("DELETE FROM candidate", [])?;
            audit::append(transaction, RecordKind::Charter, text)
        })
    }

    /// Entries from `from`: as many as one message takes, none if there is none.
    pub(crate) fn entries(&self, from: u64) -> Result<Vec<UnverifiedEntry>, StoreError> {
        let from = i64::try_from(from).map_err(|_| StoreError::Row)?;
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT entry FROM charter WHERE seq >= ?1 ORDER BY seq")?;
        let mut rows = statement.query(params![from])?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < CHARTER_PAGE
            && let Some(row) = rows.next()?
        {
            let text: String = row.get(0)?;
            bytes += text.len();
            if bytes > CHARTER_PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(serde_json::from_str(&text).map_err(|_| StoreError::Row)?);
        }
        Ok(page)
    }

    /// Keeps the folded charter in place of the one kept before, so that the next start folds only what comes after.
    pub(crate) fn put_folded(&self, state: &CharterState) -> Result<(), StoreError> {
        let seq = i64::try_from(state.seq()).map_err(|_| StoreError::Row)?;
        let bytes = state.snapshot();
        let digest = sha256(&bytes).to_string();
        self.write(|transaction| {
            transaction.execute("DELETE FROM folded", [])?;
            transaction.execute(
                "INSERT INTO folded (seq, digest, state) VALUES (?1, ?2, ?3)",
                params![seq, digest, bytes],
            )?;
            Ok(())
        })
    }

    /// The folded charter that was kept, if it can still be taken up and is of an entry that is here.
    pub(crate) fn folded(&self) -> Result<Option<CharterState>, StoreError> {
        let row: Option<(String, Vec<u8>, String)> = self
            .lock()
            .query_row(
                "SELECT folded.digest, folded.state, charter.digest
                 FROM folded JOIN charter ON charter.seq = folded.seq",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((digest, bytes, head)) = row else { return Ok(None) };
        let digest: Digest = digest.parse().map_err(|_| StoreError::Row)?;
        let state = CharterState::resume(&bytes, digest).ok();
        Ok(state.filter(|state| state.head().to_string() == head))
    }

    /// The candidate that waits for its witness.
    pub(crate) fn candidate(&self) -> Result<Option<UnverifiedEntry>, StoreError> {
        let text: Option<String> = self
            .lock()
            .query_row("SELECT entry FROM candidate", [], |row| row.get(0))
            .optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Row)).transpose()
    }

    /// Keeps a candidate until its witness has answered, across restarts.
    pub(crate) fn put_candidate(&self, entry: &UnverifiedEntry) -> Result<(), StoreError> {
        let text = serde_json::to_string(entry).map_err(|_| StoreError::Row)?;
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO candidate (digest, entry) VALUES (?1, ?2)",
                params![entry.digest().to_string(), text],
            )?;
            Ok(())
        })
    }

    /// Drops a candidate that its witness refused.
    pub(crate) fn drop_candidate(&self, digest: Digest) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction
                .execute("DELETE FROM candidate WHERE digest = ?1", params![digest.to_string()])?;
            Ok(())
        })
    }

    /// Keeps content under its digest.
    pub(crate) fn put_content(&self, digest: Digest, content: &Content) -> Result<(), StoreError> {
        let kind = match content.kind {
            ContentKind::Bundle => "bundle",
            ContentKind::Pack => "pack",
            ContentKind::Parameters => "parameters",
        };
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO content (digest, kind, text) VALUES (?1, ?2, ?3)",
                params![digest.to_string(), kind, content.text],
            )?;
            Ok(())
        })
    }

    /// Content by its digest.
    pub(crate) fn content(&self, digest: Digest) -> Result<Option<Content>, StoreError> {
        let row: Option<(String, String)> = self
            .lock()
            .query_row(
                "SELECT kind, text FROM content WHERE digest = ?1",
                params![digest.to_string()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        row.map(|(kind, text)| match kind.as_str() {
            "bundle" => Ok(Content { kind: ContentKind::Bundle, text }),
            "pack" => Ok(Content { kind: ContentKind::Pack, text }),
            "parameters" => Ok(Content { kind: ContentKind::Parameters, text }),
            _ => Err(StoreError::Row),
        })
        .transpose()
    }
}
