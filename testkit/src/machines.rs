//! Several machines on one: network namespaces on a switch of their own, with no route out.
//!
//! A test that needs them runs itself again inside one of them ([`Machines::inside`]), so that nothing it
//! sends can leave. Namespaces and what runs in them are gone when the value is dropped.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// Set in the environment of a test that runs inside.
const INSIDE: &str = "WRIT_TEST_MACHINES";

/// One machine: a namespace, an address, a user of its own.
#[derive(Debug, Clone)]
pub struct Machine {
    namespace: String,
    /// Its address on the switch.
    pub ip: Ipv4Addr,
    /// The user and group that its services run as.
    pub uid: u32,
}

/// Machines on a switch.
pub struct Machines {
    prefix: String,
    started: Vec<Child>,
    owner: bool,
}

/// Names of the machines, in the order of their addresses.
const NAMES: [&str; 4] = ["person", "server", "gateway", "runner"];

impl Machines {
    /// Inside the person's machine already, or none.
    #[must_use]
    pub fn inside() -> Option<Self> {
        let prefix = std::env::var(INSIDE).ok()?;
        Some(Self { prefix, started: Vec::new(), owner: false })
    }

    /// Makes the namespaces. Takes root.
    ///
    /// # Errors
    ///
    /// `ip` is missing (`apt-get install iproute2`), or this is not root.
    pub fn make() -> Result<Self> {
        let prefix = format!("writ{}", std::process::id());
        let machines = Self { prefix, started: Vec::new(), owner: true };
        let switch = machines.switch();
        ip(&["netns", "add", &switch]).context("network namespaces take root and iproute2")?;
        ip(&["-n", &switch, "link", "add", "sw", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "sw", "up"])?;
        for (number, name) in NAMES.iter().enumerate() {
            let machine = machines.machine(name)?;
            let port = format!("p{number}");
            ip(&["netns", "add", &machine.namespace])?;
            ip(&[
                "-n",
                &switch,
                "link",
                "add",
                &port,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                &machine.namespace,
            ])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "sw", "up"])?;
            let address = format!("{}/24", machine.ip);
            ip(&["-n", &machine.namespace, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &machine.namespace, "link", "set", "eth0", "up"])?;
            ip(&["-n", &machine.namespace, "link", "set", "lo", "up"])?;
        }
        Ok(machines)
    }

    /// Runs one test of this executable again, on the person's machine.
    ///
    /// # Errors
    ///
    /// It failed; its output went to this one's.
    pub fn run_inside(&self, test: &str) -> Result<()> {
        let person = self.machine("person")?;
        let status = Command::new("ip")
            .args(["netns", "exec", &person.namespace])
            .arg(std::env::current_exe()?)
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, &self.prefix)
            .status()?;
        ensure!(status.success(), "inside the namespaces: {status}");
        Ok(())
    }

    /// A machine by name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn machine(&self, name: &str) -> Result<Machine> {
        let number = NAMES.iter().position(|known| *known == name).context("no such machine")?;
        let number = u8::try_from(number)?;
        Ok(Machine {
            namespace: format!("{}{name}", self.prefix),
            ip: Ipv4Addr::new(10, 77, 0, number + 2),
            uid: 7100 + u32::from(number),
        })
    }

    fn switch(&self) -> String {
        format!("{}switch", self.prefix)
    }

    /// Starts a service on a machine, as the machine's user; it ends when this is dropped.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(&mut self, machine: &Machine, command: &[&str], log: &Path) -> Result<()> {
        let log = fs::File::create(log)?;
        let child = machine
            .command(&[&["env", "WRIT_LOG=trace"], command].concat())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.started.push(child);
        Ok(())
    }

    /// Captures everything that crosses the switch into a file, but for one port.
    ///
    /// # Errors
    ///
    /// `tcpdump` is missing: `apt-get install --no-install-recommends tcpdump`.
    pub fn capture(&mut self, file: &Path, but_port: u16) -> Result<()> {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.switch(), "tcpdump", "-i", "sw", "-U", "-s", "0", "-w"])
            .arg(file)
            .args(["-Z", "root", "not", "port", &but_port.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .context("`tcpdump`: apt-get install --no-install-recommends tcpdump")?;
        self.started.push(child);
        Ok(())
    }

    /// Ends everything that was started, and waits for it.
    pub fn end(&mut self) {
        for child in &mut self.started {
            // TERM first, so that a service can flush; `kill` of what has ended is no harm.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
        }
        for child in &mut self.started {
            let _ = child.wait();
        }
        self.started.clear();
    }
}

impl Machine {
    /// A command on this machine, as its user.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let id = self.uid.to_string();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "setpriv", "--reuid", &id, "--regid", &id]);
        command.arg("--clear-groups").args(words);
        command
    }

    /// This machine, as another user of it.
    #[must_use]
    pub fn as_user(&self, uid: u32) -> Self {
        Self { uid, ..self.clone() }
    }

    /// A folder of the machine's user alone.
    ///
    /// # Errors
    ///
    /// It can't be made.
    pub fn folder(&self, path: &Path) -> Result<PathBuf> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        chown(path, Some(self.uid), Some(self.uid))?;
        Ok(path.to_owned())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.end();
        if self.owner {
            for name in NAMES.iter().copied().chain(["switch"]) {
                let _ = ip(&["netns", "del", &format!("{}{name}", self.prefix)]);
            }
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("`ip` is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {said}", words.join(" "));
    Ok(())
}
