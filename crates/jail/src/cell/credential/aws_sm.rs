//! Reads one secret from AWS Secrets Manager: one signed request, over the cell's own TLS.

use std::{fs::File, io::Read as _};

use serde_json::Value;
use writ_model::{ConnectionHost, SecretRef};
use zeroize::Zeroizing;

use super::{Network, Resolved, secret};
use crate::{
    cell::{
        Failed, egress,
        exchange::{self, Ask, Sender, authority},
    },
    clock,
    secret_memory::SecretBytes,
    vault::{
        aws::{
            credentials::AwsCredentials,
            secrets_manager,
            sign::{RequestToSign, Scope, Signed, sign},
        },
        sources::AwsSource,
    },
};

/// Longest credentials file, in bytes.
const FILE_MAX: u64 = 256 * 1024;

/// Reads a secret.
pub(super) fn read(
    reference: &SecretRef,
    source: AwsSource,
    network: &Network<'_>,
) -> Result<Resolved, Failed> {
    let AwsSource { settings, profile, credentials } = source;
    let credentials = credentials.ok_or(Failed::new("aws-credentials-file"))?;
    let mut file = Zeroizing::new(Vec::new());
    File::from(credentials)
        .take(FILE_MAX)
        .read_to_end(&mut file)
        .map_err(|_| Failed::new("aws-credentials-file"))?;
    let credentials =
        AwsCredentials::read(&file, &profile).map_err(|error| Failed::new(error.code()))?;
    let host = settings.host();
    let body = secrets_manager::body(reference);
    let signed = signed(&host, &settings.region, &body, &credentials)?;
    let unreachable = |_| Failed::new("aws-sm-unreachable");
    let ranges = &settings.allow_cidrs;
    let socket =
        egress::connect(network.broker, &host, ranges, network.deadline).map_err(unreachable)?;
    let talk = async |sender: &mut Sender| {
        let headers = signed.headers.into_iter().filter(|(name, _)| name != "host").collect();
        let (method, target) = (hyper::Method::POST, signed.target.as_str());
        let ask = Ask { host: &host, method, target, headers, body: body.into_bytes() };
        exchange::ask(sender, ask).await
    };
    let roots = network.roots.clone();
    let (status, answer) =
        exchange::conversation(network.deadline, socket, &host, roots, talk).map_err(own_code)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
    let mut value = secrets_manager::read(reference, status, &answer)
        .map_err(|error| Failed::answered(error.code(), status))?;
    let credential = SecretBytes::take(&mut value).map_err(|_| Failed::new("vault-unsafe"))?;
    Ok(Resolved { credential, derived: derived(&credentials)? })
}

/// What the request was signed with must not come back from the service either.
fn derived(credentials: &AwsCredentials) -> Result<Vec<SecretBytes>, Failed> {
    let key = String::from_utf8_lossy(credentials.secret_access_key()).into_owned();
    let mut derived = vec![secret(key)?];
    if let Some(token) = credentials.session_token() {
        derived.push(secret(token.to_owned())?);
    }
    Ok(derived)
}

fn signed(
    host: &ConnectionHost,
    region: &str,
    body: &str,
    credentials: &AwsCredentials,
) -> Result<Signed, Failed> {
    let authority = authority(host);
    let request = RequestToSign {
        method: "POST",
        host: &authority,
        path: "/",
        query: &[],
        headers: &secrets_manager::HEADERS,
        body: body.as_bytes(),
    };
    let scope = Scope { region, service: "secretsmanager", at: clock::now() };
    sign(&request, &scope, credentials).map_err(|error| Failed::new(error.code()))
}

/// The transport's codes are about the service; here it is the manager that could not be reached.
fn own_code(failed: Failed) -> Failed {
    let code = match failed.code {
        "http-timeout" => "aws-sm-timeout",
        "tls-failed" => "aws-sm-tls-failed",
        "http-too-large" => "aws-sm-answer",
        _ => "aws-sm-unreachable",
    };
    Failed { code, ..failed }
}
