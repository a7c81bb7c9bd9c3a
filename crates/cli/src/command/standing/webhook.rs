//! What verifies a webhook, from what the command line says. There is none that verifies nothing.

use std::path::Path;

use writ_evidence::{
    json,
    key::PublicKey,
    standing::{
        Freshness, HeaderName, MaxAge, Remembered, Secrets, SignatureEncoding, StandardPrefix,
        StandardVerifier, VerifyingKeys, WebhookTrigger, WebhookVerifier,
    },
};

use crate::{
    args::{Scheme, StandingSetArgs},
    command::automation::read,
    failure::Failure,
};

/// The trigger of `--webhook`.
pub(super) fn trigger(args: &StandingSetArgs) -> Result<WebhookTrigger, Failure> {
    let (Some(scheme), Some(path)) = (args.webhook, args.path.clone()) else {
        return Err(Failure::new("standing", "nothing is named that fires it"));
    };
    Ok(WebhookTrigger { path, verifier: verifier(args, scheme)? })
}

fn verifier(args: &StandingSetArgs, scheme: Scheme) -> Result<WebhookVerifier, Failure> {
    let max_age = || MaxAge::try_from(args.max_age).map_err(|error| invalid("--max-age", &error));
    Ok(match scheme {
        Scheme::Github => {
            WebhookVerifier::Github { secrets: secrets(args)?, remember: remembered(args)? }
        }
        Scheme::Slack => WebhookVerifier::Slack { secrets: secrets(args)?, max_age: max_age()? },
        Scheme::Stripe => WebhookVerifier::Stripe {
            header: header(args.header.as_deref().unwrap_or("stripe-signature"))?,
            secrets: secrets(args)?,
            max_age: max_age()?,
        },
        Scheme::StandardWebhooks | Scheme::Svix => WebhookVerifier::StandardWebhooks {
            by: if args.keys.is_empty() {
                StandardVerifier::Secrets(secrets(args)?)
            } else {
                StandardVerifier::Keys(keys(args)?)
            },
            prefix: if scheme == Scheme::Svix {
                StandardPrefix::Svix
            } else {
                StandardPrefix::Webhook
            },
            max_age: max_age()?,
        },
        Scheme::Ed25519 => WebhookVerifier::Ed25519 {
            keys: keys(args)?,
            header: header(args.header.as_deref().unwrap_or("x-signature-ed25519"))?,
            encoding: match args.encoding.as_str() {
                "base64" => SignatureEncoding::Base64,
                _ => SignatureEncoding::Hex,
            },
            freshness: match &args.timestamp_header {
                Some(name) => Freshness::Timestamp { header: header(name)?, max_age: max_age()? },
                None => Freshness::Window { remember: remembered(args)? },
            },
        },
    })
}

fn secrets(args: &StandingSetArgs) -> Result<Secrets, Failure> {
    Secrets::try_from(args.secrets.clone()).map_err(|error| {
        invalid("--secret", &error).with_remedy("name where the webhook's secret is kept")
    })
}

fn keys(args: &StandingSetArgs) -> Result<VerifyingKeys, Failure> {
    let keys = args.keys.iter().map(|file| key(file)).collect::<Result<Vec<_>, _>>()?;
    VerifyingKeys::try_from(keys).map_err(|error| invalid("--key", &error))
}

fn key(file: &Path) -> Result<PublicKey, Failure> {
    json::parse_as(read(file)?.as_bytes()).map_err(|error| invalid("--key", &error))
}

fn header(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::try_from(name.to_ascii_lowercase()).map_err(|error| invalid("--header", &error))
}

fn remembered(args: &StandingSetArgs) -> Result<Remembered, Failure> {
    Remembered::try_from(args.remember).map_err(|error| invalid("--remember", &error))
}

fn invalid(option: &str, error: &dyn std::error::Error) -> Failure {
    Failure::because("webhook", &format!("`{option}` is refused"), error)
}
