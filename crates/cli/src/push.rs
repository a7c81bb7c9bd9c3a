//! Changes of the charter without the control plane: signed over what the gateways show, handed to them, and only then
//! to the control plane (DESIGN §3.3).
//!
//! A gateway hands what is pushed to its runner, whose jail judges it. A candidate that takes the cosignatures of several
//! witnesses goes from gateway to gateway and collects them.
//!
//! Invariant: a change counts as made once a jail has folded it; that the control plane was not told is a warning.

use std::time::Duration;

use serde_json::json;
use writ_api::{AppendEntry, Appended, CharterPage, Client, PushEntries, Pushed};
use writ_evidence::charter::UnverifiedEntry;
use writ_model::{Digest, limits::CHARTER_PUSH_MAX};

use crate::{command::Context, failure::Failure, join_file, output, proposal, tenant::Tenant};

/// How long the control plane has to take what the gateways have taken.
const CONTROL_PLANE_WITHIN: Duration = Duration::from_secs(5);
/// Most bytes of entries in one push; its frame takes some, too.
const BATCH_BYTES: usize = CHARTER_PUSH_MAX / 2;
/// Where gateways serve the charter.
const ROUTE: &str = "/v1/charter";

/// Hands a signed change to the gateways until a jail has folded it, then to whoever else has to know.
pub(crate) async fn submit(tenant: &Tenant, entry: UnverifiedEntry) -> Result<Appended, Failure> {
    let digest = entry.digest();
    let gateways = tenant.gateways()?;
    let Collected { entry, appended, told } = collect(&gateways, entry).await?;
    for (gateway, told) in gateways.iter().zip(told) {
        if !told {
            tell_gateway(gateway, &entry).await;
        }
    }
    tell_control_plane(tenant, &entry).await;
    if entry.digest() == digest {
        return Ok(appended);
    }
    let cause = "the witness had cosigned another change before, which is an entry now";
    Err(Failure::new("charter-not-next", cause))
}

/// An entry, and which gateways' jails have folded it.
struct Collected {
    entry: UnverifiedEntry,
    appended: Appended,
    told: Vec<bool>,
}

/// Takes an entry or a candidate from gateway to gateway until a jail has folded it.
async fn collect(gateways: &[Client], mut entry: UnverifiedEntry) -> Result<Collected, Failure> {
    let mut told = vec![false; gateways.len()];
    let mut lacking = None;
    let mut unreachable = None;
    for (at, gateway) in gateways.iter().enumerate() {
        match push(gateway, vec![entry.clone()]).await {
            Ok(Pushed::Folded { seq, head, entry }) => {
                say_folded(gateway, seq, head);
                if let Some(told) = told.get_mut(at) {
                    *told = true;
                }
                let (entry, appended) = (*entry, Appended { seq, head });
                return Ok(Collected { entry, appended, told });
            }
            Ok(Pushed::Cosigned { entry: cosigned, needed }) => {
                lacking = Some(needed);
                entry = *cosigned;
            }
            Err(failure) if failure.code() == "unreachable" => unreachable = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    match (lacking, unreachable) {
        (None, Some(unreachable)) => Err(unreachable.with_remedy("is the gateway running?")),
        (None, None) => Err(Failure::new("no-gateway", "this folder knows no gateway")
            .with_remedy("name one with --gateway")),
        (Some(needed), _) => Err(incomplete(&entry, needed)?),
    }
}

/// Keeps a candidate that too few witnesses have cosigned, to be taken to others.
fn incomplete(entry: &UnverifiedEntry, needed: u8) -> Result<Failure, Failure> {
    let seq = proposal::body_of(entry)?.seq;
    let file = format!("writ-push-{seq}.json");
    join_file::write(std::path::Path::new(&file), entry)?;
    let cause = format!("the change takes {needed} witnesses; these gateways have fewer");
    Ok(Failure::new("charter-witness", cause).with_remedy(format!(
        "within five minutes: writ charter push {file} --gateway URL, with the gateway of another witness"
    )))
}

/// Other gateways are told what is an entry now; a warning if one was not.
async fn tell_gateway(gateway: &Client, entry: &UnverifiedEntry) {
    match push(gateway, vec![entry.clone()]).await {
        Ok(Pushed::Folded { seq, head, .. }) => say_folded(gateway, seq, head),
        Ok(Pushed::Cosigned { .. }) => {}
        Err(failure) => {
            output::say(format!("warning: {} was not told: {failure}", gateway.origin()));
        }
    }
}

/// The control plane is told; a warning if it was not. Runners tell it, too.
async fn tell_control_plane(tenant: &Tenant, entry: &UnverifiedEntry) {
    let append = AppendEntry { entry: entry.clone() };
    let path = tenant.path("/charter");
    let told = tenant.server.post::<_, Appended>(&path, &append);
    let why = match tokio::time::timeout(CONTROL_PLANE_WITHIN, told).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => Failure::from(error).code().to_owned(),
        Err(_) => "no answer".to_owned(),
    };
    output::say(format!(
        "warning: the control plane was not told ({why}); the runner tells it once it can"
    ));
}

async fn push(gateway: &Client, entries: Vec<UnverifiedEntry>) -> Result<Pushed, Failure> {
    Ok(gateway.post(ROUTE, &PushEntries { entries }).await?)
}

fn say_folded(gateway: &Client, seq: u64, head: Digest) {
    output::say(format!(
        "the jail behind {} has folded the charter until entry {seq}, {head}",
        gateway.origin()
    ));
}

/// `writ charter push`: entries of a file, or what the control plane shows and a gateway lacks.
pub(crate) async fn command(
    context: &Context,
    file: Option<&std::path::Path>,
) -> Result<(), Failure> {
    let tenant = match file {
        // Nothing is read from the control plane: it may be away, or hold things back.
        Some(_) => context.tenant_of_gateway().await?,
        None => context.tenant_of_server().await?,
    };
    let entries = file.map(read).transpose()?;
    if let Some([entry]) = entries.as_deref() {
        let kind = proposal::show(entry)?.change.kind();
        let appended = submit(&tenant, entry.clone()).await?;
        return say_head(context, &[(String::new(), appended.seq, appended.head)], kind);
    }
    let known = match &entries {
        Some(entries) => entries.clone(),
        None => tenant.entries().await?,
    };
    let mut heads = Vec::new();
    for gateway in tenant.gateways()? {
        let (seq, head) = push_tail(&gateway, &known).await?;
        heads.push((gateway.origin().to_owned(), seq, head));
    }
    if file.is_some()
        && let Some(last) = entries.as_deref().and_then(<[_]>::last)
    {
        tell_control_plane(&tenant, last).await;
    }
    say_head(context, &heads, "entries")
}

fn say_head(context: &Context, heads: &[(String, u64, Digest)], what: &str) -> Result<(), Failure> {
    if context.json {
        let heads: Vec<_> = heads
            .iter()
            .map(|(gateway, seq, head)| json!({"gateway": gateway, "seq": seq, "head": head}))
            .collect();
        return output::json(&heads);
    }
    heads.iter().try_for_each(|(gateway, seq, head)| {
        let of = if gateway.is_empty() { what } else { gateway };
        output::line(format!("{of}\tentry {seq}\t{head}"))
    })
}

/// Pushes what a gateway's runner lacks of these entries, which start anywhere.
async fn push_tail(
    gateway: &Client,
    entries: &[UnverifiedEntry],
) -> Result<(u64, Digest), Failure> {
    let last = entries.last().ok_or_else(|| Failure::new("charter-body", "there is no entry"))?;
    let page: CharterPage = gateway.get(&format!("{ROUTE}?from={}", u64::MAX)).await?;
    let first = proposal::body_of(entries.first().unwrap_or(last))?.seq;
    let skip = (page.seq.saturating_add(1)).saturating_sub(first);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let mut lacking = entries.get(skip..).unwrap_or_default();
    if lacking.is_empty() {
        // It has as many; whether they are the same, it says of the last.
        lacking = std::slice::from_ref(last);
    }
    let mut newest = None;
    while let Some(batch) = batch(lacking)? {
        lacking = lacking.get(batch.len()..).unwrap_or_default();
        if let Pushed::Folded { seq, head, .. } = push(gateway, batch).await? {
            newest = Some((seq, head));
        }
    }
    newest.ok_or_else(|| Failure::new("charter-witness", "the last of these is no entry yet"))
}

/// As many of the first entries as one push takes.
fn batch(entries: &[UnverifiedEntry]) -> Result<Option<Vec<UnverifiedEntry>>, Failure> {
    let mut taken = Vec::new();
    let mut bytes = 0_usize;
    for entry in entries {
        let text = serde_json::to_vec(entry)
            .map_err(|error| Failure::because("charter", "cannot write an entry", &error))?;
        bytes = bytes.saturating_add(text.len());
        if !taken.is_empty() && bytes > BATCH_BYTES {
            break;
        }
        taken.push(entry.clone());
    }
    Ok(Some(taken).filter(|taken| !taken.is_empty()))
}

/// Entries of a file: one, as `writ charter sign` and a refused `--push` leave it, or one a line.
fn read(file: &std::path::Path) -> Result<Vec<UnverifiedEntry>, Failure> {
    if let Ok(entry) = join_file::read::<UnverifiedEntry>(file) {
        return Ok(vec![entry]);
    }
    proposal::read_export(file)
}
