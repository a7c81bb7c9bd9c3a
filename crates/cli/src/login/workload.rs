//! A login of a workload: its platform signs a token whose audience commits to the key (DESIGN §3.1).
//!
//! In: where this runs. Out: the token. GitHub Actions hands it out over HTTPS to a job that has the
//! permission `id-token: write`; elsewhere a command prints it, such as `kubectl create token`.
//!
//! Not here: whether the charter lists the workload, which whoever verifies the login says.

use std::{env, process::Stdio};

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::process::Command;
use url::Url;
use zeroize::Zeroizing;

use super::provider::{body, check_secure, http_client, unreachable};
use crate::failure::Failure;

/// Asks GitHub for the token of the job that this runs in.
pub(super) async fn github_actions(audience: &str, ca: Option<&[u8]>) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let variable = |name: &str| {
        env::var(name).map(Zeroizing::new).map_err(|_| {
            Failure::new("login", format!("`{name}` is not set: this is no GitHub Actions job"))
                .with_remedy("give the job the permission `id-token: write`")
        })
    };
    let bearer = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
    let mut url: Url = variable("ACTIONS_ID_TOKEN_REQUEST_URL")?
        .parse()
        .map_err(|_| Failure::new("login", "`ACTIONS_ID_TOKEN_REQUEST_URL` is no URL"))?;
    check_secure(&url)?;
    url.query_pairs_mut().append_pair("audience", audience);
    let asked = http_client(ca)?.get(url).bearer_auth(&*bearer).send().await;
    let answer = asked.map_err(|error| unreachable(&error))?;
    let status = answer.status();
    let body = body(answer).await?;
    if status != StatusCode::OK {
        return Err(Failure::new("login", format!("GitHub answered {status}")));
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| Failure::new("login", "GitHub's answer holds no token"))?;
    Ok(answer.value)
}

/// Runs a command in a shell, with the audience in `WRIT_AUDIENCE`; it prints a token.
pub(super) async fn command(audience: &str, command: &str) -> Result<String, Failure> {
    let ran = Command::new("/bin/sh")
        .args(["-c", command])
        .env("WRIT_AUDIENCE", audience)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await;
    let output = ran.map_err(|error| {
        Failure::because("login", "cannot start the command that prints a token", &error)
    })?;
    if !output.status.success() {
        let cause = format!("the command that prints a token ended with {}", output.status);
        return Err(Failure::new("login", cause));
    }
    let token = String::from_utf8(output.stdout)
        .map_err(|_| Failure::new("login", "the command printed something else than a token"))?;
    Ok(token.trim().to_owned())
}
