//! `writ audit`: fetch the log, and prove offline that it is whole.

use std::{fs, path::Path};

use serde::de::DeserializeOwned;
use writ_api::AuditPage;
use writ_evidence::{
    audit::{self, AuditRecord, Behind, ForkSeen, Known},
    charter::RootFork,
};
use writ_policy::Policies;

use super::Context;
use crate::{
    args::{AuditCommand, VerifyArgs},
    failure::Failure,
    output,
    place::Place,
};

/// One record a line.
const RECORDS: &str = "records.jsonl";
/// One compact checkpoint a line, as JSON strings.
const CHECKPOINTS: &str = "checkpoints.jsonl";

pub(super) async fn run(context: &Context, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Export { folder } => export(context, &folder).await,
        AuditCommand::Verify { folder, with } => verify(context, &folder, &with),
    }
}

async fn export(context: &Context, folder: &Path) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    let mut records: Vec<AuditRecord> = Vec::new();
    let mut checkpoints = Vec::new();
    loop {
        let from = records.len();
        let page: AuditPage =
            tenant.server.get(&tenant.path(&format!("/audit?from={from}"))).await?;
        if from == 0 {
            checkpoints = page.checkpoints;
        }
        if page.records.is_empty() {
            break;
        }
        records.extend(page.records);
    }
    let failed = |error: std::io::Error| {
        Failure::because("export", &format!("cannot write to `{}`", folder.display()), &error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(folder.join(RECORDS), lines(&records)?).map_err(failed)?;
    fs::write(folder.join(CHECKPOINTS), lines(&checkpoints)?).map_err(failed)?;
    output::say(format!(
        "{} records and {} checkpoints in `{}`",
        records.len(),
        checkpoints.len(),
        folder.display()
    ));
    Ok(())
}

fn lines<T: serde::Serialize>(items: &[T]) -> Result<String, Failure> {
    let mut text = String::new();
    for item in items {
        let line = serde_json::to_string(item)
            .map_err(|error| Failure::because("export", "cannot write a record", &error))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn verify(context: &Context, folder: &Path, with: &VerifyArgs) -> Result<(), Failure> {
    let ten = match with.tenant {
        Some(ten) => ten,
        None => Place::find()?.settings.tenant,
    };
    let records: Vec<AuditRecord> = read(&folder.join(RECORDS))?;
    let checkpoints: Vec<String> = read(&folder.join(CHECKPOINTS))?;
    let mut known = Known { charter_heads: with.charter_heads.clone(), checkpoints: Vec::new() };
    for file in &with.checkpoints {
        known.checkpoints.extend(read::<String>(file)?);
    }
    let policies = Policies::built_in()
        .map_err(|error| Failure::because("policies", "cannot verify", &error))?;
    let mut summary = audit::verify(&records, &checkpoints, ten, &known, &policies)
        .map_err(|bad| Failure::new("audit-bad", bad.to_string()))?;
    summary.behind.retain(|behind| behind.by_s > with.behind);
    if context.json {
        return output::json(&summary);
    }
    output::line(format!("verified {} records of tenant {ten}", summary.verified))?;
    for (kind, count) in &summary.kinds {
        output::line(format!("  {count} {}", kind.as_str()))?;
    }
    if summary.uncovered > 0 {
        output::line(format!(
            "  {} more are sound, but no witness has signed for them yet",
            summary.uncovered
        ))?;
    }
    for Behind { index, entry, by_s } in &summary.behind {
        output::line(format!(
            "  record {index} was decided {by_s} s after charter entry {entry}, which its jail had not been shown"
        ))?;
    }
    for ForkSeen { index, fork: RootFork { seq, first, second, .. }, proven } in &summary.forks {
        let word = if *proven { "signatures included" } else { "by the jail's word" };
        output::line(format!(
            "  FORK: record {index} says ({word}) that root keys signed two changes as entry {seq}, {first} and {second}"
        ))?;
    }
    output::line(format!("charter head {}", summary.charter))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::because("export", &format!("cannot read `{}`", path.display()), &error)
    })?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|_| {
                Failure::new(
                    "audit-bad",
                    format!("`{}` line {} is malformed", path.display(), index + 1),
                )
            })
        })
        .collect()
}
