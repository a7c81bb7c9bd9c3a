//! `writ automation`: what a document would touch, and publishing it with exactly that.

use std::{collections::BTreeMap, fs, path::Path};

use writ_api::{Content, ContentKind};
use writ_evidence::{
    charter::{Automation, Change, CharterState, CodeGrant, Footprint},
    digest::sha256,
    writ::{ConnectionGrant, ConnectionGrantType},
};
use writ_model::{PinnedAction, PinnedConnection};
use writ_workflow::Document;

use super::Context;
use crate::{args::AutomationCommand, failure::Failure, output, sign};

pub(super) async fn run(context: &Context, command: AutomationCommand) -> Result<(), Failure> {
    match command {
        AutomationCommand::Check { file } => {
            let document = parse(&file, &read(&file)?)?;
            let footprint = document.footprint();
            output::line(format!("{} {}", document.name(), document.version()))?;
            for used in &footprint.actions {
                output::line(format!(
                    "calls {}:{} through connection {}",
                    used.action, used.version, used.connection
                ))?;
            }
            footprint.code.iter().try_for_each(|code| {
                output::line(format!("runs {} {}", code.language, code.digest))
            })
        }
        AutomationCommand::Publish { file } => publish(context, &file).await,
        AutomationCommand::List => {
            let tenant = context.tenant().await?;
            let published: Vec<_> = tenant.charter.automations().collect();
            if context.json {
                let automations: Vec<_> = published.iter().map(|known| &known.automation).collect();
                return output::json(&automations);
            }
            published.iter().try_for_each(|known| {
                output::line(format!(
                    "{}\t{}\tpublished by {}",
                    known.automation.name, known.automation.bundle, known.publisher
                ))
            })
        }
    }
}

async fn publish(context: &Context, file: &Path) -> Result<(), Failure> {
    let source = read(file)?;
    let document = parse(file, &source)?;
    let tenant = context.tenant().await?;
    let footprint = pin(&document, &tenant.charter)?;
    for grant in &footprint.connections {
        let actions: Vec<_> = grant.actions.iter().map(|action| action.name.as_str()).collect();
        output::say(format!("may call {} through {}", actions.join(", "), grant.connection.name));
    }
    for code in &footprint.code {
        output::say(format!("may run {} code {}", code.language, code.digest));
    }
    let bundle = String::from_utf8(writ_workflow::bundle::close(&source))
        .map_err(|_| Failure::new("document", "the bundle is not UTF-8"))?;
    let digest = sha256(bundle.as_bytes());
    let content = Content { kind: ContentKind::Bundle, text: bundle };
    tenant.server.put(&tenant.path(&format!("/content/{digest}")), &content).await?;
    let automation = Automation { name: document.name().clone(), bundle: digest, footprint };
    sign::change(&tenant, Change::AutomationPublish(automation)).await?;
    output::say(format!("published {} {digest}", document.name()));
    Ok(())
}

/// Names become what the charter has under them now, by digest.
fn pin(document: &Document, charter: &CharterState) -> Result<Footprint, Failure> {
    let mut grants: BTreeMap<PinnedConnection, Vec<PinnedAction>> = BTreeMap::new();
    for used in &document.footprint().actions {
        let record = charter.connection(&used.connection).ok_or_else(|| {
            Failure::new(
                "connection-unknown",
                format!("there is no connection {}", used.connection),
            )
            .with_remedy("make it with `writ connection set`")
        })?;
        let pack = charter.pack(&used.action.pack(), &used.version).ok_or_else(|| {
            let pack = used.action.pack();
            let cause = format!("pack {pack}:{} is not acknowledged", used.version);
            Failure::new("pack-unacknowledged", cause)
                .with_remedy("acknowledge it with `writ pack acknowledge`")
        })?;
        let connection = PinnedConnection { name: used.connection.clone(), digest: record.digest };
        let action = PinnedAction { name: used.action.clone(), digest: pack.digest };
        grants.entry(connection).or_default().push(action);
    }
    let connections = grants
        .into_iter()
        .map(|(connection, actions)| ConnectionGrant {
            kind: ConnectionGrantType::WritConnection,
            connection,
            actions,
        })
        .collect();
    let code = document
        .footprint()
        .code
        .iter()
        .map(|code| CodeGrant { language: code.language, digest: code.digest })
        .collect();
    Ok(Footprint { connections, code })
}

/// Reads a file of text.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| {
        Failure::because("file", &format!("cannot read `{}`", file.display()), &error)
    })
}

fn parse(file: &Path, source: &str) -> Result<Document, Failure> {
    writ_workflow::parse(source).map_err(|diagnostics| {
        let lines: Vec<String> =
            diagnostics.iter().map(|found| format!("{}:{found}", file.display())).collect();
        Failure::new("document", lines.join("\n  "))
    })
}
