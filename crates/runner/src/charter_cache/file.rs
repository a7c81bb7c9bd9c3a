//! The entries of a charter in a file, one a line, which only grows.
//!
//! In: entries that were folded. Out: a page of them from any number on; what is durable when it returns.
//!
//! Invariants:
//! * a line that is torn, or that the reader does not take, is cut off with everything after it: it can be had again;
//! * memory does not hold the entries, only where some of them begin.
//!
//! Not here: whether entries fold (`charter_cache`).

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use writ_evidence::charter::UnverifiedEntry;
use writ_model::limits::{CHARTER_PAGE, CHARTER_PAGE_BYTES};

/// How many entries lie between two whose beginnings are remembered.
const MARK_EVERY: u64 = 256;

/// Where an entry stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stands {
    /// Its number.
    pub(super) seq: u64,
    /// Where it begins, in bytes.
    pub(super) start: u64,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// The file.
pub(super) struct EntriesFile {
    file: File,
    /// Beginnings of entries, ascending.
    marks: Vec<(u64, u64)>,
    newest: Option<Stands>,
}

impl EntriesFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, marks: Vec::new(), newest: None })
    }

    /// The newest entry's place.
    pub(super) const fn newest(&self) -> Option<Stands> {
        self.newest
    }

    /// The entry that stands at a place, if one does.
    pub(super) fn entry_at(&self, place: Stands) -> Option<UnverifiedEntry> {
        let mut reader = self.reader(place.start).ok()?;
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).ok()?;
        let whole = line.pop() == Some(b'\n') && place.start + read as u64 == place.end;
        if whole { serde_json::from_slice(&line).ok() } else { None }
    }

    /// Passes what comes after `known` to `take`, entry by entry; cuts off what it does not take.
    pub(super) fn read(
        &mut self,
        known: Option<Stands>,
        mut take: impl FnMut(&UnverifiedEntry) -> bool,
    ) -> io::Result<()> {
        self.newest = known;
        self.marks = known.map(|place| (place.seq, place.start)).into_iter().collect();
        if known.is_some_and(|place| place.seq > 0) {
            self.marks.insert(0, (0, 0));
        }
        let mut reader = self.reader(known.map_or(0, |place| place.end))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                break;
            }
            let entry: Option<UnverifiedEntry> = serde_json::from_slice(&line).ok();
            if !entry.is_some_and(|entry| take(&entry)) {
                break;
            }
            self.grew(read as u64);
        }
        drop(reader);
        let end = self.end();
        if self.file.metadata()?.len() > end {
            tracing::warn!("the charter file is damaged at its end; what is lost is fetched again");
            self.file.set_len(end)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Appends entries; they are on disk when this returns. If it fails, none is here.
    pub(super) fn append(&mut self, entries: &[UnverifiedEntry]) -> io::Result<()> {
        let mut text = Vec::new();
        let mut lengths = Vec::new();
        for entry in entries {
            let before = text.len();
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
            lengths.push(text.len().saturating_sub(before) as u64);
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would tear the next one.
            self.file.set_len(self.end())?;
            return Err(error);
        }
        for length in lengths {
            self.grew(length);
        }
        Ok(())
    }

    /// Entries from a number on: as many as one message takes.
    pub(super) fn page(&self, from: u64) -> io::Result<Vec<UnverifiedEntry>> {
        let Some(newest) = self.newest.filter(|newest| newest.seq >= from) else {
            return Ok(Vec::new());
        };
        let mark = self.marks.iter().rev().find(|(seq, _)| *seq <= from);
        let (mut seq, offset) = mark.copied().unwrap_or_default();
        let mut reader = self.reader(offset)?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        let mut line = Vec::new();
        while seq <= newest.seq && page.len() < CHARTER_PAGE {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if seq >= from {
                bytes += read;
                if bytes > CHARTER_PAGE_BYTES && !page.is_empty() {
                    break;
                }
                page.push(serde_json::from_slice(&line)?);
            }
            seq += 1;
        }
        Ok(page)
    }

    fn grew(&mut self, length: u64) {
        let (seq, start) = self.newest.map_or((0, 0), |newest| (newest.seq + 1, newest.end));
        if seq.is_multiple_of(MARK_EVERY) {
            self.marks.push((seq, start));
        }
        self.newest = Some(Stands { seq, start, end: start + length });
    }

    fn end(&self) -> u64 {
        self.newest.map_or(0, |newest| newest.end)
    }

    fn reader(&self, from: u64) -> io::Result<BufReader<File>> {
        // Appending goes to the end whatever was read before.
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(from))?;
        Ok(BufReader::with_capacity(256 * 1024, file))
    }
}
