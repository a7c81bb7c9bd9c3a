//! The ways to log in beside a browser here: a key in a real SSH agent, a browser elsewhere, no person at all.

#![cfg(test)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};
use writ_evidence::issuer::IdTokenAlgorithm;
use writ_testkit::{
    github_stand_in::GithubStandIn,
    identity_provider::IdentityProvider,
    keys::now,
    rsa_issuer::RsaIssuer,
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_ways_0123456789abcdef";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const MAIN: &str = "repo:acme/deploy:ref:refs/heads/main";
const BEARER: &str = "canary-of-the-job-0123456789";

async fn prepared(name: &str) -> (World, GithubStandIn) {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start(name).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    (world, github)
}

fn start_run(world: &World, session: &str, variables: &[(&str, &str)]) -> Output {
    let input = fs::read(sources().join("examples/leaked-secret/input.json")).unwrap();
    let words =
        ["run", "start", "secops/leaked-secret", "--input", "-", "--wait", "--session", session];
    world.try_writ_with(&words, &input, variables).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn change_charter(world: &World, session: &str, variables: &[(&str, &str)]) -> Output {
    let words = ["workspace", "set", "made-by-this-login", "--session", session];
    world.try_writ_with(&words, b"", variables).unwrap()
}

/// A real `ssh-agent`; ended by its pid.
struct SshAgent {
    process: Child,
    socket: String,
    folder: std::path::PathBuf,
}

impl SshAgent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent.sock");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("`ssh-agent`: apt-get install --no-install-recommends openssh-client");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "ssh-agent does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        let socket = socket.to_string_lossy().into_owned();
        Self { process, socket, folder: folder.to_owned() }
    }

    /// Makes a key, adds it, and returns its fingerprint as `ssh-keygen` prints it.
    fn add(&self, kind: &str) -> String {
        let path =
            self.folder.join(format!("id_{kind}_{}", fs::read_dir(&self.folder).unwrap().count()));
        let path = path.to_string_lossy();
        let made = ["-q", "-t", kind, "-N", "", "-C", "ann@laptop", "-f", &path];
        assert!(Command::new("ssh-keygen").args(made).status().unwrap().success());
        self.ssh_add(&["-q", &path]);
        let printed = Command::new("ssh-keygen").args(["-l", "-f", &path]).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        printed.split(' ').nth(1).unwrap().to_owned()
    }

    fn ssh_add(&self, words: &[&str]) {
        let mut command = Command::new("ssh-add");
        let status = command.args(words).env("SSH_AUTH_SOCK", &self.socket).status().unwrap();
        assert!(status.success());
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("SSH_AUTH_SOCK", self.socket.as_str())]
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        // Nothing more can be done about what does not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_real_ssh_agent_signs_orders_and_changes_while_the_agent_holds_it() {
    let (world, _github) = prepared("login-ssh-agent").await;
    let agent = SshAgent::start(&world.folder);
    let variables = agent.variables();
    let login = |words: &[&str]| {
        let words = [&["login", "--session", "agent"], words].concat();
        world.try_writ_with(&words, b"", &variables).unwrap()
    };
    agent.add("rsa");
    let none = login(&["--ssh-agent"]);
    assert!(said(&none).contains("holds no such Ed25519 key"), "{}", said(&none));
    let first = agent.add("ed25519");
    let logged_in = login(&["--ssh-agent"]);
    assert!(logged_in.status.success(), "{}", said(&logged_in));
    let stored = fs::read_to_string(world.folder.join(".writ/sessions/agent.json")).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert!(stored.get("key").is_none() && stored["ssh_agent"]["crv"] == "Ed25519", "{stored}");

    let ran = start_run(&world, "agent", &variables);
    assert!(ran.status.success(), "{}", said(&ran));
    let changed = change_charter(&world, "agent", &variables);
    assert!(changed.status.success(), "{}", said(&changed));
    let listed = world.writ(&["sessions", "here", "--json"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let key_of = |name: &str| {
        let named = listed.as_array().unwrap().iter().find(|one| one["session"] == name);
        named.unwrap()["key"].clone()
    };
    assert_eq!((key_of("agent"), key_of("default")), (json!("ssh-agent"), json!("file")));

    let second = agent.add("ed25519");
    let several = login(&["--ssh-agent"]);
    assert!(said(&several).contains(&first) && said(&several).contains(&second));
    let chosen = login(&[&format!("--ssh-agent={second}")]);
    assert!(chosen.status.success(), "{}", said(&chosen));
    let ran = start_run(&world, "agent", &variables);
    assert!(ran.status.success(), "{}", said(&ran));

    agent.ssh_add(&["-q", "-D"]);
    let refused = start_run(&world, "agent", &variables);
    assert!(!refused.status.success(), "the agent no longer holds the key");
    let refused = start_run(&world, "agent", &[("SSH_AUTH_SOCK", "/nowhere")]);
    assert!(!refused.status.success(), "there is no agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_the_device_flow_orders_runs_and_changes_no_charter() {
    let provider = IdentityProvider::oidc_provider("RS256", 3600).unwrap();
    let (world, _github) = prepared("login-device").await;
    // A provider that does not echo the nonce vouches for no key.
    world.believe(&provider, &["--device-client-id", "writ-device-plain"]).unwrap();
    let refused = world.log_in_with(&provider, "ann", &["--device"], &[]).await.unwrap_err();
    assert!(refused.to_string().contains("did not put our nonce"), "{refused}");
    world.believe(&provider, &["--device-client-id", "writ-device"]).unwrap();
    let owner = ["--issuer", &provider.iss, "--subject", "ann", "--role", "owner"];
    world.writ(&[&["binding", "add"], &owner[..]].concat()).unwrap();

    let subject = world.log_in_with(&provider, "ann", &["--device"], &[]).await.unwrap();

    assert_eq!(subject, "ann");
    let ran = start_run(&world, "ann", &[]);
    assert!(ran.status.success(), "{}", said(&ran));
    let refused = change_charter(&world, "ann", &[]);
    assert!(said(&refused).contains("writ-client"), "{}", said(&refused));
    // The same owner, with a browser here.
    world.log_in_at(&provider, "ann").await.unwrap();
    let changed = change_charter(&world, "ann", &[]);
    assert!(changed.status.success(), "{}", said(&changed));
    // Not believed for the device flow, the same login counts for nothing.
    world.log_in_with(&provider, "ann", &["--device"], &[]).await.unwrap();
    world.believe(&provider, &[]).unwrap();
    let refused = start_run(&world, "ann", &[]);
    assert!(said(&refused).contains("idc-audience"), "{}", said(&refused));
}

fn job_claims(audience: &str, repository_id: &str) -> Value {
    json!({
        "iss": GITHUB, "sub": MAIN, "aud": audience, "repository_id": repository_id,
        "ref": "refs/heads/main", "nbf": now().0 - 600, "iat": now(), "exp": now().plus(300),
    })
}

/// GitHub's endpoint for a job's token, as `ACTIONS_ID_TOKEN_REQUEST_URL` names it.
async fn token_endpoint(rsa: Arc<RsaIssuer>) -> String {
    #[derive(serde::Deserialize)]
    struct Asked {
        audience: String,
    }
    let answer = async |State(rsa): State<Arc<RsaIssuer>>,
                        Query(asked): Query<Asked>,
                        headers: HeaderMap| {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {BEARER}")) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let claims = job_claims(&asked.audience, "74");
        let value = rsa.sign(IdTokenAlgorithm::Rs256, &claims).unwrap();
        Ok(Json(json!({ "count": value.len(), "value": value })))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/token", get(answer)).with_state(rsa);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/token?api-version=2.0")
}

/// Makes the world believe the issuer's one workload, and binds a role to it.
fn believe_workload(world: &World, rsa: &RsaIssuer) {
    let keys = json!({ "keys": [rsa.jwk(Some("RS256"))] });
    fs::write(world.folder.join("jwks.json"), keys.to_string()).unwrap();
    let workload = json!({
        "name": "release", "claims": { "repository_id": "74", "ref": "refs/heads/main" },
        "operations": ["run.start"],
    });
    fs::write(world.folder.join("workload.json"), workload.to_string()).unwrap();
    let words = ["issuer", "set", GITHUB, "--keys-file", "jwks.json", "--algorithm", "RS256"];
    let more = ["--workload", "workload.json", "--root-key", ".writ/root.key"];
    world.writ(&[&words[..], &more].concat()).unwrap();
    let binding = ["--issuer", GITHUB, "--subject", MAIN, "--role", "owner"];
    world.writ(&[&["binding", "add"], &binding[..]].concat()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ci_job_runs_the_main_job_by_its_platforms_token_and_signs_nothing_else() {
    let (world, _github) = prepared("login-workload").await;
    let rsa = Arc::new(RsaIssuer::new().unwrap());
    believe_workload(&world, &rsa);
    let url = token_endpoint(Arc::clone(&rsa)).await;
    let job = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", BEARER),
    ];
    let words = ["login", "--github-actions", "--session", "job"];
    let outside = world.refused(&words).unwrap();
    assert!(outside.contains("this is no GitHub Actions job"), "{outside}");
    let logged_in = world.try_writ_with(&words, b"", &job).unwrap();
    assert!(logged_in.status.success(), "{}", said(&logged_in));

    let ran = start_run(&world, "job", &[]);
    assert!(ran.status.success(), "{}", said(&ran));
    let refused = change_charter(&world, "job", &[]);
    assert!(said(&refused).contains("writ-client"), "{}", said(&refused));
    let stored = fs::read_to_string(world.folder.join(".writ/sessions/job.json")).unwrap();
    assert!(stored.contains(r#""mode":"workload""#) && !stored.contains(BEARER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_prints_a_token_for_the_audience_logs_a_workload_in() {
    let (world, _github) = prepared("login-token-command").await;
    let rsa = RsaIssuer::new().unwrap();
    believe_workload(&world, &rsa);
    let log_in = |repository_id: &str| {
        let (audience, token) = (world.folder.join("audience"), world.folder.join("token"));
        let _ = fs::remove_file(&audience);
        let _ = fs::remove_file(&token);
        let command = "printf %s \"$WRIT_AUDIENCE\" > audience.next && mv audience.next audience; \
                       while [ ! -e token ]; do sleep 0.05; done; cat token";
        thread::scope(|scope| {
            let platform = scope.spawn(|| {
                while !audience.exists() {
                    thread::sleep(Duration::from_millis(20));
                }
                let asked = fs::read_to_string(&audience).unwrap();
                let claims = job_claims(&asked, repository_id);
                let signed = rsa.sign(IdTokenAlgorithm::Rs256, &claims).unwrap();
                fs::write(token.with_extension("next"), signed).unwrap();
                fs::rename(token.with_extension("next"), &token).unwrap();
            });
            let words = ["login", "--session", "job", "--token-command", command];
            let output = world.try_writ(&words, b"").unwrap();
            platform.join().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        });
    };
    log_in("74");
    let ran = start_run(&world, "job", &[]);
    assert!(ran.status.success(), "{}", said(&ran));
    log_in("75");
    let refused = start_run(&world, "job", &[]);
    assert!(said(&refused).contains("idc-workload"), "{}", said(&refused));
    let failed = world.refused(&["login", "--token-command", "exit 3"]).unwrap();
    assert!(failed.contains("the command that prints a token ended with"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_starts_runs_by_its_enrolled_key_alone_until_it_is_stopped() {
    let (world, github) = prepared("login-account").await;
    let box_ = ["--session", "box"];
    let printed = world.writ(&[&["login", "--service-account", "importer"], &box_[..]].concat());
    let jwk = printed.unwrap();
    assert!(jwk.contains("\"kty\":\"OKP\"") && !jwk.contains("\"d\""), "{jwk}");
    let file = world.folder.join("importer.jwk");
    fs::write(&file, &jwk).unwrap();
    let failed = start_run(&world, "box", &[]);
    assert!(said(&failed).contains("idc-service-account"), "{}", said(&failed));

    let file = file.to_string_lossy();
    let enroll = ["service-account", "set", "importer", "--key", &file, "--operation", "run.start"];
    world.writ(&enroll).unwrap();
    let mut role = vec!["role", "set", "starter"];
    for right in ["run.start", "run.view", "run.read-output", "connection.use"] {
        role.extend(["--right", right]);
    }
    world.writ(&role).unwrap();
    let failed = start_run(&world, "box", &[]);
    assert!(said(&failed).contains("policy-denied"), "{}", said(&failed));
    let issuer = ["--issuer", "urn:writ:service-account"];
    let bind = ["binding", "add", "--subject", "importer", "--role", "custom/starter"];
    world.writ(&[&bind[..], &issuer].concat()).unwrap();

    let started = start_run(&world, "box", &[]);
    assert!(started.status.success(), "{}", said(&started));
    assert_eq!(github.issues().len(), 1);
    let whoami = world.writ(&[&["whoami"], &box_[..]].concat()).unwrap();
    assert!(whoami.contains("urn:writ:service-account#importer"), "{whoami}");
    let failed = change_charter(&world, "box", &[]);
    assert!(!failed.status.success(), "it may sign for what its entry says and no more");
    let sessions = world.writ(&["sessions", "here"]).unwrap();
    assert!(sessions.contains("importer\tkey"), "{sessions}");

    world.writ(&[&["suspend", "--user", "importer"], &issuer[..]].concat()).unwrap();
    let failed = start_run(&world, "box", &[]);
    assert!(said(&failed).contains("suspended"), "{}", said(&failed));
    assert_eq!(github.issues().len(), 1);
}
