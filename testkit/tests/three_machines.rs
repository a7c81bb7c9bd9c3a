//! A real installation: control plane, gateway and runner on machines of their own, as users of their
//! own, the runner's jail as another yet; founded by `writ init`; and what an attacker finds on the control
//! plane's disk, on the wire, and as the runner's user.

#![cfg(test)]

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use writ_testkit::{
    github_stand_in::{GithubStandIn, SLACK_TOKEN},
    identity_provider::{IdentityProvider, log_in_by},
    installation::{Addresses, Certified, certify, private_ca},
    machines::{Machine, Machines},
    socket_activation::SocketActivation,
    world::{executables, sources},
};

const TOKEN: &str = "github_pat_canary_three_machines_0123456";
const IN_INPUT: &str = "canary-in-the-input-of-three-machines";
const IN_OUTPUT: &str = "canary-in-an-output-of-three-machines";

/// The users of the jail, and of somebody with no business on the runner's machine.
const JAIL_USER: u32 = 7110;
const STRANGER: u32 = 7111;

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_runs_with_the_three_apart_and_the_control_planes_disk_holds_metadata_only() {
    let Some(machines) = Machines::inside() else {
        let machines = Machines::make().unwrap();
        let name = "the_main_job_runs_with_the_three_apart_and_the_control_planes_disk_holds_metadata_only";
        return machines.run_inside(name).unwrap();
    };
    let mut layout = Layout::new(machines);
    let github = GithubStandIn::start_at(layout.person.ip.into(), TOKEN).await.unwrap();
    layout.machines.capture(&layout.folder.join("wire.pcap"), github.address().port()).unwrap();
    let provider = IdentityProvider::oidc_provider("RS256", 3600).unwrap();

    layout.start_jail();
    layout.a_stranger_at_the_jails_socket_gets_nothing();
    layout.a_runner_takes_the_jail_of_no_other_user();
    layout.init(&provider);
    layout.start_services();
    layout.log_in(&provider).await;
    layout.prepare_main_job(&github.address().to_string());
    let output = layout.run_main_job();

    assert_eq!(output["severity"], "high", "{output}");
    assert!(output["issue_url"].as_str().unwrap().contains(IN_OUTPUT));
    layout.each_machine_holds_its_own_files_alone();
    layout.the_runners_user_reads_nothing_of_the_jails();
    layout.machines.end();
    layout.nothing_but_metadata_is_on_the_control_planes_disk();
    layout.nothing_readable_crossed_the_wire();
}

/// Who runs where, and what belongs to whom.
struct Layout {
    machines: Machines,
    person: Machine,
    server: Machine,
    gateway: Machine,
    runner: Machine,
    /// The runner's machine, as the jail's user.
    jail: Machine,
    jail_service: Option<SocketActivation>,
    folder: PathBuf,
    writ: String,
}

impl Layout {
    fn new(machines: Machines) -> Self {
        let folder = std::env::temp_dir().join(format!("writ-machines-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["writ", "writ-jail"] {
            fs::copy(executables().unwrap().join(name), folder.join("bin").join(name)).unwrap();
        }
        let machine = |name: &str| machines.machine(name).unwrap();
        let (person, server) = (machine("person"), machine("server"));
        let (gateway, runner) = (machine("gateway"), machine("runner"));
        let jail = runner.as_user(JAIL_USER);
        for (name, machine) in [
            ("person", &person),
            ("server", &server),
            ("gateway", &gateway),
            ("runner", &runner),
            ("jail", &jail),
        ] {
            machine.folder(&folder.join(name)).unwrap();
        }
        let writ = folder.join("bin/writ").display().to_string();
        let jail_service = None;
        Self { machines, person, server, gateway, runner, jail, jail_service, folder, writ }
    }

    fn path(&self, rest: &str) -> String {
        self.folder.join(rest).display().to_string()
    }

    /// Runs `writ` on a machine, in the folder of its user.
    fn writ(&self, (name, machine): (&str, &Machine), words: &[&str], stdin: &[u8]) -> Output {
        let mut child = machine
            .command(&[&[self.writ.as_str()], words].concat())
            .current_dir(self.folder.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    fn done(&self, at: (&str, &Machine), words: &[&str], stdin: &[u8]) -> String {
        let output = self.writ(at, words, stdin);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "writ {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    fn as_person(&self, words: &[&str]) -> String {
        self.done(("person", &self.person), words, b"")
    }

    /// Hands a file from one machine's user to another's, as a person would carry it.
    fn carry(&self, from: &str, to: &str, receiver: &Machine) {
        fs::copy(self.folder.join(from), self.folder.join(to)).unwrap();
        chown(self.folder.join(to), Some(receiver.uid), Some(receiver.uid)).unwrap();
        fs::set_permissions(self.folder.join(to), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Certificates of a private CA, the runner's enrollment, `writ init`, and what it hands out.
    fn init(&self, provider: &IdentityProvider) {
        private_ca(&self.folder).unwrap();
        let (socket, user) = (self.path("jail.sock"), JAIL_USER.to_string());
        let enroll = ["runner", "--enroll", "enrollment.json", "--data", "data"];
        let jail = ["--jail-socket", &socket, "--jail-user", &user];
        self.done(("runner", &self.runner), &[&enroll[..], &jail[..]].concat(), b"");
        self.carry("runner/enrollment.json", "person/enrollment.json", &self.person);
        self.carry("ca.pem", "person/ca.pem", &self.person);
        let init = self.addresses().init(provider, "ann");
        self.as_person(&words(&init));
        for root in 1..=3 {
            let key = self.folder.join(format!("person/writ-init/root-{root}.key"));
            assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        self.carry("person/writ-init/entry-0.json", "server/entry-0.json", &self.server);
        self.carry("person/writ-init/join.json", "gateway/join.json", &self.gateway);
        self.carry("person/writ-init/join.json", "runner/join.json", &self.runner);
    }

    fn addresses(&self) -> Addresses {
        let at = |machine: &Machine, port| SocketAddr::from((machine.ip, port));
        Addresses {
            server: at(&self.server, 7410),
            gateway: at(&self.gateway, 7420),
            link: at(&self.gateway, 7430),
        }
    }

    /// A service's certificate, which belongs to its machine's user.
    fn certify(&self, name: &str, machine: &Machine) -> Certified {
        let tls = certify(&self.folder, name, machine.ip.into()).unwrap();
        for file in [&tls.key, &tls.certificate] {
            chown(file, Some(machine.uid), Some(machine.uid)).unwrap();
        }
        tls
    }

    fn start_services(&mut self) {
        let found = ["tenant", "found", "--data", "data", "entry-0.json"];
        self.done(("server", &self.server), &found, b"");
        let (server, gateway) = (self.server.clone(), self.gateway.clone());
        let tls = self.certify("server", &server);
        let config = self.path("server.toml");
        let table = self.addresses().server_config(&self.folder.join("server/data"), &tls);
        fs::write(&config, table).unwrap();
        self.as_person(&["config", "check", &config]);
        let service = [&self.writ, "server", "--config", &config];
        self.machines.start(&server, &service, &self.folder.join("server.log")).unwrap();
        let tls = self.certify("gateway", &gateway);
        let options = self.addresses().gateway(&self.folder.join("gateway/join.json"), &tls);
        let service = [&[self.writ.as_str()], &words(&options)[..]].concat();
        self.machines.start(&gateway, &service, &self.folder.join("gateway.log")).unwrap();
        self.start_runner();
    }

    /// Launcher A behind a socket, as a user of its own.
    fn start_jail(&mut self) {
        let (writ_jail, runner) = (self.path("bin/writ-jail"), self.runner.uid.to_string());
        let (state, vault) = (self.path("jail/state"), self.path("jail/vault"));
        let key = self.path("jail/vault.key");
        let socket = ["launcher-a", "--socket", "--runner-user", &runner];
        let files = ["--state", &state, "--vault", &vault, "--vault-key", &key];
        let words = [&[writ_jail.as_str()], &socket[..], &files[..]].concat();
        let (at, log) = (self.folder.join("jail.sock"), self.folder.join("jail.log"));
        let machine = self.jail.clone();
        let activation =
            SocketActivation::start(&at, &words, &log, move |words| machine.command(words));
        self.jail_service = Some(activation.unwrap());
    }

    fn start_runner(&mut self) {
        let path = |rest: &str| self.folder.join(rest).display().to_string();
        let (join, data) = (path("runner/join.json"), path("runner/data"));
        let (socket, user) = (path("jail.sock"), JAIL_USER.to_string());
        let words = [
            &self.writ,
            "runner",
            "--join",
            &join,
            "--data",
            &data,
            "--jail-socket",
            &socket,
            "--jail-user",
            &user,
        ];
        let log = self.folder.join("runner.log");
        self.machines.start(&self.runner.clone(), &words, &log).unwrap();
    }

    async fn log_in(&self, provider: &IdentityProvider) {
        self.as_person(&["join", "writ-init/invitation.json"]);
        let mut login = self.person.command(&[&self.writ, "login", "--no-browser"]);
        login.current_dir(self.folder.join("person"));
        let said = log_in_by(login, false, "ann").await.unwrap();
        assert!(said.contains(&format!("logged in as {}#ann", provider.iss)), "{said}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.writ(("person", &self.person), &["whoami"], b"").status.success() {
            assert!(Instant::now() < deadline, "{}", self.logs());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn prepare_main_job(&self, github: &str) {
        for (reference, token) in
            [("local:github/token", TOKEN), ("local:slack/token", SLACK_TOKEN)]
        {
            let put = ["secret", "--vault", "vault", "--vault-key", "vault.key", "put", reference];
            self.done(("jail", &self.jail), &put, token.as_bytes());
        }
        let pack = self.shared("packs/github.json");
        let document = self.shared("examples/leaked-secret/automation.yaml");
        self.as_person(&["pack", "acknowledge", &pack]);
        self.as_person(&["pack", "acknowledge", &self.shared("packs/slack.json")]);
        let paths = ["--secret-path", "local:github/*", "--secret-path", "local:slack/*"];
        self.as_person(&[&["workspace", "set", "secops"], &paths[..]].concat());
        let range = format!("{}/32", self.person.ip);
        self.as_person(&[
            "connection",
            "set",
            "secops/github",
            "--host",
            github,
            "--plaintext",
            "--allow-cidr",
            &range,
            "--secret",
            "local:github/token",
        ]);
        self.as_person(&[
            "connection",
            "set",
            "secops/slack",
            "--host",
            github,
            "--plaintext",
            "--allow-cidr",
            &range,
            "--secret",
            "local:slack/token",
        ]);
        self.as_person(&["automation", "publish", &document]);
    }

    /// A file of the sources, where every machine's user can read it.
    fn shared(&self, file: &str) -> String {
        let to = self.folder.join(Path::new(file).file_name().unwrap());
        fs::copy(sources().join(file), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).unwrap();
        to.display().to_string()
    }

    fn run_main_job(&self) -> Value {
        let path = sources().join("examples/leaked-secret/input.json");
        let mut input: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        input["alert"]["html_url"] = json!(format!("https://github.com/{IN_INPUT}"));
        input["repository"]["name"] = json!(IN_OUTPUT);
        let words = ["run", "start", "secops/leaked-secret", "--input", "-", "--wait"];
        let at = ("person", &self.person);
        let ran = self.writ(at, &words, input.to_string().as_bytes());
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}\n{}", self.logs());
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    fn logs(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        ["server.log", "gateway.log", "runner.log", "jail.log"].map(log).join("\n")
    }

    fn each_machine_holds_its_own_files_alone(&self) {
        let stolen = self.path("runner/data/runner-keys.json");
        let read = self.server.command(&["cat", &stolen]).output().unwrap();
        assert!(!read.status.success(), "the control plane's user reads the runner's files");
    }

    /// What a stolen runner is after: the jail's key and what it has seen, and the credentials.
    fn the_runners_user_reads_nothing_of_the_jails(&self) {
        for file in ["jail/state", "jail/vault", "jail/vault.key"] {
            let file = self.path(file);
            assert!(fs::metadata(&file).unwrap().len() > 0, "{file}");
            let read = self.runner.command(&["cat", &file]).output().unwrap();
            assert!(!read.status.success(), "the runner's user reads {file}");
        }
        assert!(self.logs().contains("uid_shared=false"), "{}", self.logs());
    }

    /// The path is open to everybody here, so that it is the launcher that refuses.
    fn a_stranger_at_the_jails_socket_gets_nothing(&self) {
        const ASK: &str = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                           s.settimeout(20); print(s.recv(4096))";
        let ask = ["/usr/bin/python3", "-c", ASK, &self.path("jail.sock")];
        let asked = self.runner.as_user(STRANGER).command(&ask).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "b''", "{said}{}", self.logs());
        let refusal = format!("user {STRANGER} is not the runner's user {}", self.runner.uid);
        assert!(self.logs().contains(&refusal), "{}", self.logs());
    }

    fn a_runner_takes_the_jail_of_no_other_user(&self) {
        let (socket, user) = (self.path("jail.sock"), STRANGER.to_string());
        let words = ["runner", "--enroll", "never.json", "--data", "other-data"];
        let jail = ["--jail-socket", &socket, "--jail-user", &user];
        let refused = self.writ(("runner", &self.runner), &[&words[..], &jail[..]].concat(), b"");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{said}");
        assert!(said.contains(&format!("user {JAIL_USER} answers at")), "{said}");
        assert!(!self.folder.join("runner/never.json").exists());
    }

    fn nothing_but_metadata_is_on_the_control_planes_disk(&self) {
        assert!(found("secops/leaked-secret", &self.folder.join("server")), "metadata is there");
        for canary in [TOKEN, SLACK_TOKEN, IN_INPUT, IN_OUTPUT] {
            for place in
                ["server", "server.log", "gateway", "gateway.log", "runner.log", "jail", "jail.log"]
            {
                assert!(!found(canary, &self.folder.join(place)), "`{canary}` stands in {place}");
            }
            assert!(!found(canary, &self.folder.join("runner")), "`{canary}` on the runner's disk");
        }
    }

    fn nothing_readable_crossed_the_wire(&self) {
        let capture = self.folder.join("wire.pcap");
        assert!(fs::metadata(&capture).unwrap().len() > 10_000, "the capture is empty");
        for canary in [TOKEN, IN_INPUT, IN_OUTPUT, "secops/leaked-secret"] {
            assert!(!found(canary, &capture), "`{canary}` crossed the wire readably");
        }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        self.machines.end();
        self.jail_service = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

/// Whether a file, or any file of a folder, holds these bytes.
fn found(canary: &str, place: &Path) -> bool {
    let searched = Command::new("grep").args(["-rqaF", "--", canary]).arg(place).status().unwrap();
    searched.success()
}
