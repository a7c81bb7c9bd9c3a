//! GitHub's real `secret_scanning_alert` payloads, from npm `@octokit/webhooks-examples`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::world::parts;

/// Every distinct payload, with the API version that it is from. The package has them for GitHub
/// Enterprise Server only.
///
/// # Errors
///
/// The package is not installed; `cargo xtask test` installs it.
pub fn secret_scanning_alerts() -> Result<Vec<(String, Value)>> {
    events("secret_scanning_alert")
}

/// Every payload of an event, with the API version that it is from.
///
/// # Errors
///
/// The package is not installed, or holds none.
pub fn events(name: &str) -> Result<Vec<(String, Value)>> {
    let package = parts()?.join("npm/node_modules/@octokit/webhooks-examples");
    let mut versions = Vec::new();
    for entry in fs::read_dir(&package)
        .with_context(|| format!("`{}` is missing; run `cargo xtask test`", package.display()))?
    {
        let index = entry?.path().join("index.json");
        if index.exists() {
            versions.push(index);
        }
    }
    versions.sort();
    let mut payloads = Vec::new();
    for index in versions {
        let version = index.parent().and_then(|dir| dir.file_name()).unwrap_or_default();
        let events: Vec<Value> = serde_json::from_slice(&fs::read(&index)?)?;
        for event in events.iter().filter(|event| event["name"] == name) {
            for example in event["examples"].as_array().into_iter().flatten() {
                payloads.push((version.to_string_lossy().into_owned(), example.clone()));
            }
        }
    }
    let distinct: BTreeSet<String> = payloads.iter().map(|(_, value)| value.to_string()).collect();
    ensure!(!distinct.is_empty(), "the package holds no `{name}`");
    Ok(payloads)
}
