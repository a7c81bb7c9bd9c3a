//! What might be wanted next: changes of every kind, mostly about what is there, often about what is not.

use std::collections::BTreeSet;

use serde_json::json;
use writ_evidence::{
    charter::{
        Automation, Binding, Change, Elevation, Footprint, Group, PackAcknowledgement,
        PackWithdrawal, RootKeys, Scope, Subject, WitnessQuorum, Workspace,
    },
    digest::sha256,
    standing::StandingWrit,
    writ::{ConnectionGrant, ConnectionGrantType},
};
use writ_model::{
    CharterGroup, Connection, ConnectionHost, ConnectionKind, Digest, Grantee, PackName,
    PinnedAction, PinnedConnection, Principal, Role, RunnerGroupId, RunnerId, ServiceAccountName,
    StandingName, TokenGroup, UnixTime,
};
use writ_testkit::{charter_model::Model, tenant::NOON};

use crate::{
    ASKED_AT, bounds,
    dice::Dice,
    world::{A, B, World, person},
};

pub(crate) const WORKSPACES: [&str; 3] = ["alpha", "beta", "gamma"];
pub(crate) const GROUPS: [&str; 3] = ["on-call", "leads", "nobody"];
pub(crate) const CONNECTIONS: [&str; 3] = ["alpha/git", "alpha/chat", "beta/git"];
pub(crate) const ROLES: [&str; 2] = ["responder", "keeper"];
pub(crate) const POLICIES: [&str; 2] = ["two-people", "hours"];
pub(crate) const ACCOUNTS: [&str; 2] = ["importer", "rack"];
pub(crate) const AUTOMATIONS: [&str; 2] = ["alpha/triage", "beta/report"];
pub(crate) const STANDING: [&str; 3] = ["alpha/nightly", "alpha/hook", "beta/hook"];
pub(crate) const PACKS: [(&str, &str); 3] = [("git", "1.0.0"), ("git", "1.1.0"), ("chat", "1.0.0")];

/// Every kind of change but the first entry's, as often as it is thrown.
pub(crate) const KINDS: [(&str, usize); 22] = [
    ("root.rotate", 2),
    ("issuer.set", 3),
    ("witness.set", 6),
    ("runner.enroll", 7),
    ("runner.retire", 2),
    ("workspace.set", 7),
    ("group.set", 7),
    ("role.set", 9),
    ("policy.set", 6),
    ("service-account.set", 8),
    ("elevation.grant", 9),
    ("entitlements.set", 6),
    ("binding.add", 16),
    ("binding.remove", 7),
    ("connection.set", 12),
    ("pack.acknowledge", 5),
    ("pack.withdraw", 3),
    ("automation.publish", 12),
    ("standing.set", 16),
    ("standing.revoke", 10),
    ("subject.suspend", 7),
    ("subject.restore", 6),
];

pub(crate) fn people() -> Vec<Principal> {
    let here = ["ann", "bob", "cyd", "dee", "eve"].map(|sub| person(A, sub));
    let accounts = ACCOUNTS.map(|name| (&parsed::<ServiceAccountName>(name)).into());
    here.into_iter().chain([person(B, "fay"), person(B, "ann")]).chain(accounts).collect()
}

pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: impl AsRef<str>) -> T {
    text.as_ref().parse().unwrap()
}

/// Something that is there, mostly; else whatever `anything` gives.
pub(crate) fn known_or<T: Clone>(
    dice: &mut Dice,
    known: &[T],
    anything: impl FnOnce(&mut Dice) -> T,
) -> T {
    if known.is_empty() || dice.one_in(5) { anything(dice) } else { dice.pick(known).clone() }
}

/// The next change of a history: mostly one that is possible, if a few throws find one.
pub(crate) fn change(dice: &mut Dice, world: &World, model: &Model) -> Change {
    let mut change = any(dice, world, model);
    let tries = if dice.one_in(6) { 0 } else { 8 };
    for _ in 0..tries {
        if model.is_possible(&change, ASKED_AT) {
            break;
        }
        change = any(dice, world, model);
    }
    change
}

/// What an owner settles a tenant with: two workspaces with a connection each, a pack, everybody's roles, and now
/// and then what bounds and extends them.
pub(crate) fn settling(dice: &mut Dice, world: &World) -> Vec<Change> {
    let mut settling = Vec::new();
    for name in &WORKSPACES[..2] {
        let secret_paths = vec!["local:git/*".to_owned(), "vault:kv/*".to_owned()];
        settling.push(Change::WorkspaceSet(Workspace { name: parsed(name), secret_paths }));
        settling.push(Change::ConnectionSet(plain(format!("{name}/git"))));
    }
    let (name, version) = (parsed("git"), "1.0.0".to_owned());
    let digest = pack_digest(&name, &version, false);
    settling.push(Change::PackAcknowledge(PackAcknowledgement { name, version, digest }));
    settling.extend(bounds::settling(dice, world));
    for person in &people()[1..] {
        let role = match dice.below(4) {
            0 => Role::Administrator,
            1 => Role::Builder,
            _ => dice.pick(&Role::BUILT_IN).clone(),
        };
        let scope = match dice.below(4) {
            0 => Scope::Tenant,
            1 => Scope::Workspace(parsed(WORKSPACES[1])),
            _ => Scope::Workspace(parsed(WORKSPACES[0])),
        };
        let principal = Grantee::Principal(person.clone());
        settling.push(Change::BindingAdd(Binding { principal, role, scope }));
    }
    settling
}

fn any(dice: &mut Dice, world: &World, model: &Model) -> Change {
    let all: usize = KINDS.iter().map(|(_, often)| often).sum();
    let mut thrown = dice.below(all);
    let at = KINDS.iter().position(|(_, often)| {
        let here = thrown < *often;
        thrown = thrown.saturating_sub(*often);
        here
    });
    of_kind(KINDS[at.unwrap()].0, dice, world, model)
}

fn of_kind(kind: &str, dice: &mut Dice, world: &World, model: &Model) -> Change {
    match kind {
        "root.rotate" => Change::RootRotate(root_keys(dice, world)),
        "issuer.set" => {
            let iss = if dice.one_in(2) { A } else { B };
            // Mostly one under which people can still sign.
            let variant = if dice.one_in(2) { dice.below(3) } else { dice.below(10) };
            Change::IssuerSet(Box::new(world.issuer(iss, variant)))
        }
        "witness.set" => Change::WitnessSet(quorum(dice, model)),
        "runner.enroll" => Change::RunnerEnroll(Box::new(enrollment(dice, world))),
        "runner.retire" => Change::RunnerRetire(runner_id(dice)),
        "workspace.set" => Change::WorkspaceSet(workspace(dice)),
        "group.set" => {
            let name = parsed(dice.pick(&GROUPS));
            let members = if dice.one_in(4) { Vec::new() } else { dice.some_of(&people()) };
            Change::GroupSet(Group { name, members: members.into_iter().collect() })
        }
        "binding.add" => Change::BindingAdd(binding(dice)),
        "binding.remove" => {
            let elevated = model.elevations().iter().map(Elevation::binding);
            let known: Vec<Binding> = model.bindings().iter().cloned().chain(elevated).collect();
            Change::BindingRemove(known_or(dice, &known, binding))
        }
        "role.set" => Change::RoleSet(bounds::role(dice)),
        "policy.set" => Change::PolicySet(bounds::policy(dice)),
        "service-account.set" => Change::ServiceAccountSet(bounds::account(dice, world)),
        "elevation.grant" => Change::ElevationGrant(bounds::elevation(dice, model)),
        "entitlements.set" => Change::EntitlementsSet(bounds::entitlements(dice, model)),
        "connection.set" => Change::ConnectionSet(connection(dice, model)),
        "pack.acknowledge" => {
            let (name, version) =
                if dice.one_in(8) { ("http", "1.0.0") } else { *dice.pick(&PACKS) };
            let (name, version) = (parsed(name), version.to_owned());
            let digest = pack_digest(&name, &version, dice.one_in(6));
            Change::PackAcknowledge(PackAcknowledgement { name, version, digest })
        }
        "pack.withdraw" => {
            let (name, version) = *dice.pick(&PACKS);
            let (name, version) = (parsed(name), version.to_owned());
            Change::PackWithdraw(PackWithdrawal { name, version })
        }
        "automation.publish" => Change::AutomationPublish(automation(dice, model)),
        "standing.set" => Change::StandingSet(Box::new(standing(dice, model))),
        "standing.revoke" => {
            let known: Vec<StandingName> =
                model.standing().iter().map(|standing| standing.name.clone()).collect();
            Change::StandingRevoke(known_or(dice, &known, |dice| parsed(dice.pick(&STANDING))))
        }
        "subject.suspend" => Change::SubjectSuspend(subject(dice, world)),
        _ => {
            let known = model.suspended().to_vec();
            Change::SubjectRestore(known_or(dice, &known, |dice| subject(dice, world)))
        }
    }
}

fn runner_id(dice: &mut Dice) -> RunnerId {
    let number = if dice.one_in(3) { 3 + dice.below(3) } else { 1 + dice.below(2) };
    RunnerId::from_bits(number.try_into().unwrap())
}

/// A runner's enrollment, now and then with something that another has or had.
fn enrollment(dice: &mut Dice, world: &World) -> writ_evidence::charter::RunnerEnrollment {
    let number = u8::try_from(dice.below(4)).unwrap();
    let other = world.runner(u8::try_from(dice.below(4)).unwrap());
    let mut runner = world.runner(number);
    match dice.below(16) {
        0 => runner.id = other.id,
        1 => runner.group = other.group,
        2 => runner.jail_key = other.jail_key,
        3 => runner.link_key = other.link_key,
        4 => runner.sealing_key = other.sealing_key,
        _ => {}
    }
    runner
}

/// Mostly some or all of the enrolled runners, and as many as can be.
fn quorum(dice: &mut Dice, model: &Model) -> WitnessQuorum {
    let enrolled: Vec<RunnerId> = model.runners().iter().map(|runner| runner.id).collect();
    let witnesses: BTreeSet<RunnerId> = match dice.below(4) {
        0 => (0..=dice.below(3)).map(|_| runner_id(dice)).collect(),
        1 => dice.some_of(&enrolled).into_iter().collect(),
        _ => enrolled.into_iter().collect(),
    };
    let threshold =
        if dice.one_in(5) { dice.below(4) } else { 1 + dice.below(witnesses.len().max(1)) };
    let max_staleness_s = *dice.pick(&[None, None, None, Some(3600), Some(3599), Some(7_776_001)]);
    WitnessQuorum { witnesses, threshold: threshold.try_into().unwrap(), max_staleness_s }
}

fn root_keys(dice: &mut Dice, world: &World) -> RootKeys {
    let mut keys = dice.some_of(&world.roots);
    if dice.one_in(8) {
        keys.push(dice.pick(&world.roots).clone());
    }
    let threshold =
        if dice.one_in(5) { dice.below(6) } else { 1 + dice.below(keys.len().clamp(1, 3)) };
    RootKeys { keys, threshold: threshold.try_into().unwrap() }
}

fn workspace(dice: &mut Dice) -> Workspace {
    let listed = ["local:git/*", "local:chat/*", "vault:kv/git", "local:git/token"];
    let secret_paths = if dice.one_in(3) {
        dice.some_of(&listed).into_iter().map(str::to_owned).collect()
    } else {
        vec!["local:git/*".to_owned(), "vault:kv/*".to_owned()]
    };
    Workspace { name: parsed(dice.pick(&WORKSPACES)), secret_paths }
}

pub(crate) fn scope(dice: &mut Dice) -> Scope {
    if dice.one_in(3) { Scope::Tenant } else { Scope::Workspace(parsed(dice.pick(&WORKSPACES))) }
}

pub(crate) fn role(dice: &mut Dice) -> Role {
    match dice.below(10) {
        0 | 1 => Role::Administrator,
        2 => Role::Builder,
        3 | 4 => Role::Custom(parsed(dice.pick(&ROLES))),
        _ => dice.pick(&Role::BUILT_IN).clone(),
    }
}

fn binding(dice: &mut Dice) -> Binding {
    let principal = match dice.below(6) {
        0 => Grantee::CharterGroup(CharterGroup { charter_group: parsed(dice.pick(&GROUPS)) }),
        1 => {
            let iss = if dice.one_in(4) { B } else { A };
            let group = (*dice.pick(&["ops", "leads"])).to_owned();
            Grantee::Group(TokenGroup { iss: iss.to_owned(), group })
        }
        _ => Grantee::Principal(dice.pick(&people()).clone()),
    };
    let role = role(dice);
    Binding { principal, role, scope: scope(dice) }
}

fn hosts(dice: &mut Dice) -> Vec<ConnectionHost> {
    let host =
        |host: &str, port, plaintext| ConnectionHost { host: host.to_owned(), port, plaintext };
    match dice.below(8) {
        0 => vec![host("git.example", 443, false), host("api.git.example", 443, false)],
        1 => vec![host("git.example", 443, true)],
        2 => vec![host("git.example", 8443, false)],
        3 => vec![host("Git.example", 443, false)],
        4 => Vec::new(),
        5 => vec![host("git.example", 0, false)],
        _ => vec![host("git.example", 443, false)],
    }
}

fn plain(name: impl AsRef<str>) -> Connection {
    Connection {
        name: parsed(name),
        kind: ConnectionKind::Bearer,
        hosts: vec![ConnectionHost { host: "git.example".to_owned(), port: 443, plaintext: false }],
        allow_cidrs: Vec::new(),
        secret: parsed("local:git/token"),
    }
}

/// A connection: often one that is there with something changed.
fn connection(dice: &mut Dice, model: &Model) -> Connection {
    let mut connection = known_or(dice, model.connections(), |dice| plain(dice.pick(&CONNECTIONS)));
    match dice.below(8) {
        0 | 1 => connection.hosts = hosts(dice),
        2 => {
            let ranges = ["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16", "fd00::/8"];
            connection.allow_cidrs = dice.some_of(&ranges).into_iter().map(parsed).collect();
        }
        3 => {
            let secrets =
                ["local:git/token", "local:git/other", "vault:kv/git#token", "local:gift/x"];
            connection.secret = parsed(dice.pick(&secrets));
        }
        4 => {
            let username = (*dice.pick(&["writ", "other"])).to_owned();
            connection.kind = ConnectionKind::Basic { username };
        }
        _ => {}
    }
    connection
}

fn pack_digest(name: &PackName, version: &str, other: bool) -> Digest {
    sha256(format!("{name} {version} {other}").as_bytes())
}

/// What pins a connection.
pub(crate) fn pin(connection: &Connection) -> PinnedConnection {
    let digest = sha256(&serde_json::to_vec(connection).unwrap());
    PinnedConnection { name: connection.name.clone(), digest }
}

fn grant(dice: &mut Dice, model: &Model, inside: &str) -> Option<ConnectionGrant> {
    let near: Vec<Connection> = model
        .connections()
        .iter()
        .filter(|known| known.name.workspace().as_str() == inside || dice.one_in(8))
        .cloned()
        .collect();
    if near.is_empty() {
        return None;
    }
    let mut connection = pin(dice.pick(&near));
    if dice.one_in(10) {
        connection.digest = sha256(b"another definition");
    }
    let known: Vec<(PackName, Digest)> =
        model.packs().iter().map(|pack| (pack.name.clone(), pack.digest)).collect();
    let (pack, digest) = known_or(dice, &known, |dice| {
        let (name, version) = *dice.pick(&[PACKS[0], PACKS[2], ("http", "")]);
        (parsed(name), pack_digest(&parsed(name), version, false))
    });
    let actions = vec![PinnedAction { name: parsed(format!("{pack}.issues.create")), digest }];
    Some(ConnectionGrant { kind: ConnectionGrantType::WritConnection, connection, actions })
}

fn automation(dice: &mut Dice, model: &Model) -> Automation {
    let name = *dice.pick(&AUTOMATIONS);
    let inside = name.split('/').next().unwrap();
    let count = dice.below(3);
    let connections = (0..count).filter_map(|_| grant(dice, model, inside)).collect();
    let bundle = sha256(name.as_bytes());
    Automation {
        name: parsed(name),
        bundle,
        footprint: Footprint { connections, ..Footprint::default() },
    }
}

fn subject(dice: &mut Dice, world: &World) -> Subject {
    match dice.below(10) {
        0..3 => Subject::User(dice.pick(&people()).clone()),
        3 => Subject::Key(dice.pick(&world.cards).login.key.thumbprint()),
        4 => Subject::Connection(parsed(dice.pick(&CONNECTIONS))),
        5 => Subject::Automation(parsed(dice.pick(&AUTOMATIONS))),
        6 => Subject::Workspace(parsed(dice.pick(&WORKSPACES))),
        7 | 8 => Subject::Runner(runner_id(dice)),
        _ => Subject::Tenant,
    }
}

/// A standing writ: mostly of what is published, now and then of what is not, or for too long.
fn standing(dice: &mut Dice, model: &Model) -> StandingWrit {
    const DAY: u64 = 24 * 3600;
    let name = *dice.pick(&STANDING);
    let inside = name.split('/').next().unwrap();
    let near: Vec<&Automation> = model
        .automations()
        .iter()
        .map(|(known, _)| known)
        .filter(|known| known.name.workspace().as_str() == inside || dice.one_in(8))
        .collect();
    let (automation, bundle) = if near.is_empty() {
        let name = *dice.pick(&AUTOMATIONS);
        (parsed(name), sha256(name.as_bytes()))
    } else {
        let known = *dice.pick(&near);
        (known.name.clone(), known.bundle)
    };
    let bundle = if dice.one_in(10) { sha256(b"another bundle") } else { bundle };
    let groups: Vec<RunnerGroupId> = model.runners().iter().map(|runner| runner.group).collect();
    let runner_group = known_or(dice, &groups, |_| RunnerGroupId::from_bits(99));
    let webhook = name.ends_with("hook") || dice.one_in(8);
    let trigger = if webhook {
        let secret = *dice.pick(&["local:git/hook", "vault:kv/hook#secret", "local:gift/hook"]);
        let path = *dice.pick(&["alerts", "pushes"]);
        json!({ "webhook": { "path": path, "verifier": {
            "scheme": "github", "secrets": [secret], "remember_s": 604_800,
        } } })
    } else {
        json!({ "schedule": {
            "schedule": { "every": { "interval_s": 3600, "from": NOON } }, "missed_runs": "skip",
        } })
    };
    let event = if dice.one_in(10) { !webhook } else { webhook };
    let parameters = if event {
        json!("event")
    } else {
        json!({ "fixed": {
            "digest": writ_model::KeyedDigest::from_bytes([1; 32]), "sealed": sha256(b"sealed"),
        } })
    };
    let expires_at = match dice.below(10) {
        0 => UnixTime(NOON.0 - DAY),
        1 => NOON.plus(100 * DAY),
        _ => NOON.plus(10 * DAY),
    };
    serde_json::from_value(json!({
        "name": name, "runner_group": runner_group, "automation": automation, "bundle": bundle,
        "trigger": trigger, "parameters": parameters, "expires_at": expires_at,
        "bounds": { "max_runs": 2, "per_s": 86_400, "concurrency": 1 },
    }))
    .unwrap()
}
