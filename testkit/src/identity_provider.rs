//! Real OpenID providers on loopback, and a person with a browser who logs in at them.
//!
//! `oidc-provider` (npm, certified) signs with RSA and puts groups into ID tokens; glewlwyd (Debian, C) is a
//! second, independent one that knows one exact redirect. Each is ended by its pid when dropped.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, Response, header};
use url::Url;

use crate::world::{parts, sources};

/// A running provider.
pub struct IdentityProvider {
    /// Its issuer identifier.
    pub iss: String,
    /// Its name and version, for output.
    pub version: String,
    /// The loopback port that its client's redirect names; 0 if any.
    pub callback_port: u16,
    /// A scope that brings groups into the ID token, if there is one.
    pub groups_scope: Option<&'static str>,
    process: Child,
    folder: Option<PathBuf>,
}

/// A free port on loopback; taken by nobody else for as long as nobody is unlucky.
///
/// # Errors
///
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl IdentityProvider {
    /// Starts `oidc-provider`, which signs with `algorithm`: RS256 or PS256.
    ///
    /// # Errors
    ///
    /// It is not installed (`cargo xtask test` installs it) or does not start.
    pub fn oidc_provider(algorithm: &str, id_token_ttl_s: u32) -> Result<Self> {
        let (port, parts) = (free_port()?, parts()?);
        let manifest = parts.join("npm/node_modules/oidc-provider/package.json");
        let manifest = fs::read_to_string(&manifest)
            .with_context(|| format!("`{}`: run `cargo xtask test` once", manifest.display()))?;
        let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
        let mut process = Command::new("node")
            .arg(sources().join("testkit/fixtures/oidc-provider.mjs"))
            .arg(&parts)
            .args([&port.to_string(), algorithm])
            .env("ID_TOKEN_TTL", id_token_ttl_s.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("`node` is not installed")?;
        let mut said = BufReader::new(process.stdout.take().context("no output")?);
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "oidc-provider did not start");
        }
        Ok(Self {
            iss: format!("http://127.0.0.1:{port}"),
            version: format!("oidc-provider {} ({algorithm})", manifest["version"]),
            callback_port: 0,
            groups_scope: Some("groups"),
            process,
            folder: None,
        })
    }

    /// Starts glewlwyd with a key of `kind`: `rsa` or `ecdsa`.
    ///
    /// # Errors
    ///
    /// It is not installed (`apt-get install --no-install-recommends glewlwyd`) or does not start.
    pub fn glewlwyd(kind: &str) -> Result<Self> {
        let (port, callback_port) = (free_port()?, free_port()?);
        let folder = std::env::temp_dir().join(format!("writ-glewlwyd-{port}"));
        fs::create_dir_all(folder.join("none"))?;
        let script = sources().join("testkit/fixtures/glewlwyd.py");
        let python = |arguments: &[&str]| -> Result<()> {
            let output = Command::new("python3").arg(&script).args(arguments).output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        python(&["config", &folder.to_string_lossy(), &port.to_string()])?;
        let log = fs::File::create(folder.join("log"))?;
        let process = Command::new("glewlwyd")
            .arg(format!("--config-file={}", folder.join("g.conf").display()))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("`glewlwyd`: apt-get install --no-install-recommends glewlwyd")?;
        let version = Command::new("glewlwyd").arg("--version").output()?.stdout;
        let provider = Self {
            iss: format!("http://127.0.0.1:{port}/api/oidc"),
            version: format!("glewlwyd {} ({kind})", String::from_utf8_lossy(&version).trim()),
            callback_port,
            groups_scope: None,
            process,
            folder: Some(folder),
        };
        wait_for(port)?;
        let callback = format!("http://127.0.0.1:{callback_port}/callback");
        python(&["seed", &port.to_string(), &callback, kind])?;
        Ok(provider)
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        // Nothing more can be done about what does not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Waits until something listens on a loopback port.
///
/// # Errors
///
/// Nothing did within twenty seconds.
pub fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("nothing listens on port {port}")
}

/// Runs a `writ login` that opens no browser and logs in as `name` at the address that it shows, or, for the
/// device flow, with the code that it shows too; returns what it says afterwards.
///
/// # Errors
///
/// The provider or `writ login` refuses.
pub async fn log_in_by(mut command: Command, device: bool, name: &str) -> Result<String> {
    let mut command =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(command.stderr.take().context("no stderr")?);
    let address = line_that_begins(&mut said, "http")?;
    let mut person = Person::new()?;
    let visited = if device {
        let code = line_that_begins(&mut said, "code: ")?;
        person.confirm_device(&address, code.trim_start_matches("code: "), name).await
    } else {
        person.log_in(&address, name).await
    };
    if visited.is_err() {
        command.kill()?;
    }
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    let status = command.wait()?;
    visited?;
    ensure!(status.success(), "{rest}");
    Ok(rest)
}

/// The next line that begins so, as `writ login` shows addresses and codes.
fn line_that_begins(said: &mut impl BufRead, beginning: &str) -> Result<String> {
    let mut line = String::new();
    while !line.starts_with(beginning) {
        line.clear();
        ensure!(said.read_line(&mut line)? > 0, "`writ login` shows no `{beginning}`");
    }
    Ok(line.trim().to_owned())
}

/// A person with a browser: cookies, redirects, and the providers' own login pages.
pub struct Person {
    http: Client,
    cookies: Vec<(String, String)>,
}

impl Person {
    /// Somebody with an empty browser.
    ///
    /// # Errors
    ///
    /// The HTTP client can't be set up.
    pub fn new() -> Result<Self> {
        let http =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, cookies: Vec::new() })
    }

    /// Opens the address that `writ login` shows, logs in as `name`, and goes where the provider
    /// sends the browser: back to `writ`.
    ///
    /// # Errors
    ///
    /// The provider does not let them in.
    pub async fn log_in(&mut self, address: &str, name: &str) -> Result<()> {
        let mut url: Url = address.parse()?;
        if url.path().starts_with("/api/oidc") {
            self.log_in_at_glewlwyd(&mut url, name).await?;
        }
        for _ in 0..20 {
            let answer = self.get(&url).await?;
            if let Some(location) = answer.headers().get(header::LOCATION) {
                url = url.join(location.to_str()?)?;
            } else if url.path() == "/callback" {
                ensure!(answer.status().is_success(), "callback: {}", answer.status());
                return Ok(());
            } else {
                url = self.fill_in(&url, &answer.text().await?, name).await?;
            }
        }
        bail!("the provider sends the browser around for ever")
    }

    /// Opens the address of the device flow at `oidc-provider` on a device of their own, enters the code,
    /// and logs in as `name` (RFC 8628 §3.3).
    ///
    /// # Errors
    ///
    /// The provider does not take the code or does not let them in.
    pub async fn confirm_device(&mut self, address: &str, code: &str, name: &str) -> Result<()> {
        let start: Url = address.parse()?;
        let mut url = start.clone();
        let mut page = self.get(&url).await?.text().await?;
        for _ in 0..20 {
            if let Some(xsrf) = between(&page, r#"name="xsrf" value=""#, "\"") {
                let form = [("xsrf", xsrf), ("user_code", code), ("confirm", "yes")];
                url = self.submit(&start, &form).await?;
            } else if page.contains(r#"name="prompt""#) {
                url = self.fill_in(&url, &page, name).await?;
            } else {
                ensure!(page.contains("Sign-in Success"), "{page}");
                return Ok(());
            }
            let mut answer = self.get(&url).await?;
            while let Some(location) = answer.headers().get(header::LOCATION) {
                url = url.join(location.to_str()?)?;
                answer = self.get(&url).await?;
            }
            page = answer.text().await?;
        }
        bail!("the provider sends the browser around for ever")
    }

    /// Posts a form; returns where the answer sends the browser.
    async fn submit(&mut self, url: &Url, form: &[(&str, &str)]) -> Result<Url> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in form {
            body.append_pair(name, value);
        }
        let request = self.http.post(url.clone()).header(header::COOKIE, self.cookie_header());
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.finish());
        let answer = request.send().await?;
        self.keep_cookies(&answer);
        let location = answer.headers().get(header::LOCATION).context("the form was refused")?;
        Ok(url.join(location.to_str()?)?)
    }

    /// glewlwyd's own page logs in by a call, and says so in the query.
    async fn log_in_at_glewlwyd(&mut self, url: &mut Url, name: &str) -> Result<()> {
        let body = serde_json::json!({ "username": name, "password": "correct horse battery" });
        let answer = self.http.post(url.join("/api/auth/")?).json(&body).send().await?;
        ensure!(answer.status().is_success(), "glewlwyd: {}", answer.status());
        self.keep_cookies(&answer);
        url.query_pairs_mut().append_pair("g_continue", "");
        Ok(())
    }

    /// `oidc-provider`'s development pages: a login, then a consent.
    async fn fill_in(&mut self, url: &Url, page: &str, name: &str) -> Result<Url> {
        let prompt = ["login", "consent"]
            .into_iter()
            .find(|prompt| page.contains(&format!(r#"name="prompt" value="{prompt}""#)))
            .with_context(|| format!("no form at {}: {page}", url.path()))?;
        let mut form = vec![("prompt", prompt)];
        if prompt == "login" {
            form.extend([("login", name), ("password", "any")]);
        }
        self.submit(url, &form).await
    }

    async fn get(&mut self, url: &Url) -> Result<Response> {
        let request = self.http.get(url.clone()).header(header::COOKIE, self.cookie_header());
        let answer = request.send().await?;
        self.keep_cookies(&answer);
        Ok(answer)
    }

    fn keep_cookies(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let pair = text.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(known, _)| known != name);
                if !value.is_empty() {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}
