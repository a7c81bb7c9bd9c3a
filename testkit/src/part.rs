//! One process of a world whose `writ dev` has ended: started with the arguments that `writ dev` gives it, ended
//! by its pid when dropped.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{identity_provider::wait_for, world::World};

/// A running part, with its log.
pub struct Part {
    process: Child,
    log: PathBuf,
}

impl Part {
    /// Starts `writ` with these words; what it says goes to `<name>.log`, after what is there.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(world: &World, name: &str, words: &[String]) -> Result<Self> {
        let log = world.folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let process = Command::new(world.executable())
            .args(words)
            .current_dir(&world.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { process, log })
    }

    /// The development identity provider.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn identity_provider(world: &World) -> Result<Self> {
        let issuer = world.setting("issuer_url")?;
        let listen = address(&issuer)?;
        let words = options(
            "dev-idp",
            &[
                ("--data", folder(world, "idp")),
                ("--listen", listen.to_string()),
                ("--issuer", issuer),
            ],
        );
        let part = Self::start(world, "idp", &words)?;
        wait_for(listen.port())?;
        Ok(part)
    }

    /// The control plane over this data, which answers to the world's public address from another.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn server(world: &World, data: &Path, listen: SocketAddr) -> Result<Self> {
        let words = options(
            "server",
            &[
                ("--data", data.display().to_string()),
                ("--listen", listen.to_string()),
                ("--public-url", world.setting("server_url")?),
            ],
        );
        let part = Self::start(world, "server", &words)?;
        wait_for(listen.port())?;
        Ok(part)
    }

    /// The gateway.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn gateway(world: &World) -> Result<Self> {
        let (url, link) = (world.setting("gateway_url")?, world.setting("link_url")?);
        let listen = address(&url)?;
        let words = options(
            "gateway",
            &[
                ("--tenant", world.setting("tenant")?),
                ("--listen", listen.to_string()),
                ("--public-url", url),
                ("--link-listen", address(&link)?.to_string()),
                ("--link-url", link),
            ],
        );
        let part = Self::start(world, "gateway", &words)?;
        wait_for(listen.port())?;
        Ok(part)
    }

    /// The runner, its launchers and its jail.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn runner(world: &World) -> Result<Self> {
        let mut words = runner_words(world, &world.folder.join(".writ"));
        words.extend(["--tenant".to_owned(), world.setting("tenant")?]);
        words.extend(["--server-url".to_owned(), world.setting("server_url")?]);
        words.extend(["--gateway-url".to_owned(), world.setting("link_url")?]);
        Self::start(world, "runner", &words)
    }

    /// What it has said so far.
    ///
    /// # Errors
    ///
    /// Its log can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Whether it is still running.
    pub fn lives(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

/// The words that start a runner whose files lie in `folder`.
#[must_use]
pub fn runner_words(_: &World, folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    options(
        "runner",
        &[
            ("--data", path("runner")),
            ("--vault", path("vault")),
            ("--vault-key", path("vault.key")),
            ("--jail-state", path("jail")),
        ],
    )
}

impl Drop for Part {
    fn drop(&mut self) {
        // One that has ended needs reaping only.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder(world: &World, name: &str) -> String {
    world.folder.join(".writ").join(name).display().to_string()
}

/// The socket address of an origin in plain HTTP.
///
/// # Errors
///
/// It is none.
pub fn address(origin: &str) -> Result<SocketAddr> {
    origin.trim_start_matches("http://").parse().with_context(|| format!("`{origin}`"))
}

fn options(command: &str, options: &[(&str, String)]) -> Vec<String> {
    let mut words = vec![command.to_owned()];
    for (name, value) in options {
        words.extend([(*name).to_owned(), value.clone()]);
    }
    words
}
