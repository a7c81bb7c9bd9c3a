//! Where this command stands: the nearest `.writ` folder upwards says which tenant, which control plane,
//! which gateway, which identity provider. `writ dev` makes one, and `writ join` from an invitation.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use writ_model::TenantId;

use crate::{failure::Failure, join_file::Head};

/// The folder's name.
pub(crate) const FOLDER: &str = ".writ";
/// The file that `writ dev` writes.
const DEV_FILE: &str = "dev.toml";
/// The file that `writ join` writes.
const TENANT_FILE: &str = "tenant.toml";

/// What was chosen once and is kept: the issuer's URL is charter identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The trust anchor.
    pub(crate) tenant: TenantId,
    /// The control plane's origin.
    pub(crate) server_url: String,
    /// The gateway's second origin.
    pub(crate) gateway_url: String,
    /// The gateway's origin for the runner; `writ dev` alone needs it here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) link_url: String,
    /// The development identity provider.
    pub(crate) issuer_url: String,
    /// The client id of this command at it.
    pub(crate) client_id: String,
    /// A charter head that the invitation named: a server that can't show it is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<Head>,
    /// PEM of a private CA that servers and identity providers may be certified by, relative to
    /// this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Other identity providers of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) issuers: Vec<LoginIssuer>,
}

/// An identity provider, as somebody who logs in there needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginIssuer {
    /// The issuer identifier.
    pub(crate) iss: String,
    /// The client id of this command at it.
    pub(crate) client_id: String,
    /// The loopback port for its answer, if it knows one exact redirect; 0 is any.
    #[serde(default)]
    pub(crate) callback_port: u16,
    /// Its client id of the device flow, if the charter lists one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_client_id: Option<String>,
    /// Scopes to ask for beside `openid`, such as one that brings groups into the ID token.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
}

/// A folder and its settings.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) settings: Settings,
}

impl Place {
    /// Finds the nearest folder upwards.
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = env::current_dir().map_err(|error| {
            Failure::because("folder", "cannot tell the current folder", &error)
        })?;
        let found = here.ancestors().map(|dir| dir.join(FOLDER)).find(|dir| Self::exists(dir));
        match found {
            Some(folder) => Self::open(&folder),
            None => Err(Failure::new("no-tenant", "there is no `.writ` folder here or above")
                .with_remedy("run `writ join INVITATION`, or `writ dev` in an empty folder")),
        }
    }

    /// Opens a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let path = file_in(folder).unwrap_or_else(|| folder.join(DEV_FILE));
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::because("settings", &format!("cannot read `{}`", path.display()), &error)
        })?;
        let settings = toml::from_str(&text).map_err(|error| {
            Failure::new("settings", format!("`{}`: {}", path.display(), error.message()))
        })?;
        Ok(Self { folder: folder.to_owned(), settings })
    }

    /// Whether a folder has settings.
    pub(crate) fn exists(folder: &Path) -> bool {
        file_in(folder).is_some()
    }

    /// Writes the settings; the last thing that setting up does.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let file = if self.settings.link_url.is_empty() { TENANT_FILE } else { DEV_FILE };
        let path = self.folder.join(file);
        let failed = |error: &dyn std::error::Error| {
            Failure::because("settings", &format!("cannot write `{}`", path.display()), error)
        };
        let text = toml::to_string(&self.settings).map_err(|error| failed(&error))?;
        let next = path.with_extension("next");
        fs::write(&next, text)
            .and_then(|()| fs::rename(&next, &path))
            .map_err(|error: io::Error| failed(&error))
    }

    /// The issuer to log in at: the named one, or the first.
    pub(crate) fn issuer(&self, iss: Option<&str>) -> Result<LoginIssuer, Failure> {
        let Settings { issuer_url, client_id, issuers, .. } = &self.settings;
        let plain = LoginIssuer {
            iss: issuer_url.clone(),
            client_id: client_id.clone(),
            callback_port: 0,
            device_client_id: None,
            scopes: Vec::new(),
        };
        // A listed issuer says more than the first one's name alone.
        let iss = iss.unwrap_or(issuer_url);
        let found = issuers.iter().chain([&plain]).find(|issuer| issuer.iss == iss);
        found.cloned().ok_or_else(|| {
            Failure::new("issuer", format!("this folder knows no issuer `{iss}`"))
                .with_remedy("`writ issuer list` shows those of the tenant")
        })
    }

    /// Whether an issuer is the development identity provider of this very folder.
    pub(crate) fn is_development(&self, issuer: &LoginIssuer) -> bool {
        issuer.iss == self.settings.issuer_url && self.idp_secret().exists()
    }

    /// Certificates of the private CA that the settings name, as PEM.
    pub(crate) fn ca(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(file) = &self.settings.ca_file else { return Ok(None) };
        let path = self.folder.join(file);
        fs::read(&path).map(Some).map_err(|error| {
            Failure::because("settings", &format!("cannot read `{}`", path.display()), &error)
        })
    }

    /// The `local:` vault.
    pub(crate) fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    /// The vault's key file.
    pub(crate) fn vault_key(&self) -> PathBuf {
        self.folder.join("vault.key")
    }

    /// The secret that logs in unattended at the development identity provider.
    pub(crate) fn idp_secret(&self) -> PathBuf {
        self.folder.join("idp").join("login-secret")
    }
}

/// The settings file of a folder, if it has one.
fn file_in(folder: &Path) -> Option<PathBuf> {
    [DEV_FILE, TENANT_FILE].into_iter().map(|file| folder.join(file)).find(|path| path.exists())
}

/// The `writ-jail` executable: `WRIT_JAIL`, or the one beside this one.
pub(crate) fn jail_executable() -> Result<PathBuf, Failure> {
    if let Some(path) = env::var_os("WRIT_JAIL") {
        return Ok(path.into());
    }
    let own = env::current_exe()
        .map_err(|error| Failure::because("executable", "cannot tell where `writ` is", &error))?;
    let beside = own.with_file_name("writ-jail");
    if beside.exists() {
        return Ok(beside);
    }
    Err(Failure::new("no-jail", "there is no `writ-jail` beside `writ`")
        .with_remedy("build it with `cargo build -p writ-jail`, or name it in WRIT_JAIL"))
}
