//! A login on this machine: a key in a 0600 file or in the SSH agent, and the credential that vouches for it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_evidence::{
    idc::UnverifiedIdc,
    jws::UnverifiedJws,
    key::{Algorithm, PublicKey, SigningKey},
};
use writ_model::{Principal, ServiceAccountName, UnixTime};
use zeroize::Zeroizing;

use crate::{
    failure::{EXIT_NOT_LOGGED_IN, Failure},
    place::Place,
    ssh_agent,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    idc: UnverifiedIdc,
    /// PKCS#8 of an Ed25519 key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Zeroizing<String>>,
    /// The key of the SSH agent's that signs instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ssh_agent: Option<PublicKey>,
    /// What extends the login at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<Refresh>,
    /// The service account that the key is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_account: Option<ServiceAccountName>,
}

/// What extends a login without the person: as secret as the key, and in the same file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The issuer.
    pub(crate) iss: String,
    /// The client id that the login went through, if it is not the folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// The refresh token (RFC 6749 §1.5).
    pub(crate) token: Zeroizing<String>,
}

/// A login.
pub(crate) struct Session {
    pub(crate) idc: UnverifiedIdc,
    pub(crate) refresh: Option<Refresh>,
    /// The service account that it is of, if it is one's.
    pub(crate) service_account: Option<ServiceAccountName>,
    holder: KeyHolder,
}

/// Where a login's key is.
pub(crate) enum KeyHolder {
    /// In the session's file: PKCS#8 of an Ed25519 key.
    File(Zeroizing<Vec<u8>>),
    /// In the SSH agent.
    SshAgent(PublicKey),
}

impl KeyHolder {
    /// The key, to sign with.
    pub(crate) fn key(&self) -> Result<SigningKey, Failure> {
        match self {
            Self::File(pkcs8) => SigningKey::from_pkcs8(Algorithm::EdDsa, pkcs8).map_err(|error| {
                Failure::because("session", "the stored key is not usable", &error)
            }),
            Self::SshAgent(public) => ssh_agent::signing_key(public).ok_or_else(|| {
                Failure::new("session", "the login's key is none that an SSH agent signs with")
            }),
        }
    }
}

impl Session {
    pub(crate) const fn new(
        idc: UnverifiedIdc,
        holder: KeyHolder,
        refresh: Option<Refresh>,
    ) -> Self {
        Self { idc, refresh, service_account: None, holder }
    }

    /// Until when the newest ID token lives, as it says itself.
    pub(crate) fn lives_until(&self) -> Option<UnixTime> {
        #[derive(Deserialize)]
        struct Claims {
            exp: u64,
        }
        let newest = self.idc.refreshed.as_ref().unwrap_or(&self.idc.id_token);
        let claims: Claims = UnverifiedJws::parse(newest).ok()?.peek().ok()?;
        Some(UnixTime(claims.exp))
    }

    /// Who it is of, by the claim that names people at its issuer. For showing and for claims; verifiers check it.
    pub(crate) fn principal(&self, claim: &str) -> Result<Principal, Failure> {
        if let Some(account) = &self.service_account {
            return Ok(account.into());
        }
        principal_by(&self.idc, claim)
    }

    /// The key.
    pub(crate) fn key(&self) -> Result<SigningKey, Failure> {
        self.holder.key()
    }

    fn path(place: &Place, name: &str) -> Result<PathBuf, Failure> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(Failure::new("session", "a session's name is letters, digits, `-`, `_`"));
        }
        Ok(place.folder.join("sessions").join(format!("{name}.json")))
    }

    /// Reads a login.
    pub(crate) fn load(place: &Place, name: &str) -> Result<Self, Failure> {
        let path = Self::path(place, name)?;
        let absent = || {
            Failure::new("not-logged-in", format!("nobody is logged in as session `{name}`"))
                .with_remedy("log in with `writ login`")
                .with_exit(EXIT_NOT_LOGGED_IN)
        };
        let text = Zeroizing::new(fs::read(&path).map_err(|_| absent())?);
        let mode = fs::metadata(&path).map_err(|_| absent())?.permissions().mode();
        if mode & 0o077 != 0 {
            let cause = format!("`{}` is open to others", path.display());
            return Err(Failure::new("session", cause).with_remedy("make its mode 0600"));
        }
        let malformed = || Failure::new("session", "the stored login is malformed");
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| malformed())?;
        let holder = match (stored.key, stored.ssh_agent) {
            (Some(key), None) => {
                let pkcs8 = URL_SAFE_NO_PAD.decode(key.as_bytes()).map_err(|_| malformed())?;
                KeyHolder::File(Zeroizing::new(pkcs8))
            }
            (None, Some(public)) => KeyHolder::SshAgent(public),
            (Some(_), Some(_)) | (None, None) => return Err(malformed()),
        };
        let Stored { idc, refresh, service_account, .. } = stored;
        Ok(Self { idc, refresh, service_account, holder })
    }

    /// Writes a login.
    pub(crate) fn save(&self, place: &Place, name: &str) -> Result<(), Failure> {
        let path = Self::path(place, name)?;
        let failed = |error: &dyn std::error::Error| {
            Failure::because("session", &format!("cannot write `{}`", path.display()), error)
        };
        let (key, ssh_agent) = match &self.holder {
            KeyHolder::File(pkcs8) => {
                (Some(Zeroizing::new(URL_SAFE_NO_PAD.encode(&**pkcs8))), None)
            }
            KeyHolder::SshAgent(public) => (None, Some(public.clone())),
        };
        let (idc, refresh) = (self.idc.clone(), self.refresh.clone());
        let service_account = self.service_account.clone();
        let stored = Stored { idc, key, ssh_agent, refresh, service_account };
        let text = Zeroizing::new(serde_json::to_vec(&stored).map_err(|error| failed(&error))?);
        fs::create_dir_all(place.folder.join("sessions")).map_err(|error| failed(&error))?;
        let next = path.with_extension("next");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&next, &path))
            .map_err(|error| failed(&error))
    }

    /// The names of the logins that a folder keeps, in their order.
    pub(crate) fn names(place: &Place) -> Result<Vec<String>, Failure> {
        let folder = place.folder.join("sessions");
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Failure::because("session", "cannot list the sessions", &error));
            }
        };
        let name = |entry: fs::DirEntry| {
            let path = entry.path();
            let is_session = path.extension().is_some_and(|extension| extension == "json");
            path.file_stem().filter(|_| is_session)?.to_str().map(str::to_owned)
        };
        let mut names: Vec<String> = listed.filter_map(Result::ok).filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// Where its key is, for people.
    pub(crate) const fn key_place(&self) -> &'static str {
        match self.holder {
            KeyHolder::File(_) => "file",
            KeyHolder::SshAgent(_) => "ssh-agent",
        }
    }

    /// Forgets a login.
    pub(crate) fn forget(place: &Place, name: &str) -> Result<(), Failure> {
        fs::remove_file(Self::path(place, name)?)
            .map_err(|_| Failure::new("not-logged-in", format!("there is no session `{name}`")))
    }
}

/// Who a login is by the claim of its token that names people at its issuer.
pub(crate) fn principal_by(idc: &UnverifiedIdc, claim: &str) -> Result<Principal, Failure> {
    let malformed = || Failure::new("session", "the ID token does not name its subject");
    let claims: serde_json::Map<String, serde_json::Value> = UnverifiedJws::parse(&idc.id_token)
        .and_then(|token| token.peek())
        .map_err(|_| malformed())?;
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let (iss, sub) = (text("iss").ok_or_else(malformed)?, text(claim).ok_or_else(malformed)?);
    Ok(Principal { iss, sub })
}
