//! `writ approve`: what waits for me, and an answer to one of it.
//!
//! Before anything is signed it is said in plain words: who asks, for which automation, what exactly,
//! and which actions wait for it. All of it stands in a statement that the run's jail signed, checked
//! here by the key that the charter enrolls, and what is shown is what the digest in it is of: neither
//! the control plane, nor the gateway, nor a runner can show one thing and have another signed.

use std::{fmt::Write as _, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use writ_api::{ApprovalList, AskedApproval, RunOrder, RunStatus, ShownApproval, asked_in};
use writ_evidence::{
    approval::{ApprovalAsked, ApprovalDecision, ApprovalSalt, Verdict},
    digest::sha256,
    jws::UnverifiedJws,
    statement::{Done, Says, Statement, VerifiedStatement},
    writ::Order,
};
use writ_model::{Digest, RunId, RunnerGroupId};

use super::Context;
use crate::{
    args::ApproveArgs,
    failure::Failure,
    output::{self, plain_line},
    sign,
    tenant::{Tenant, now},
};

/// How often a run is looked at, until its jail has said something to the answer.
const LOOK: Duration = Duration::from_millis(150);

pub(super) async fn run(context: &Context, args: ApproveArgs) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match args.run {
        None => list(context, &tenant).await,
        Some(run) => answer(&tenant, run, &args).await,
    }
}

/// What waits for whoever is logged in.
async fn list(context: &Context, tenant: &Tenant) -> Result<(), Failure> {
    let list: ApprovalList = tenant.server.get(&tenant.path("/approvals")).await?;
    if context.json {
        return output::json(&list);
    }
    if list.approvals.is_empty() {
        output::say("nothing waits for you");
    }
    list.approvals.iter().try_for_each(|known| {
        let AskedApproval { run, asked, answers } = known;
        output::line(format!(
            "{run}\t{}\t{}\tasked by {}\t{} of {}\t{}",
            asked.automation,
            plain_line(&asked.step.to_string()),
            plain_line(&asked.requester.to_string()),
            answers.len(),
            asked.quorum,
            left(asked),
        ))
    })
}

/// Something that a run asks, verified.
struct Question {
    asked: ApprovalAsked,
    group: RunnerGroupId,
    shown: Shown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    message: String,
    payload: Value,
}

async fn answer(tenant: &Tenant, run: RunId, args: &ApproveArgs) -> Result<(), Failure> {
    let path = format!("/v1/runs/{run}/approval");
    let shown: ShownApproval = tenant.gateway()?.get(&path).await?;
    let question = verify(tenant, run, &shown)?;
    if args.step.as_ref().is_some_and(|step| *step != question.asked.step.to_string()) {
        let cause = format!("the run asks at {} now", plain_line(&question.asked.step.to_string()));
        return Err(Failure::new("approval-step", cause));
    }
    let known = asked_in(&look(tenant, run).await?.statements);
    let approved = known.iter().find(|known| known.asked == question.asked);
    output::say(told(run, &question, approved.map_or(0, |known| known.answers.len())));
    let decision = if args.reject { ApprovalDecision::Reject } else { ApprovalDecision::Approve };
    if !args.yes {
        confirm(decision)?;
    }
    let asked = question.asked;
    let order = Order::RunApprove {
        aud: question.group,
        res: run,
        step: asked.step,
        attempt: asked.attempt,
        payload: asked.payload,
        decision,
    };
    let writ = sign::writ(tenant, order)?;
    let digest = sha256(writ.as_bytes());
    let order = RunOrder { writ, idc: tenant.session.idc.clone() };
    tenant.server.post_only(&tenant.path(&format!("/runs/{run}/approve")), &order).await?;
    await_word(tenant, run, digest).await
}

/// The statement is of a jail of this tenant, about this run, and about what is shown.
fn verify(tenant: &Tenant, run: RunId, shown: &ShownApproval) -> Result<Question, Failure> {
    let forged = |cause: &str| {
        Failure::new("approval-forged", cause.to_owned())
            .with_remedy("sign nothing; tell whoever runs the runner and the gateway")
    };
    let ten = tenant.place.settings.tenant;
    let (statement, group) = tenant
        .charter
        .runners()
        .find_map(|runner| {
            let verified = VerifiedStatement::verify(&shown.asked, &runner.jail_key, ten).ok()?;
            Some((verified, runner.group))
        })
        .ok_or_else(|| forged("no jail of this tenant has stated what is asked"))?;
    let asked = match &statement.statement().says {
        Says::Receipt(receipt) if receipt.run == run => match &receipt.done {
            Done::Asked(asked) => Some(asked.clone()),
            _ => None,
        },
        Says::Receipt(_)
        | Says::Acceptance(_)
        | Says::Refusal(_)
        | Says::Tested(_)
        | Says::Forked(_)
        | Says::Revoked(_) => None,
    };
    let asked = asked.ok_or_else(|| forged("the jail's statement is about something else"))?;
    let salt = ApprovalSalt::parse(&shown.salt)
        .filter(|salt| salt.digest(&shown.shown) == asked.payload)
        .map(drop);
    salt.ok_or_else(|| forged("what is shown is not what the jail has stated"))?;
    let text = serde_json::from_str(&shown.shown)
        .map_err(|_| forged("what is shown has neither message nor payload"))?;
    Ok(Question { asked, group, shown: text })
}

/// The question in plain words.
fn told(run: RunId, question: &Question, answers: usize) -> String {
    let Question { asked, shown, .. } = question;
    let payload = serde_json::to_string_pretty(&shown.payload).unwrap_or_default();
    let mut text = format!(
        "{} asks, in {run} of {}, step {}:\n\n  {}\n\nabout\n\n",
        plain_line(&asked.requester.to_string()),
        asked.automation,
        plain_line(&asked.step.to_string()),
        plain_line(&shown.message),
    );
    for line in payload.lines() {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {}", plain_line(line));
    }
    text.push_str("\nbehind it, and refused without it:\n\n");
    if asked.behind.is_empty() {
        text.push_str("  no action alone; the automation says what it does with the answer\n");
    }
    for grant in &asked.behind {
        for action in &grant.actions {
            let _ = writeln!(text, "  {} through {}", action.name, grant.connection.name);
        }
    }
    let _ = write!(text, "\n{answers} of {} have approved; {}", asked.quorum, left(asked));
    text
}

fn confirm(decision: ApprovalDecision) -> Result<(), Failure> {
    let word = match decision {
        ApprovalDecision::Approve => "approve",
        ApprovalDecision::Reject => "reject",
    };
    output::confirm(word)
}

/// Waits for what the jail says to the answer.
async fn await_word(tenant: &Tenant, run: RunId, writ: Digest) -> Result<(), Failure> {
    for _ in 0..200 {
        let status = look(tenant, run).await?;
        for compact in &status.statements {
            let said: Result<Statement, _> =
                UnverifiedJws::parse(compact).and_then(|jws| jws.peek());
            match said.map(|statement| statement.says) {
                Ok(Says::Refusal(refusal)) if refusal.writ == Some(writ) => {
                    return Err(Failure::new(&refusal.code, refusal.reason));
                }
                Ok(Says::Receipt(receipt)) => match receipt.done {
                    Done::Decided(decided) if decided.writ == writ => {
                        return output::line(verdict(&status, &decided.step.to_string()));
                    }
                    _ => {}
                },
                Ok(
                    Says::Acceptance(_)
                    | Says::Refusal(_)
                    | Says::Tested(_)
                    | Says::Forked(_)
                    | Says::Revoked(_),
                )
                | Err(_) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let cause = "the run's jail has said nothing to it yet";
    Err(Failure::new("approval-unanswered", cause)
        .with_remedy(format!("see `writ runs show {run}`")))
}

fn verdict(status: &RunStatus, step: &str) -> String {
    let asked = asked_in(&status.statements);
    let known = asked.iter().rev().find(|known| known.asked.step.to_string() == step);
    match known.map(|known| (known.verdict(), known)) {
        Some((Verdict::Approved, _)) => "approved: the run goes on".to_owned(),
        Some((Verdict::Rejected, _)) => "rejected".to_owned(),
        Some((Verdict::Open, known)) => {
            format!("noted: {} of {} have approved", known.answers.len(), known.asked.quorum)
        }
        // The run has ended meanwhile.
        None => "noted".to_owned(),
    }
}

async fn look(tenant: &Tenant, run: RunId) -> Result<RunStatus, Failure> {
    Ok(tenant.server.get(&tenant.path(&format!("/runs/{run}"))).await?)
}

fn left(asked: &ApprovalAsked) -> String {
    let left = asked.deadline.since(now());
    match (left / 86_400, left / 3600, left / 60) {
        (0, 0, 0) => format!("{left} seconds left"),
        (0, 0, minutes) => format!("{minutes} minutes left"),
        (0, hours, _) => format!("{hours} hours left"),
        (days, ..) => format!("{days} days left"),
    }
}
