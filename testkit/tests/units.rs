//! The systemd units in `packaging/systemd`: systemd's own tools find no fault in them, and every command and file that
//! they and the installation's documentation name is one that the executables take.

#![cfg(test)]

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use writ_testkit::world::{executables, sources};

/// Each service with the exposure that it may have, in tenths of `systemd-analyze security`'s points. The runner's
/// sandboxes need namespaces, mounts and code made at run time.
const SERVICES: [(&str, u32); 4] =
    [("writ-server", 18), ("writ-gateway", 18), ("writ-runner", 44), ("writ-jail", 24)];

#[test]
fn systemd_finds_no_fault_in_the_units_and_exposes_no_more_than_it_has_to() {
    let units = Units::new("verify");
    for file in units.files() {
        let verified = units.analyze(&["verify", "--man=no"], &file);
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
    for (service, exposure) in SERVICES {
        let file = units.folder.join(format!("{service}.service"));
        let limit = format!("--threshold={exposure}");
        let judged = units.analyze(&["security", "--offline=yes", "--no-pager", &limit], &file);
        let said = String::from_utf8_lossy(&judged.stdout);
        let last = said.lines().last().unwrap_or_default();
        assert!(judged.status.success(), "{last} {}", String::from_utf8_lossy(&judged.stderr));
    }
}

#[test]
fn every_command_of_a_unit_is_one_that_the_executables_take() {
    let units = Units::new("commands");
    let mut commands = 0;
    for (service, _) in SERVICES {
        for line in units.values(&format!("{service}.service"), "Exec") {
            let mut words = line.split_whitespace();
            let program = words.next().unwrap();
            // What stands before it is parsed first, the file that `--config` names included.
            let asked = Command::new(program).args(words).arg("--help").output().unwrap();
            let said = String::from_utf8_lossy(&asked.stderr);
            assert!(asked.status.success(), "{service}: {line}: {said}");
            commands += 1;
        }
    }
    assert_eq!(commands, 7);
    let words = ["server", "--unknown", "--help"];
    let unknown = Command::new(program("writ")).args(words).output().unwrap();
    assert!(!unknown.status.success(), "nothing is checked");
}

#[test]
fn the_configuration_in_the_documentation_is_whole_and_fits_the_units() {
    let units = Units::new("configuration");
    for service in ["server", "gateway", "runner"] {
        let file = units.folder.join(format!("{service}.toml"));
        let checked = Command::new(program("writ")).args(["config", "check"]).arg(&file).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let text = fs::read_to_string(&file).unwrap();
        for folder in units.values(&format!("writ-{service}.service"), "StateDirectory=") {
            assert!(text.contains(&format!("data = \"/var/lib/{folder}\"")), "{text}");
        }
    }
    let runner = fs::read_to_string(units.folder.join("runner.toml")).unwrap();
    let socket = units.values("writ-jail.socket", "ListenStream=").remove(0);
    let jail = units.values("writ-jail.service", "User=").remove(0);
    assert!(runner.contains(&format!("jail_socket = \"{socket}\"")), "{runner}");
    assert!(runner.contains(&format!("jail_user = \"{jail}\"")), "{runner}");
    let launcher = units.values("writ-jail.service", "ExecStart=").remove(0);
    let user = units.values("writ-runner.service", "User=").remove(0);
    assert!(launcher.contains(&format!("--runner-user {user} ")), "{launcher}");
    let group = units.values("writ-jail.socket", "SocketGroup=").remove(0);
    assert_eq!(units.values("writ-runner.service", "Group="), [group]);
    assert_ne!(user, jail);
}

#[test]
fn users_and_folders_of_the_units_are_made_by_systemds_own_tools() {
    let units = Units::new("users");
    let root = units.folder.join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    for (tool, file) in
        [("systemd-sysusers", "writ.sysusers.conf"), ("systemd-tmpfiles", "writ.tmpfiles.conf")]
    {
        let mut command = Command::new(tool);
        command.arg(format!("--root={}", root.display()));
        if tool == "systemd-tmpfiles" {
            command.arg("--create");
        }
        let made = command.arg(units.folder.join(file)).output().unwrap();
        assert!(made.status.success(), "{tool}: {}", String::from_utf8_lossy(&made.stderr));
    }
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    for (service, _) in SERVICES {
        for user in units.values(&format!("{service}.service"), "User=") {
            let found = passwd.lines().filter(|line| line.starts_with(&format!("{user}:")));
            assert_eq!(found.count(), 1, "{user} in {passwd}");
        }
    }
    assert!(root.join("run/writ").is_dir() && root.join("etc/writ").is_dir());
}

#[test]
fn the_launcher_takes_its_socket_from_systemds_own_activation() {
    let units = Units::new("activation");
    let at = |name: &str| units.folder.join(name).display().to_string();
    let own = fs::metadata(&units.folder).unwrap().uid().to_string();
    let jail = program("writ-jail");
    let files = ["--state", &at("state"), "--vault", &at("vault"), "--vault-key", &at("key")];
    let launcher = ["launcher-a", "--socket", "--runner-user", &own];
    let activated = Command::new("systemd-socket-activate")
        .args(["--listen", &at("jail.sock"), &jail.display().to_string()])
        .args([&launcher[..], &files[..]].concat())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut activated = Ended(activated);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !units.folder.join("jail.sock").exists() {
        assert!(Instant::now() < deadline, "systemd-socket-activate does not listen");
        thread::sleep(Duration::from_millis(20));
    }

    let enrolled = Command::new(program("writ"))
        .args(["runner", "--enroll", &at("enrollment.json"), "--data", &at("data")])
        .args(["--jail-socket", &at("jail.sock"), "--jail-user", &own])
        .output()
        .unwrap();

    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    assert!(fs::read_to_string(at("enrollment.json")).unwrap().contains("jail_key"));
    // The runner has hung up, and its launcher ends by itself.
    assert!(activated.0.wait().unwrap().success());
}

#[test]
fn a_launcher_that_nobody_passed_a_socket_says_so() {
    let units = Units::new("no-socket");
    let words = ["launcher-a", "--socket", "--runner-user", "root", "--state", "state"];
    let files = ["--vault", "vault", "--vault-key", "key"];
    let ended = Command::new(program("writ-jail"))
        .args(words)
        .args(files)
        .current_dir(&units.folder)
        .env_remove("LISTEN_PID")
        .output()
        .unwrap();

    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("was not started with a socket"), "{said}");
    assert!(!units.folder.join("state").exists());
}

fn program(name: &str) -> PathBuf {
    executables().unwrap().join(name)
}

/// Killed and reaped, whatever a test comes to.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The units in a folder of their own, with the executables that were built and the documentation's configuration.
struct Units {
    folder: PathBuf,
}

impl Units {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("writ-units-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let units = Self { folder };
        for entry in fs::read_dir(sources().join("packaging/systemd")).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .replace("/usr/bin/writ", &program("writ").display().to_string())
                .replace("/etc/writ/", &format!("{}/", units.folder.display()));
            fs::write(units.folder.join(path.file_name().unwrap()), text).unwrap();
        }
        let documented = fs::read_to_string(sources().join("docs/installation.md")).unwrap();
        let tables = documented.split("```toml\n").skip(1);
        for table in tables.map(|rest| rest.split("\n   ```").next().unwrap()) {
            let table: Vec<&str> = table.lines().map(str::trim).collect();
            let service = table[0].trim_matches(['[', ']']);
            fs::write(units.folder.join(format!("{service}.toml")), table.join("\n")).unwrap();
        }
        units
    }

    fn files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let is_unit = |path: &PathBuf| {
            path.extension().is_some_and(|kind| kind == "service" || kind == "socket")
        };
        let units: Vec<PathBuf> = all.filter(is_unit).collect();
        assert_eq!(units.len(), 5);
        units
    }

    fn analyze(&self, words: &[&str], file: &Path) -> Output {
        Command::new("systemd-analyze")
            .args(words)
            .arg(file)
            .env("SYSTEMD_UNIT_PATH", format!("{}:", self.folder.display()))
            .output()
            .expect("apt-get install --no-install-recommends systemd")
    }

    /// What a unit says under keys that begin so, continued lines not among them.
    fn values(&self, file: &str, key: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(key));
        let values = lines.filter_map(|line| line.split_once('=').map(|(_, value)| value));
        values.map(str::to_owned).collect()
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
