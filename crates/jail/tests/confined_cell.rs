//! A whole call by a cell that is confined for real: what the code needs, its profile gives.
//!
//! Not run by libtest, which has many threads: only a process with one may start a confined one.
//! So one process is jail, broker and service, each in its turn.

#![cfg(test)]

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::ExitCode,
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
};
use serde_json::json;
use writ_confine::{Channel, Confined, Exit, Profile, spawn};
use writ_jail::{
    cell,
    vault::{self, Sources},
};
use writ_jail_link::{
    BrokerReply, BrokerRequest, CellOrder, CellOutcome, CellTask, FailedStep, decode, encode,
};

const CREDENTIAL: &str = "ghp_Canary/Credential+0123456789";

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout();
    let tests: [(&str, fn()); 2] = [
        (
            "a_confined_cell_opens_its_credential_and_calls_over_tls",
            a_confined_cell_opens_its_credential_and_calls_over_tls,
        ),
        ("a_confined_cell_gives_up_by_itself", a_confined_cell_gives_up_by_itself),
    ];
    let mut failed = false;
    for (name, test) in tests {
        let ok = std::panic::catch_unwind(test).is_ok();
        failed |= !ok;
        writeln!(out, "test {name} ... {}", if ok { "ok" } else { "FAILED" })?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn a_confined_cell_opens_its_credential_and_calls_over_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (config, roots) = certificate();
    let mut cell = Cell::start(roots);
    cell.jail.send(&encode(&task(port, 20)).unwrap(), None).unwrap();

    let asked: BrokerRequest = decode(&cell.broker.receive().unwrap().unwrap().0).unwrap();
    assert_eq!((asked.host.as_str(), asked.port), ("localhost", port));
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let reply = BrokerReply::Connected { peer: SocketAddr::from(([127, 0, 0, 1], port)) };
    cell.broker.send(&encode(&reply).unwrap(), Some(socket.as_fd())).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let request = answer(accepted, config);

    assert!(request.starts_with("GET /repos/o HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {CREDENTIAL}\r\n")));
    match cell.outcome() {
        CellOutcome::Output(output) => assert_eq!(output, json!({"name": "[redacted]"})),
        CellOutcome::Failed(failed) => panic!("the call failed: {failed:?}"),
    }
    assert_eq!(cell.confined.process.wait().unwrap(), Exit::Code(0));
}

fn a_confined_cell_gives_up_by_itself() {
    let mut cell = Cell::start(RootCertStore::empty());
    cell.jail.send(&encode(&task(443, 1)).unwrap(), None).unwrap();

    // Nobody answers what it asks for.
    match cell.outcome() {
        CellOutcome::Output(output) => panic!("the call succeeded: {output}"),
        CellOutcome::Failed(FailedStep { code, .. }) => assert_eq!(code, "connect-timeout"),
    }
    assert_eq!(cell.confined.process.wait().unwrap(), Exit::Code(0));
}

struct Cell {
    jail: Channel,
    broker: Channel,
    confined: Confined,
}

impl Cell {
    /// Starts one as launcher A does, with a vault that has one secret.
    fn start(roots: RootCertStore) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (vault, key) = (folder.path().join("vault"), folder.path().join("key"));
        vault::local::put(&vault, &key, "github/token", CREDENTIAL.as_bytes()).unwrap();
        let [vault, key] = [vault, key].map(|path| OwnedFd::from(File::open(path).unwrap()));
        let ((jail, orders), (broker, asks)) = (Channel::pair().unwrap(), Channel::pair().unwrap());
        let profile = [orders.as_fd(), asks.as_fd(), vault.as_fd(), key.as_fd()]
            .iter()
            .fold(Profile::cell(), |profile, fd| profile.keep(fd.as_raw_fd()));
        let serve = move || {
            let sources = Sources { local: Some((vault, key)), ..Sources::default() };
            cell::serve_one(&orders, &asks, sources, Arc::new(roots))
        };
        Self { jail, broker, confined: spawn(&profile, serve).unwrap() }
    }

    fn outcome(&self) -> CellOutcome {
        decode(&self.jail.receive().unwrap().expect("the cell ended without a word").0).unwrap()
    }
}

/// A certificate for `localhost`, and roots that hold it alone.
fn certificate() -> (Arc<ServerConfig>, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), roots)
}

/// Serves one request, echoes the credential, and returns the request's head.
fn answer(socket: TcpStream, config: Arc<ServerConfig>) -> String {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let body = json!({"name": CREDENTIAL, "id": 1}).to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.flush().unwrap();
    String::from_utf8(head).unwrap()
}

fn task(port: u16, timeout_s: u32) -> CellTask {
    CellTask::Call(Box::new(order(port, timeout_s)))
}

fn order(port: u16, timeout_s: u32) -> CellOrder {
    serde_json::from_value(json!({
        "name": "github.repositories.get",
        "action": {
            "summary": "", "effect": "read", "idempotency": "natural",
            "parameters": {"owner": {"type": "string", "required": true}},
            "request": {"method": "GET", "path": "/repos/{owner}"},
            "response": {"success": [200], "projection": {
                "type": "object", "members": {"name": {"type": "string"}},
            }},
        },
        "parameters": {"owner": "o"},
        "connection": {
            "name": "secops/github", "kind": "bearer",
            "hosts": [{"host": "localhost", "port": port}],
            "allow_cidrs": ["127.0.0.1/32"], "secret": "local:github/token",
        },
        "idempotency_key": "k", "timeout_s": timeout_s,
    }))
    .unwrap()
}
