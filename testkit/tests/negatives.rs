//! What must be refused, on the real executables, each with its code; and nothing is executed.
//!
//! The first part goes through a hostile control plane that relays whatever it is given: only the
//! jail can refuse. The second goes through the command line.

#![cfg(test)]

use std::fs;

use serde_json::{Value, json};
use writ_evidence::writ::{Order, WritClaims};
use writ_model::{Digest, TenantId};
use writ_testkit::{
    github_stand_in::GithubStandIn,
    hostile::{Draft, ForgedOrder, Forger, Hostile},
    keys::{Login, new_issuer_key, new_key, now},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_negative_0123456789abcdefghij";

fn input() -> Value {
    let path = sources().join("examples/leaked-secret/input.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// One forged order and the code that it is refused with.
struct Case {
    name: &'static str,
    code: &'static str,
    order: ForgedOrder,
}

struct Cases {
    forger: Forger,
    owner: Login,
    list: Vec<Case>,
}

impl Cases {
    /// An order that is right but for what `change` does to its claims before they are signed.
    fn claims(&mut self, name: &'static str, code: &'static str, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.forger.draft(&self.owner, &input()).unwrap();
        change(&mut draft);
        let order = self.forger.sign(&draft, &self.owner).unwrap();
        self.list.push(Case { name, code, order });
    }

    /// An order that is right but for who signs it.
    fn login(&mut self, name: &'static str, code: &'static str, login: &Login) {
        let draft = self.forger.draft(login, &input()).unwrap();
        let order = self.forger.sign(&draft, login).unwrap();
        self.list.push(Case { name, code, order });
    }

    fn order(&mut self, change: impl FnOnce(&mut Order)) -> ForgedOrder {
        let mut draft = self.forger.draft(&self.owner, &input()).unwrap();
        change(&mut draft.claims.order);
        self.forger.sign(&draft, &self.owner).unwrap()
    }
}

fn wrong_writs(cases: &mut Cases) {
    cases.claims("expired", "writ-expired", |draft| {
        draft.claims.iat = writ_model::UnixTime(now().0 - 600);
        draft.claims.exp = writ_model::UnixTime(now().0 - 400);
    });
    cases.claims("lives too long", "writ-lifetime", |draft| {
        draft.claims.exp = draft.claims.iat.plus(301);
    });
    cases.claims("from the future", "writ-lifetime", |draft| {
        draft.claims.iat = now().plus(300);
        draft.claims.exp = now().plus(400);
    });
    cases.claims("for another tenant", "writ-tenant", |draft| {
        draft.claims.ten = TenantId(Digest::from_bytes([7; 32]));
    });
    cases.claims("over a charter head that never was", "writ-charter-head", |draft| {
        draft.claims.charter = Digest::from_bytes([7; 32]);
    });
    cases.claims("for another person than its login", "writ-signer", |draft| {
        draft.claims.principal.sub = "somebody-else".to_owned();
    });
    cases.claims("over another input", "input-mismatch", |draft| {
        draft.input = draft.input.replace("payments", "other");
    });
    let order = cases.order(|order| {
        if let Order::RunStart { aud, .. } = order {
            *aud = writ_model::RunnerGroupId::from_bits(7);
        }
    });
    cases.list.push(Case { name: "for another runner group", code: "writ-audience", order });
    let order = cases.order(|order| {
        if let Order::RunStart { res, .. } = order {
            *res = "secops/another".parse().unwrap();
        }
    });
    cases.list.push(Case { name: "for an unpublished name", code: "automation-unknown", order });
    let order = cases.order(|order| {
        if let Order::RunStart { authorization_details, .. } = order {
            let action = authorization_details[0].actions[0].clone();
            let name = "github.secret-scanning-alerts.update".parse().unwrap();
            authorization_details[0].actions.push(writ_model::PinnedAction { name, ..action });
        }
    });
    cases.list.push(Case { name: "outside the footprint", code: "footprint-exceeded", order });
}

fn altered_and_mixed(cases: &mut Cases, hostile: &Hostile) {
    let draft = cases.forger.draft(&cases.owner, &input()).unwrap();
    let mut order = cases.forger.sign(&draft, &cases.owner).unwrap();
    let signature = order.writ.rfind('.').unwrap();
    let flipped = if order.writ.as_bytes()[signature + 5] == b'A' { "B" } else { "A" };
    order.writ.replace_range(signature + 5..signature + 6, flipped);
    cases.forger.seal_again(&draft, &mut order).unwrap();
    cases.list.push(Case { name: "altered", code: "writ-signature", order });

    let draft = cases.forger.draft(&cases.owner, &input()).unwrap();
    let mut order = cases.forger.sign(&draft, &cases.owner).unwrap();
    order.sealed = cases.order(|_| ()).sealed;
    cases.list.push(Case { name: "with another order's input", code: "sealed-input", order });

    let bundle = hostile.serve_content("{\"document\":\"do: []\"}");
    let order = cases.order(|order| {
        if let Order::RunStart { cnt, .. } = order {
            *cnt = bundle;
        }
    });
    cases.list.push(Case { name: "over another bundle", code: "bundle-not-published", order });
}

fn wrong_logins(cases: &mut Cases) {
    let forger = &cases.forger;
    let wrong_issuer =
        forger.log_in("owner", |claims| claims["iss"] = json!("https://evil.example")).unwrap();
    let wrong_audience =
        forger.log_in("owner", |claims| claims["aud"] = json!("another-client")).unwrap();
    let wrong_nonce =
        forger.log_in("owner", |claims| claims["nonce"] = json!("not-a-commitment")).unwrap();
    let stale = forger
        .log_in("owner", |claims| {
            claims["iat"] = json!(now().0 - 7200);
            claims["exp"] = json!(now().0 - 3600);
        })
        .unwrap();
    let wrong_key = forger.log_in_with("owner", &new_issuer_key().unwrap(), |_| ()).unwrap();
    let nobody = forger.log_in("nobody", |_| ()).unwrap();
    // The attacker's key beside a token that vouches for another key.
    let mut stolen = forger.log_in("owner", |_| ()).unwrap();
    let attacker = forger.log_in("owner", |_| ()).unwrap();
    stolen.idc.cic = attacker.idc.cic.clone();
    stolen.key = attacker.key;
    // The right credential, a writ signed by a key that it does not name.
    let mut unbound = forger.log_in("owner", |_| ()).unwrap();
    unbound.key = new_key().unwrap();

    cases.login("ID token of another issuer", "idc-issuer", &wrong_issuer);
    cases.login("ID token for another audience", "idc-audience", &wrong_audience);
    cases.login("ID token with another nonce", "idc-nonce", &wrong_nonce);
    cases.login("ID token that is stale", "idc-stale", &stale);
    cases.login("ID token signed by another key", "idc-signature", &wrong_key);
    cases.login("a key bound to somebody else's token", "idc-nonce", &stolen);
    cases.login("a writ signed by a key not vouched for", "writ-signature", &unbound);
    cases.login("a user without a role", "policy-denied", &nobody);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_control_plane_gets_nothing_past_the_jail() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let mut world = World::start("hostile").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    world.run_main_job(&input()).unwrap();
    let asked = github.all_requests();
    world.stop_dev().unwrap();

    let hostile = Hostile::take_over(&world).await.unwrap();
    let forger = Forger::of(&world).unwrap();
    let owner = forger.log_in("owner", |_| ()).unwrap();
    let mut cases = Cases { forger, owner, list: Vec::new() };
    wrong_writs(&mut cases);
    altered_and_mixed(&mut cases, &hostile);
    wrong_logins(&mut cases);

    for Case { name, code, order } in std::mem::take(&mut cases.list) {
        let (phase, said) = hostile.order(order).await.unwrap();
        assert_eq!((phase.as_str(), said.as_deref()), ("Refused", Some(code)), "{name}");
        assert_eq!(github.all_requests(), asked, "{name}: something was executed");
        println!("refused: {name}: {code}");
    }

    // The control: the same forger's unaltered order runs. Then its `jti` is spent.
    let draft = cases.forger.draft(&cases.owner, &input()).unwrap();
    let order = cases.forger.sign(&draft, &cases.owner).unwrap();
    let (phase, _) = hostile.order(order.clone()).await.unwrap();
    assert_eq!(phase, "Completed");
    let asked = github.all_requests();
    let mut again = cases.forger.draft(&cases.owner, &input()).unwrap();
    again.claims.jti = draft.claims.jti;
    let again = cases.forger.sign(&again, &cases.owner).unwrap();
    let (phase, code) = hostile.order(again).await.unwrap();
    assert_eq!((phase.as_str(), code.as_deref()), ("Refused", Some("writ-replayed")));
    hostile.order(order).await.unwrap();
    assert_eq!(github.all_requests(), asked, "a replay was executed");
    println!("refused: replayed: writ-replayed");
    forged_tests_of_connections(&cases.forger, &cases.owner, &hostile).await;
    assert_eq!(github.all_requests(), asked, "a test sends nothing");
}

/// An order to test a connection that is right but for what `change` does.
fn test_order(
    forger: &Forger,
    login: &Login,
    change: impl FnOnce(&mut WritClaims),
) -> (ForgedOrder, String) {
    let mut draft = forger.draft(login, &input()).unwrap();
    let Order::RunStart { aud, .. } = draft.claims.order else { panic!("a draft starts a run") };
    let res = "secops/github".parse().unwrap();
    draft.claims.order = Order::ConnectionTest { aud, res };
    change(&mut draft.claims);
    (forger.sign(&draft, login).unwrap(), draft.claims.jti)
}

async fn forged_tests_of_connections(forger: &Forger, owner: &Login, hostile: &Hostile) {
    let mut list: Vec<(&str, &str, ForgedOrder)> = Vec::new();
    let mut of_owner = |name, code, change: &dyn Fn(&mut WritClaims)| {
        list.push((name, code, test_order(forger, owner, change).0));
    };
    of_owner("test: expired", "writ-expired", &|claims| {
        claims.iat = writ_model::UnixTime(now().0 - 600);
        claims.exp = writ_model::UnixTime(now().0 - 400);
    });
    of_owner("test: for another tenant", "writ-tenant", &|claims| {
        claims.ten = TenantId(Digest::from_bytes([7; 32]));
    });
    of_owner("test: over a charter head that never was", "writ-charter-head", &|claims| {
        claims.charter = Digest::from_bytes([7; 32]);
    });
    of_owner("test: for another runner group", "writ-audience", &|claims| {
        let (aud, res) =
            (writ_model::RunnerGroupId::from_bits(7), "secops/github".parse().unwrap());
        claims.order = Order::ConnectionTest { aud, res };
    });
    of_owner("test: of a connection that is none", "connection-unknown", &|claims| {
        if let Order::ConnectionTest { res, .. } = &mut claims.order {
            *res = "secops/nothing".parse().unwrap();
        }
    });
    let draft = forger.draft(owner, &input()).unwrap();
    let start = forger.sign(&draft, owner).unwrap();
    list.push(("test: a writ that starts a run", "writ-operation", start));
    let (mut altered, _) = test_order(forger, owner, |_| ());
    let signature = altered.writ.rfind('.').unwrap();
    let flipped = if altered.writ.as_bytes()[signature + 5] == b'A' { "B" } else { "A" };
    altered.writ.replace_range(signature + 5..signature + 6, flipped);
    list.push(("test: altered", "writ-signature", altered));
    let nobody = forger.log_in("nobody", |_| ()).unwrap();
    let by_nobody = test_order(forger, &nobody, |_| ()).0;
    list.push(("test: by a user without a role", "policy-denied", by_nobody));
    let mut unbound = forger.log_in("owner", |_| ()).unwrap();
    unbound.key = new_key().unwrap();
    let by_unbound = test_order(forger, &unbound, |_| ()).0;
    list.push(("test: by a key not vouched for", "writ-signature", by_unbound));
    for (name, code, order) in list {
        let said = hostile.test_connection(&order).await.unwrap();
        assert_eq!(said.as_deref(), Some(code), "{name}");
        println!("refused: {name}: {code}");
    }
    assert_eq!(hostile.tests(), 0, "a forged test was made");

    // The control: an unaltered order is carried out, once, however often it is relayed.
    let (order, jti) = test_order(forger, owner, |_| ());
    assert_eq!(hostile.test_connection(&order).await.unwrap(), None);
    assert_eq!(hostile.test_connection(&order).await.unwrap(), None);
    assert_eq!(hostile.tests(), 1, "the same receipt for the same writ");
    let (again, _) = test_order(forger, owner, |claims| {
        claims.jti.clone_from(&jti);
        // Signatures of this key are deterministic: another writ says something else.
        claims.exp = claims.iat.plus(60);
    });
    let said = hostile.test_connection(&again).await.unwrap();
    assert_eq!(said.as_deref(), Some("writ-replayed"));
    assert_eq!(hostile.tests(), 1, "a replayed test was made");
}

/// A document that asks the sandbox for something, and reports what came of it.
fn document(name: &str, code: &str) -> String {
    let lines: Vec<String> = code.lines().map(|line| format!("            {line}")).collect();
    let code = lines.join("\n");
    format!(
        "document: {{dsl: '1.0.1', namespace: secops, name: {name}, version: '1.0.0'}}\ndo:\n  - \
         attempt:\n      run:\n        script:\n          language: python\n          code: |\n{code}"
    )
}

const NETWORK: &str = "\
import json, socket
try:
    socket.create_connection(('127.0.0.1', PORT), 2)
    said = 'connected'
except OSError as error:
    said = type(error).__name__
print(json.dumps({'said': said}))";

const PROC: &str = "\
import json, os
said = []
for path in ['/proc/1/environ', '/proc/self/maps', '/etc/passwd', '/root', '/home']:
    try:
        os.stat(path)
        said.append(path)
    except OSError:
        pass
print(json.dumps({'said': said}))";

const PTRACE: &str = "\
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
said = libc.ptrace(0, 0, 0, 0)
print(json.dumps({'said': said, 'errno': ctypes.get_errno()}))";

#[tokio::test(flavor = "multi_thread")]
async fn code_reaches_no_network_no_process_and_no_file() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("sandbox").unwrap();
    world.writ(&["login"]).unwrap();
    world.writ(&["workspace", "set", "secops"]).unwrap();
    let run = |name: &str, code: &str| -> Value {
        let file = world.folder.join(format!("{name}.yaml"));
        fs::write(&file, document(name, code)).unwrap();
        world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
        let automation = format!("secops/{name}");
        let output = world.writ(&["run", "start", &automation, "--wait"]).unwrap();
        serde_json::from_str(&output).unwrap()
    };

    let network = NETWORK.replace("PORT", &github.address().port().to_string());
    let said = run("network", &network);
    assert_ne!(said["said"], "connected", "{said}");
    assert_eq!(github.all_requests(), 0);
    assert_eq!(run("proc", PROC)["said"], json!([]));
    let said = run("ptrace", PTRACE);
    assert_eq!(said["said"], -1, "{said}");
    println!("refused: network, /proc and files, ptrace");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_which_rule_refuses() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let address = github.address().to_string();
    let world = World::start("rules").unwrap();
    world.prepare_main_job(&address, TOKEN).unwrap();
    let connect = |name: &str, secret: &str| {
        world.refused(&[
            "connection",
            "set",
            name,
            "--host",
            &address,
            "--plaintext",
            "--secret",
            secret,
        ])
    };

    let said = connect("secops/slack", "local:elsewhere/token").unwrap();
    assert!(said.contains("does not list the connection's secret path"), "{said}");
    let said = connect("elsewhere/github", "local:github/token").unwrap();
    assert!(said.contains("workspace does not exist"), "{said}");

    a_host_in_a_refused_range_is_not_connected_to(&world, &address);
    refused_documents(&world);
    rights_are_checked(&world);
    assert_eq!(github.issues().len(), 0);
}

fn a_host_in_a_refused_range_is_not_connected_to(world: &World, address: &str) {
    world
        .writ(&[
            "connection",
            "set",
            "secops/github",
            "--host",
            address,
            "--plaintext",
            "--secret",
            "local:github/token",
        ])
        .unwrap();
    let document = sources().join("examples/leaked-secret/automation.yaml");
    let document = document.to_string_lossy();
    // Pinned by digest: the change of the connection takes a new publication.
    let stale = world.run_main_job(&input()).unwrap_err().to_string();
    assert!(stale.contains("connection-changed"), "{stale}");
    world.writ(&["automation", "publish", &document]).unwrap();
    let refused = world.run_main_job(&input()).unwrap_err().to_string();
    assert!(refused.contains("connect-refused-address"), "{refused}");
}

fn refused_documents(world: &World) {
    let check = |name: &str, from: &str, to: &str| {
        let text =
            fs::read_to_string(sources().join("examples/leaked-secret/automation.yaml")).unwrap();
        let file = world.folder.join(name);
        fs::write(&file, text.replace(from, to)).unwrap();
        world.refused(&["automation", "publish", &file.to_string_lossy()]).unwrap()
    };
    let said = check("pack.yaml", "issues.create:1.0.0", "issues.create:9.9.9");
    assert!(said.contains("pack-unacknowledged"), "{said}");
    let said = check("secrets.yaml", "number: ${ .alert.number }", "number: ${ $secrets.token }");
    assert!(said.contains("$secrets"), "{said}");
    let said = check("outside.yaml", "connection: github", "connection: other/github");
    assert!(said.contains("a name of this workspace"), "{said}");
}

fn rights_are_checked(world: &World) {
    world.writ(&["--session", "bob", "login", "--as", "bob"]).unwrap();
    let start = ["--session", "bob", "run", "start", "secops/leaked-secret"];
    let said = world.refused(&start).unwrap();
    assert!(said.contains("policy-denied"), "{said}");

    let bind = |verb: &str, role: &str| {
        let words = ["binding", verb, "--subject", "bob", "--role", role, "--workspace", "secops"];
        world.writ(&words).unwrap();
    };
    bind("add", "viewer");
    let said = world.refused(&start).unwrap();
    assert!(said.contains("it takes one of the roles owner, builder, operator"), "{said}");
    let grab = [
        "--session",
        "bob",
        "binding",
        "add",
        "--subject",
        "bob",
        "--role",
        "owner",
        "--workspace",
        "secops",
    ];
    assert!(world.refused(&grab).unwrap().contains("policy-denied"));
    let run = world.writ(&["run", "start", "secops/leaked-secret"]).unwrap();
    let read = ["--session", "bob", "runs", "output", run.trim()];
    assert!(world.refused(&read).unwrap().contains("run.read-output"));

    // Bob publishes as a builder, then loses the right: nobody borrows it from his document.
    bind("add", "builder");
    let document = sources().join("examples/leaked-secret/automation.yaml");
    world
        .writ(&["--session", "bob", "automation", "publish", &document.to_string_lossy()])
        .unwrap();
    bind("remove", "builder");
    let said = world.refused(&["run", "start", "secops/leaked-secret"]).unwrap();
    assert!(said.contains("the publisher") && said.contains("connection.use"), "{said}");
}
