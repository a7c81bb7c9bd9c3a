//! Questions that are asked of both: who has which right, who may start and test what, what may be called, and how
//! many people would have to approve it.

use std::collections::BTreeSet;

use writ_model::{Actor, Login, pack::Effect};
use writ_policy::{Circumstances, Denied};
use writ_testkit::{
    charter_model::{Asker, Reason, Under},
    tenant::NOON,
};

use crate::{ASKED_AT, Played, Stage, Tally, decide, dice::Dice};

impl Played {
    /// Whether both give the same answers about some rights.
    pub(crate) fn compare_rights(
        &self,
        stage: &Stage,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let rights = stage.things.rights();
        for _ in 0..8 {
            let asker = self.somebody(stage, dice);
            let (right, _) = dice.pick(&rights);
            let against = self.model.against_right(&asker, right);
            let code = decide(&stage.policies, &self.real, &asker, *right);
            let same = match code {
                None => against.is_empty(),
                Some("suspended") => against.contains(&Reason::Suspended),
                Some(_) => against.contains(&Reason::NotPermitted),
            };
            if !same {
                return Err(format!("{asker:?}, {right}: {code:?}; the model has {against:?}"));
            }
            let count = if code.is_none() { &mut tally.allowed } else { &mut tally.denied };
            *count += 1;
        }
        let asker = self.somebody(stage, dice);
        self.compare_calls(stage, dice, &asker)?;
        let (real, modeled) = (self.uses(stage, &asker), self.modeled_uses(stage, &asker));
        if real == modeled {
            return Ok(());
        }
        Err(format!("{asker:?} may use {real:?}; the model says {modeled:?}"))
    }

    /// What somebody may start and test now.
    pub(crate) fn uses(&self, stage: &Stage, asker: &Asker) -> BTreeSet<String> {
        let actor = actor(asker);
        let starts = self.real.automations().filter(|published| {
            let details = &published.automation.footprint.connections;
            stage.policies.decide_run_start(&self.real, actor, published, details).is_ok()
        });
        let starts = starts.map(|published| format!("start {}", published.automation.name));
        let tests =
            stage.things.connections.iter().filter(|name| {
                stage.policies.decide_connection_test(&self.real, actor, name).is_ok()
            });
        starts.chain(tests.map(|name| format!("test {name}"))).collect()
    }

    fn modeled_uses(&self, stage: &Stage, asker: &Asker) -> BTreeSet<String> {
        let starts =
            self.model.automations().iter().filter(|(automation, publisher)| {
                self.model.may_start(asker, automation, publisher)
            });
        let tests = stage.things.connections.iter();
        let tests = tests.filter(|name| self.model.may_test(asker, name));
        starts
            .map(|(automation, _)| format!("start {}", automation.name))
            .chain(tests.map(|name| format!("test {name}")))
            .collect()
    }

    /// Somebody who asks with a login, now or later, or without one.
    fn somebody(&self, stage: &Stage, dice: &mut Dice) -> Asker {
        let login = &dice.pick(&stage.world.cards).login;
        if dice.one_in(4) {
            return Asker::absent(login.person.clone());
        }
        let at = *dice.pick(&[ASKED_AT, ASKED_AT, NOON.plus(89), NOON.plus(90), NOON.plus(3659)]);
        self.model.asker(login, at)
    }

    /// Whether both permit the same calls, and ask as many people about them.
    fn compare_calls(&self, stage: &Stage, dice: &mut Dice, asker: &Asker) -> Result<(), String> {
        for (automation, publisher) in self.model.automations() {
            for grant in &automation.footprint.connections {
                for action in &grant.actions {
                    let effects =
                        [None, Some(Effect::Read), Some(Effect::Write), Some(Effect::Destructive)];
                    let (effect, approvals) = (*dice.pick(&effects), dice.below(4));
                    let (name, connection) = (&action.name, &grant.connection);
                    let circumstances = Circumstances {
                        action: Some(name),
                        effect,
                        approvals: u8::try_from(approvals).unwrap(),
                    };
                    let under = Under { action: Some(name.clone()), effect, approvals };
                    let (parties, call) = ((actor(asker), publisher), (connection, action));
                    let policies = &stage.policies;
                    let real = policies.decide_action(&self.real, parties, call, &circumstances);
                    let against =
                        self.model.against_call((asker, publisher), (connection, action), &under);
                    let demanded =
                        self.model.demanded((asker, publisher), (connection, action), &under);
                    if !is_same(real.as_ref().err(), &against, demanded) {
                        return Err(format!(
                            "{asker:?} calls {name} of {publisher} {under:?}: {real:?}; \
                             the model has {against:?}, and asks {demanded:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_same(real: Option<&Denied>, against: &BTreeSet<Reason>, demanded: Option<usize>) -> bool {
    let Some(denied) = real else { return against.is_empty() };
    let class = if denied.code == "suspended" { Reason::Suspended } else { Reason::NotPermitted };
    against.contains(&class) && denied.approvals.map(usize::from) == demanded
}

pub(crate) fn actor(asker: &Asker) -> Actor<'_> {
    let login = asker.signed_in.as_ref().map(|signed_in| Login {
        at: signed_in.at,
        through: &signed_in.through,
        is_workload: signed_in.is_workload,
        acr: None,
        amr: &signed_in.amr,
        auth_time: None,
    });
    Actor { principal: &asker.person, groups: Some(&asker.groups), at: asker.at, login }
}
