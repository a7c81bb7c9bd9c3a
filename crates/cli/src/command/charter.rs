//! `writ charter`: look at it, take it along, verify it, sign what others proposed. Read on in `push` (without the
//! control plane) and `diff` (what changed).

mod diff;

use std::{fs, path::Path};

use serde_json::json;
use writ_evidence::{
    charter::{CharterState, UnverifiedEntry},
    jws::UnverifiedJws,
};
use writ_model::{Principal, TenantId};
use writ_policy::Policies;

use super::Context;
use crate::{
    args::CharterCommand, failure::Failure, join_file, output, place::Place, proposal, push,
};

pub(super) async fn run(context: &Context, command: CharterCommand) -> Result<(), Failure> {
    match command {
        CharterCommand::Log => log(context).await,
        CharterCommand::Show { seq } => show(context, seq).await,
        CharterCommand::Export { file } => export(context, &file).await,
        CharterCommand::Verify { file, tenant } => verify(context, &file, tenant),
        CharterCommand::Push { file } => push::command(context, file.as_deref()).await,
        CharterCommand::Diff { from, to } => diff::run(context, &from, to.as_ref()).await,
        CharterCommand::Sign { file, root_keys } => {
            let mut entry: UnverifiedEntry = join_file::read(&file)?;
            proposal::show(&entry)?;
            if root_keys.is_empty() {
                let tenant = context.tenant().await?;
                proposal::add_second_signature(&tenant, &mut entry)?;
            }
            for key in &root_keys {
                proposal::add_root_signature(&mut entry, key)?;
            }
            join_file::rewrite(&file, &entry)?;
            output::say(format!("signed; next: writ charter submit {}", file.display()));
            Ok(())
        }
        CharterCommand::Submit { file } => {
            let entry: UnverifiedEntry = join_file::read(&file)?;
            let kind = proposal::show(&entry)?.change.kind();
            let tenant = context.tenant().await?;
            let appended = proposal::submit(&tenant, entry).await?;
            output::say(format!("charter entry {}: {kind}", appended.seq));
            Ok(())
        }
    }
}

async fn log(context: &Context) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let mut rows = Vec::new();
    for entry in &tenant.entries().await? {
        let body = entry
            .body()
            .map_err(|error| Failure::because(error.code(), "an entry is malformed", &error))?;
        rows.push((body.seq, body.change.kind(), entry.digest(), signers(entry)));
    }
    if context.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(seq, kind, digest, by)| {
                json!({"seq": seq, "change": kind, "digest": digest, "signed_by": by})
            })
            .collect();
        return output::json(&rows);
    }
    rows.iter().try_for_each(|(seq, kind, digest, by)| {
        output::line(format!("{seq}\t{kind}\t{digest}\t{}", by.join(", ")))
    })
}

/// Who signed an entry, as its writs say; the fold has verified them.
fn signers(entry: &UnverifiedEntry) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Signer {
        iss: String,
        sub: String,
    }
    let signer = |writ: &String| UnverifiedJws::parse(writ).ok()?.peek::<Signer>().ok();
    match entry {
        UnverifiedEntry::Roots { signatures, .. } => {
            vec![format!("{} root keys", signatures.len())]
        }
        UnverifiedEntry::Writ { writ, others, .. } => std::iter::once(writ)
            .chain(others.iter().map(|other| &other.writ))
            .filter_map(signer)
            .map(|Signer { iss, sub }| Principal { iss, sub }.to_string())
            .collect(),
    }
}

async fn show(context: &Context, seq: u64) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let entries = tenant.entries().await?;
    let found = usize::try_from(seq).ok().and_then(|at| entries.get(at));
    let entry = found.ok_or_else(|| {
        Failure::new("charter-entry", format!("there is no entry {seq}"))
            .with_remedy(format!("the newest is {}", tenant.charter.seq()))
    })?;
    let body = entry
        .body()
        .map_err(|error| Failure::because(error.code(), "the entry is malformed", &error))?;
    let witnesses = match entry {
        UnverifiedEntry::Roots { .. } => 0,
        UnverifiedEntry::Writ { cosignatures, .. } => cosignatures.len(),
    };
    let shown = json!({
        "seq": body.seq, "digest": entry.digest(), "prev": body.prev, "change": body.change,
        "signed_by": signers(entry), "cosignatures": witnesses,
    });
    if context.json {
        return output::json(&shown);
    }
    let text = serde_json::to_string_pretty(&shown)
        .map_err(|error| Failure::because("charter", "cannot show the entry", &error))?;
    output::data(text)
}

async fn export(context: &Context, file: &Path) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let entries = tenant.entries().await?;
    let mut text = String::new();
    for entry in &entries {
        let line = serde_json::to_string(entry)
            .map_err(|error| Failure::because("charter", "cannot write an entry", &error))?;
        text.push_str(&line);
        text.push('\n');
    }
    fs::write(file, text).map_err(|error| {
        Failure::because("charter", &format!("cannot write `{}`", file.display()), &error)
    })?;
    output::say(format!("{} entries in `{}`", entries.len(), file.display()));
    Ok(())
}

/// Folds exported entries; nobody is asked.
fn verify(context: &Context, file: &Path, tenant: Option<TenantId>) -> Result<(), Failure> {
    let ten = match tenant {
        Some(ten) => ten,
        None => Place::find()?.settings.tenant,
    };
    let entries = proposal::read_export(file)?;
    let charter = fold_until(&entries, ten, u64::MAX)?;
    if context.json {
        return output::json(&json!({"tenant": ten, "seq": charter.seq(), "head": charter.head()}));
    }
    output::line(format!("verified {} entries of tenant {ten}", charter.seq() + 1))?;
    output::line(format!("charter head {}", charter.head()))
}

/// Folds entries up to this number from a trust anchor.
pub(super) fn fold_until(
    entries: &[UnverifiedEntry],
    ten: TenantId,
    seq: u64,
) -> Result<CharterState, Failure> {
    let policies = Policies::built_in()
        .map_err(|error| Failure::because("policies", "cannot verify", &error))?;
    let mut state: Option<CharterState> = None;
    for (_, entry) in (0..=seq).zip(entries) {
        let folded = match &mut state {
            None => CharterState::found(entry, ten).map(|first| state = Some(first)),
            Some(charter) => charter.append(entry, &policies),
        };
        folded
            .map_err(|error| Failure::because(error.code(), "the charter does not hold", &error))?;
    }
    state.ok_or_else(|| Failure::new("charter-body", "there is no entry"))
}
