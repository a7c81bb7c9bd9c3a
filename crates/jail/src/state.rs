//! The jail's own memory: an append-only file that no other process can open (DESIGN §7).
//!
//! In: a descriptor, opened and locked before confinement. Out: what the jail must never forget:
//! its key, its anchor, the charter head it has seen, writs used, actions begun, statements made.
//!
//! Invariants:
//! * what [`StateFile::append`] returned from is on disk (`fdatasync`), as one unit;
//! * a torn last line is cut off; anything else that does not parse refuses to start;
//! * the file says which format it is of: a new one first of all, one from before formats were named (format 1)
//!   from where this version takes it up; a newer one is refused before anything unknown in it is met;
//! * statements are numbered without a gap, and the file is the queue they are delivered from.
//!
//! Not here: what any of it means (`flow`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
};

use serde::{Deserialize, Serialize};
use writ_evidence::{
    charter::RootFork,
    digest::sha256,
    standing::{Counter, CounterEvent},
    statement::{Done, Says, VerifiedStatement},
};
use writ_jail_link::SnapshotMark;
use writ_model::{Digest, Principal, RunId, StandingName, StepId, TenantId, UnixTime};
use zeroize::Zeroizing;

use crate::{approvals::Approvals, spent::Spent};

/// The format that this program writes. Format 3 lacks snapshots of the charter and what makes a jail stop, format 2 what standing writs have
/// fired, too; format 1 is that one without its name. What is in any of them is in this one.
const FORMAT: u32 = 4;

/// One thing to remember.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// The format of what follows; the first record of a file.
    Format(u32),
    /// The jail's Ed25519 key, PKCS#8 as base64url.
    Key(Zeroizing<String>),
    /// The tenant, set once.
    Anchor(TenantId),
    /// A charter head that was folded.
    Head {
        /// The entry's number.
        seq: u64,
        /// The entry's digest.
        digest: Digest,
    },
    /// The folded charter was written down; its bytes are the runner's to keep.
    Snapshot(SnapshotMark),
    /// What root keys signed, as it was folded: a second one of the same number is a fork.
    Rooted {
        /// The entry's number.
        seq: u64,
        /// The entry before.
        prev: Digest,
        /// The entry's digest.
        digest: Digest,
    },
    /// The jail has stopped, for good.
    Stopped(Stopped),
    /// A writ that was used, until it has expired anyway.
    Used {
        /// The writ's unique id.
        jti: String,
        /// When it may be forgotten.
        until: UnixTime,
        /// Who signed it, if standing writs rest on whether they still do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<SignIn>,
        /// When it named the newest charter head, if it did: somebody has seen the charter as this jail has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attests: Option<UnixTime>,
    },
    /// The newest charter head was named by somebody else.
    Attested {
        /// When.
        at: UnixTime,
        /// Whether that was another witness.
        by_witness: bool,
    },
    /// A standing writ has fired, or a run of it has ended.
    Fired {
        /// Which.
        standing: StandingName,
        /// What its counter folds.
        event: CounterEvent,
    },
    /// An action that is about to be called and must not be called twice.
    Begun(Attempt),
    /// A candidate that was cosigned: one digest for each `seq`.
    Cosigned {
        /// The entry's number.
        seq: u64,
        /// The entry's digest.
        digest: Digest,
        /// The compact cosignature.
        cosignature: String,
    },
    /// A tree that was signed.
    Tree {
        /// Leaves.
        size: u64,
        /// Root.
        root: Digest,
    },
    /// A statement, compact.
    Statement(String),
}

/// Why a jail has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Stopped {
    /// Root keys signed two changes of one number.
    Forked(RootFork),
    /// Its key has signed what it does not remember.
    Outdated,
}

/// Somebody has signed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Who.
    pub principal: Principal,
    /// When.
    pub at: UnixTime,
}

/// One attempt at one step of one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The attempt's number.
    pub attempt: u32,
}

/// What the file says, indexed.
#[derive(Default)]
pub struct Memory {
    /// The newest format that was written.
    pub format: Option<u32>,
    /// The key's PKCS#8, base64url.
    pub key: Option<Zeroizing<String>>,
    /// The tenant.
    pub anchor: Option<TenantId>,
    /// Newest charter head folded.
    pub head: Option<(u64, Digest)>,
    /// The last two snapshots of the charter: the runner may not have the newest.
    pub snapshots: Vec<SnapshotMark>,
    /// What root keys signed, by number: the entry before and the entry.
    pub rooted: BTreeMap<u64, (Digest, Digest)>,
    /// Why the jail has stopped, if it has; the first reason stays.
    pub stopped: Option<Stopped>,
    /// Used writs that have not expired.
    pub used: Spent,
    /// Actions begun and not resumed since.
    pub begun: BTreeSet<Attempt>,
    /// What was cosigned, by `seq`.
    pub cosigned: BTreeMap<u64, (Digest, String)>,
    /// Last tree signed.
    pub tree: Option<(u64, Digest)>,
    /// Compact statements; number `n` stands at index `n − 1`.
    pub statements: Vec<String>,
    /// Number of the acceptance, by writ digest.
    pub accepted: BTreeMap<Digest, u64>,
    /// Number of the closing receipt, by run.
    pub closed: BTreeMap<RunId, u64>,
    /// Number of the receipt, by digest of the writ; other writs than `run.start`.
    pub answered: BTreeMap<Digest, u64>,
    /// Revoked sessions, by digest and by commitment, until when they are refused.
    pub revoked: BTreeMap<Digest, UnixTime>,
    /// Runs that were cancelled and are not closed yet.
    pub cancelled: BTreeSet<RunId>,
    /// What people were asked in runs that are not closed.
    pub approvals: Approvals,
    /// When somebody else last named the newest charter head.
    pub attested: Option<UnixTime>,
    /// When another witness last did.
    pub attested_by_others: Option<UnixTime>,
    /// What standing writs have started.
    pub standing: BTreeMap<StandingName, Counter>,
    /// When those who grant standing writs last signed anything to this jail.
    pub sign_ins: BTreeMap<Principal, UnixTime>,
    /// Number of the acceptance of each run of a standing writ, and which one it is.
    accepted_standing: BTreeMap<RunId, (u64, StandingName)>,
}

/// Why the state file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("cannot use the jail's state file")]
    Io(#[from] io::Error),
    /// A newer Writ has written it.
    #[error(
        "the jail's state file is of format {found}; this jail knows {FORMAT}: start the version that wrote it"
    )]
    Newer {
        /// The format of the file.
        found: u32,
    },
    /// A line before the last does not parse.
    #[error("the jail's state file is damaged at line {line}: enroll the runner anew")]
    Damaged {
        /// The line, from 1.
        line: usize,
    },
}

/// The file and what it says.
pub struct StateFile {
    file: File,
    memory: Memory,
}

impl StateFile {
    /// Reads the file a line at a time, cuts a torn last line off, and names the format if nobody has. What has
    /// expired at `now` is not taken up: memory is bounded by what counts, not by the file.
    ///
    /// # Errors
    ///
    /// [`StateError`]: `Damaged` is final; the runner enrolls anew. `Newer` wants the version that wrote it.
    pub fn open(mut file: File, now: UnixTime) -> Result<Self, StateError> {
        file.seek(SeekFrom::Start(0))?;
        let mut memory = Memory::default();
        let mut reader = BufReader::new(&file);
        let mut line = Zeroizing::new(Vec::new());
        let mut whole = 0;
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                // Torn, or the end.
                break;
            }
            whole += read as u64;
            if !line.is_empty() {
                memory.take_line(&line, number, now)?;
            }
        }
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
            file.sync_data()?;
        }
        file.seek(SeekFrom::End(0))?;
        let mut opened = Self { file, memory };
        if opened.memory.format != Some(FORMAT) {
            opened.append(vec![Record::Format(FORMAT)])?;
        }
        Ok(opened)
    }

    /// What the file says.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Remembers `records`, all or none; returns when they are on disk.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`]: nothing may be done that depends on them.
    pub fn append(&mut self, records: Vec<Record>) -> Result<(), StateError> {
        let mut line = Zeroizing::new(serde_json::to_vec(&records).map_err(io::Error::from)?);
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        for record in records {
            self.memory.take(record).ok_or(StateError::Damaged { line: 0 })?;
        }
        Ok(())
    }

    /// A standing writ is granted, or granted anew: nothing from before fires it. The charter says so, and the file
    /// need not.
    pub fn granted(&mut self, standing: StandingName, since: UnixTime) {
        self.memory.counter(standing).renew(since);
    }

    /// Forgets used writs that have expired; the file keeps them.
    pub fn forget_expired(&mut self, now: UnixTime) {
        self.memory.used.forget(now);
        self.memory.revoked.retain(|_, until| *until > now);
    }
}

impl Memory {
    /// Indexes one line of the file.
    fn take_line(&mut self, line: &[u8], number: usize, now: UnixTime) -> Result<(), StateError> {
        let damaged = || StateError::Damaged { line: number };
        let records: Vec<Record> = serde_json::from_slice(line).map_err(|_| damaged())?;
        for record in records {
            match record {
                Record::Format(found) if found > FORMAT => return Err(StateError::Newer { found }),
                // Who signed it counts however long ago; that it was used does not any more.
                Record::Used { until, by, attests, .. } if until <= now => {
                    self.note_signer(by, attests);
                }
                record => self.take(record).ok_or_else(damaged)?,
            }
        }
        Ok(())
    }

    fn note_signer(&mut self, by: Option<SignIn>, attests: Option<UnixTime>) {
        self.attested = self.attested.max(attests);
        if let Some(SignIn { principal, at }) = by {
            let known = self.sign_ins.entry(principal).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// Indexes a record; `None` if it can't follow what is there.
    fn take(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Format(format) if self.format.is_none_or(|before| before < format) => {
                self.format = Some(format);
            }
            Record::Key(key) if self.key.is_none() => self.key = Some(key),
            Record::Anchor(ten) if self.anchor.is_none() => self.anchor = Some(ten),
            Record::Format(_) | Record::Key(_) | Record::Anchor(_) => return None,
            Record::Head { seq, digest } => self.head = Some((seq, digest)),
            Record::Rooted { seq, prev, digest } => {
                self.rooted.entry(seq).or_insert((prev, digest));
            }
            Record::Stopped(why) => {
                self.stopped.get_or_insert(why);
            }
            Record::Snapshot(mark) => {
                let newest_before = self.snapshots.pop();
                self.snapshots = newest_before.into_iter().chain([mark]).collect();
            }
            Record::Used { jti, until, by, attests } => {
                self.used.note(&jti, until);
                self.note_signer(by, attests);
            }
            Record::Begun(attempt) => {
                self.begun.insert(attempt);
            }
            Record::Cosigned { seq, digest, cosignature } => {
                self.cosigned.insert(seq, (digest, cosignature));
            }
            Record::Attested { at, by_witness } => {
                self.attested = self.attested.max(Some(at));
                if by_witness {
                    self.attested_by_others = self.attested_by_others.max(Some(at));
                }
            }
            Record::Fired { standing, event } => self.counter(standing).on(&event),
            Record::Tree { size, root } => self.tree = Some((size, root)),
            Record::Statement(compact) => self.take_statement(compact)?,
        }
        Some(())
    }

    fn take_statement(&mut self, compact: String) -> Option<()> {
        let number = self.statements.len() as u64 + 1;
        // The file is the jail's own; the claims are read, not verified again.
        let peeked: writ_evidence::statement::Statement =
            writ_evidence::jws::UnverifiedJws::parse(&compact).ok()?.peek().ok()?;
        if peeked.seq != number {
            return None;
        }
        match peeked.says {
            Says::Refusal(_) | Says::Forked(_) => {}
            Says::Tested(tested) => {
                self.answered.insert(tested.writ, number);
            }
            Says::Revoked(revoked) => {
                for named in [revoked.session, revoked.commitment] {
                    let known = self.revoked.entry(named).or_insert(revoked.until);
                    *known = revoked.until.max(*known);
                }
                self.answered.insert(revoked.writ, number);
            }
            Says::Acceptance(acceptance) => match acceptance.standing {
                Some(fired) => {
                    self.accepted_standing.insert(acceptance.run, (number, fired.name));
                }
                None => {
                    self.accepted.insert(acceptance.writ, number);
                }
            },
            Says::Receipt(receipt) => match receipt.done {
                Done::Closed(_) => {
                    self.closed.insert(receipt.run, number);
                    if let Some((_, standing)) = self.accepted_standing.get(&receipt.run) {
                        let ended = CounterEvent::Ended { run: receipt.run, at: peeked.at };
                        self.counter(standing.clone()).on(&ended);
                    }
                    self.cancelled.remove(&receipt.run);
                    self.approvals.forget(receipt.run);
                    self.begun.retain(|attempt| attempt.run != receipt.run);
                }
                Done::Resumed(resumed) => {
                    self.begun.remove(&Attempt {
                        run: receipt.run,
                        step: resumed.step,
                        attempt: resumed.attempt,
                    });
                    self.answered.insert(resumed.writ, number);
                }
                Done::Cancelled(cancelled) => {
                    self.cancelled.insert(receipt.run);
                    self.answered.insert(cancelled.writ, number);
                }
                Done::Asked(asked) => self.approvals.ask(receipt.run, number, asked),
                Done::Decided(decided) => {
                    self.answered.insert(decided.writ, number);
                    self.approvals.answer(receipt.run, decided);
                }
                Done::Action(_) | Done::Code(_) => {}
            },
        }
        self.statements.push(compact);
        Some(())
    }

    /// The statement of this number.
    #[must_use]
    pub fn statement(&self, number: u64) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.statements.get(index).map(String::as_str)
    }

    /// The digest that the next statement's `prev` is.
    #[must_use]
    pub fn last_statement(&self) -> Option<Digest> {
        self.statements.last().map(|compact| sha256(compact.as_bytes()))
    }

    /// The acceptance of a writ, if this jail made one.
    #[must_use]
    pub fn acceptance_of(&self, writ: Digest) -> Option<&str> {
        self.accepted.get(&writ).and_then(|number| self.statement(*number))
    }

    /// The acceptance of a run of a standing writ, if this jail made one.
    #[must_use]
    pub fn accepted_standing(&self, run: RunId) -> Option<&str> {
        self.accepted_standing.get(&run).and_then(|(number, _)| self.statement(*number))
    }

    /// What a standing writ has started; from when on it was granted, the charter says.
    fn counter(&mut self, standing: StandingName) -> &mut Counter {
        self.standing.entry(standing).or_insert(Counter::new(UnixTime(0)))
    }

    /// Whether this jail made that very statement.
    #[must_use]
    pub fn made(&self, statement: &VerifiedStatement) -> bool {
        self.statement(statement.statement().seq)
            .is_some_and(|compact| sha256(compact.as_bytes()) == statement.digest())
    }
}

#[cfg(test)]
mod tests;
