//! `writ run` and `writ runs`.

use std::{fs, io::Read as _, path::Path, time::Duration};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use writ_api::{
    RunList, RunOrder, RunPhase, RunStatus, SealedInput, StartRunOrder, StartedRun, asked_in,
};
use writ_evidence::{
    approval::ApprovalDecision,
    digest::{RunDatum, RunKey, sha256},
    jws::UnverifiedJws,
    seal,
    statement::{Done, Says, Statement, StepOutcome},
    writ::{Order, ResumeDecision},
};
use writ_model::{AutomationName, RunId, limits::RUN_INPUT_MAX};
use zeroize::Zeroizing;

use super::Context;
use crate::{
    args::{RunCommand, RunsCommand},
    failure::{EXIT_RUN_FAULTED, Failure},
    output, sign,
    tenant::Tenant,
};

/// How often a run that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(150);

pub(super) async fn run(context: &Context, command: RunCommand) -> Result<(), Failure> {
    match command {
        RunCommand::Start { automation, input, reason, wait } => {
            let input = read_input(input.as_deref())?;
            let tenant = context.tenant().await?;
            let run = start(&tenant, &automation, input, reason).await?;
            finish(&tenant, run, wait).await
        }
        RunCommand::Cancel { run } => cancel(&context.tenant().await?, run).await,
        RunCommand::Resume { run, retry, fail: _, wait } => {
            let tenant = context.tenant().await?;
            let decision = if retry { ResumeDecision::Retry } else { ResumeDecision::Fail };
            resume(&tenant, run, decision).await?;
            finish(&tenant, run, wait).await
        }
    }
}

pub(super) async fn runs(context: &Context, command: RunsCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        RunsCommand::List => {
            let list: RunList = tenant.server.get(&tenant.path("/runs")).await?;
            if context.json {
                return output::json(&list);
            }
            list.runs.iter().try_for_each(|run| output::line(describe(run)))
        }
        RunsCommand::Show { run } => {
            let status = look(&tenant, run).await?;
            if context.json {
                return output::json(&status);
            }
            show(&status)
        }
        RunsCommand::Output { run } => print_output(&tenant, run).await,
    }
}

pub(super) fn read_input(file: Option<&Path>) -> Result<String, Failure> {
    let failed = |error: &std::io::Error| Failure::because("input", "cannot read the input", error);
    let text = match file {
        None => "{}".to_owned(),
        Some(file) if file == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| failed(&error))?;
            text
        }
        Some(file) => fs::read_to_string(file).map_err(|error| failed(&error))?,
    };
    if text.len() > RUN_INPUT_MAX {
        let cause = format!("the input is longer than {RUN_INPUT_MAX} bytes");
        return Err(Failure::new("input", cause));
    }
    serde_json::from_str::<serde_json::Value>(&text).map_err(|error| {
        Failure::new("input", format!("the input is not JSON at line {}", error.line()))
    })?;
    Ok(text)
}

/// Signs, seals to each runner of the group, orders.
async fn start(
    tenant: &Tenant,
    automation: &AutomationName,
    input: String,
    reason: Option<String>,
) -> Result<RunId, Failure> {
    let published = tenant.charter.automation(automation).ok_or_else(|| {
        Failure::new("automation-unknown", format!("no automation `{automation}` is published"))
            .with_remedy("publish it with `writ automation publish`")
    })?;
    let group = tenant.runner_group()?;
    let run_key = new_run_key()?;
    let writ = sign::writ(
        tenant,
        Order::RunStart {
            aud: group,
            res: automation.clone(),
            cnt: published.automation.bundle,
            inp: run_key.digest(RunDatum::Input, input.as_bytes()),
            authorization_details: published.automation.footprint.connections.clone(),
            reason,
        },
    )?;
    let digest = sha256(writ.as_bytes());
    let sealed = tenant
        .charter
        .runners()
        .filter(|runner| runner.group == group)
        .map(|runner| {
            let content = (&run_key, input.as_bytes());
            seal::seal(&runner.sealing_key, digest, content, &SystemRandom::new())
                .map(|sealed| SealedInput { runner: runner.id, sealed })
                .map_err(|error| Failure::because("seal", "cannot seal the input", &error))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let order = StartRunOrder { writ, idc: tenant.session.idc.clone(), sealed };
    let started: StartedRun = tenant.server.post(&tenant.path("/runs"), &order).await?;
    output::say(format!("{} ordered by writ {digest}", started.run));
    Ok(started.run)
}

pub(super) fn new_run_key() -> Result<RunKey, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| Failure::new("random", "the random source failed"))?;
    Ok(RunKey::from_bytes(bytes))
}

/// Signs, orders, and waits until the run has ended one way or another.
async fn cancel(tenant: &Tenant, run: RunId) -> Result<(), Failure> {
    let group = tenant.runner_group()?;
    let writ = sign::writ(tenant, Order::RunCancel { aud: group, res: run })?;
    let order = RunOrder { writ, idc: tenant.session.idc.clone() };
    tenant.server.post_only(&tenant.path(&format!("/runs/{run}/cancel")), &order).await?;
    for _ in 0..100 {
        let status = look(tenant, run).await?;
        if !matches!(status.phase, RunPhase::Ordered | RunPhase::Running | RunPhase::Suspended) {
            output::say(describe(&status));
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Failure::new("run-not-cancelled", format!("{run} goes on; see the runner's log")))
}

async fn resume(tenant: &Tenant, run: RunId, decision: ResumeDecision) -> Result<(), Failure> {
    let status = look(tenant, run).await?;
    let (Some(step), Some(attempt)) = (status.step, status.attempt) else {
        return Err(Failure::new("run-not-suspended", format!("{run} is not suspended")));
    };
    let group = tenant.runner_group()?;
    let order = Order::RunResume { aud: group, res: run, step, attempt, decision };
    let writ = sign::writ(tenant, order)?;
    let order = RunOrder { writ, idc: tenant.session.idc.clone() };
    let path = tenant.path(&format!("/runs/{run}/resume"));
    tenant.server.post_only(&path, &order).await?;
    // The runner takes the order in its own time; the old state must not pass for the new.
    for _ in 0..100 {
        if look(tenant, run).await?.phase != RunPhase::Suspended {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn finish(tenant: &Tenant, run: RunId, wait: bool) -> Result<(), Failure> {
    if !wait {
        return output::line(run.to_string());
    }
    let mut last = None;
    let mut asked = 0;
    loop {
        let status = look(tenant, run).await?;
        let known = asked_in(&status.statements);
        for new in known.get(asked..).unwrap_or_default() {
            let (step, quorum) = (&new.asked.step, new.asked.quorum);
            output::say(format!("{step} waits for {quorum} to approve: `writ approve {run}`"));
        }
        asked = asked.max(known.len());
        if last != Some(status.phase) {
            output::say(describe(&status));
            last = Some(status.phase);
        }
        match status.phase {
            RunPhase::Completed => return print_output(tenant, run).await,
            RunPhase::Faulted | RunPhase::Refused => {
                let place = failed_call(tenant, &status);
                let code = status.code.unwrap_or_else(|| "faulted".to_owned());
                let cause = status.reason.unwrap_or_else(|| format!("the run faulted{place}"));
                return Err(Failure::new(&code, cause)
                    .with_remedy(format!("see `writ runs show {run}`"))
                    .with_exit(EXIT_RUN_FAULTED));
            }
            RunPhase::Suspended => {
                let step = status.step.map(|step| step.to_string()).unwrap_or_default();
                let cause = format!("step {step} was begun and may or may not have happened");
                return Err(Failure::new("run-suspended", cause)
                    .with_remedy(format!("find out, then `writ run resume {run} --retry|--fail`"))
                    .with_exit(EXIT_RUN_FAULTED));
            }
            RunPhase::Ordered | RunPhase::Running => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Which call a run faulted at, by its newest receipt, and where that call's credential is kept.
fn failed_call(tenant: &Tenant, status: &RunStatus) -> String {
    let receipts = status.statements.iter().rev().filter_map(|compact| {
        let said: Statement = UnverifiedJws::parse(compact).and_then(|jws| jws.peek()).ok()?;
        match said.says {
            Says::Receipt(receipt) => Some(receipt.done),
            Says::Acceptance(_)
            | Says::Refusal(_)
            | Says::Tested(_)
            | Says::Forked(_)
            | Says::Revoked(_) => None,
        }
    });
    for done in receipts {
        if let Done::Action(done) = done
            && let StepOutcome::Failed { code, .. } = &done.outcome
            && Some(code) == status.code.as_ref()
        {
            let name = &done.connection.name;
            let kept = tenant.charter.connection(name).map(|record| &record.connection.secret);
            let kept = kept.map(|kept| format!(" (`{kept}`)")).unwrap_or_default();
            return format!(" at {}: {} through {name}{kept}", done.step, done.action.name);
        }
    }
    String::new()
}

async fn look(tenant: &Tenant, run: RunId) -> Result<RunStatus, Failure> {
    Ok(tenant.server.get(&tenant.path(&format!("/runs/{run}"))).await?)
}

async fn print_output(tenant: &Tenant, run: RunId) -> Result<(), Failure> {
    let text = tenant.gateway()?.get_text(&format!("/v1/runs/{run}/output")).await?;
    output::data(text)
}

fn describe(run: &RunStatus) -> String {
    let phase = format!("{:?}", run.phase).to_lowercase();
    let code = run.code.as_ref().map(|code| format!("\t{code}")).unwrap_or_default();
    format!("{}\t{}\t{phase}{code}", run.run, run.automation)
}

fn show(status: &RunStatus) -> Result<(), Failure> {
    output::line(describe(status))?;
    let principal = &status.principal;
    output::line(match &status.standing {
        None => format!("ordered by {principal}"),
        Some(standing) => format!("started by {standing}, which {principal} granted"),
    })?;
    if let Some(reason) = &status.reason {
        output::line(format!("reason: {reason}"))?;
    }
    for compact in &status.statements {
        let said: Result<Statement, _> = UnverifiedJws::parse(compact).and_then(|jws| jws.peek());
        if let Ok(statement) = said {
            output::line(format!("  {}. {}", statement.seq, say(&statement.says)))?;
        }
    }
    Ok(())
}

fn say(says: &Says) -> String {
    match says {
        Says::Acceptance(acceptance) => {
            format!("accepted: {}", acceptance.decision.because.join("; "))
        }
        Says::Refusal(refusal) => format!("refused: {}: {}", refusal.code, refusal.reason),
        Says::Forked(forked) => {
            format!("stopped: root keys signed two changes as entry {}", forked.fork.seq)
        }
        Says::Tested(tested) => {
            format!(
                "{} tested by {}: {:?}",
                tested.connection.name, tested.principal, tested.outcome
            )
        }
        Says::Revoked(revoked) => {
            format!("session {} revoked by {}", revoked.session, revoked.principal)
        }
        Says::Receipt(receipt) => match &receipt.done {
            Done::Action(done) => format!(
                "{} called {} through {}: {:?}",
                done.step, done.action.name, done.connection.name, done.outcome
            ),
            Done::Code(done) => {
                format!("{} ran {} {}: {:?}", done.step, done.language, done.code, done.outcome)
            }
            Done::Asked(asked) => format!(
                "{} asks {} to approve, behind it {} actions",
                asked.step,
                asked.quorum,
                asked.behind.iter().map(|grant| grant.actions.len()).sum::<usize>()
            ),
            Done::Decided(decided) => {
                let said = match decided.decision {
                    ApprovalDecision::Approve => "approved",
                    ApprovalDecision::Reject => "rejected",
                };
                format!("{} {said} by {}", decided.step, decided.principal)
            }
            Done::Cancelled(cancelled) => format!("cancelled by {}", cancelled.principal),
            Done::Resumed(resumed) => {
                format!("{} resumed by {}", resumed.step, resumed.principal)
            }
            Done::Closed(closed) => {
                format!("closed, {}", if closed.completed { "completed" } else { "faulted" })
            }
        },
    }
}
