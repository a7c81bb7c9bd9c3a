//! moto's AWS on loopback: Secrets Manager as the real one answers, ended by its pid. It does not check
//! signatures; those are compared with botocore's.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    identity_provider::{free_port, wait_for},
    world::parts,
};

/// A running moto.
pub struct Moto {
    /// Its port on loopback.
    pub port: u16,
    /// Its name and version, for output.
    pub version: String,
    process: Child,
}

impl Moto {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// It is not installed (`cargo xtask test` installs it) or does not start.
    pub fn start() -> Result<Self> {
        let bin = parts()?.join("venv/bin");
        let port = free_port()?;
        let asked = Command::new(bin.join("python3"))
            .args(["-c", "import moto; print('moto', moto.__version__)"])
            .output()
            .with_context(|| format!("`{}`: run `cargo xtask test` once", bin.display()))?;
        let process = Command::new(bin.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("moto is not among the parts; `cargo xtask test` installs it")?;
        let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        let moto = Self { port, version, process };
        wait_for(port)?;
        Ok(moto)
    }

    /// Calls Secrets Manager, such as `CreateSecret`.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn secrets_manager(&self, operation: &str, body: &Value) -> Result<Value> {
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .post(format!("http://127.0.0.1:{}/", self.port))
            .header("x-amz-target", format!("secretsmanager.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/secretsmanager/aws4_request",
            )
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{operation}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Keeps a secret's text.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn put(&self, name: &str, text: &str) -> Result<()> {
        let body = json!({ "Name": name, "SecretString": text });
        self.secrets_manager("CreateSecret", &body).await.map(drop)
    }

    /// A shared credentials file with keys that are only good here.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn credentials(path: &std::path::Path, secret_key: &str) -> Result<()> {
        let text = format!(
            "[default]\naws_access_key_id = AKIDEXAMPLEEXAMPLE01\naws_secret_access_key = {secret_key}\n"
        );
        fs::write(path, text)?;
        Ok(())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Nothing more can be done about what does not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
