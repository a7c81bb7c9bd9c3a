//! The runner's own keys: the link key that signs its requests and the key inputs are sealed to.
//!
//! One file, mode 0600, made once. A lost file means enrolling anew. No `Debug`, no `Clone`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::Ed25519KeyPair,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_evidence::{
    charter::RunnerEnrollment,
    key::{Algorithm, PublicKey, SigningKey},
    seal::SealingPrivateKey,
};
use writ_model::{RunnerGroupId, RunnerId};
use zeroize::Zeroizing;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file can't be read or written.
    #[error("cannot use the runner's key file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the runner's key file `{}` is open to others; make its mode 0600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what this program wrote.
    #[error("the runner's key file `{}` is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The random source failed.
    #[error("the random source failed")]
    Random,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: RunnerId,
    group: RunnerGroupId,
    link_key: Zeroizing<String>,
    sealing_key: Zeroizing<String>,
    storage_key: Zeroizing<String>,
}

/// Who this runner is.
pub struct Identity {
    stored: Stored,
    path: PathBuf,
}

impl Identity {
    /// Reads the key file, or makes it with fresh keys.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::File { path: path.to_owned(), source };
        if !path.exists() {
            let text = Zeroizing::new(
                serde_json::to_vec(&fresh()?).map_err(io::Error::from).map_err(failed)?,
            );
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Mode { path: path.to_owned() });
        }
        let text = Zeroizing::new(fs::read(path).map_err(failed)?);
        let stored = serde_json::from_slice(&text)
            .map_err(|_| IdentityError::Malformed { path: path.to_owned() })?;
        Ok(Self { stored, path: path.to_owned() })
    }

    /// Takes another id and other keys, for a jail that is new: the charter enrolls neither twice. What wraps the
    /// journal's keys stays.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: the one before stays.
    pub fn renew(&mut self) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::File { path: self.path.clone(), source };
        let renewed = Stored { storage_key: self.stored.storage_key.clone(), ..fresh()? };
        let text = serde_json::to_vec(&renewed).map_err(io::Error::from).map_err(failed)?;
        let (text, next) = (Zeroizing::new(text), self.path.with_extension("next"));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&next, &self.path))
            .map_err(failed)?;
        self.stored = renewed;
        Ok(())
    }

    /// The runner's id.
    #[must_use]
    pub const fn id(&self) -> RunnerId {
        self.stored.id
    }

    /// The key that signs requests.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`].
    pub fn link_key(&self) -> Result<SigningKey, IdentityError> {
        let pkcs8 = self.decode(&self.stored.link_key)?;
        SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).map_err(|_| self.malformed())
    }

    /// The key that inputs are sealed to.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`].
    pub fn sealing_key(&self) -> Result<SealingPrivateKey, IdentityError> {
        Ok(SealingPrivateKey::from_bytes(&*self.array(&self.stored.sealing_key)?))
    }

    /// The key that wraps each run's data key.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`].
    pub fn storage_key(&self) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
        self.array(&self.stored.storage_key)
    }

    /// What the charter is asked to enroll, together with the jail's key.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`].
    pub fn enrollment(&self, jail_key: PublicKey) -> Result<RunnerEnrollment, IdentityError> {
        Ok(RunnerEnrollment {
            id: self.stored.id,
            group: self.stored.group,
            jail_key,
            link_key: self.link_key()?.public().clone(),
            sealing_key: self.sealing_key()?.public(),
        })
    }

    fn malformed(&self) -> IdentityError {
        IdentityError::Malformed { path: self.path.clone() }
    }

    fn decode(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| self.malformed())
    }

    fn array(&self, text: &str) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
        let bytes = self.decode(text)?;
        let array: [u8; 32] = bytes.as_slice().try_into().map_err(|_| self.malformed())?;
        Ok(Zeroizing::new(array))
    }
}

fn fresh() -> Result<Stored, IdentityError> {
    let random = SystemRandom::new();
    let bits = || -> Result<u128, IdentityError> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| IdentityError::Random)?;
        Ok(u128::from_be_bytes(bytes))
    };
    let secret = || -> Result<Zeroizing<String>, IdentityError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut()).map_err(|_| IdentityError::Random)?;
        Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
    };
    let link = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| IdentityError::Random)?;
    Ok(Stored {
        id: RunnerId::from_bits(bits()?),
        group: RunnerGroupId::from_bits(bits()?),
        link_key: Zeroizing::new(URL_SAFE_NO_PAD.encode(link.as_ref())),
        sealing_key: secret()?,
        storage_key: secret()?,
    })
}
