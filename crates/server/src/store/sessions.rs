//! Sessions that were seen, and orders to revoke them that wait for runners.
//!
//! Metadata, and the credential as it was sent: its issuer's signature, which lets a jail see for itself whose it is. A
//! credential without its key signs nothing.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, Row, params};
use writ_api::SessionStatus;
use writ_evidence::{
    audit::{DecisionNote, WritRecord},
    idc::UnverifiedIdc,
};
use writ_model::{Digest, Principal, RunnerGroupId, UnixTime};

use super::{
    Store, StoreError,
    runs::{record_writ, use_jti},
};

/// Sessions in one list.
const LIST: i64 = 500;
/// Seconds after its end for which a session is still listed; a revoked one is kept for as long.
const KEPT_S: u64 = 7 * 24 * 3600;

/// A session that something was seen of.
pub(crate) struct SeenSession<'a> {
    pub(crate) idc: &'a UnverifiedIdc,
    pub(crate) principal: &'a Principal,
    pub(crate) through: &'a str,
    pub(crate) until: UnixTime,
}

/// A revocation that was ordered and may be relayed.
pub(crate) struct NewRevoke<'a> {
    pub(crate) writ: Digest,
    pub(crate) jti: &'a str,
    pub(crate) until: UnixTime,
    pub(crate) group: RunnerGroupId,
    pub(crate) session: Digest,
    pub(crate) record: &'a WritRecord,
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

impl Store {
    /// Notes that something of a session was seen; forgets sessions that have long ended.
    pub(crate) fn see_session(
        &self,
        seen: &SeenSession<'_>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let idc = serde_json::to_string(seen.idc).map_err(|_| StoreError::Row)?;
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO session (digest, commitment, iss, sub, through, first_seen, last_seen,
                                      until, idc)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)
                 ON CONFLICT (digest) DO UPDATE SET last_seen = ?6, until = ?7, idc = ?8",
                params![
                    seen.idc.digest().to_string(),
                    seen.idc.commitment().to_string(),
                    seen.principal.iss,
                    seen.principal.sub,
                    seen.through,
                    seconds(now),
                    seconds(seen.until),
                    idc
                ],
            )?;
            let ended = seconds(UnixTime(now.0.saturating_sub(KEPT_S)));
            transaction.execute(
                "DELETE FROM session WHERE until < ?1 AND (revoked_at IS NULL OR revoked_at < ?1)",
                params![ended],
            )?;
            Ok(())
        })
    }

    /// Sessions, the newest first: everybody's, or one person's.
    pub(crate) fn sessions(
        &self,
        of: Option<&Principal>,
    ) -> Result<Vec<SessionStatus>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT digest, iss, sub, through, first_seen, last_seen, until, revoked_at,
                    (SELECT COUNT(*) FROM session_revoke
                     WHERE session = session.digest AND done = 0)
             FROM session WHERE ?1 IS NULL OR (iss = ?1 AND sub = ?2)
             ORDER BY last_seen DESC LIMIT ?3",
        )?;
        let (iss, sub) = (of.map(|of| of.iss.as_str()), of.map(|of| of.sub.as_str()));
        let rows = statement.query_map(params![iss, sub, LIST], |row| Ok(status(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Whose session it is.
    pub(crate) fn session_of(&self, session: Digest) -> Result<Option<Principal>, StoreError> {
        let found = self.lock().query_row(
            "SELECT iss, sub FROM session WHERE digest = ?1",
            params![session.to_string()],
            |row| Ok(Principal { iss: row.get(0)?, sub: row.get(1)? }),
        );
        Ok(found.optional()?)
    }

    /// Revokes a session here, and keeps the order until its runner has carried it out.
    pub(crate) fn put_revoke(
        &self,
        new: &NewRevoke<'_>,
        note: &DecisionNote,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(new.record).map_err(|_| StoreError::Row)?;
        let session = new.session.to_string();
        self.write(|transaction| {
            use_jti(transaction, new.jti, new.until)?;
            transaction.execute(
                "INSERT INTO session_revoke (writ, session, runner_group, sealed_order)
                 VALUES (?1, ?2, ?3, ?4)",
                params![new.writ.to_string(), session, new.group.to_string(), text],
            )?;
            transaction.execute(
                "UPDATE session SET revoked_at = ?2 WHERE digest = ?1 AND revoked_at IS NULL",
                params![session, seconds(note.at)],
            )?;
            record_writ(transaction, new.record, note)
        })
    }

    /// What names revoked sessions: digests and commitments.
    pub(crate) fn revoked_sessions(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare("SELECT digest, commitment FROM session WHERE revoked_at IS NOT NULL")?;
        let rows = statement
            .query_map([], |row| Ok([row.get::<_, String>(0)?, row.get::<_, String>(1)?]))?;
        let mut revoked = BTreeSet::new();
        for row in rows {
            for named in row? {
                revoked.insert(named.parse().map_err(|_| StoreError::Row)?);
            }
        }
        Ok(revoked)
    }

    /// Revocations for a runner group that were not carried out, oldest first, with the credentials that they revoke.
    pub(crate) fn pending_revokes(
        &self,
        group: RunnerGroupId,
    ) -> Result<Vec<(WritRecord, UnverifiedIdc)>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT sealed_order, idc FROM session_revoke JOIN session ON digest = session
             WHERE done = 0 AND runner_group = ?1 ORDER BY session_revoke.rowid LIMIT 16",
        )?;
        statement
            .query_map(params![group.to_string()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?
            .map(|row| {
                let (order, idc) = row?;
                let order = serde_json::from_str(&order).map_err(|_| StoreError::Row)?;
                Ok((order, serde_json::from_str(&idc).map_err(|_| StoreError::Row)?))
            })
            .collect()
    }

    /// A revocation need not be given again.
    pub(crate) fn revoke_done(&self, writ: Digest) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE session_revoke SET done = 1 WHERE writ = ?1",
                params![writ.to_string()],
            )?;
            Ok(())
        })
    }
}

fn status(row: &Row<'_>) -> Result<SessionStatus, StoreError> {
    let time = |at: usize| -> Result<UnixTime, StoreError> {
        let seconds: i64 = row.get(at)?;
        Ok(UnixTime(u64::try_from(seconds).map_err(|_| StoreError::Row)?))
    };
    let revoked: Option<i64> = row.get(7)?;
    Ok(SessionStatus {
        session: row.get::<_, String>(0)?.parse().map_err(|_| StoreError::Row)?,
        principal: Principal { iss: row.get(1)?, sub: row.get(2)? },
        through: row.get(3)?,
        first_seen: time(4)?,
        last_seen: time(5)?,
        until: time(6)?,
        revoked_at: revoked.map(|_| time(7)).transpose()?,
        waiting: row.get(8)?,
    })
}
