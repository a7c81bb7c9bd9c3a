//! No sequence of entries by people without the right ever widens what they may do.
//!
//! In: a random charter, the people in it who lack a class of rights, and entries that they alone sign, with
//! whatever signatures they can come by; every witness cosigns, for they judge nothing here that folding
//! does not judge again. Out: nothing that this class guards is theirs afterwards which was not before.
//! Everything is asked of the real policies; the second model only finds plausible changes.

use std::{collections::BTreeSet, time::Instant};

use writ_evidence::charter::{Change, CharterState};
use writ_model::{Principal, Role};
use writ_policy::Right;
use writ_testkit::charter_model::{Asker, By, Cosigned, Login, Place, RootSignature, Step};

use crate::{
    ASKED_AT, Played, Stage,
    bounds::{self, ACTIONS},
    changes, decide,
    dice::Dice,
    on_threads, seeds, steps,
};

/// What people lack, and what they can therefore never come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// They give, take, stop and restore nothing: no right at all.
    Authority,
    /// They do so in one workspace at most: no right outside it.
    Elsewhere,
    /// They make no owners: nothing that owners alone may.
    Owners,
    /// They change nothing: nothing more that they may start or test.
    Changes,
}

const CLASSES: [Class; 4] = [Class::Authority, Class::Elsewhere, Class::Owners, Class::Changes];
/// The workspace in which people of [`Class::Elsewhere`] may do as they like.
const THEIRS: &str = "alpha";

const fn gives_rights(right: &Right<'_>) -> bool {
    match right {
        Right::BindingManage(_)
        | Right::GroupManage(_)
        | Right::RoleManage(_)
        | Right::PolicyManage(_)
        | Right::ServiceAccountManage(_)
        | Right::ConnectionEntitle(_)
        | Right::SubjectSuspend(_)
        | Right::SubjectSuspendOwner(_) => true,
        Right::WorkspaceManage(_)
        | Right::ConnectionManage(_)
        | Right::ConnectionView(_)
        | Right::ConnectionUse(_)
        | Right::PackAcknowledge(_)
        | Right::AutomationEdit(_)
        | Right::AutomationPublish(_)
        | Right::AutomationView(_)
        | Right::RunStart(_)
        | Right::RunResume(_)
        | Right::RunApprove(_)
        | Right::RunView(_)
        | Right::RunReadOutput(_)
        | Right::StandingSet(_)
        | Right::StandingRevoke(_)
        | Right::RunnerManage
        | Right::SessionRevoke
        | Right::CharterView
        | Right::AuditRead => false,
    }
}

fn is_of_owners(right: &Right<'_>) -> bool {
    match right {
        Right::BindingManage(binding) => binding.role == Role::Owner,
        Right::PolicyManage(_) | Right::RunnerManage | Right::SubjectSuspendOwner(_) => true,
        _ => false,
    }
}

fn changes_something(right: &Right<'_>) -> bool {
    gives_rights(right)
        || matches!(
            right,
            Right::WorkspaceManage(_)
                | Right::ConnectionManage(_)
                | Right::PackAcknowledge(_)
                | Right::AutomationPublish(_)
                | Right::StandingSet(_)
                | Right::StandingRevoke(_)
                | Right::RunnerManage
        )
}

impl Class {
    /// Whether people of the class lack this right.
    fn lacks(self, right: &Right<'_>, in_theirs: bool) -> bool {
        match self {
            Self::Authority => gives_rights(right),
            Self::Elsewhere => gives_rights(right) && !in_theirs,
            Self::Owners => is_of_owners(right),
            Self::Changes => changes_something(right),
        }
    }

    /// Whether they can never come by this right.
    fn guards(self, right: &Right<'_>, in_theirs: bool) -> bool {
        match self {
            Self::Authority | Self::Changes => true,
            Self::Elsewhere => !in_theirs,
            Self::Owners => is_of_owners(right),
        }
    }
}

/// What they hold, of what the class guards; and what may be called for them where a class guards all.
fn held(stage: &Stage, played: &Played, class: Class, who: &Asker) -> BTreeSet<String> {
    let guarded = stage.things.rights().into_iter().filter(|(right, place)| {
        class.guards(right, place.is_some_and(|place| place.as_str() == THEIRS))
            && decide(&stage.policies, &played.real, who, *right).is_none()
    });
    let mut held: BTreeSet<String> = guarded.map(|(right, _)| right.to_string()).collect();
    if class == Class::Changes {
        held.extend(played.uses(stage, who));
    }
    for name in &stage.things.connections {
        let in_theirs = name.workspace().as_str() == THEIRS;
        if class.guards(&Right::ConnectionEntitle(name), in_theirs) {
            let known = played.real.entitlements(name).map(|holders| holders.get(&who.person));
            let may = |action: &str| {
                known.is_none_or(|mine| {
                    mine.is_some_and(|mine| mine.iter().any(|one| one.to_string() == action))
                })
            };
            let mine = ACTIONS.iter().filter(|action| may(action));
            held.extend(mine.map(|action| format!("{action} by {name}")));
        }
    }
    held
}

/// What people hold now and later, while elevations last and when they are over; and what service accounts do
/// whose keys are other ones than `before`: whoever enrolled them has them.
fn all_held(
    stage: &Stage,
    played: &Played,
    class: Class,
    (people, before): (&[&Login], &CharterState),
) -> BTreeSet<(Principal, String)> {
    let enrolled_anew = stage.world.cards.iter().map(|card| &card.login).filter(|login| {
        let mut accounts = played.real.service_accounts();
        accounts.any(|account| {
            account.principal() == login.person
                && before.service_account(&account.name) != Some(account)
        })
    });
    let mut all = BTreeSet::new();
    for login in people.iter().copied().chain(enrolled_anew) {
        for at in [ASKED_AT, ASKED_AT.plus(2), ASKED_AT.plus(2 * 3600)] {
            let who = played.model.asker(login, at);
            let held = held(stage, played, class, &who);
            all.extend(held.into_iter().map(|held| (login.person.clone(), held)));
        }
    }
    all
}

/// Everybody who lacks what the class lacks, with their logins.
fn without<'s>(stage: &'s Stage, played: &Played, class: Class) -> Vec<&'s Login> {
    let lacks = |login: &&Login| {
        let asker = played.model.asker(login, ASKED_AT);
        stage.things.rights().into_iter().all(|(right, place)| {
            let in_theirs = place.is_some_and(|place| place.as_str() == THEIRS);
            !class.lacks(&right, in_theirs)
                || decide(&stage.policies, &played.real, &asker, right).is_some()
        })
    };
    stage.world.cards.iter().map(|card| &card.login).filter(lacks).collect()
}

/// A charter with workspaces, connections and a pack, in which everybody holds some roles.
fn settled(stage: &Stage, dice: &mut Dice, class: Class) -> Played {
    let mut played = Played::begin(stage, dice);
    let owners = [0, 5].map(|card: usize| stage.world.cards[card].login.clone());
    let mut settling = changes::settling(dice, &stage.world);
    // Some are elevated, whose right for a while is one to give, or one that is missed later.
    let elevated = if dice.one_in(2) { dice.below(3) } else { 0 };
    settling.extend((0..elevated).map(|_| bounds::elevated(dice)));
    for change in settling {
        let sign = if played.model.takes_two(&change, ASKED_AT) { 2 } else { 1 };
        let step = signed(&played, change, owners[..sign].to_vec());
        assert_eq!(played.agreed(stage, &step), None, "an owner settles the tenant: {step:?}");
    }
    // What is stopped is no lack of a right: nothing is, where rights of owners are looked at.
    let more = if class == Class::Owners { 0 } else { dice.below(12) };
    (0..more).for_each(|_| played.throw(stage, dice));
    played
}

/// A step that these people sign, and every witness that must.
fn signed(played: &Played, change: Change, people: Vec<Login>) -> Step {
    let at = ASKED_AT;
    let cosigned = played.model.cosigners(0).map(|by| Cosigned { by, at, over_this: true });
    let signers = people.into_iter().map(|login| steps::signature(login, at)).collect();
    let by = By::People { signers, cosigned: cosigned.collect() };
    Step { place: Place::Next, change, by }
}

/// A step that these people alone sign; where root keys sign, they have none of them.
fn attempt(stage: &Stage, dice: &mut Dice, played: &Played, people: &[&Login]) -> Step {
    let mut change = changes::change(dice, &stage.world, &played.model);
    let mut signer = *dice.pick(people);
    // Mostly what one of them may, at that.
    let tries = if dice.one_in(3) { 0 } else { 40 };
    for _ in 0..tries {
        let against = played.model.against_signer(signer, &change, ASKED_AT);
        if against.is_empty() && played.model.is_possible(&change, ASKED_AT) {
            break;
        }
        change = changes::change(dice, &stage.world, &played.model);
        signer = *dice.pick(people);
    }
    if dice.one_in(10) {
        let by = signer.key.clone();
        let by = By::Roots(vec![RootSignature { by, over_this: true }]);
        return Step { place: Place::Next, change, by };
    }
    let mut signers = vec![signer.clone()];
    if played.model.takes_two(&change, ASKED_AT) || dice.one_in(6) {
        signers.push((*dice.pick(people)).clone());
    }
    signed(played, change, signers)
}

/// A random charter, and what its people without a right make of it: how many steps were taken.
fn play(stage: &Stage, seed: u64) -> Result<Option<(Class, usize, usize)>, String> {
    let mut dice = Dice::new(seed);
    let class = *dice.pick(&CLASSES);
    let mut played = settled(stage, &mut dice, class);
    let people = without(stage, &played, class);
    if people.is_empty() {
        return Ok(None);
    }
    let began = played.real.clone();
    let before = all_held(stage, &played, class, (&people, &began));

    let (mut taken, mut refused) = (0, 0);
    let mut steps = Vec::new();
    for _ in 0..10 + dice.below(16) {
        let step = attempt(stage, &mut dice, &played, &people);
        match played.agreed(stage, &step) {
            None => taken += 1,
            Some(_) => refused += 1,
        }
        steps.push(step.change);
    }

    let after = all_held(stage, &played, class, (&people, &began));
    let more: Vec<_> = after.difference(&before).collect();
    if !more.is_empty() {
        return Err(format!("seed {seed}, {class:?}: they came by {more:?}\n{steps:#?}"));
    }
    Ok(Some((class, taken, refused)))
}

#[test]
fn no_sequence_of_entries_by_people_without_the_right_ever_widens_what_they_may_do() {
    let (seeds, began) = (seeds(10), Instant::now());

    let played: Vec<_> = on_threads(&seeds, play).into_iter().flatten().collect();

    let (mut taken, mut refused) = (0, 0);
    let mut classes = std::collections::BTreeMap::<Class, (usize, usize)>::new();
    for (class, one_taken, one_refused) in &played {
        taken += one_taken;
        refused += one_refused;
        let (charters, of_class) = classes.entry(*class).or_default();
        *charters += 1;
        *of_class += one_taken;
    }
    println!(
        "{} charters with people who lack a right: {taken} entries of theirs taken, {refused} refused; \
         charters and entries taken by class {classes:?}, in {:.1?}",
        played.len(),
        began.elapsed(),
    );
    if seeds.end - seeds.start < 50 {
        return;
    }
    for class in CLASSES {
        // Those who may change nothing have nothing taken: that is what they lack.
        let (_, taken) = classes.get(&class).unwrap_or_else(|| panic!("none tried {class:?}"));
        assert_eq!(*taken == 0, class == Class::Changes, "{class:?}: {classes:?}");
    }
    assert!(refused > 0, "people without a right may do all");
}
