//! `connection.test`: may this credential be read, is it, and are the connection's hosts reached?
//!
//! `verify → decide → remember → cell → receipt`. The writ is spent before the cell is asked: one writ
//! has a credential read at most once, whatever crashes. Of what the cell says only how far it came and
//! a code are signed; references and hosts are the charter's own.

use writ_evidence::{
    digest::sha256,
    statement::{ConnectionTested, Says, TestOutcome, TestStage},
    writ::Order,
};
use writ_jail_link::{
    CellOutcome, CellTask, ConnectionTried, FailedStep, JailReply, TestConnection, TestOrder,
};
use writ_model::{Connection, UnixTime};

use super::{CALL_TIMEOUT_S, Handled, Jail, Refusing};
use crate::state::Record;

/// A test that was permitted and whose writ is spent.
pub struct PermittedTest {
    connection: Connection,
    /// The receipt, but for what the cell will say.
    tested: ConnectionTested,
}

impl PermittedTest {
    /// What the cell is told.
    #[must_use]
    pub fn task(&self) -> CellTask {
        let connection = self.connection.clone();
        CellTask::Test(Box::new(TestOrder { connection, timeout_s: CALL_TIMEOUT_S }))
    }
}

impl Jail {
    /// Verifies a `connection.test` writ; asked again after its receipt, gives the same receipt.
    pub(super) fn permit_test(
        &mut self,
        test: &TestConnection,
        now: UnixTime,
    ) -> Result<Handled, Refusing> {
        let digest = sha256(test.writ.as_bytes());
        if let Some(statement) = self.answered(digest, |says| matches!(says, Says::Tested(_))) {
            return Ok(Handled::Reply(Box::new(statement)));
        }
        let (permitted, used) =
            self.check_test(test, now).map_err(|refusing| refusing.about_writ(digest))?;
        self.state.append(vec![used]).map_err(|_| {
            Refusing::unsigned("jail-state", "the jail cannot write its state file")
        })?;
        Ok(Handled::Test(Box::new(permitted)))
    }

    fn check_test(
        &self,
        test: &TestConnection,
        now: UnixTime,
    ) -> Result<(PermittedTest, Record), Refusing> {
        let charter = self.current_charter()?;
        let (idc, writ) = self.verify_signed(charter, &test.writ, &test.idc, now)?;
        self.check_target(charter, &writ)?;
        let used = self.check_unused(&writ, writ.digest())?;
        let Order::ConnectionTest { res, .. } = &writ.claims().order else {
            return Err(Refusing::signed("writ-operation", "the writ does not test a connection"));
        };
        let (permit, pinned) = self.policies.decide_connection_test(charter, idc.actor(), res)?;
        let record = charter.connection(res).ok_or_else(|| {
            Refusing::signed("connection-unknown", "the charter has no such connection")
        })?;
        let tested = ConnectionTested {
            writ: writ.digest(),
            principal: idc.principal().clone(),
            connection: pinned,
            secret: record.connection.secret.clone(),
            decision: (&permit).into(),
            started_at: now,
            reached: Vec::new(),
            outcome: TestOutcome::Ok,
        };
        Ok((PermittedTest { connection: record.connection.clone(), tested }, used))
    }

    /// Spends the permit on the receipt of what the cell found.
    pub fn finish_test(&mut self, test: PermittedTest, outcome: CellOutcome) -> JailReply {
        let now = crate::clock::now();
        let PermittedTest { connection, tested } = test;
        let digest = tested.writ;
        let tested = found(&connection, tested, outcome);
        self.state_with(Says::Tested(tested), now, Vec::new())
            .map(|statement| JailReply::Statement { statement })
            .unwrap_or_else(|refusing| self.refuse(refusing.about_writ(digest), now))
    }
}

/// The receipt with what the cell found.
fn found(
    connection: &Connection,
    tested: ConnectionTested,
    outcome: CellOutcome,
) -> ConnectionTested {
    let malformed = || failed_cell("cell-malformed");
    let tried = match outcome {
        CellOutcome::Output(value) => serde_json::from_value(value).unwrap_or_else(|_| malformed()),
        CellOutcome::Failed(failed) => failed_cell(&failed.code),
    };
    // A cell that names more hosts than there are, or that says "all is well" before the last, is
    // not believed.
    let all = tried.reached == connection.hosts.len();
    let tried = if all == tried.failed.is_none() { tried } else { malformed() };
    let reached = connection.hosts.get(..tried.reached).unwrap_or_default().to_vec();
    let outcome = tried.failed.map_or(TestOutcome::Ok, |failed| TestOutcome::Failed {
        at: stage(connection, tried.reached, &failed),
        code: failed.code,
        status: failed.status,
    });
    ConnectionTested { reached, outcome, ..tested }
}

fn stage(connection: &Connection, reached: usize, failed: &FailedStep) -> TestStage {
    if failed.about.is_some() {
        return TestStage::Secret;
    }
    let of_cell = failed.code.starts_with("cell-");
    let host = connection.hosts.get(reached).filter(|_| !of_cell);
    host.map_or(TestStage::Cell, |host| TestStage::Host(host.clone()))
}

/// There was no cell, or it said nothing that can be believed.
fn failed_cell(code: &str) -> ConnectionTried {
    let code = code.to_owned();
    let failed = FailedStep { code, status: None, retry_after_s: None, about: None };
    ConnectionTried { reached: 0, failed: Some(failed) }
}

#[cfg(test)]
mod tests;
