//! Every operation of the control plane and of the gateway, asked for without a login, in a tenant that
//! is not here, by another tenant's person, by somebody without a role, and by somebody who may.
//!
//! In: the lists that the services build their routers from. Out: the status and the code of each answer,
//! compared with what `expected…` says. Those functions match every operation, so that a new one does
//! not compile without its row.
//!
//! Invariants: the executables are the real ones; nothing that was refused has an effect that a later row
//! would need undone; what may not be seen is answered exactly as what is not there.

#![cfg(test)]

use std::{fs, thread, time::Duration};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use writ_api::{
    AppendEntry, CharterPage, Content, ContentKind, GatewayHello, GatewayOperation, GatewayReply,
    IDC_HEADER, LinkOperation, PROOF_HEADER, RUNNER_HEADER, RunOrder, ServerOperation,
    StartRunOrder, Take, TestConnectionOrder, Verb,
};
use writ_evidence::{
    approval::ApprovalDecision,
    charter::{Change, EntryBody, UnverifiedEntry, Workspace},
    digest::sha256,
    idc::{IdcMode, UnverifiedIdc},
    key::{Algorithm, SigningKey},
    proof::{self, ProofClaims},
    writ::{self, Order, ResumeDecision},
};
use writ_model::{Digest, KeyedDigest, RunId, RunnerGroupId, RunnerId, StepId};
use writ_testkit::{
    hostile::Forger,
    keys::{Login, new_key, now},
    tenant,
    world::World,
};

const GREETS: &str = "document: {dsl: '1.0.1', namespace: secops, name: greets, version: '1.0.0'}
do:
  - greet: {set: {greeting: hello}}
";
const WAITS: &str = "document: {dsl: '1.0.1', namespace: secops, name: waits, version: '1.0.0'}
do:
  - wait: {wait: {seconds: 3600}}
";

/// Who asks, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Somebody without a login; a runner without its headers.
    NoLogin,
    /// Somebody who may, in a tenant (at the gateway: for a run) that is not here.
    Elsewhere,
    /// A person, or a runner, of another tenant.
    Stranger,
    /// A person whom the tenant's identity provider vouches for, without a role.
    NoRole,
    /// Somebody who may.
    Allowed,
}

const ASKERS: [Asker; 5] =
    [Asker::NoLogin, Asker::Elsewhere, Asker::Stranger, Asker::NoRole, Asker::Allowed];

/// Status and code; a request that is held for want of work was let in, and is `HELD`.
type Answer = (u16, &'static str);
const HELD: Answer = (0, "held");

/// Answers in the order of [`ASKERS`].
type Row = [Answer; 5];

const OPEN: Row = [(200, ""); 5];

/// Asked for with a login in the headers.
const fn by_login(allowed: u16) -> Row {
    [
        (401, "not-authenticated"),
        (404, "tenant-unknown"),
        (401, "idc-issuer"),
        (403, "policy-denied"),
        (allowed, ""),
    ]
}

/// Asked for with a signed order in the body.
const fn by_order(allowed: Answer) -> Row {
    [
        (401, "idc-commitment"),
        (404, "tenant-unknown"),
        (401, "idc-issuer"),
        (403, "policy-denied"),
        allowed,
    ]
}

/// Asked for by runners. A person is no runner, whatever role.
const fn by_runner(allowed: Answer) -> Row {
    [
        (401, "not-authenticated"),
        (404, "tenant-unknown"),
        (401, "not-enrolled"),
        (401, "not-authenticated"),
        allowed,
    ]
}

const fn expected(operation: ServerOperation) -> Row {
    match operation {
        ServerOperation::Health => OPEN,
        ServerOperation::ReadCharter
        | ServerOperation::ListRuns
        | ServerOperation::ReadRun
        | ServerOperation::ListApprovals
        | ServerOperation::ListSessions
        | ServerOperation::ReadAudit => by_login(200),
        ServerOperation::PutContent => by_login(204),
        // A change is judged as the charter will judge it: whatever is wrong with it is a refusal.
        ServerOperation::AppendCharter => [
            (403, "idc-commitment"),
            (404, "tenant-unknown"),
            (403, "idc-issuer"),
            (403, "policy-denied"),
            (200, ""),
        ],
        ServerOperation::StartRun | ServerOperation::CancelRun => by_order((202, "")),
        // The owner may; the run does not wait for anybody.
        ServerOperation::ResumeRun => by_order((409, "run-not-suspended")),
        // The run asks nobody.
        ServerOperation::ApproveRun => by_order((409, "approval-unknown")),
        // The owner may; there is no such session.
        ServerOperation::RevokeSession => by_order((404, "session-unknown")),
        // The owner may; there is no such connection.
        ServerOperation::TestConnection => by_order((403, "connection-unknown")),
        ServerOperation::ReadConnectionTest => {
            let [no_login, elsewhere, stranger, no_role, _] = by_login(200);
            [no_login, elsewhere, stranger, no_role, (404, "test-unknown")]
        }
        ServerOperation::RunnerTake | ServerOperation::RunnerContent => by_runner((200, "")),
        ServerOperation::RunnerReport => by_runner((204, "")),
    }
}

const fn expected_of_gateway(operation: GatewayOperation) -> Row {
    match operation {
        GatewayOperation::Health => OPEN,
        GatewayOperation::ReadOutput => [
            (401, "not-authenticated"),
            (404, "run-unknown"),
            (403, "idc-issuer"),
            (404, "run-unknown"),
            (200, ""),
        ],
        // The run has ended: it asks nobody.
        GatewayOperation::ReadApproval => [
            (401, "not-authenticated"),
            (404, "run-unknown"),
            (403, "idc-issuer"),
            (404, "run-unknown"),
            (409, "approval-unknown"),
        ],
        // The gateway serves one tenant, which no path names: elsewhere is here.
        GatewayOperation::ReadCharter => [
            (401, "not-authenticated"),
            (200, ""),
            (403, "idc-issuer"),
            (403, "policy-denied"),
            (200, ""),
        ],
        // A change is judged as the charter will judge it, whoever brings it; so are another tenant's entries.
        GatewayOperation::PushCharter => [
            (403, "idc-commitment"),
            (409, "charter-not-next"),
            (403, "idc-issuer"),
            (403, "policy-denied"),
            (200, ""),
        ],
        // No login counts: the sender's own signature does, and here is nothing to sign for.
        GatewayOperation::TakeWebhook => [(404, "webhook-unknown"); 5],
    }
}

fn expected_of_link(operation: LinkOperation) -> Row {
    let row = |elsewhere, allowed| {
        [
            (401, "not-authenticated"),
            elsewhere,
            (401, "not-enrolled"),
            (401, "not-authenticated"),
            allowed,
        ]
    };
    match operation {
        LinkOperation::Hello => row((403, "charter-not-next"), (200, "")),
        // The link serves one tenant, which no path names: elsewhere is here.
        LinkOperation::Take => row(HELD, HELD),
        LinkOperation::Reply => row((204, ""), (204, "")),
    }
}

/// A world with a run that has ended and one that waits, and everybody who asks.
struct Stage {
    world: World,
    http: reqwest::Client,
    forger: Forger,
    owner: Login,
    nobody: Login,
    stranger: Login,
    runner: (RunnerId, SigningKey),
    ended: RunId,
    waiting: RunId,
}

/// What a request carries as its caller.
enum Caller<'a> {
    Nobody,
    Person(&'a Login),
    Runner(RunnerId, &'a SigningKey),
}

/// One request.
struct Ask<'a> {
    verb: Verb,
    origin: &'a str,
    path: String,
    caller: Caller<'a>,
    body: Option<Value>,
}

impl Stage {
    fn set(name: &str) -> Self {
        let world = World::start(name).unwrap();
        world.writ(&["login"]).unwrap();
        for workspace in ["secops", "other"] {
            world.writ(&["workspace", "set", workspace]).unwrap();
        }
        for (name, text) in [("greets", GREETS), ("waits", WAITS)] {
            let document = world.folder.join(format!("{name}.yaml"));
            fs::write(&document, text).unwrap();
            world.writ(&["automation", "publish", &document.to_string_lossy()]).unwrap();
        }
        world.writ(&["run", "start", "secops/greets", "--wait"]).unwrap();
        let waiting = world.writ(&["run", "start", "secops/waits"]).unwrap();
        let waiting: RunId = waiting.trim().parse().unwrap();
        let runs: Value =
            serde_json::from_str(&world.writ(&["--json", "runs", "list"]).unwrap()).unwrap();
        let runs = runs.as_array().unwrap_or_else(|| runs["runs"].as_array().unwrap());
        let ended = runs.iter().find(|run| run["automation"] == "secops/greets").unwrap();
        let ended = ended["run"].as_str().unwrap().parse().unwrap();
        let forger = Forger::of(&world).unwrap();
        let stage = Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            owner: forger.log_in("owner", |_| ()).unwrap(),
            nobody: forger.log_in("nobody", |_| ()).unwrap(),
            stranger: tenant::Tenant::found().unwrap().log_in("owner", now()).unwrap(),
            runner: link_key(&world),
            forger,
            world,
            ended,
            waiting,
        };
        stage.wait_until_it_runs();
        stage
    }

    fn wait_until_it_runs(&self) {
        let show = ["--json", "runs", "show", &self.waiting.to_string()];
        for _ in 0..200 {
            let status: Value = serde_json::from_str(&self.world.writ(&show).unwrap()).unwrap();
            if status["phase"] == "running" {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not run", self.waiting);
    }

    fn person(&self, asker: Asker) -> Option<&Login> {
        match asker {
            Asker::NoLogin => None,
            Asker::Elsewhere | Asker::Allowed => Some(&self.owner),
            Asker::Stranger => Some(&self.stranger),
            Asker::NoRole => Some(&self.nobody),
        }
    }

    /// Who asks for what runners ask for.
    fn runner<'a>(&'a self, asker: Asker, foreign: &'a SigningKey) -> Caller<'a> {
        match asker {
            Asker::NoLogin => Caller::Nobody,
            Asker::Elsewhere | Asker::Allowed => Caller::Runner(self.runner.0, &self.runner.1),
            Asker::Stranger => Caller::Runner(RunnerId::from_bits(7), foreign),
            Asker::NoRole => Caller::Person(&self.nobody),
        }
    }

    /// An order by somebody: right but for who signs it. Without a login, it is signed by nobody.
    fn order(&self, asker: Asker, order: impl FnOnce(RunnerGroupId, Order) -> Order) -> RunOrder {
        let Some(login) = self.person(asker) else {
            return RunOrder { writ: String::new(), idc: no_login() };
        };
        let mut draft = self.forger.draft(login, &json!({})).unwrap();
        let Order::RunStart { aud, .. } = &draft.claims.order else { panic!("no run.start") };
        draft.claims.order = order(*aud, draft.claims.order.clone());
        let signed = self.forger.sign(&draft, login).unwrap();
        RunOrder { writ: signed.writ, idc: signed.idc }
    }

    async fn candidate(&self, asker: Asker) -> UnverifiedEntry {
        let page: CharterPage = serde_json::from_value(self.charter().await).unwrap();
        let workspace = Workspace { name: "third".parse().unwrap(), secret_paths: Vec::new() };
        let head = page.entries.last().unwrap().digest();
        let change = Change::WorkspaceSet(workspace);
        let body = EntryBody { seq: page.seq + 1, prev: Some(head), change };
        let body = serde_json::to_string(&body).unwrap();
        let RunOrder { writ, idc } = match self.person(asker) {
            None => RunOrder { writ: String::new(), idc: no_login() },
            Some(login) => {
                let mut draft = self.forger.draft(login, &json!({})).unwrap();
                draft.claims.charter = head;
                draft.claims.order = Order::CharterAppend { cnt: sha256(body.as_bytes()) };
                let writ = writ::sign(&draft.claims, &login.key, &SystemRandom::new()).unwrap();
                RunOrder { writ, idc: login.idc.clone() }
            }
        };
        UnverifiedEntry::Writ { body, writ, idc, others: Vec::new(), cosignatures: Vec::new() }
    }

    async fn charter(&self) -> Value {
        let origin = self.world.setting("server_url").unwrap();
        let ask = Ask {
            verb: Verb::Get,
            origin: &origin,
            path: format!("/v1/tenants/{}/charter", self.world.setting("tenant").unwrap()),
            caller: Caller::Person(&self.owner),
            body: None,
        };
        self.send(&ask).await.2
    }

    async fn body(&self, operation: ServerOperation, asker: Asker) -> Option<Value> {
        let body = match operation {
            ServerOperation::AppendCharter => {
                serde_json::to_value(AppendEntry { entry: self.candidate(asker).await })
            }
            ServerOperation::StartRun => {
                let RunOrder { writ, idc } = self.order(asker, |_, order| match order {
                    Order::RunStart { aud, cnt, inp, authorization_details, reason, .. } => {
                        let res = "secops/waits".parse().unwrap();
                        Order::RunStart { aud, res, cnt, inp, authorization_details, reason }
                    }
                    other => other,
                });
                serde_json::to_value(StartRunOrder { writ, idc, sealed: Vec::new() })
            }
            ServerOperation::ResumeRun => serde_json::to_value(self.resume(asker, self.waiting)),
            ServerOperation::CancelRun => {
                let res = self.waiting;
                serde_json::to_value(self.order(asker, |aud, _| Order::RunCancel { aud, res }))
            }
            ServerOperation::ApproveRun => serde_json::to_value(self.approval(asker)),
            ServerOperation::TestConnection => {
                let RunOrder { writ, idc } = self.order(asker, |aud, _| {
                    let res = "secops/nothing".parse().unwrap();
                    Order::ConnectionTest { aud, res }
                });
                serde_json::to_value(TestConnectionOrder { writ, idc })
            }
            ServerOperation::RevokeSession => serde_json::to_value(self.order(asker, |aud, _| {
                let res = sha256(b"never seen");
                Order::SessionRevoke { aud, res }
            })),
            ServerOperation::PutContent => serde_json::to_value(content()),
            ServerOperation::RunnerTake => serde_json::to_value(Take {
                statements: None,
                attested_at: None,
                charter_seq: None,
                checkpoint_size: 0,
                testing: Vec::new(),
            }),
            ServerOperation::RunnerReport => Ok(json!({ "reports": [] })),
            ServerOperation::Health
            | ServerOperation::ReadCharter
            | ServerOperation::ListRuns
            | ServerOperation::ReadRun
            | ServerOperation::ListApprovals
            | ServerOperation::ListSessions
            | ServerOperation::ReadConnectionTest
            | ServerOperation::ReadAudit
            | ServerOperation::RunnerContent => return None,
        };
        Some(body.unwrap())
    }

    fn resume(&self, asker: Asker, res: RunId) -> RunOrder {
        self.order(asker, |aud, _| {
            let step = StepId { task: "/do/0/wait".to_owned(), iteration: 0 };
            let decision = ResumeDecision::Retry;
            Order::RunResume { aud, res, step, attempt: 0, decision }
        })
    }

    fn approval(&self, asker: Asker) -> RunOrder {
        let res = self.waiting;
        self.order(asker, |aud, _| {
            let step = StepId { task: "/do/0/wait".to_owned(), iteration: 0 };
            let payload = KeyedDigest::from_bytes([7; 32]);
            let decision = ApprovalDecision::Approve;
            Order::RunApprove { aud, res, step, attempt: 0, payload, decision }
        })
    }

    async fn ask_server(&self, operation: ServerOperation, asker: Asker) -> (u16, String) {
        let origin = self.world.setting("server_url").unwrap();
        let here = self.world.setting("tenant").unwrap();
        let elsewhere = Digest::from_bytes([7; 32]).to_string();
        let run = match operation {
            ServerOperation::ReadRun => self.ended,
            _ => self.waiting,
        };
        let path = operation
            .path()
            .replace("{ten}", if asker == Asker::Elsewhere { &elsewhere } else { &here })
            .replace("{run}", &run.to_string())
            .replace("{writ}", &sha256(b"never ordered").to_string())
            .replace("{digest}", &sha256(content().text.as_bytes()).to_string());
        let foreign = new_key().unwrap();
        let caller = if path.contains("/runner/") {
            self.runner(asker, &foreign)
        } else {
            self.person(asker).map_or(Caller::Nobody, Caller::Person)
        };
        let body = self.body(operation, asker).await;
        let ask = Ask { verb: operation.verb(), origin: &origin, path, caller, body };
        let (status, code, _) = self.send(&ask).await;
        (status, code)
    }

    async fn ask_gateway(&self, operation: GatewayOperation, asker: Asker) -> (u16, String) {
        let origin = self.world.setting("gateway_url").unwrap();
        let run = if asker == Asker::Elsewhere { no_run() } else { self.ended };
        let path = operation.path().replace("{run}", &run.to_string());
        let path = path.replace("{path}", "unheard-of");
        let caller = self.person(asker).map_or(Caller::Nobody, Caller::Person);
        let body = match operation {
            GatewayOperation::PushCharter if asker == Asker::Elsewhere => {
                let entries = tenant::Tenant::found().unwrap().entries;
                Some(json!({ "entries": entries }))
            }
            GatewayOperation::PushCharter => {
                let pushed = self.body(ServerOperation::AppendCharter, asker).await.unwrap();
                Some(json!({ "entries": [pushed["entry"]] }))
            }
            _ => None,
        };
        let ask = Ask { verb: operation.verb(), origin: &origin, path, caller, body };
        let (status, code, _) = self.send(&ask).await;
        (status, code)
    }

    async fn ask_link(&self, operation: LinkOperation, asker: Asker) -> (u16, String) {
        let origin = self.world.setting("link_url").unwrap();
        let foreign = new_key().unwrap();
        let body = match operation {
            LinkOperation::Hello if asker == Asker::Elsewhere => {
                let entries = tenant::Tenant::found().unwrap().entries;
                serde_json::to_value(GatewayHello { entries }).unwrap()
            }
            LinkOperation::Hello => json!({ "entries": self.charter().await["entries"] }),
            LinkOperation::Take => json!({}),
            LinkOperation::Reply => {
                let reply = GatewayReply { id: u64::MAX, result: Ok(String::new()) };
                serde_json::to_value(reply).unwrap()
            }
        };
        let ask = Ask {
            verb: operation.verb(),
            origin: &origin,
            path: operation.path().to_owned(),
            caller: self.runner(asker, &foreign),
            body: Some(body),
        };
        let (status, code, _) = self.send(&ask).await;
        (status, code)
    }

    /// Asks; returns status, code and body. What is not answered within two seconds is held.
    async fn send(&self, ask: &Ask<'_>) -> (u16, String, Value) {
        let url = format!("{}{}", ask.origin, ask.path);
        let method = match ask.verb {
            Verb::Get => reqwest::Method::GET,
            Verb::Post => reqwest::Method::POST,
            Verb::Put => reqwest::Method::PUT,
        };
        let mut request = self.http.request(method.clone(), &url);
        let proof = |key: &SigningKey, ath| {
            let mut id = [0; 24];
            SystemRandom::new().fill(&mut id).unwrap();
            let (htm, htu) = (method.to_string(), url.clone());
            let claims = ProofClaims { htm, htu, iat: now(), jti: URL_SAFE_NO_PAD.encode(id), ath };
            proof::sign(&claims, key, &SystemRandom::new()).unwrap()
        };
        match &ask.caller {
            Caller::Nobody => {}
            Caller::Person(login) => {
                let idc = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&login.idc).unwrap());
                let proof = proof(&login.key, Some(login.idc.digest()));
                request = request.header(IDC_HEADER, idc).header(PROOF_HEADER, proof);
            }
            Caller::Runner(id, key) => {
                let proof = proof(key, None);
                request = request.header(RUNNER_HEADER, id.to_string()).header(PROOF_HEADER, proof);
            }
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        // A change of the charter takes the witness a moment; nothing else is waited for.
        let patience = if ask.path.starts_with("/link/take") { 2 } else { 30 };
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(patience), request.send()).await
        else {
            return (HELD.0, HELD.1.to_owned(), Value::Null);
        };
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let body: Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        let code = if status < 400 { "" } else { body["code"].as_str().unwrap_or("no code") };
        (status, code.to_owned(), body)
    }
}

fn content() -> Content {
    Content { kind: ContentKind::Pack, text: "{\"of\":\"the surface test\"}".to_owned() }
}

fn no_login() -> UnverifiedIdc {
    let (id_token, cic) = (String::new(), String::new());
    UnverifiedIdc { mode: IdcMode::Nonce, id_token, cic, refreshed: None }
}

/// A run that never was.
fn no_run() -> RunId {
    writ::run_id(sha256(b"never ordered"))
}

/// The enrolled runner's id and link key, from its own key file.
fn link_key(world: &World) -> (RunnerId, SigningKey) {
    let folder = world.folder.join(".writ/runner");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let stored = files
        .filter_map(|file| serde_json::from_slice::<Value>(&fs::read(file).ok()?).ok())
        .find(|stored| stored["link_key"].is_string())
        .unwrap();
    let pkcs8 = URL_SAFE_NO_PAD.decode(stored["link_key"].as_str().unwrap()).unwrap();
    let id = stored["id"].as_str().unwrap().parse().unwrap();
    (id, SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_everybody_as_it_should() {
    let stage = Stage::set("surface");
    let mut wrong = Vec::new();
    let mut compare = |what: String, said: (u16, String), expected: Answer| {
        if (said.0, said.1.as_str()) != expected {
            wrong.push(format!("{what}: {said:?} instead of {expected:?}"));
        }
    };
    for operation in ServerOperation::ALL {
        for (asker, answer) in ASKERS.into_iter().zip(expected(*operation)) {
            let said = stage.ask_server(*operation, asker).await;
            compare(format!("{operation:?} by {asker:?}"), said, answer);
        }
    }
    for operation in GatewayOperation::ALL {
        for (asker, answer) in ASKERS.into_iter().zip(expected_of_gateway(*operation)) {
            let said = stage.ask_gateway(*operation, asker).await;
            compare(format!("gateway's {operation:?} by {asker:?}"), said, answer);
        }
    }
    for operation in LinkOperation::ALL {
        for (asker, answer) in ASKERS.into_iter().zip(expected_of_link(*operation)) {
            let said = stage.ask_link(*operation, asker).await;
            compare(format!("link's {operation:?} by {asker:?}"), said, answer);
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_answered_as_if_it_were_not_there() {
    let stage = Stage::set("surface-unseen");
    let bind = ["binding", "add", "--subject", "eve", "--role", "operator", "--workspace", "other"];
    stage.world.writ(&bind).unwrap();
    let eve = stage.forger.log_in("eve", |_| ()).unwrap();
    let stage = Stage { nobody: eve, ..stage };
    let (server, gateway) =
        (stage.world.setting("server_url").unwrap(), stage.world.setting("gateway_url").unwrap());
    let ten = stage.world.setting("tenant").unwrap();

    for run in [stage.waiting, no_run()] {
        let cancel = stage.order(Asker::NoRole, |aud, _| Order::RunCancel { aud, res: run });
        let resume = stage.resume(Asker::NoRole, run);
        let path = format!("/v1/tenants/{ten}/runs/{run}");
        for (verb, origin, path, body) in [
            (Verb::Get, &server, path.clone(), None),
            (Verb::Post, &server, format!("{path}/cancel"), Some(json!(cancel))),
            (Verb::Post, &server, format!("{path}/resume"), Some(json!(resume))),
            (Verb::Get, &gateway, format!("/v1/runs/{run}/output"), None),
        ] {
            let caller = Caller::Person(&stage.nobody);
            let ask = Ask { verb, origin, path, caller, body };
            let (status, code, body) = stage.send(&ask).await;
            assert_eq!((status, code.as_str()), (404, "run-unknown"), "{}", ask.path);
            assert_eq!(body["detail"], "there is no such run, or you may not see it");
        }
    }
    let list = Ask {
        verb: Verb::Get,
        origin: &server,
        path: format!("/v1/tenants/{ten}/runs"),
        caller: Caller::Person(&stage.nobody),
        body: None,
    };
    assert_eq!(stage.send(&list).await.2, json!({ "runs": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_runners_name_is_worth_nothing_without_its_key() {
    let stage = Stage::set("surface-runner");
    let origin = stage.world.setting("server_url").unwrap();
    let foreign = new_key().unwrap();

    for operation in
        ServerOperation::ALL.iter().filter(|operation| operation.path().contains("/runner/"))
    {
        let path = operation
            .path()
            .replace("{ten}", &stage.world.setting("tenant").unwrap())
            .replace("{digest}", &sha256(b"anything").to_string());
        let caller = Caller::Runner(stage.runner.0, &foreign);
        let body = stage.body(*operation, Asker::Allowed).await;
        let ask = Ask { verb: operation.verb(), origin: &origin, path, caller, body };
        let (status, code, _) = stage.send(&ask).await;
        assert_eq!((status, code.as_str()), (401, "proof-key"), "{operation:?}");
    }
}
