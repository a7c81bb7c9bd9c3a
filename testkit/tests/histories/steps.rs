//! Who signs a wanted change: mostly those who may, and now and then with something wrong about it.

use writ_evidence::{charter::Change, key::PublicKey};
use writ_model::UnixTime;
use writ_testkit::{
    charter_model::{
        By, Cosigned, Login, Model, Over, Place, Reason, RootSignature, Signature, Step,
    },
    tenant::NOON,
};

use crate::{ASKED_AT, dice::Dice, world::World};

/// Once in so many steps something is wrong with its signatures or its place.
const WRONG_ONE_IN: usize = 5;

/// The step that is tried as a history's entry after the head.
pub(crate) fn step(dice: &mut Dice, world: &World, model: &Model, change: Change) -> Step {
    // A person's signature under what root keys sign, or the other way round, is another wrong.
    let roots = model.is_for_roots(&change) != dice.one_in(25);
    let by = if roots { by_roots(dice, model) } else { by_people(dice, world, model, &change) };
    let mut step = Step { place: Place::Next, change, by };
    if dice.one_in(WRONG_ONE_IN) {
        spoil(dice, world, &mut step);
    }
    step
}

/// As many root keys as it takes, or more.
fn by_roots(dice: &mut Dice, model: &Model) -> By {
    let roots = model.roots();
    let more = dice.below(2);
    let first = dice.below(roots.keys.len());
    let keys = (0..usize::from(roots.threshold) + more)
        .map(|number| roots.keys[(first + number) % roots.keys.len()].clone());
    By::Roots(keys.map(|by| RootSignature { by, over_this: true }).collect())
}

/// Somebody who may, mostly; and a second one where two must sign.
fn by_people(dice: &mut Dice, world: &World, model: &Model, change: &Change) -> By {
    let at = ASKED_AT;
    let first = signature(someone(dice, world, model, change).clone(), at);
    let mut signers = vec![first];
    let second = if model.takes_two(change, at) { !dice.one_in(4) } else { dice.one_in(12) };
    if second {
        signers.push(signature(someone(dice, world, model, change).clone(), at));
    }
    By::People {
        signers,
        cosigned: model.cosigners(dice.below(2)).map(|by| cosigned(by, at)).collect(),
    }
}

const fn cosigned(by: PublicKey, at: UnixTime) -> Cosigned {
    Cosigned { by, at, over_this: true }
}

/// A signature with nothing wrong about it.
pub(crate) const fn signature(login: Login, signed_at: UnixTime) -> Signature {
    Signature { login, signed_at, lives_s: 120, over: Over::This }
}

/// A login of whoever may make the change, if a few throws find one.
fn someone<'w>(dice: &mut Dice, world: &'w World, model: &Model, change: &Change) -> &'w Login {
    let mut login = &dice.pick(&world.cards).login;
    let tries = if dice.one_in(6) { 0 } else { 12 };
    for _ in 0..tries {
        let at = ASKED_AT;
        let counts = model.counts(&signature(login.clone(), at), at, None);
        if counts && model.against_signer(login, change, at).is_empty() {
            return login;
        }
        login = &dice.pick(&world.cards).login;
    }
    login
}

/// Does one thing wrong.
fn spoil(dice: &mut Dice, world: &World, step: &mut Step) {
    match (dice.below(4), &mut step.by) {
        (0, _) => {
            step.place = if dice.one_in(2) { Place::OtherNumber } else { Place::OtherBefore };
        }
        (_, By::Roots(signatures)) => spoil_roots(dice, world, signatures),
        (1, By::People { signers, .. }) => {
            let at = dice.below(signers.len());
            spoil_signature(dice, &mut signers[at]);
        }
        (_, By::People { cosigned, .. }) => spoil_cosignatures(dice, world, cosigned),
    }
}

fn spoil_roots(dice: &mut Dice, world: &World, signatures: &mut Vec<RootSignature>) {
    let at = dice.below(signatures.len());
    match dice.below(4) {
        0 => drop(signatures.remove(at)),
        1 => signatures[at].over_this = false,
        // One of them twice, or another key in its place: one of the spare ones, or a jail's.
        2 => signatures[at] = signatures[0].clone(),
        _ => signatures[at].by = dice.pick(&[&world.roots[..], &world.jails[..]].concat()).clone(),
    }
}

fn spoil_signature(dice: &mut Dice, signature: &mut Signature) {
    let others =
        [Over::OtherBody, Over::OtherTenant, Over::OtherHead, Over::OtherKey, Over::OtherName];
    match dice.below(8) {
        0 => signature.signed_at = UnixTime(signature.signed_at.0 - 200),
        1 => signature.signed_at = signature.signed_at.plus(61),
        2 => signature.lives_s = 301,
        _ => signature.over = *dice.pick(&others),
    }
}

fn spoil_cosignatures(dice: &mut Dice, world: &World, cosigned: &mut Vec<Cosigned>) {
    let other = |dice: &mut Dice| self::cosigned(dice.pick(&world.jails).clone(), ASKED_AT);
    if cosigned.is_empty() {
        cosigned.push(other(dice));
        return;
    }
    let at = dice.below(cosigned.len());
    match dice.below(6) {
        0 => drop(cosigned.remove(at)),
        1 => cosigned[at].over_this = false,
        2 => cosigned[at].by = dice.pick(&world.jails).clone(),
        3 => cosigned.insert(at, other(dice)),
        // At the edges of what is fresh: of the login, of a short-lived login, of the writ.
        4 => {
            let late = [89, 159, 160, 209, 210, 3659, 3660];
            cosigned[at].at = NOON.plus(*dice.pick(&late));
        }
        _ => cosigned[at].at = UnixTime(NOON.0 - 30 - u64::from(dice.one_in(2))),
    }
}

/// What stands against a step, as one word for each reason.
pub(crate) fn class(error: &writ_evidence::charter::FoldError) -> Reason {
    use writ_evidence::charter::FoldError;
    match error {
        FoldError::Entry { .. } => Reason::Signature,
        FoldError::NotNext { .. } | FoldError::OtherTenant => Reason::Chain,
        FoldError::Change { .. } => Reason::NotPossible,
        FoldError::Suspended { .. } => Reason::Suspended,
        FoldError::SecondSigner { .. } => Reason::SecondSigner,
        FoldError::NotPermitted { source, .. } if source.code == "suspended" => Reason::Suspended,
        FoldError::NotPermitted { .. } => Reason::NotPermitted,
    }
}
