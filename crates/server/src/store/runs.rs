//! Runs as the control plane knows them, and the sealed orders that wait for a runner.

use rusqlite::{OptionalExtension as _, Row, params};
use writ_api::{RunOrder, RunPhase, RunStatus, StartRunOrder, StatusReport};
use writ_evidence::{
    audit::{DecisionNote, RecordKind, WritRecord},
    statement::Acceptance,
};
use writ_model::{AutomationName, Digest, Principal, RunId, UnixTime};

use super::{Store, StoreError, audit};

/// Runs in one list.
const LIST: i64 = 100;

/// A run that was ordered and may be relayed.
pub(crate) struct NewRun<'a> {
    pub(crate) run: RunId,
    pub(crate) writ: Digest,
    pub(crate) jti: &'a str,
    pub(crate) until: UnixTime,
    pub(crate) automation: &'a AutomationName,
    pub(crate) principal: &'a Principal,
    pub(crate) order: &'a StartRunOrder,
}

/// An order that waits for its runner.
pub(crate) struct PendingStart {
    pub(crate) order: StartRunOrder,
}

/// A resume order that waits for its runner.
pub(crate) struct PendingResume {
    pub(crate) run: RunId,
    pub(crate) order: RunOrder,
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// Spends a `jti`.
pub(super) fn use_jti(
    transaction: &rusqlite::Transaction<'_>,
    jti: &str,
    until: UnixTime,
) -> Result<(), StoreError> {
    let new = transaction.execute(
        "INSERT OR IGNORE INTO used (jti, until) VALUES (?1, ?2)",
        params![jti, seconds(until)],
    )?;
    if new == 1 { Ok(()) } else { Err(StoreError::Replayed) }
}

/// Records a writ and what was decided about it.
pub(super) fn record_writ(
    transaction: &rusqlite::Transaction<'_>,
    record: &WritRecord,
    note: &DecisionNote,
) -> Result<(), StoreError> {
    let text = |value: Result<String, serde_json::Error>| value.map_err(|_| StoreError::Row);
    audit::append(transaction, RecordKind::Writ, text(serde_json::to_string(record))?)?;
    audit::append(transaction, RecordKind::Decision, text(serde_json::to_string(note))?)
}

impl Store {
    /// Keeps an order until a runner has it; records writ and decision.
    pub(crate) fn put_run(&self, new: &NewRun<'_>, note: &DecisionNote) -> Result<(), StoreError> {
        let order = serde_json::to_string(new.order).map_err(|_| StoreError::Row)?;
        let record = WritRecord { writ: new.order.writ.clone(), idc: new.order.idc.clone() };
        self.write(|transaction| {
            transaction.execute("DELETE FROM used WHERE until < ?1", params![seconds(note.at)])?;
            use_jti(transaction, new.jti, new.until)?;
            transaction.execute(
                "INSERT INTO run (id, writ, automation, iss, sub, phase, ordered_at, changed_at,
                                  sealed_order)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'ordered', ?6, ?6, ?7)",
                params![
                    new.run.to_string(),
                    new.writ.to_string(),
                    new.automation.to_string(),
                    new.principal.iss,
                    new.principal.sub,
                    seconds(note.at),
                    order
                ],
            )?;
            record_writ(transaction, &record, note)
        })
    }

    /// Records a writ that was not relayed, and why.
    pub(crate) fn put_denied(
        &self,
        record: &WritRecord,
        note: &DecisionNote,
    ) -> Result<(), StoreError> {
        self.write(|transaction| record_writ(transaction, record, note))
    }

    /// Keeps what a standing writ has started, once.
    pub(crate) fn put_standing_run(
        &self,
        acceptance: &Acceptance,
        at: UnixTime,
    ) -> Result<(), StoreError> {
        let Some(fired) = &acceptance.standing else { return Ok(()) };
        // One entry of the charter starts many runs, and a writ one.
        let writ = format!("{}/{}", acceptance.writ, acceptance.run);
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO run (id, writ, automation, iss, sub, phase, ordered_at,
                                            changed_at, standing)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6, ?6, ?7)",
                params![
                    acceptance.run.to_string(),
                    writ,
                    acceptance.automation.to_string(),
                    acceptance.principal.iss,
                    acceptance.principal.sub,
                    seconds(at),
                    fired.name.to_string()
                ],
            )?;
            Ok(())
        })
    }

    /// Keeps a resume order until a runner has carried it out.
    pub(crate) fn put_resume(
        &self,
        (run, writ): (RunId, Digest),
        (jti, until): (&str, UnixTime),
        order: &RunOrder,
        note: &DecisionNote,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(order).map_err(|_| StoreError::Row)?;
        let record = WritRecord { writ: order.writ.clone(), idc: order.idc.clone() };
        self.write(|transaction| {
            use_jti(transaction, jti, until)?;
            transaction.execute(
                "INSERT INTO resume (writ, run, sealed_order) VALUES (?1, ?2, ?3)",
                params![writ.to_string(), run.to_string(), text],
            )?;
            record_writ(transaction, &record, note)
        })
    }

    /// Orders that no jail has answered, oldest first.
    pub(crate) fn pending_starts(&self) -> Result<Vec<PendingStart>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT sealed_order FROM run WHERE phase = 'ordered' AND sealed_order IS NOT NULL
             ORDER BY ordered_at LIMIT 16",
        )?;
        statement
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|text| {
                let order = serde_json::from_str(&text?).map_err(|_| StoreError::Row)?;
                Ok(PendingStart { order })
            })
            .collect()
    }

    /// Resume orders that were not carried out.
    pub(crate) fn pending_resumes(&self) -> Result<Vec<PendingResume>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT run, sealed_order FROM resume WHERE done = 0 LIMIT 16")?;
        statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
            .map(|row| {
                let (run, text) = row?;
                let order = serde_json::from_str(&text).map_err(|_| StoreError::Row)?;
                Ok(PendingResume { run: run.parse().map_err(|_| StoreError::Row)?, order })
            })
            .collect()
    }

    /// A resume order need not be given again.
    pub(crate) fn resume_done(&self, writ: Digest) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction
                .execute("UPDATE resume SET done = 1 WHERE writ = ?1", params![writ.to_string()])?;
            Ok(())
        })
    }

    /// Moves a run on. A final phase never changes; the order goes once a runner has it.
    pub(crate) fn move_run(&self, report: &StatusReport, now: UnixTime) -> Result<(), StoreError> {
        let step = report.step.as_ref().map(serde_json::to_string).transpose();
        let step = step.map_err(|_| StoreError::Row)?;
        self.write(|transaction| {
            transaction.execute(
                "UPDATE run SET phase = ?2, code = ?3, reason = ?4, step = ?5, attempt = ?6,
                                changed_at = ?7, sealed_order = NULL
                 WHERE id = ?1 AND phase NOT IN ('completed', 'faulted', 'refused')",
                params![
                    report.run.to_string(),
                    phase_text(report.phase),
                    report.code,
                    report.reason,
                    step,
                    report.attempt,
                    seconds(now)
                ],
            )?;
            Ok(())
        })
    }

    /// One run, with the jail's statements about it.
    pub(crate) fn run(&self, run: RunId) -> Result<Option<RunStatus>, StoreError> {
        let connection = self.lock();
        let found = connection
            .query_row(
                &format!("{SELECT_RUN} WHERE id = ?1"),
                params![run.to_string()],
                RunRow::read,
            )
            .optional()?;
        let Some(row) = found else { return Ok(None) };
        let mut status = row.into_status()?;
        let mut statement = connection
            .prepare_cached("SELECT compact FROM statement WHERE run = ?1 ORDER BY seq")?;
        let rows = statement.query_map(params![run.to_string()], |row| row.get(0))?;
        status.statements = rows.collect::<Result<_, _>>()?;
        Ok(Some(status))
    }

    /// Runs that a jail has accepted and that have not ended.
    pub(crate) fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT id FROM run WHERE phase IN ('running', 'suspended')")?;
        statement
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|id| id?.parse().map_err(|_| StoreError::Row))
            .collect()
    }

    /// Newest runs first, without statements.
    pub(crate) fn runs(&self) -> Result<Vec<RunStatus>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(&format!("{SELECT_RUN} ORDER BY ordered_at DESC, id LIMIT {LIST}"))?;
        statement.query_map([], RunRow::read)?.map(|row| row?.into_status()).collect()
    }
}

const SELECT_RUN: &str = "SELECT id, automation, iss, sub, phase, code, reason, step, attempt,
                                 ordered_at, changed_at, standing FROM run";

struct RunRow {
    texts: [String; 5],
    optional: [Option<String>; 4],
    attempt: Option<u32>,
    times: [i64; 2],
}

impl RunRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            texts: [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?],
            optional: [row.get(5)?, row.get(6)?, row.get(7)?, row.get(11)?],
            attempt: row.get(8)?,
            times: [row.get(9)?, row.get(10)?],
        })
    }

    fn into_status(self) -> Result<RunStatus, StoreError> {
        let [id, automation, iss, sub, phase] = self.texts;
        let [code, reason, step, standing] = self.optional;
        let standing = standing.map(|name| name.parse()).transpose();
        let time = |value: i64| u64::try_from(value).map(UnixTime).map_err(|_| StoreError::Row);
        let [ordered_at, changed_at] = self.times;
        let step = step.map(|text| serde_json::from_str(&text)).transpose();
        Ok(RunStatus {
            run: id.parse().map_err(|_| StoreError::Row)?,
            automation: automation.parse().map_err(|_| StoreError::Row)?,
            principal: Principal { iss, sub },
            standing: standing.map_err(|_| StoreError::Row)?,
            phase: phase_of(&phase)?,
            code,
            reason,
            step: step.map_err(|_| StoreError::Row)?,
            attempt: self.attempt,
            ordered_at: time(ordered_at)?,
            changed_at: time(changed_at)?,
            statements: Vec::new(),
        })
    }
}

const PHASES: [(RunPhase, &str); 6] = [
    (RunPhase::Ordered, "ordered"),
    (RunPhase::Running, "running"),
    (RunPhase::Suspended, "suspended"),
    (RunPhase::Completed, "completed"),
    (RunPhase::Faulted, "faulted"),
    (RunPhase::Refused, "refused"),
];

fn phase_text(phase: RunPhase) -> &'static str {
    PHASES.iter().find(|(known, _)| *known == phase).map_or("", |(_, text)| text)
}

fn phase_of(text: &str) -> Result<RunPhase, StoreError> {
    PHASES.iter().find(|(_, known)| *known == text).map(|(phase, _)| *phase).ok_or(StoreError::Row)
}
