//! A real installation: certificates of a private CA, `writ init`, and control plane, gateway and runner as
//! services, with TLS 1.3 between them.
//!
//! [`Addresses`] and [`private_ca`] are what every installation takes, wherever its parts run; an
//! [`Installation`] is one on loopback, as this process's user, whose runner starts the jail itself.
//!
//! Invariants: what is started is ended by its process id when the value is dropped, before its folder
//! goes. Not here: machines and users of their own (`machines`).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    identity_provider::{IdentityProvider, free_port, log_in_by},
    world::{World, sources},
};

/// How long the services may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The owner that an installation on loopback is founded with, by the name they log in with.
const OWNER: &str = "owner";

/// Where an installation's services listen.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The control plane.
    pub server: SocketAddr,
    /// The gateway, for readers.
    pub gateway: SocketAddr,
    /// The gateway, for the runner.
    pub link: SocketAddr,
}

/// A service's certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Addresses {
    /// The words of `writ init`, in a folder with `enrollment.json` and `ca.pem`, for people of this provider
    /// and an owner of this name: three root keys, any two of which decide.
    #[must_use]
    pub fn init(&self, provider: &IdentityProvider, owner: &str) -> Vec<String> {
        let origin = |address: SocketAddr| format!("https://{address}");
        let mut words = vec!["init".to_owned(), provider.iss.clone(), "--pin-keys".to_owned()];
        for (option, value) in [
            ("--client-id", "writ"),
            ("--owner", owner),
            ("--enrollment", "enrollment.json"),
            ("--server-url", &origin(self.server)),
            ("--gateway-url", &origin(self.gateway)),
            ("--link-url", &origin(self.link)),
            ("--ca", "ca.pem"),
            ("--roots", "3"),
            ("--threshold", "2"),
        ] {
            words.extend([option.to_owned(), value.to_owned()]);
        }
        words
    }

    /// The configuration file of `writ server`.
    #[must_use]
    pub fn server_config(&self, data: &Path, tls: &Certified) -> String {
        format!(
            "[server]\ndata = '{}'\nlisten = '{1}'\npublic_url = 'https://{1}'\n\
             tls_certificate = '{2}'\ntls_key = '{3}'\n",
            data.display(),
            self.server,
            tls.certificate.display(),
            tls.key.display()
        )
    }

    /// The words of `writ gateway`.
    #[must_use]
    pub fn gateway(&self, join: &Path, tls: &Certified) -> Vec<String> {
        let mut words = vec!["gateway".to_owned()];
        for (option, value) in [
            ("--join", join.display().to_string()),
            ("--listen", self.gateway.to_string()),
            ("--link-listen", self.link.to_string()),
            ("--tls-certificate", tls.certificate.display().to_string()),
            ("--tls-key", tls.key.display().to_string()),
        ] {
            words.extend([option.to_owned(), value]);
        }
        words
    }
}

/// A CA of its own for a day: `ca.pem` and `ca.key` in this folder.
///
/// # Errors
///
/// `openssl` is missing or refuses.
pub fn private_ca(folder: &Path) -> Result<()> {
    let subject = ["-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl_certificate(folder, &subject)
}

/// Has that CA certify a service at an address: `tls.pem` and `tls.key` in the folder's folder of that name.
///
/// # Errors
///
/// As [`private_ca`].
pub fn certify(folder: &Path, name: &str, ip: IpAddr) -> Result<Certified> {
    let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=IP:{ip}"));
    let (certificate, key) = (format!("{name}/tls.pem"), format!("{name}/tls.key"));
    let names = ["-subj", &subject, "-addext", &alternative];
    let signed =
        ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"];
    let files = ["-keyout", &key, "-out", &certificate];
    openssl_certificate(folder, &[&names[..], &signed[..], &files[..]].concat())?;
    Ok(Certified { certificate: folder.join(certificate), key: folder.join(key) })
}

fn openssl_certificate(folder: &Path, words: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-days", "1", "-nodes", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(words)
        .current_dir(folder)
        .output()
        .context("`openssl` is not installed")?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// An installation on loopback, whose owner is logged in.
pub struct Installation {
    /// Its folder and command line; no `writ dev` runs there.
    pub world: World,
    provider: IdentityProvider,
    addresses: Addresses,
    services: Vec<Child>,
}

impl Installation {
    /// Founds one and starts its services.
    ///
    /// # Errors
    ///
    /// A command failed, or a service did not answer.
    pub async fn found(name: &str) -> Result<Self> {
        let free = || anyhow::Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        let mut installation = Self {
            world: World::without_dev(name)?,
            provider: IdentityProvider::oidc_provider("RS256", 3600)?,
            addresses: Addresses { server: free()?, gateway: free()?, link: free()? },
            services: Vec::new(),
        };
        installation.init()?;
        installation.start_services()?;
        installation.log_in().await?;
        for pack in ["packs/github.json", "packs/slack.json"] {
            let pack = sources().join(pack);
            installation.world.writ(&["pack", "acknowledge", &pack.to_string_lossy()])?;
        }
        Ok(installation)
    }

    /// The process ids of its services.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.services.iter().map(Child::id).collect()
    }

    /// The runner's enrollment and what `writ init` makes of it; then the folder is the owner's.
    fn init(&self) -> Result<()> {
        let words = [&["runner", "--enroll", "enrollment.json"], &RUNNERS_OWN[..]].concat();
        self.world.writ(&words)?;
        private_ca(&self.world.folder)?;
        let init = self.addresses.init(&self.provider, OWNER);
        self.world.writ(&init.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.world.writ(&["join", "writ-init/invitation.json"])?;
        self.world.writ(&["tenant", "found", "--data", "server/data", "writ-init/entry-0.json"])?;
        Ok(())
    }

    fn start_services(&mut self) -> Result<()> {
        let folder = self.world.folder.clone();
        fs::create_dir_all(folder.join("gateway"))?;
        let tls = certify(&folder, "server", self.addresses.server.ip())?;
        let config = self.addresses.server_config(&folder.join("server/data"), &tls);
        fs::write(folder.join("server.toml"), config)?;
        self.start(&["server", "--config", "server.toml"])?;
        let tls = certify(&folder, "gateway", self.addresses.gateway.ip())?;
        let gateway = self.addresses.gateway(&folder.join("writ-init/join.json"), &tls);
        self.start(&gateway.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.start(&[&["runner", "--join", "writ-init/join.json"], &RUNNERS_OWN[..]].concat())
    }

    fn start(&mut self, words: &[&str]) -> Result<()> {
        let log = self.world.folder.join("services.log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(self.world.executable())
            .args(words)
            .current_dir(&self.world.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.services.push(child);
        Ok(())
    }

    async fn log_in(&self) -> Result<()> {
        let mut command = Command::new(self.world.executable());
        command.args(["login", "--no-browser"]).current_dir(&self.world.folder);
        log_in_by(command, false, OWNER).await?;
        let deadline = Instant::now() + READY_WITHIN;
        while !self.world.try_writ(&["whoami"], b"")?.status.success() {
            let log = || fs::read_to_string(self.world.folder.join("services.log"));
            ensure!(Instant::now() < deadline, "no control plane: {}", log().unwrap_or_default());
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// Folders of the runner and of the jail that it starts; the vault is where `writ secret` looks.
const RUNNERS_OWN: [&str; 8] = [
    "--data",
    "runner",
    "--jail-state",
    "jail",
    "--vault",
    ".writ/vault",
    "--vault-key",
    ".writ/vault.key",
];

impl Drop for Installation {
    fn drop(&mut self) {
        for child in &mut self.services {
            // TERM first, so that a service can flush and the runner end its jail.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
        }
        for child in &mut self.services {
            let _ = child.wait();
        }
    }
}
