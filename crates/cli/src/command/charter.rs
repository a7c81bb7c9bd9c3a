//! `writ charter`.

use serde_json::json;

use super::Context;
use crate::{args::CharterCommand, failure::Failure, output};

pub(super) async fn run(context: &Context, command: CharterCommand) -> Result<(), Failure> {
    let CharterCommand::Log = command;
    let tenant = context.tenant().await?;
    let mut rows = Vec::new();
    for entry in &tenant.entries {
        let body = entry
            .body()
            .map_err(|error| Failure::because(error.code(), "an entry is malformed", &error))?;
        rows.push((body.seq, body.change.kind(), entry.digest()));
    }
    if context.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(seq, kind, digest)| json!({"seq": seq, "change": kind, "digest": digest}))
            .collect();
        return output::json(&rows);
    }
    rows.iter().try_for_each(|(seq, kind, digest)| output::line(format!("{seq}\t{kind}\t{digest}")))
}
