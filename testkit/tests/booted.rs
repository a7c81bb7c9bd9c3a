//! The units under systemd itself: booted as process 1 of namespaces of its own, an installation by the documentation's
//! steps, with every restriction of the units in force around jail, cells and sandboxes.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use writ_testkit::world::{executables, sources};

#[test]
fn an_installation_of_the_units_runs_code_with_its_jail_as_a_user_of_its_own() {
    let machine = Booted::start();
    let deadline = Instant::now() + Duration::from_secs(100);
    while !machine.shared.join("done").exists() {
        assert!(Instant::now() < deadline, "{}", machine.said());
        thread::sleep(Duration::from_millis(100));
    }

    let said = machine.said();
    for line in ["\"from python\"", "\"from javascript\"", "all of it works"] {
        assert!(said.lines().any(|said| said == line), "`{line}` is missing:\n{said}");
    }
    let runner = machine.log("writ-runner.log");
    assert!(runner.contains(r#""isolation":"full","uid_shared":false"#), "{runner}");
}

/// The machine; ended, and its control groups removed, whatever a test comes to.
struct Booted {
    shared: PathBuf,
    child: Child,
}

impl Booted {
    fn start() -> Self {
        let shared = std::env::temp_dir().join(format!("writ-booted-{}", std::process::id()));
        let fixtures = sources().join("testkit/fixtures/booted");
        fs::create_dir_all(shared.join("idp")).unwrap();
        for file in ["signing-key", "login-secret"] {
            fs::copy(fixtures.join("idp").join(file), shared.join("idp").join(file)).unwrap();
        }
        let child = Command::new("bash")
            .arg(fixtures.join("boot.sh"))
            .env("BIN", executables().unwrap())
            .env("SOURCES", sources())
            .env("SHARED", &shared)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(shared.join("boot.log")).unwrap())
            .spawn()
            .unwrap();
        Self { shared, child }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.shared.join(name)).unwrap_or_default()
    }

    fn said(&self) -> String {
        let logs = ["boot.log", "writ-jail.log", "writ-runner.log", "writ-server.log", "out"];
        logs.map(|name| format!("== {name}\n{}", self.log(name))).join("\n")
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Its process 1 dies with it, and with that everything in its namespaces.
        let _ = self.child.kill();
        let _ = self.child.wait();
        thread::sleep(Duration::from_millis(500));
        let group = self.log("group");
        let own = group.trim().starts_with("writ-booted-");
        for hierarchy in ["", "cpu", "memory", "pids", "systemd", "unified"].iter().filter(|_| own)
        {
            remove_groups(&Path::new("/sys/fs/cgroup").join(hierarchy).join(group.trim()));
        }
        let _ = fs::remove_dir_all(&self.shared);
    }
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
