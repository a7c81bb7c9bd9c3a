//! A change of the charter on its way to being an entry, as a file: for keys that are elsewhere.
//!
//! Root keys sign on a machine without network; a second signer signs what the first one signed. The file is
//! the entry itself ([`UnverifiedEntry`]); each who signs is shown what it says, and appends a signature.
//!
//! Not here: whether it will do: the control plane and the witnesses judge that.

use std::{fs, path::Path};

use aws_lc_rs::rand::SystemRandom;
use writ_api::{AppendEntry, Appended};
use writ_evidence::{
    charter::{Change, CharterState, EntryBody, SignedWrit, UnverifiedEntry, sign_root},
    digest::sha256,
    key::{Algorithm, SigningKey},
    writ::Order,
};
use zeroize::Zeroizing;

use crate::{
    args::RootSigning,
    failure::Failure,
    join_file, output, push, sign,
    tenant::{Source, Tenant},
};

/// The exact text of the next entry's body after a charter's head.
pub(crate) fn body(charter: &CharterState, change: Change) -> Result<String, Failure> {
    let body = EntryBody { seq: charter.seq() + 1, prev: Some(charter.head()), change };
    serde_json::to_string(&body)
        .map_err(|error| Failure::because("change", "cannot write the change", &error))
}

/// Has an entry appended: by the control plane, or by the gateways' jails.
pub(crate) async fn submit(tenant: &Tenant, entry: UnverifiedEntry) -> Result<Appended, Failure> {
    if tenant.source == Source::Gateways {
        return push::submit(tenant, entry).await;
    }
    Ok(tenant.server.post(&tenant.path("/charter"), &AppendEntry { entry }).await?)
}

/// Signs a root-class change with the keys at hand and has it appended, or writes it down for others to
/// sign.
pub(crate) async fn root_change(
    tenant: &Tenant,
    change: Change,
    signing: &RootSigning,
) -> Result<(), Failure> {
    let kind = change.kind();
    let mut entry =
        UnverifiedEntry::Roots { body: body(&tenant.charter, change)?, signatures: Vec::new() };
    if let Some(file) = &signing.propose {
        join_file::write(file, &entry)?;
        let needed = tenant.charter.roots().threshold;
        output::say(format!(
            "`{0}` holds the change, unsigned. {needed} root keys sign it:\n  writ charter sign {0} \
             --root-key KEY   (no network needed)\nthen:\n  writ charter submit {0}",
            file.display()
        ));
        return Ok(());
    }
    for key in &signing.root_keys {
        add_root_signature(&mut entry, key)?;
    }
    let appended = submit(tenant, entry).await?;
    output::say(format!("charter entry {}: {kind}, signed by root keys", appended.seq));
    Ok(())
}

/// Adds a root key's signature; the key is PKCS#8 in a file of its holder's own.
pub(crate) fn add_root_signature(entry: &mut UnverifiedEntry, key: &Path) -> Result<(), Failure> {
    let UnverifiedEntry::Roots { body, signatures } = entry else {
        return Err(Failure::new("proposal", "root keys sign root-class changes only")
            .with_remedy("a second signer signs with a login: leave --root-key out"));
    };
    let named = key.display();
    let pkcs8 = Zeroizing::new(fs::read(key).map_err(|error| {
        Failure::because("root", &format!("cannot read the root key `{named}`"), &error)
    })?);
    let root = SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8)
        .map_err(|error| Failure::because("root", &format!("`{named}` is no root key"), &error))?;
    let signature = sign_root(body, &root, &SystemRandom::new())
        .map_err(|error| Failure::because("root", "cannot sign", &error))?;
    if !signatures.contains(&signature) {
        signatures.push(signature);
    }
    Ok(())
}

/// Adds this login's signature to what somebody else signed.
pub(crate) fn add_second_signature(
    tenant: &Tenant,
    entry: &mut UnverifiedEntry,
) -> Result<(), Failure> {
    let UnverifiedEntry::Writ { body, others, .. } = entry else {
        return Err(Failure::new("proposal", "root keys sign this change, and nobody else may")
            .with_remedy("name one with --root-key"));
    };
    let read: EntryBody = serde_json::from_str(body)
        .map_err(|error| Failure::because("proposal", "the change is malformed", &error))?;
    if read.prev != Some(tenant.charter.head()) {
        return Err(Failure::new(
            "charter-not-next",
            "the charter has changed since it was proposed",
        )
        .with_remedy("propose the change anew"));
    }
    let order = Order::CharterAppend { cnt: sha256(body.as_bytes()) };
    let writ = sign::writ(tenant, order)?;
    others.push(SignedWrit { writ, idc: tenant.session.idc.clone() });
    Ok(())
}

/// What the first of two signers is told; the proposal lies in the current folder.
pub(crate) fn for_second_signer(
    tenant: &Tenant,
    change: Change,
    reason: &str,
) -> Result<Failure, Failure> {
    let entry = sign::signed(tenant, &tenant.charter, change)?;
    let file = format!("writ-proposal-{}.json", tenant.charter.seq() + 1);
    join_file::write(Path::new(&file), &entry)?;
    let cause = format!("the change takes a second signer: {reason}");
    Ok(Failure::new("charter-second-signer", cause).with_remedy(format!(
        "within five minutes, another administrator: writ charter sign {file} && writ charter submit {file}"
    )))
}

/// Says what an entry changes, as it will be read for ever.
pub(crate) fn show(entry: &UnverifiedEntry) -> Result<EntryBody, Failure> {
    let body = body_of(entry)?;
    let text = serde_json::to_string_pretty(&body.change)
        .map_err(|error| Failure::because("proposal", "cannot show the change", &error))?;
    output::say(format!("charter entry {}: {}\n{text}", body.seq, body.change.kind()));
    Ok(body)
}

/// What an entry says.
pub(crate) fn body_of(entry: &UnverifiedEntry) -> Result<EntryBody, Failure> {
    entry.body().map_err(|error| Failure::because(error.code(), "the entry is malformed", &error))
}

/// Reads exported entries, one a line; nothing of them is verified here.
pub(crate) fn read_export(file: &Path) -> Result<Vec<UnverifiedEntry>, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::because("charter", &format!("cannot read `{}`", file.display()), &error)
    })?;
    let entry = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|_| {
            Failure::new("charter-body", format!("line {} is no charter entry", number + 1))
        })
    };
    text.lines().enumerate().map(entry).collect()
}

/// Says what others changed since an entry.
pub(crate) fn show_since(entries: &[UnverifiedEntry], seen: u64) {
    for body in entries.iter().filter_map(|entry| entry.body().ok()) {
        if body.seq > seen {
            output::say(format!("meanwhile, charter entry {}: {}", body.seq, body.change.kind()));
        }
    }
}
