//! `writ standing`: orders that a schedule or a webhook gives, signed once, within bounds, until a date.

use aws_lc_rs::rand::SystemRandom;
use serde::Serialize;
use writ_api::{Content, ContentKind, SealedInput};
use writ_evidence::{
    charter::{Change, PublishedAutomation, StandingRecord},
    digest::{RunDatum, sha256},
    seal,
    standing::{Bounds, Parameters, StandingWrit, Trigger, sealed_under},
};
use writ_model::{AutomationName, Principal, RunnerGroupId, StandingName, UnixTime};
use writ_policy::Policies;
use writ_schedule::{Interval, MissedRuns, Schedule};

use super::{
    Context,
    run::{new_run_key, read_input},
};
use crate::{
    args::{Missed, StandingCommand, StandingSetArgs},
    failure::Failure,
    output, sign,
    tenant::{Tenant, now},
};

mod webhook;

/// A standing writ as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    standing: &'a StandingWrit,
    grantor: &'a Principal,
    since: UnixTime,
}

pub(super) async fn run(context: &Context, command: StandingCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        StandingCommand::Set(args) => set(&tenant, *args).await,
        StandingCommand::List => {
            let all: Vec<_> = tenant.charter.standing_writs().map(shown).collect();
            if context.json {
                return output::json(&all);
            }
            all.iter().try_for_each(|one| output::line(line(one)))
        }
        StandingCommand::Show { name } => {
            let record = known(&tenant, &name)?;
            if context.json {
                return output::json(&shown(record));
            }
            show(&tenant, record)
        }
        StandingCommand::Renew { name, expires_in, yes } => {
            renew(&tenant, &name, expires_in, yes).await
        }
        StandingCommand::Revoke { name } => {
            known(&tenant, &name)?;
            sign::change(&tenant, Change::StandingRevoke(name)).await.map(drop)
        }
    }
}

async fn set(tenant: &Tenant, args: StandingSetArgs) -> Result<(), Failure> {
    let bundle = published(tenant, &args.automation)?.automation.bundle;
    let trigger = trigger(&args)?;
    let runner_group = tenant.runner_group()?;
    let parameters = match (&args.input, &trigger) {
        (None, Trigger::Webhook(_)) => Parameters::Event,
        (input, _) => seal_parameters(tenant, runner_group, read_input(input.as_deref())?).await?,
    };
    let invalid = |error: &dyn std::error::Error| Failure::because("standing", "refused", error);
    let per = Interval::from_seconds(args.per).map_err(|error| invalid(&error))?;
    let concurrency = args.concurrency.unwrap_or(match &trigger {
        Trigger::Schedule { .. } => 1,
        // Senders do not wait, and few repeat what was not taken.
        Trigger::Webhook(_) => 10,
    });
    let bounds = Bounds::new(args.max_runs, per, concurrency);
    let standing = StandingWrit {
        name: args.name,
        runner_group,
        automation: args.automation,
        bundle,
        trigger,
        parameters,
        bounds: bounds.map_err(|error| invalid(&error))?,
        expires_at: now().plus(u64::from(args.expires_in)),
    };
    grant(tenant, standing).await
}

async fn grant(tenant: &Tenant, standing: StandingWrit) -> Result<(), Failure> {
    standing.check(now()).map_err(|reason| Failure::new("standing", reason))?;
    let address = match &standing.trigger {
        Trigger::Webhook(webhook) => {
            let origin = tenant.place.settings.gateway_url.trim_end_matches('/');
            Some(format!("{origin}/hooks/{}", webhook.path))
        }
        Trigger::Schedule { .. } => None,
    };
    let until = standing.expires_at;
    sign::change(tenant, Change::StandingSet(Box::new(standing))).await?;
    output::say(format!("stands until {until}; `writ standing renew` signs it again"));
    address.map_or(Ok(()), output::line)
}

/// Grants again what stands: shown first are the code that has changed since, and the new end.
async fn renew(
    tenant: &Tenant,
    name: &StandingName,
    expires_in: u32,
    yes: bool,
) -> Result<(), Failure> {
    let record = known(tenant, name)?;
    let before = &record.standing;
    let current = published(tenant, &before.automation)?;
    let bundle = current.automation.bundle;
    let expires_at = now().plus(u64::from(expires_in));
    show(tenant, record)?;
    if bundle == before.bundle {
        output::say("the automation is as it was");
    } else {
        output::say(format!("the automation was published anew by {}:", current.publisher));
        output::say(format!("- {}", before.bundle));
        output::say(format!("+ {bundle}"));
        for grant in &current.automation.footprint.connections {
            let actions: Vec<_> =
                grant.actions.iter().map(|action| action.name.to_string()).collect();
            output::say(format!("may use {} for {}", grant.connection.name, actions.join(", ")));
        }
        for code in &current.automation.footprint.code {
            output::say(format!("may run {} code {}", code.language, code.digest));
        }
    }
    output::say(format!("until {} → {expires_at}", before.expires_at));
    if !yes {
        output::confirm("renew")?;
    }
    grant(tenant, StandingWrit { bundle, expires_at, ..before.clone() }).await
}

/// Seals fixed parameters to each runner of the group, and puts them where those fetch content.
async fn seal_parameters(
    tenant: &Tenant,
    group: RunnerGroupId,
    input: String,
) -> Result<Parameters, Failure> {
    let key = new_run_key()?;
    let digest = key.digest(RunDatum::Input, input.as_bytes());
    let sealed = tenant
        .charter
        .runners()
        .filter(|runner| runner.group == group)
        .map(|runner| {
            let content = (&key, input.as_bytes());
            let under = sealed_under(digest);
            seal::seal(&runner.sealing_key, under, content, &SystemRandom::new())
                .map(|sealed| SealedInput { runner: runner.id, sealed })
                .map_err(|error| Failure::because("seal", "cannot seal the parameters", &error))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let text = serde_json::to_string(&sealed)
        .map_err(|error| Failure::because("seal", "cannot write the parameters", &error))?;
    let sealed = sha256(text.as_bytes());
    let content = Content { kind: ContentKind::Parameters, text };
    tenant.server.put(&tenant.path(&format!("/content/{sealed}")), &content).await?;
    Ok(Parameters::Fixed { digest, sealed })
}

fn trigger(args: &StandingSetArgs) -> Result<Trigger, Failure> {
    let invalid = |error: &dyn std::error::Error| Failure::because("schedule", "refused", error);
    let interval = |seconds| Interval::from_seconds(seconds).map_err(|error| invalid(&error));
    let missed_runs = match args.missed_runs {
        Missed::Skip => MissedRuns::Skip,
        Missed::Once => MissedRuns::Once,
        Missed::All => MissedRuns::All,
    };
    let schedule = match (&args.cron, args.every, args.after) {
        (Some(expression), _, _) => Schedule::Cron {
            expression: expression.parse().map_err(|error| invalid(&error))?,
            time_zone: args.time_zone.parse().map_err(|error| invalid(&error))?,
        },
        (None, Some(every), _) => {
            let from = now().plus(u64::from(args.first_in));
            Schedule::Every { interval: interval(every)?, from }
        }
        (None, None, Some(delay)) => Schedule::After { delay: interval(delay)? },
        (None, None, None) => return webhook::trigger(args).map(Trigger::Webhook),
    };
    Ok(Trigger::Schedule { schedule, missed_runs })
}

fn published<'a>(
    tenant: &'a Tenant,
    name: &AutomationName,
) -> Result<&'a PublishedAutomation, Failure> {
    tenant.charter.automation(name).ok_or_else(|| {
        Failure::new("automation-unknown", format!("no automation `{name}` is published"))
            .with_remedy("publish it with `writ automation publish`")
    })
}

fn known<'a>(tenant: &'a Tenant, name: &StandingName) -> Result<&'a StandingRecord, Failure> {
    tenant.charter.standing(name).ok_or_else(|| {
        Failure::new("standing-unknown", format!("there is no standing writ `{name}`"))
            .with_remedy("`writ standing list` shows them")
    })
}

const fn shown(record: &StandingRecord) -> Shown<'_> {
    Shown { standing: &record.standing, grantor: &record.grantor, since: record.since }
}

fn line(shown: &Shown<'_>) -> String {
    let StandingWrit { name, automation, expires_at, trigger, .. } = shown.standing;
    format!("{name}\t{automation}\t{}\tuntil {expires_at}", described(trigger))
}

fn show(tenant: &Tenant, record: &StandingRecord) -> Result<(), Failure> {
    let standing = &record.standing;
    output::line(line(&shown(record)))?;
    output::line(format!("granted by {} at {}", record.grantor, record.since))?;
    let bounds = standing.bounds;
    output::line(format!(
        "at most {} runs in {}, {} at once",
        bounds.max_runs(),
        bounds.per(),
        bounds.concurrency()
    ))?;
    output::line(match standing.parameters {
        Parameters::Fixed { .. } => "its runs get fixed parameters, sealed to the runner",
        Parameters::Event => "its runs get the webhook's body",
    })?;
    match lapsed(tenant, record)? {
        Some(why) => output::line(format!("lapsed: {why}")),
        None => Ok(()),
    }
}

/// Why it would not fire now, as far as the charter says.
fn lapsed(tenant: &Tenant, record: &StandingRecord) -> Result<Option<String>, Failure> {
    let standing = &record.standing;
    if standing.expires_at <= now() {
        return Ok(Some("it has ended; `writ standing renew` signs it again".to_owned()));
    }
    let policies = Policies::built_in()
        .map_err(|error| Failure::because("policy-error", "cannot judge it", &error))?;
    let denied = policies.decide_standing(&tenant.charter, &record.grantor, standing).err();
    Ok(denied.map(|denied| match denied.code {
        "bundle-not-published" => {
            "the automation was published anew; `writ standing renew` signs it".to_owned()
        }
        _ => denied.reason,
    }))
}

fn described(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Webhook(webhook) => format!("webhook {}", webhook.path),
        Trigger::Schedule { schedule, .. } => match schedule {
            Schedule::Cron { expression, time_zone } => {
                format!("cron `{expression}` in {time_zone}")
            }
            Schedule::Every { interval, from } => format!("every {interval} from {from}"),
            Schedule::After { delay } => format!("{delay} after its last run"),
        },
    }
}
