//! `writ automation`: what a document would touch, and publishing it with exactly that.

use std::{collections::BTreeMap, fs, path::Path};

use writ_api::{Content, ContentKind};
use writ_evidence::{
    approval::ApprovalGate,
    charter::{Automation, Change, CharterState, CodeGrant, Footprint},
    digest::sha256,
    writ::{ConnectionGrant, ConnectionGrantType},
};
use writ_model::{Connection, Digest, HttpCall, PinnedAction, PinnedConnection};
use writ_workflow::{ActionUse, ApprovalUse, Document, PackRef};

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
                    "calls {} through connection {}",
                    described(used),
                    used.connection
                ))?;
            }
            for code in &footprint.code {
                output::line(format!("runs {} {}", code.language, code.digest))?;
            }
            footprint.approvals.iter().try_for_each(|asks| output::line(asking(asks)))
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
    for used in &document.footprint().actions {
        output::say(format!("may call {} through {}", described(used), used.connection));
    }
    for code in &footprint.code {
        output::say(format!("may run {} code {}", code.language, code.digest));
    }
    for asks in &document.footprint().approvals {
        output::say(asking(asks));
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
    let footprint = document.footprint();
    let connections = pin_actions(&footprint.actions, charter)?;
    let code = footprint.code.iter();
    let code =
        code.map(|code| CodeGrant { language: code.language, digest: code.digest }).collect();
    let approvals = footprint
        .approvals
        .iter()
        .map(|asks| {
            let behind = pin_actions(&asks.behind, charter)?;
            Ok(ApprovalGate { task: asks.task.clone(), quorum: asks.quorum, behind })
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Footprint { connections, code, approvals })
}

fn pin_actions<'a>(
    actions: impl IntoIterator<Item = &'a ActionUse>,
    charter: &CharterState,
) -> Result<Vec<ConnectionGrant>, Failure> {
    let mut grants: BTreeMap<PinnedConnection, Vec<PinnedAction>> = BTreeMap::new();
    for used in actions {
        let record = charter.connection(&used.connection).ok_or_else(|| {
            Failure::new(
                "connection-unknown",
                format!("there is no connection {}", used.connection),
            )
            .with_remedy("make it with `writ connection set`")
        })?;
        let digest = match &used.pack {
            PackRef::Version(version) => acknowledged(charter, used, version)?,
            PackRef::Inline(text) => spelled_out(text, &record.connection)?,
        };
        let connection = PinnedConnection { name: used.connection.clone(), digest: record.digest };
        let action = PinnedAction { name: used.action.clone(), digest };
        grants.entry(connection).or_default().push(action);
    }
    Ok(grants
        .into_iter()
        .map(|(connection, actions)| ConnectionGrant {
            kind: ConnectionGrantType::WritConnection,
            connection,
            actions,
        })
        .collect())
}

fn acknowledged(
    charter: &CharterState,
    used: &ActionUse,
    version: &str,
) -> Result<Digest, Failure> {
    let pack = used.action.pack();
    charter.pack(&pack, version).map(|known| known.digest).ok_or_else(|| {
        let cause = format!("pack {pack}:{version} is not acknowledged");
        Failure::new("pack-unacknowledged", cause)
            .with_remedy("acknowledge it with `writ pack acknowledge`")
    })
}

/// The digest of a call that a document spells out, if its host is one of the connection's.
fn spelled_out(text: &str, connection: &Connection) -> Result<Digest, Failure> {
    let call: HttpCall = serde_json::from_str(text)
        .map_err(|error| Failure::because("document", "the call is malformed", &error))?;
    if connection.hosts.contains(&call.host) {
        return Ok(sha256(text.as_bytes()));
    }
    let hosts: Vec<String> = connection.hosts.iter().map(ToString::to_string).collect();
    let cause = format!("{} is no host of connection {}", call.host, connection.name);
    Err(Failure::new("host-outside-connection", cause)
        .with_remedy(format!("its hosts are {}; a host is exact, with its port", hosts.join(", "))))
}

/// A task that asks people, and what waits for their approval.
fn asking(asks: &ApprovalUse) -> String {
    let behind: Vec<String> = asks.behind.iter().map(described).collect();
    let behind = if behind.is_empty() { "no action alone".to_owned() } else { behind.join(", ") };
    format!("asks {} to approve at {}; behind it: {behind}", asks.quorum, asks.task)
}

/// An action with its version, or a call as the document spells it out.
fn described(used: &ActionUse) -> String {
    match &used.pack {
        PackRef::Version(version) => format!("{}:{version}", used.action),
        PackRef::Inline(text) => serde_json::from_str(text).map_or_else(
            |_| used.action.to_string(),
            |call: HttpCall| {
                let scheme = if call.host.plaintext { "http" } else { "https" };
                format!("{} {scheme}://{}{}", call.method.as_str(), call.host, call.target)
            },
        ),
    }
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
