//! What services log, and how they end.

#![cfg(test)]

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;
use writ_testkit::{
    identity_provider::{free_port, wait_for},
    world::executables,
};

#[test]
fn a_service_logs_one_json_object_a_line_and_ends_well_when_asked_to() {
    let folder = std::env::temp_dir().join(format!("writ-logs-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let port = free_port().unwrap();
    let address = format!("127.0.0.1:{port}");
    let origin = format!("http://{address}");
    let service = Command::new(executables().unwrap().join("writ"))
        .args(["--log-format", "json", "server", "--listen", &address, "--public-url", &origin])
        .arg("--data")
        .arg(&folder)
        .env("WRIT_LOG", "trace")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(port).unwrap();

    Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
    let ended = service.wait_with_output().unwrap();
    fs::remove_dir_all(&folder).unwrap();

    assert_eq!(ended.status.code(), Some(0));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!said.is_empty());
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        let library = line["target"].as_str().unwrap().starts_with("hyper");
        let deep = ["DEBUG", "TRACE"].contains(&line["level"].as_str().unwrap());
        assert!(!(library && deep), "a library logs what passes through it: {line}");
    }
}
