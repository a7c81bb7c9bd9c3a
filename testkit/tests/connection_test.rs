//! `writ connection test` on real executables: what passes, what each failure is called, who may, and
//! that a run fails with the code that the test fails with.

#![cfg(test)]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use writ_testkit::{
    github_stand_in::GithubStandIn,
    identity_provider::{free_port, wait_for},
    world::{World, sources},
};

const TOKEN: &str = "github_pat_canary_connection_test_012345";

fn said(world: &World, words: &[&str]) -> (Option<i32>, String, String) {
    let output = world.try_writ(words, b"").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Another implementation's TLS server on loopback, which vouches for itself as `localhost`.
struct TlsServer {
    port: u16,
    certificate: PathBuf,
    process: Child,
    folder: PathBuf,
}

impl TlsServer {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("writ-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", "2", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port().unwrap();
        let process = Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
            .args(["-key".as_ref(), key.as_os_str(), "-cert".as_ref(), certificate.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(port).unwrap();
        Self { port, certificate, process, folder }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // One that has ended needs reaping only.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An automation that makes one request through `secops/<connection>`.
fn publish_request(world: &World, connection: &str, origin: &str) {
    let text = format!(
        "document: {{dsl: '1.0.3', namespace: secops, name: {connection}, version: '1.0.0'}}\n\
         do:\n  - look:\n      call: http\n      with:\n        method: get\n        \
         endpoint: {{uri: '{origin}/', authentication: {{use: {connection}}}}}\n"
    );
    let file = world.folder.join(format!("{connection}.yaml"));
    fs::write(&file, text).unwrap();
    world.writ(&["automation", "publish", &file.to_string_lossy()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_passes_by_the_credential_and_the_hosts_and_a_run_uses_the_same() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let world = World::start("connection-passes").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();

    let passed = world.writ(&["connection", "test", "secops/github"]).unwrap();
    let json = world.writ(&["--json", "connection", "test", "secops/github"]).unwrap();

    assert!(passed.contains("secops/github: the test passed"), "{passed}");
    assert!(passed.contains("the local vault: path github/token"), "{passed}");
    assert!(passed.contains(&format!("{} reached without TLS", github.address())), "{passed}");
    let receipt: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(receipt["outcome"]["result"], "ok");
    assert_eq!(receipt["secret"], "local:github/token");
    assert_eq!(github.all_requests(), 0, "a test sends nothing");
    let input = fs::read(sources().join("examples/leaked-secret/input.json")).unwrap();
    let output = world.run_main_job(&serde_json::from_slice(&input).unwrap()).unwrap();
    assert_eq!(output["issue"], 1);
    who_may(&world);
    let verified = (0..100).any(|_| {
        world.writ(&["audit", "export", "audit"]).unwrap();
        let said = world.writ(&["audit", "verify", "audit"]).unwrap();
        thread::sleep(Duration::from_millis(100));
        !said.contains("no witness has signed")
    });
    assert!(verified, "the audit log verifies");
    let log = fs::read_to_string(world.folder.join("audit/records.jsonl")).unwrap();
    assert!(log.contains("connection") && !log.contains(TOKEN));
}

/// `connection.use` and nothing less lets a person test.
fn who_may(world: &World) {
    world.writ(&["--session", "eve", "login", "--as", "eve"]).unwrap();
    let test = ["--session", "eve", "connection", "test", "secops/github"];
    // Somebody without a role is not told whether there is such a connection.
    for name in ["secops/github", "secops/nothing"] {
        let words = ["--session", "eve", "connection", "test", name];
        assert!(world.refused(&words).unwrap().contains("policy-denied"));
    }
    let bind = |role| {
        let words = ["binding", "add", "--subject", "eve", "--role", role, "--workspace", "secops"];
        world.writ(&words).unwrap();
    };
    bind("viewer");
    let refused = world.refused(&test).unwrap();
    assert!(refused.contains("policy-denied") && refused.contains("connection.use"), "{refused}");
    bind("operator");
    world.writ(&test).unwrap();
    let unknown = world.refused(&["connection", "test", "secops/nothing"]).unwrap();
    assert!(unknown.contains("connection-unknown"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_the_code_that_a_run_through_the_connection_has() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let (trusted, untrusted) = (TlsServer::start("trusted"), TlsServer::start("untrusted"));
    let roots = trusted.certificate.to_string_lossy().into_owned();
    let world =
        World::start_in("connection-fails", &[("SSL_CERT_FILE", &roots)], |_| Ok(())).unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let put = world.try_writ(&["secret", "put", "local:github/short"], b"short").unwrap();
    assert!(put.status.success());
    let (port, kept) = (github.address().port(), "local:github/token");
    let at = |port: u16| format!("localhost:{port}");
    let (nobody, plain) = (free_port().unwrap(), format!("127.0.0.1:{port}"));
    let ip = format!("127.0.0.1:{}", trusted.port);
    let (clear, allowed) = (["--plaintext"], ["--allow-cidr", "127.0.0.1/32"]);
    let both: Vec<&str> = [&clear[..], &allowed[..]].concat();
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        ("passes", &at(trusted.port), kept, &allowed),
        ("credential-not-found", &plain, "local:github/nothing", &both),
        ("credential-too-short", &plain, "local:github/short", &both),
        ("connect-refused-address", &plain, kept, &clear),
        ("connect-failed", &format!("127.0.0.1:{nobody}"), kept, &both),
        ("tls-failed", &at(untrusted.port), kept, &allowed),
        ("tls-failed", &ip, kept, &allowed),
        ("tls-failed", &plain, kept, &allowed),
        ("secret-manager-not-configured", &plain, "vault:secret/github#token", &both),
    ];
    let paths = ["--secret-path", "local:github/*", "--secret-path", "vault:secret/*"];
    world.writ(&[&["workspace", "set", "secops"], &paths[..]].concat()).unwrap();
    for (index, (code, host, secret, more)) in cases.into_iter().enumerate() {
        let name = format!("case{index}");
        let full = format!("secops/{name}");
        let set = ["connection", "set", &full, "--host", host, "--secret", secret];
        world.writ(&[&set[..], more].concat()).unwrap();

        let (status, passed, failed) = said(&world, &["connection", "test", &full]);

        if code == "passes" {
            assert!(passed.contains("reached over TLS, its certificate checked"), "{failed}");
            continue;
        }
        assert_eq!(status, Some(1), "{code}: {failed}");
        assert!(failed.contains(&format!("error[{code}]")), "{code}: {failed}");
        assert!(failed.contains("remedy: "), "{failed}");
        let place = if code.starts_with("credential") { secret } else { host };
        let place = if code.starts_with("secret-manager") { secret } else { place };
        assert!(failed.contains(place), "{code}: {failed}");
        let scheme = if more.contains(&"--plaintext") { "http" } else { "https" };
        publish_request(&world, &name, &format!("{scheme}://{host}"));
        let ran = world.refused(&["run", "start", &full, "--wait"]).unwrap();
        assert!(ran.contains(&format!("error[{code}]")), "a run differs: {code}: {ran}");
        println!("failed: {code}");
    }
    assert_eq!(github.all_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_away_is_said_and_a_test_that_is_broken_off_is_not_begun_again() {
    let github = GithubStandIn::start(TOKEN).await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::start("connection-away").unwrap();
    world.prepare_main_job(&github.address().to_string(), TOKEN).unwrap();
    let runner = world.pid("runner").unwrap().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &runner]).status().unwrap();

    signal("-STOP");
    let words = ["connection", "test", "secops/github", "--timeout", "1"];
    let (status, _, away) = said(&world, &words);
    signal("-CONT");

    assert_eq!(status, Some(5), "{away}");
    assert!(away.contains("runner-away") && away.contains("remedy: "), "{away}");
    world.writ(&["connection", "test", "secops/github"]).unwrap();

    // A host that takes connections and never answers: the cell waits for TLS.
    let host = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    let set = ["connection", "set", "secops/silent", "--host", &host];
    let more = ["--secret", "local:github/token", "--allow-cidr", "127.0.0.1/32"];
    world.writ(&[&set[..], &more[..]].concat()).unwrap();
    silent.set_nonblocking(true).unwrap();
    let (status, _, broken) = thread::scope(|scope| {
        let test = scope.spawn(|| said(&world, &["connection", "test", "secops/silent"]));
        let held = accept(&silent);
        world.kill_pid(world.jail_process("jail").unwrap()).unwrap();
        drop(held);
        test.join().unwrap()
    });
    assert_eq!(status, Some(1), "{broken}");
    assert!(broken.contains("writ-replayed") && broken.contains("test again"), "{broken}");
    assert!(silent.accept().is_err(), "the test was begun a second time");
    world.writ(&["connection", "test", "secops/github"]).unwrap();
}

fn accept(listener: &TcpListener) -> std::net::TcpStream {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Ok((socket, _)) = listener.accept() {
            return socket;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("no test began");
}
