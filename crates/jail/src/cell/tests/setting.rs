//! What surrounds a cell: the order, the vault, and a broker that is honest or not.

use std::{
    fs::File,
    net::{TcpStream, UdpSocket},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rustls::RootCertStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use writ_confine::Channel;
use writ_jail_link::{
    BrokerRefusal, BrokerReply, BrokerRequest, CellOutcome, ConnectionTried, FailedStep, decode,
    encode,
};

use super::{
    super::{serve, serve_one},
    service::Service,
};
use crate::vault::{self, Sources};

/// The credential of every test that does not bring its own.
pub(in crate::cell) const CREDENTIAL: &str = "ghp_Canary/Credential+0123456789";

/// What the broker does when asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::cell) enum Broker {
    /// Connects to the port asked for, on loopback.
    Honest,
    /// Connects to another port.
    ConnectsTo(u16),
    Refuses(BrokerRefusal),
    HandsNothing,
    HandsUnixSocket,
    HandsDatagramSocket,
    HangsUp,
    IsSilent,
}

/// One call to be made.
pub(in crate::cell) struct Setting {
    pub(in crate::cell) order: Value,
    pub(in crate::cell) broker: Broker,
    pub(in crate::cell) roots: Arc<RootCertStore>,
    /// The folder with vault and key; without it the cell has no vault.
    pub(in crate::cell) files: Option<TempDir>,
    asked: (Sender<BrokerRequest>, Receiver<BrokerRequest>),
}

impl Setting {
    pub(in crate::cell) fn new(service: &Service) -> Self {
        Self::with_credential(service, CREDENTIAL.as_bytes())
    }

    pub(in crate::cell) fn with_credential(service: &Service, credential: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (vault, key) = (folder.path().join("vault"), folder.path().join("key"));
        vault::local::put(&vault, &key, "github/token", credential).unwrap();
        Self {
            order: order(service.port),
            broker: Broker::Honest,
            roots: service.roots(),
            files: Some(folder),
            asked: channel(),
        }
    }

    /// Makes the call, which must succeed.
    pub(in crate::cell) fn output(&self) -> Value {
        match self.outcome() {
            CellOutcome::Output(output) => output,
            CellOutcome::Failed(failed) => panic!("the call failed: {failed:?}"),
        }
    }

    /// Makes the call, which must fail.
    pub(in crate::cell) fn failed(&self) -> FailedStep {
        match self.outcome() {
            CellOutcome::Output(output) => panic!("the call succeeded: {output}"),
            CellOutcome::Failed(failed) => failed,
        }
    }

    /// Makes the call, which must fail; why it did.
    pub(in crate::cell) fn code(&self) -> String {
        self.failed().code
    }

    fn outcome(&self) -> CellOutcome {
        let order = serde_json::from_value(self.order.clone()).unwrap();
        let broker = self.start_broker();
        serve(&order, &broker, self.open_files(), Arc::clone(&self.roots))
    }

    /// Makes the call as the confined process does, with an order that need not be one.
    pub(in crate::cell) fn outcome_by_channel(&self) -> CellOutcome {
        self.outcome_of(&json!({ "call": self.order }))
    }

    /// Makes a `call: http` of this method and target as the confined process does.
    pub(in crate::cell) fn http(&self, call: &Value, parameters: &Value) -> CellOutcome {
        let connection = &self.order["connection"];
        let mut call = call.clone();
        if call.get("host").is_none() {
            call["host"] = connection["hosts"][0].clone();
        }
        self.outcome_of(&json!({ "http": {
            "call": call, "parameters": parameters, "connection": connection, "timeout_s": 20,
        }}))
    }

    /// Tests the connection as the confined process does.
    pub(in crate::cell) fn tried(&self) -> ConnectionTried {
        let Value::Object(order) = &self.order else { panic!("an order is an object") };
        let (connection, timeout_s) = (&order["connection"], &order["timeout_s"]);
        let task = json!({ "test": { "connection": connection, "timeout_s": timeout_s } });
        match self.outcome_of(&task) {
            CellOutcome::Output(tried) => serde_json::from_value(tried).unwrap(),
            CellOutcome::Failed(failed) => panic!("no test: {failed:?}"),
        }
    }

    fn outcome_of(&self, task: &Value) -> CellOutcome {
        let (jail, orders) = Channel::pair().unwrap();
        jail.send(&serde_json::to_vec(task).unwrap(), None).unwrap();
        let broker = self.start_broker();
        let status = serve_one(&orders, &broker, self.open_files(), Arc::clone(&self.roots));
        assert_eq!(status, 0);
        decode(&jail.receive().unwrap().unwrap().0).unwrap()
    }

    /// What the broker was asked for, next.
    pub(in crate::cell) fn asked(&self) -> BrokerRequest {
        self.asked.1.try_recv().unwrap()
    }

    pub(in crate::cell) fn was_asked_nothing_more(&self) -> bool {
        self.asked.1.try_recv().is_err()
    }

    fn open_files(&self) -> Sources {
        let open = |folder: &Path, name| OwnedFd::from(File::open(folder.join(name)).unwrap());
        let local = self
            .files
            .as_ref()
            .map(TempDir::path)
            .map(|folder| (open(folder, "vault"), open(folder, "key")));
        Sources { local, ..Sources::default() }
    }

    fn start_broker(&self) -> Channel {
        let (cell, broker) = Channel::pair().unwrap();
        let (behavior, asked) = (self.broker, self.asked.0.clone());
        thread::spawn(move || {
            while let Ok(Some((frame, _))) = broker.receive() {
                let request: BrokerRequest = decode(&frame).unwrap();
                let port = request.port;
                let _ = asked.send(request);
                let Some((reply, descriptor)) = reply(behavior, port) else { return };
                let frame = encode(&reply).unwrap();
                broker.send(&frame, descriptor.as_ref().map(|fd| fd.as_fd())).unwrap();
            }
        });
        cell
    }
}

/// The code of an outcome that is a failure.
pub(in crate::cell) fn code(outcome: &CellOutcome) -> &str {
    match outcome {
        CellOutcome::Output(_) => "",
        CellOutcome::Failed(failed) => &failed.code,
    }
}

/// What a broker that behaves so answers; nothing if it hangs up.
fn reply(behavior: Broker, port: u16) -> Option<(BrokerReply, Option<OwnedFd>)> {
    let connect = |port| OwnedFd::from(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let descriptor = match behavior {
        Broker::Honest => Some(connect(port)),
        Broker::ConnectsTo(other) => Some(connect(other)),
        Broker::Refuses(refusal) => return Some((BrokerReply::Refused(refusal), None)),
        Broker::HandsNothing => None,
        Broker::HandsUnixSocket => Some(UnixStream::pair().unwrap().0.into()),
        Broker::HandsDatagramSocket => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(("127.0.0.1", port)).unwrap();
            Some(socket.into())
        }
        Broker::HangsUp => return None,
        Broker::IsSilent => loop {
            thread::park();
        },
    };
    // Whatever it did, it says that it did what it was asked.
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Some((BrokerReply::Connected { peer }, descriptor))
}

fn order(port: u16) -> Value {
    json!({
        "name": "github.issues.create",
        "action": {
            "summary": "", "effect": "write", "idempotency": {"key": "Idempotency-Key"},
            "parameters": {
                "owner": {"type": "string", "required": true},
                "state": {"type": "string"},
                "title": {"type": "string"},
            },
            "request": {
                "method": "POST", "path": "/repos/{owner}/issues",
                "query": ["state"], "body": ["title"], "headers": {"X-Api-Version": "1"},
            },
            "response": {"success": [201], "projection": {"type": "object", "members": {
                "number": {"type": "integer", "required": true},
                "title": {"type": "string"},
                "note": {"type": "string"},
                "labels": {"type": "array", "items": {
                    "type": "object", "members": {"name": {"type": "string"}},
                }},
            }}},
        },
        "parameters": {"owner": "o/../p", "state": "open", "title": "t"},
        "connection": {
            "name": "secops/github", "kind": "bearer",
            "hosts": [{"host": "localhost", "port": port}],
            "allow_cidrs": ["127.0.0.1/32"], "secret": "local:github/token",
        },
        "idempotency_key": "step-key", "timeout_s": 20,
    })
}
