//! `writ connection`.

mod remedy;
mod test_connection;

use std::{fs, path::PathBuf, time::Duration};

use writ_evidence::charter::{Change, Entitlement, Entitlements};
use writ_model::{Connection, ConnectionHost, ConnectionKind};

use super::Context;
use crate::{
    args::{ConnectionArgs, ConnectionCommand, EntitleArgs},
    failure::Failure,
    output, sign,
};

pub(super) async fn run(context: &Context, command: ConnectionCommand) -> Result<(), Failure> {
    let tenant = context.tenant().await?;
    match command {
        ConnectionCommand::Set(args) => {
            let connection = connection(*args)?;
            sign::change(&tenant, Change::ConnectionSet(connection)).await.map(drop)
        }
        ConnectionCommand::Test { name, timeout } => {
            let patience = Duration::from_secs(timeout);
            test_connection::test(&tenant, name, patience, context.json).await
        }
        ConnectionCommand::Entitle(args) => {
            let entitlements = entitlements(args)?;
            sign::change(&tenant, Change::EntitlementsSet(entitlements)).await.map(drop)
        }
        ConnectionCommand::List => {
            let records: Vec<_> = tenant.charter.connections().collect();
            if context.json {
                let connections: Vec<_> = records.iter().map(|record| &record.connection).collect();
                return output::json(&connections);
            }
            records.iter().try_for_each(|record| {
                let connection = &record.connection;
                let hosts: Vec<String> = connection.hosts.iter().map(ToString::to_string).collect();
                output::line(format!(
                    "{}\t{}\t{}",
                    connection.name,
                    hosts.join(" "),
                    connection.secret
                ))
            })
        }
    }
}

fn entitlements(args: EntitleArgs) -> Result<Entitlements, Failure> {
    let EntitleArgs { name: connection, file, .. } = args;
    let read = |file: PathBuf| {
        let about = format!("`{}` holds no entitlements", file.display());
        let text = fs::read(&file).map_err(|error| Failure::because("file", &about, &error))?;
        serde_json::from_slice::<Vec<Entitlement>>(&text)
            .map_err(|error| Failure::because("file", &about, &error))
    };
    Ok(Entitlements { connection, holders: file.map(read).transpose()? })
}

fn connection(args: ConnectionArgs) -> Result<Connection, Failure> {
    let ConnectionArgs { name, hosts, secret, plaintext, allow_cidrs, .. } = args;
    let kind = match (args.kind.as_str(), args.username, args.header) {
        ("basic", Some(username), _) => ConnectionKind::Basic { username },
        ("header", _, Some(name)) => ConnectionKind::Header { name, prefix: args.header_prefix },
        _ => ConnectionKind::Bearer,
    };
    kind.check().map_err(|reason| Failure::new("connection", reason))?;
    let hosts =
        hosts.iter().map(|text| host(text, plaintext)).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Connection { name, kind, hosts, allow_cidrs, secret })
}

/// `host` or `host:port`; an IPv6 literal stands in brackets.
fn host(text: &str, plaintext: bool) -> Result<ConnectionHost, Failure> {
    let invalid = || {
        Failure::new("host", format!("`{text}` is not `host` or `host:port`"))
            .with_remedy("write `api.github.com` or `127.0.0.1:8080`")
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| invalid())?),
        Some(_) => return Err(invalid()),
        None => (text, if plaintext { 80 } else { 443 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() {
        return Err(invalid());
    }
    Ok(ConnectionHost { host, port, plaintext })
}
