//! A standing writ has fired: is it what was granted, is it due, may its grantor still, and is there room?
//!
//! `charter → grantor → policy → input → occurrence → accept`. A schedule's occurrence is judged here; a
//! webhook's delivery is first verified by a cell, which alone sees the secret. What was admitted and the
//! acceptance are one append to the state file: a crash leaves both or neither.
//!
//! Invariants:
//! * no occurrence starts two runs: asked again about an open one, the jail gives the same acceptance;
//! * what an unauthenticated sender can cause is never put on record, so nobody fills the log from outside;
//! * a grantor who has signed nothing for 14 days grants no more (DESIGN §3.4).
//!
//! Not here: when a schedule is due and what the bounds are (`evidence::standing`).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_evidence::{
    charter::{CharterState, StandingRecord, Subject},
    digest::{RunDatum, RunKey},
    jws::UnverifiedJws,
    standing::{
        Counter, CounterEvent, Occurrence, Parameters, Refused, Trigger, WebhookTrigger,
        delivered_run, scheduled_run,
    },
    statement::{Acceptance, Says, StandingFired, Statement},
};
use writ_jail_link::{
    CellOutcome, CellTask, Delivery, DeliveryVerdict, DueStanding, Fired, JailReply, OpenStanding,
    StandingRun, WebhookOrder,
};
use writ_model::{RunId, SecretRef, UnixTime};

use super::{
    CALL_TIMEOUT_S, Handled, Jail, Refusing,
    open::{RUN_LIFETIME_S, check_bundle, run_key},
};
use crate::{runs::AcceptedRun, state::Record};

/// How long a grant lasts without its grantor, in seconds: 14 days.
const GRANTOR_ABSENT_S: u64 = 14 * 24 * 3600;

/// A delivery that a cell verifies before its run is opened.
pub struct PendingDelivery {
    open: OpenStanding,
    /// What the cell is told.
    pub task: CellTask,
    /// Secrets that are left to try, while one replaces another.
    others: Vec<SecretRef>,
}

impl Jail {
    /// What the schedules of this runner's standing writs owe, and when to ask again.
    pub(super) fn standing_due(&self, now: UnixTime) -> Result<JailReply, Refusing> {
        let charter = self.current_charter()?;
        let group = self.own_runner(charter)?.group;
        let (mut due, mut next) = (Vec::new(), None);
        for record in charter.standing_writs() {
            let standing = &record.standing;
            if standing.runner_group != group {
                continue;
            }
            let counter = self.counter(record)?;
            let owed = counter.due(standing, now);
            due.extend(
                owed.into_iter().map(|at| DueStanding { standing: standing.name.clone(), at }),
            );
            next = [next, counter.next(standing, now)].into_iter().flatten().min();
        }
        Ok(JailReply::StandingDue { due, open: self.standing_runs(), next })
    }

    /// Every run of a standing writ that this jail has accepted and not closed, revoked ones' too.
    fn standing_runs(&self) -> Vec<StandingRun> {
        let memory = self.state.memory();
        let open = memory.standing.values().flat_map(Counter::open_runs);
        open.filter_map(|run| {
            // The file is the jail's own; the claims are read, not verified again.
            let said: Statement =
                UnverifiedJws::parse(memory.accepted_standing(run)?).ok()?.peek().ok()?;
            let Says::Acceptance(Acceptance { standing: Some(fired), .. }) = said.says else {
                return None;
            };
            let StandingFired { name: standing, scheduled_at } = fired;
            Some(StandingRun { run, standing, scheduled_at, accepted_at: said.at })
        })
        .collect()
    }

    /// Accepts the run of an occurrence, or says which cell to ask about a delivery first.
    pub(super) fn open_standing(
        &mut self,
        open: OpenStanding,
        now: UnixTime,
    ) -> Result<Handled, Refusing> {
        match &open.fired {
            Fired::Scheduled(at) => {
                let reply = self.fire(&open, Occurrence::Scheduled(*at), now)?;
                Ok(Handled::Reply(Box::new(reply)))
            }
            Fired::Delivered(delivery) => {
                let webhook = self.webhook_of(&open)?.clone();
                let mut secrets = webhook.verifier.secrets().to_vec().into_iter();
                let task = webhook_task(&webhook, secrets.next(), delivery, now);
                let others = secrets.collect();
                Ok(Handled::Webhook(Box::new(PendingDelivery { open, task, others })))
            }
        }
    }

    /// Opens the run of a delivery that a cell has verified; asks again with the next secret where one is
    /// replacing another.
    pub fn finish_delivery(&mut self, pending: PendingDelivery, outcome: CellOutcome) -> Handled {
        let now = crate::clock::now();
        self.judge_delivery(pending, outcome, now)
            .unwrap_or_else(|refusing| Handled::Reply(Box::new(self.refuse(refusing, now))))
    }

    fn judge_delivery(
        &mut self,
        pending: PendingDelivery,
        outcome: CellOutcome,
        now: UnixTime,
    ) -> Result<Handled, Refusing> {
        let PendingDelivery { open, mut others, .. } = pending;
        let malformed = || Refusing::unsigned("cell-malformed", "the cell's answer is malformed");
        let verdict = match outcome {
            CellOutcome::Output(value) => serde_json::from_value(value).map_err(|_| malformed())?,
            CellOutcome::Failed(failed) => {
                let rule = "the webhook's secret can't be read";
                return Err(Refusing::unsigned(&failed.code, rule));
            }
        };
        match verdict {
            DeliveryVerdict::Verified { id, remember_until } => {
                let occurrence = Occurrence::Delivered { id, remember_until };
                let reply = self.fire(&open, occurrence, now)?;
                Ok(Handled::Reply(Box::new(reply)))
            }
            DeliveryVerdict::Refused { code, .. }
                if code == "webhook-signature" && !others.is_empty() =>
            {
                let Fired::Delivered(delivery) = &open.fired else { return Err(malformed()) };
                let webhook = self.webhook_of(&open)?.clone();
                let task = webhook_task(&webhook, Some(others.remove(0)), delivery, now);
                Ok(Handled::Webhook(Box::new(PendingDelivery { open, task, others })))
            }
            DeliveryVerdict::Refused { code, reason } => Err(Refusing::unsigned(&code, reason)),
        }
    }

    /// The stages of an occurrence. The order is that of what each one stands on.
    fn fire(
        &mut self,
        open: &OpenStanding,
        occurrence: Occurrence,
        now: UnixTime,
    ) -> Result<JailReply, Refusing> {
        let key = run_key(&open.run_key)?;
        let run = self.run_of(open, occurrence, &key)?;
        let known = self.state.memory().accepted_standing(run).map(str::to_owned);
        if known.is_some() && self.state.memory().closed.contains_key(&run) {
            return Err(Refusing::unsigned("standing-used", Refused::Used.to_string()));
        }
        let acceptance = self
            .check_standing(open, (run, occurrence), &key, now)
            .map_err(|refusing| refusing.about_run(run))?;
        let (acceptance, compact) = if let Some(compact) = known {
            (self.own_acceptance(&compact)?, compact)
        } else {
            let admitted = self.admit(open, occurrence, run, now)?;
            let says = Says::Acceptance(acceptance.clone());
            (acceptance, self.state_with(says, now, vec![admitted])?)
        };
        // One that is open goes on as it is: its code steps have permits that a new one would lack.
        self.runs.entry(run).or_insert_with(|| AcceptedRun::new(acceptance, key));
        Ok(JailReply::Opened { run, acceptance: compact })
    }

    /// Everything about an occurrence but whether it is due and there is room.
    fn check_standing(
        &self,
        open: &OpenStanding,
        (run, occurrence): (RunId, Occurrence),
        key: &RunKey,
        now: UnixTime,
    ) -> Result<Acceptance, Refusing> {
        let charter = self.current_charter()?;
        let record = self.standing_of(charter, open)?;
        let standing = &record.standing;
        let published = check_bundle(charter, &standing.automation, standing.bundle, &open.bundle)?;
        self.check_fresh(charter, None, now)?;
        self.check_present(charter, record, now)?;
        let permit = self.policies.decide_standing(charter, &record.grantor, standing)?;
        check_input(standing.parameters, open)?;
        let scheduled_at = match occurrence {
            Occurrence::Scheduled(at) => Some(at),
            Occurrence::Delivered { .. } => None,
        };
        let footprint = &published.automation.footprint;
        Ok(Acceptance {
            run,
            writ: record.entry,
            standing: Some(StandingFired { name: standing.name.clone(), scheduled_at }),
            principal: record.grantor.clone(),
            groups: std::collections::BTreeSet::new(),
            key: None,
            publisher: published.publisher.clone(),
            automation: standing.automation.clone(),
            bundle: standing.bundle,
            inp: key.digest(RunDatum::Input, open.input.as_bytes()),
            connections: footprint.connections.clone(),
            code: footprint.code.clone(),
            approvals: footprint.approvals.clone(),
            deadline: now.plus(RUN_LIFETIME_S),
            decision: (&permit).into(),
        })
    }

    /// Whether it is due, new and within its bounds: what to remember if so.
    fn admit(
        &self,
        open: &OpenStanding,
        occurrence: Occurrence,
        run: RunId,
        now: UnixTime,
    ) -> Result<Record, Refusing> {
        let charter = self.current_charter()?;
        let record = self.standing_of(charter, open)?;
        let event: CounterEvent = self
            .counter(record)?
            .admit(&record.standing, occurrence, run, now)
            .map_err(|refused| refusal(&refused).about_run(run))?;
        Ok(Record::Fired { standing: open.standing.clone(), event })
    }

    /// What a standing writ has started, as the state file says; every one that the charter holds has a counter.
    fn counter(&self, record: &StandingRecord) -> Result<&Counter, Refusing> {
        let counter = self.state.memory().standing.get(&record.standing.name);
        counter.ok_or_else(|| Refusing::unsigned("charter-behind", "it was not folded here"))
    }

    fn standing_of<'a>(
        &self,
        charter: &'a CharterState,
        open: &OpenStanding,
    ) -> Result<&'a StandingRecord, Refusing> {
        let own = self.own_runner(charter)?;
        charter.check_running(&Subject::Runner(own.id))?;
        let record = charter.standing(&open.standing).ok_or_else(|| {
            let rule = "the charter holds no such standing writ: it was revoked or never granted";
            Refusing::signed("standing-unknown", rule)
        })?;
        if record.standing.runner_group != own.group {
            let rule = "the standing writ is for another runner group";
            return Err(Refusing::signed("writ-audience", rule));
        }
        Ok(record)
    }

    fn webhook_of(&self, open: &OpenStanding) -> Result<&WebhookTrigger, Refusing> {
        let charter = self.current_charter()?;
        match &self.standing_of(charter, open).map_err(Refusing::off_record)?.standing.trigger {
            Trigger::Webhook(webhook) => Ok(webhook),
            Trigger::Schedule { .. } => Err(refusal(&Refused::OtherTrigger).off_record()),
        }
    }

    /// The run that an occurrence starts: nobody who relays it chooses.
    fn run_of(
        &self,
        open: &OpenStanding,
        occurrence: Occurrence,
        key: &RunKey,
    ) -> Result<RunId, Refusing> {
        let entry = self.standing_of(self.current_charter()?, open)?.entry;
        Ok(match occurrence {
            Occurrence::Scheduled(at) => scheduled_run(entry, at),
            Occurrence::Delivered { id, .. } => delivered_run(entry, id, key),
        })
    }

    /// Whether the grantor has signed anything of late, as this jail or a witness has seen.
    fn check_present(
        &self,
        charter: &CharterState,
        record: &StandingRecord,
        now: UnixTime,
    ) -> Result<(), Refusing> {
        let signed = charter.last_signed(&record.grantor).unwrap_or(record.since);
        let seen = self.state.memory().sign_ins.get(&record.grantor).copied();
        let last = seen.unwrap_or(signed).max(signed);
        if now <= last.plus(GRANTOR_ABSENT_S) {
            return Ok(());
        }
        let grantor = &record.grantor;
        let rule = format!("{grantor}, who granted it, has signed nothing for 14 days");
        Err(Refusing::signed("standing-grantor-absent", rule))
    }
}

fn webhook_task(
    webhook: &WebhookTrigger,
    secret: Option<SecretRef>,
    delivery: &Delivery,
    now: UnixTime,
) -> CellTask {
    CellTask::Webhook(Box::new(WebhookOrder {
        verifier: webhook.verifier.clone(),
        secret,
        delivery: delivery.clone(),
        now,
        timeout_s: CALL_TIMEOUT_S,
    }))
}

/// The input is what was granted: the fixed parameters by their digest, or the verified body itself.
fn check_input(parameters: Parameters, open: &OpenStanding) -> Result<(), Refusing> {
    let mismatch = |rule: &str| Err(Refusing::signed("input-mismatch", rule));
    match (parameters, &open.parameters_key, &open.fired) {
        (Parameters::Fixed { digest, .. }, Some(key), _) => {
            if run_key(key)?.matches(digest, RunDatum::Input, open.input.as_bytes()) {
                return Ok(());
            }
            mismatch("the input is not the fixed parameters that were granted")
        }
        (Parameters::Fixed { .. }, None, _) => {
            mismatch("the key of the fixed parameters is absent")
        }
        (Parameters::Event, _, Fired::Delivered(delivery)) => {
            if URL_SAFE_NO_PAD.encode(open.input.as_bytes()) == delivery.body {
                return Ok(());
            }
            mismatch("the input is not the body that was delivered")
        }
        (Parameters::Event, _, Fired::Scheduled(_)) => mismatch("a schedule brings no parameters"),
    }
}

/// A refused occurrence. What is retried, or what senders repeat by themselves, is not put on record.
fn refusal(refused: &Refused) -> Refusing {
    let refusing = Refusing::signed(refused.code(), refused.to_string());
    match refused {
        Refused::Busy { .. } | Refused::Exhausted { .. } | Refused::Delivery(_) => {
            refusing.off_record()
        }
        Refused::Expired { .. }
        | Refused::OtherTrigger
        | Refused::NotDue { .. }
        | Refused::BeforeGrant { .. }
        | Refused::Used
        | Refused::NotAnOccurrence
        | Refused::Missed => refusing,
    }
}
