//! What a cell is handed of the secret managers: descriptors and settings, opened before it is confined.
//!
//! The launcher opens and never reads what is secret; the jail gets none of it.

use std::{
    fs::{File, OpenOptions},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::settings::{AwsSettings, SecretManagers, SettingsError, VaultAuth, VaultSettings};

/// What one cell gets.
#[derive(Default)]
pub struct Sources {
    /// The `local:` vault and its key file, read-only.
    pub local: Option<(OwnedFd, OwnedFd)>,
    /// Vault or OpenBao.
    pub vault: Option<VaultSource>,
    /// AWS Secrets Manager.
    pub aws_sm: Option<AwsSource>,
}

/// Vault, with the file that a cell logs in by.
pub struct VaultSource {
    /// How it is reached.
    pub settings: Arc<VaultSettings>,
    /// Whose certificates are taken.
    pub roots: Arc<RootCertStore>,
    /// The secret id (to be replaced when unwrapped) or the token; absent if it can't be opened.
    pub credential: Option<OwnedFd>,
}

/// AWS Secrets Manager, with the file of its credentials.
pub struct AwsSource {
    /// How it is reached.
    pub settings: Arc<AwsSettings>,
    /// The profile in the credentials file.
    pub profile: String,
    /// The shared credentials file; absent if it can't be opened.
    pub credentials: Option<OwnedFd>,
}

/// What the launcher keeps, to open the files anew for each cell.
pub struct Opener {
    vault: Option<(Arc<VaultSettings>, Arc<RootCertStore>)>,
    aws_sm: Option<(Arc<AwsSettings>, PathBuf, String)>,
    /// What the environment held, as a file in memory; used before any other.
    aws_environment: Option<RawFd>,
}

impl Opener {
    /// Reads certificates and names of files; `roots` are the machine's.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Certificates`].
    pub fn new(
        managers: SecretManagers,
        roots: &Arc<RootCertStore>,
        aws_environment: Option<RawFd>,
    ) -> Result<Self, SettingsError> {
        let vault = match managers.vault {
            None => None,
            Some(settings) => {
                let roots = match &settings.ca_file {
                    Some(path) => Arc::new(certificates(path)?),
                    None => Arc::clone(roots),
                };
                Some((Arc::new(settings), roots))
            }
        };
        let aws_sm = managers.aws_sm.map(|settings| {
            let file = settings.credentials_file.clone().unwrap_or_else(default_credentials_file);
            let profile = settings.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok());
            (Arc::new(settings), file, profile.unwrap_or_else(|| "default".to_owned()))
        });
        Ok(Self { vault, aws_sm, aws_environment })
    }

    /// Opens everything for one cell. What can't be opened is absent, and the cell says so.
    #[must_use]
    pub fn open(&self, local: Option<(OwnedFd, OwnedFd)>) -> Sources {
        let vault = self.vault.as_ref().map(|(settings, roots)| VaultSource {
            credential: vault_credential(&settings.auth),
            settings: Arc::clone(settings),
            roots: Arc::clone(roots),
        });
        let aws_sm = self.aws_sm.as_ref().map(|(settings, file, profile)| {
            let (credentials, profile) = match self.aws_environment {
                Some(memory) => (reopened(memory), "default"),
                None => (File::open(file).ok().map(OwnedFd::from), profile.as_str()),
            };
            let profile = profile.to_owned();
            AwsSource { settings: Arc::clone(settings), profile, credentials }
        });
        Sources { local, vault, aws_sm }
    }
}

impl Sources {
    /// Every descriptor: what a cell's profile must let it keep.
    #[must_use]
    pub fn descriptors(&self) -> Vec<RawFd> {
        let local = self.local.iter().flat_map(|(vault, key)| [vault, key]);
        let vault = self.vault.iter().filter_map(|source| source.credential.as_ref());
        let aws_sm = self.aws_sm.iter().filter_map(|source| source.credentials.as_ref());
        local.chain(vault).chain(aws_sm).map(AsRawFd::as_raw_fd).collect()
    }
}

/// The file in memory for one more reader, with a position of its own.
fn reopened(memory: RawFd) -> Option<OwnedFd> {
    File::open(format!("/proc/self/fd/{memory}")).ok().map(Into::into)
}

fn vault_credential(auth: &VaultAuth) -> Option<OwnedFd> {
    match auth {
        VaultAuth::Approle { secret_id_file, .. } => {
            OpenOptions::new().read(true).write(true).open(secret_id_file).ok().map(Into::into)
        }
        VaultAuth::TokenFile { token_file } => File::open(token_file).ok().map(Into::into),
    }
}

fn default_credentials_file() -> PathBuf {
    if let Some(named) = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE") {
        return named.into();
    }
    let home = std::env::var_os("HOME").unwrap_or_default();
    Path::new(&home).join(".aws").join("credentials")
}

fn certificates(path: &Path) -> Result<RootCertStore, SettingsError> {
    let none = || SettingsError::Certificates { path: path.to_owned() };
    let listed = CertificateDer::pem_file_iter(path).map_err(|_| none())?;
    let listed: Vec<CertificateDer<'static>> =
        listed.collect::<Result<_, _>>().map_err(|_| none())?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(listed);
    if taken == 0 { Err(none()) } else { Ok(roots) }
}
