//! Prism as GitHub: answers from GitHub's own OpenAPI document (cut to what the pack calls), and refuses
//! what that document does not allow. `fixtures/cut-github-openapi.mjs` made the cut, from npm
//! `@octokit/openapi` 23.0.2 (MIT). A call that the document does not allow is answered 4xx, which no
//! action takes for success: a run that completes has made none.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    identity_provider::{free_port, wait_for},
    world::{parts, sources},
};

/// A running Prism.
pub struct Prism {
    /// Its port on loopback.
    pub port: u16,
    /// Its name and version, for output.
    pub version: String,
    process: Child,
}

impl Prism {
    /// Starts it, and makes sure that it refuses what GitHub's document does not allow: a document
    /// that it can't compile it would pass over in silence.
    ///
    /// # Errors
    ///
    /// It is not installed (`cargo xtask test` installs it), does not start, or checks nothing.
    pub async fn start() -> Result<Self> {
        let package = parts()?.join("npm/node_modules/@stoplight/prism-cli");
        let manifest = fs::read_to_string(package.join("package.json"))
            .with_context(|| format!("`{}`: run `cargo xtask test` once", package.display()))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        let port = free_port()?;
        let process = Command::new("node")
            .arg(package.join("dist/index.js"))
            .arg("mock")
            .arg(sources().join("testkit/fixtures/github-openapi.json"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "--multiprocess", "false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("`node` is not installed")?;
        let version = format!("Prism {}", manifest["version"].as_str().unwrap_or_default());
        let prism = Self { port, version, process };
        wait_for(port)?;
        prism.refuses_what_it_should().await?;
        Ok(prism)
    }

    /// One request that is right, and for each operation with a body one that is not.
    async fn refuses_what_it_should(&self) -> Result<()> {
        let issues = "/repos/o/r/issues";
        for (method, path, token, body, expected) in [
            ("POST", issues, true, json!({ "title": "x" }), 201),
            ("POST", issues, true, json!({ "body": "x" }), 422),
            ("POST", issues, true, json!({ "title": "x", "assignees": "x" }), 422),
            ("POST", issues, false, json!({ "title": "x" }), 401),
            ("PATCH", "/repos/o/r/issues/1", true, json!({ "labels": "x" }), 422),
            ("GET", "/repos/o/r", false, Value::Null, 401),
            ("GET", "/repos/o/r/secret-scanning/alerts/abc", true, Value::Null, 422),
        ] {
            let status = self.ask(method, path, token, &body).await?;
            ensure!(status == expected, "{method} {path} {body}: {status}, not {expected}");
        }
        Ok(())
    }

    async fn ask(&self, method: &str, path: &str, token: bool, body: &Value) -> Result<u16> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let http = Client::builder().no_proxy().build()?;
        let mut request = http.request(method.parse()?, url);
        if token {
            request = request.bearer_auth("any");
        }
        if !body.is_null() {
            request = request.json(body);
        }
        Ok(request.send().await?.status().as_u16())
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // Nothing more can be done about what does not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
