//! `writ connection test`: signs, orders, waits, and says in plain words what the jail's receipt says.
//!
//! The receipt is verified by the key that the charter enrolls for the jail, and has to answer this very
//! writ: the control plane relays it and can't make one up.

use std::time::Duration;

use writ_api::{TestConnectionOrder, TestStatus};
use writ_evidence::{
    digest::sha256,
    statement::{ConnectionTested, Says, Statement, TestOutcome, TestStage, VerifiedStatement},
    writ::Order,
};
use writ_model::{ConnectionHost, ConnectionName, Digest, SecretManager, SecretRef};

use super::remedy::{cause_and_remedy, refusal_remedy};
use crate::{
    failure::{EXIT_UNREACHABLE, Failure},
    output, sign,
    tenant::Tenant,
};

/// How often the outcome is asked for.
const LOOK: Duration = Duration::from_millis(150);

/// Has a connection tested by the runner that runs use.
pub(super) async fn test(
    tenant: &Tenant,
    name: ConnectionName,
    patience: Duration,
    json: bool,
) -> Result<(), Failure> {
    let order = Order::ConnectionTest { aud: tenant.runner_group()?, res: name.clone() };
    let writ = sign::writ(tenant, order)?;
    let digest = sha256(writ.as_bytes());
    let order = TestConnectionOrder { writ, idc: tenant.session.idc.clone() };
    tenant.server.post_only(&tenant.path("/connections/test"), &order).await?;
    let status = outcome(tenant, &name, digest, patience).await?;
    let Some(compact) = &status.statement else {
        let code = status.code.as_deref().unwrap_or("test-unanswered");
        let reason = status.reason.unwrap_or_else(|| "the runner says no more".to_owned());
        return Err(Failure::new(code, reason).with_remedy(refusal_remedy(code)));
    };
    let statement = verified(tenant, compact)?;
    match &statement.says {
        Says::Tested(tested) if tested.writ == digest && tested.connection.name == name => {
            report(&statement, tested, json)
        }
        Says::Refusal(refusal) if refusal.writ == Some(digest) => {
            let code = &refusal.code;
            Err(Failure::new(code, &refusal.reason).with_remedy(refusal_remedy(code)))
        }
        Says::Tested(_)
        | Says::Refusal(_)
        | Says::Acceptance(_)
        | Says::Receipt(_)
        | Says::Revoked(_)
        | Says::Forked(_) => {
            Err(Failure::new("test-answer", "the control plane answered with another statement")
                .with_remedy(
                    "see `writ audit export`; whoever runs the control plane has to say why",
                ))
        }
    }
}

/// Waits until a runner has answered.
async fn outcome(
    tenant: &Tenant,
    name: &ConnectionName,
    writ: Digest,
    patience: Duration,
) -> Result<TestStatus, Failure> {
    let path = tenant.path(&format!("/connections/tests/{writ}"));
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let status: TestStatus = tenant.server.get(&path).await?;
        if status.done {
            return Ok(status);
        }
        if tokio::time::Instant::now() >= deadline {
            let cause =
                format!("no runner answered the test of {name} within {} s", patience.as_secs());
            return Err(Failure::new("runner-away", cause)
                .with_remedy("see that the runner runs and reaches the control plane; test again")
                .with_exit(EXIT_UNREACHABLE));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A statement of a jail that the charter enrolls.
fn verified(tenant: &Tenant, compact: &str) -> Result<Statement, Failure> {
    let ten = tenant.charter.ten();
    let by_any = tenant
        .charter
        .runners()
        .find_map(|runner| VerifiedStatement::verify(compact, &runner.jail_key, ten).ok());
    by_any.map(|verified| verified.statement().clone()).ok_or_else(|| {
        Failure::new("test-answer", "the outcome is signed by no jail that the charter enrolls")
            .with_remedy("whoever runs the control plane has to say why")
    })
}

fn report(statement: &Statement, tested: &ConnectionTested, json: bool) -> Result<(), Failure> {
    if json {
        output::json(tested)?;
    }
    match &tested.outcome {
        TestOutcome::Ok if json => Ok(()),
        TestOutcome::Ok => passed(statement, tested),
        TestOutcome::Failed { code, status, at } => Err(failed(tested, code, *status, at)),
    }
}

fn passed(statement: &Statement, tested: &ConnectionTested) -> Result<(), Failure> {
    output::line(format!("{}: the test passed", tested.connection.name))?;
    output::line(format!("  credential  read from {}", place(&tested.secret)))?;
    for host in &tested.reached {
        output::line(format!("  host        {}", reached(host)))?;
    }
    output::line("  not tested  whether the service takes the credential: it was sent nothing")?;
    output::line(format!("  receipt     {} of the jail, for writ {}", statement.seq, tested.writ))
}

fn failed(tested: &ConnectionTested, code: &str, status: Option<u16>, at: &TestStage) -> Failure {
    let (cause, remedy) = cause_and_remedy(code);
    let status = status.map(|status| format!(" (it answered {status})")).unwrap_or_default();
    let at = match at {
        TestStage::Secret => format!("at its credential, {}", place(&tested.secret)),
        TestStage::Host(host) => format!("at its host {host}"),
        TestStage::Cell => "before anything was tried".to_owned(),
    };
    let before: Vec<String> = tested.reached.iter().map(reached).collect();
    let before =
        if before.is_empty() { String::new() } else { format!("; before: {}", before.join(", ")) };
    let name = &tested.connection.name;
    Failure::new(code, format!("the test of {name} failed {at}: {cause}{status}{before}"))
        .with_remedy(remedy)
}

/// Which manager, path and field; the reference as it stands in the charter behind it.
fn place(secret: &SecretRef) -> String {
    let manager = match secret.manager() {
        SecretManager::Local => "the local vault",
        SecretManager::Vault => "Vault or OpenBao",
        SecretManager::AwsSm => "AWS Secrets Manager",
    };
    let field = secret.field().map(|field| format!(", field {field}")).unwrap_or_default();
    let version = secret.version().map(|text| format!(", version {text}")).unwrap_or_default();
    format!("{manager}: path {}{field}{version} (`{secret}`)", secret.path())
}

fn reached(host: &ConnectionHost) -> String {
    if host.plaintext {
        format!("{host} reached without TLS (the connection says plaintext)")
    } else {
        format!("{host} reached over TLS, its certificate checked")
    }
}
