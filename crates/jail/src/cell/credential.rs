//! The one resolver: a reference becomes a credential, for runs and for tests of connections alike.
//!
//! In: a reference and what the launcher opened. Out: the credential in secret memory, with whatever was
//! derived on the way to it, so that both are looked for in answers; or a code. Which manager, path
//! and field it was about stands beside the code; a value never does.

mod aws_sm;
mod vault;

use std::{sync::Arc, time::Instant};

use rustls::RootCertStore;
use writ_confine::Channel;
use writ_model::{SecretManager, SecretRef};

use super::Failed;
use crate::{
    secret_memory::SecretBytes,
    vault::{Sources, local},
};

/// Shortest credential, in bytes, that redaction can look for.
const CREDENTIAL_MIN: usize = 8;

/// How a cell reaches others.
pub(super) struct Network<'a> {
    pub(super) broker: &'a Channel,
    /// The machine's roots.
    pub(super) roots: Arc<RootCertStore>,
    pub(super) deadline: Instant,
}

/// A credential.
pub(super) struct Resolved {
    pub(super) credential: SecretBytes,
    /// Tokens that it was fetched with: as secret as itself.
    pub(super) derived: Vec<SecretBytes>,
}

/// Resolves a reference. Every descriptor is closed on return, before the service is connected to.
pub(super) fn resolve(
    reference: &SecretRef,
    sources: Sources,
    network: &Network<'_>,
) -> Result<Resolved, Failed> {
    let resolved = resolve_any(reference, sources, network)?;
    check(&resolved.credential)?;
    Ok(resolved)
}

/// The same for a secret that stands in no request and comes back in no answer: any bytes will do.
pub(super) fn resolve_any(
    reference: &SecretRef,
    sources: Sources,
    network: &Network<'_>,
) -> Result<Resolved, Failed> {
    match reference.manager() {
        SecretManager::Local => {
            let (vault, key) = sources.local.ok_or(Failed::new("credential-not-found"))?;
            let credential = local::open_record(vault, key, reference.path())
                .map_err(|error| Failed::new(error.code()))?;
            Ok(Resolved { credential, derived: Vec::new() })
        }
        SecretManager::Vault => {
            let source = sources.vault.ok_or(Failed::new("secret-manager-not-configured"))?;
            vault::read(reference, source, network)
        }
        SecretManager::AwsSm => {
            let source = sources.aws_sm.ok_or(Failed::new("secret-manager-not-configured"))?;
            aws_sm::read(reference, source, network)
        }
    }
}

fn check(credential: &SecretBytes) -> Result<(), Failed> {
    if credential.expose().len() < CREDENTIAL_MIN {
        return Err(Failed::new("credential-too-short"));
    }
    // RFC 6750 §2.1 has fewer characters still; these are the ones that no framing can read.
    if !credential.expose().iter().all(u8::is_ascii_graphic) {
        return Err(Failed::new("credential-malformed"));
    }
    Ok(())
}

/// Moves a text into secret memory.
pub(super) fn secret(mut text: String) -> Result<SecretBytes, Failed> {
    let mut bytes = std::mem::take(&mut text).into_bytes();
    SecretBytes::take(&mut bytes).map_err(|_| Failed::new("vault-unsafe"))
}
