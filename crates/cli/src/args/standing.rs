//! What can be said about standing writs.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueEnum};
use writ_model::{AutomationName, SecretRef, StandingName, WebhookPath};

/// `writ standing`.
#[derive(Debug, Subcommand)]
pub(crate) enum StandingCommand {
    /// Grant or replace a standing writ: a schedule or a webhook that starts runs in your name.
    Set(Box<StandingSetArgs>),
    /// List standing writs.
    List,
    /// Show one standing writ, who granted it, and until when.
    Show {
        /// Its name, `workspace/name`.
        name: StandingName,
    },
    /// Grant a standing writ again as it is, for the automation as it is published now. What has changed
    /// is shown first.
    Renew {
        /// Its name, `workspace/name`.
        name: StandingName,
        /// How long it lasts from now: up to 90 days, such as `30d`.
        #[arg(long, default_value = "30d", value_parser = seconds)]
        expires_in: u32,
        /// Sign without being asked once more.
        #[arg(long)]
        yes: bool,
    },
    /// End a standing writ: it fires no more. What it has started goes on.
    Revoke {
        /// Its name, `workspace/name`.
        name: StandingName,
    },
}

/// `writ standing set`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("trigger").required(true).args(["cron", "every", "after", "webhook"])))]
pub(crate) struct StandingSetArgs {
    /// Its name, `workspace/name`.
    pub(crate) name: StandingName,
    /// The automation that it runs, as it is published now.
    #[arg(long)]
    pub(crate) automation: AutomationName,
    /// Fires at the local times that a cron expression of five fields matches, such as `30 2 * * 1-5`.
    #[arg(long)]
    pub(crate) cron: Option<String>,
    /// Where the times of `--cron` are local, such as `Europe/Berlin`.
    #[arg(long, default_value = "UTC")]
    pub(crate) time_zone: String,
    /// Fires at this interval, such as `15m`.
    #[arg(long, value_parser = seconds)]
    pub(crate) every: Option<u32>,
    /// When `--every` fires first, from now.
    #[arg(long, default_value = "10s", value_parser = seconds)]
    pub(crate) first_in: u32,
    /// Fires this long after its last run has ended, such as `1h`.
    #[arg(long, value_parser = seconds)]
    pub(crate) after: Option<u32>,
    /// What happens to times that came while nothing could fire them.
    #[arg(long, default_value = "skip")]
    pub(crate) missed_runs: Missed,
    /// Fires for webhooks that are signed as this sender signs them.
    #[arg(long, requires = "path")]
    pub(crate) webhook: Option<Scheme>,
    /// The last part of the webhook's address, `…/hooks/PATH` at the gateway.
    #[arg(long)]
    pub(crate) path: Option<WebhookPath>,
    /// Where the webhook's secret is kept, such as `local:hooks/github`; a second one while it is replaced.
    #[arg(long = "secret")]
    pub(crate) secrets: Vec<SecretRef>,
    /// An Ed25519 public key that verifies instead of a secret: a JWK in a file.
    #[arg(long = "key", value_name = "FILE", conflicts_with = "secrets")]
    pub(crate) keys: Vec<PathBuf>,
    /// The header that the signature stands in, for `stripe` and `ed25519`.
    #[arg(long)]
    pub(crate) header: Option<String>,
    /// The header of the timestamp that `ed25519` signs before the body.
    #[arg(long)]
    pub(crate) timestamp_header: Option<String>,
    /// How the signature of `ed25519` is written.
    #[arg(long, default_value = "hex", value_parser = ["hex", "base64"])]
    pub(crate) encoding: String,
    /// The oldest webhook that is taken, where its time is signed.
    #[arg(long, default_value = "5m", value_parser = seconds)]
    pub(crate) max_age: u32,
    /// How long a webhook is remembered, where no time is signed: 3 to 90 days.
    #[arg(long, default_value = "30d", value_parser = seconds)]
    pub(crate) remember: u32,
    /// The input of every run: a file of JSON. Without it a schedule's runs get `{}`, a webhook's its body.
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    /// Most runs that it starts in any span of `--per`.
    #[arg(long, default_value_t = 60)]
    pub(crate) max_runs: u32,
    /// The span of `--max-runs`, such as `1d`.
    #[arg(long, default_value = "1h", value_parser = seconds)]
    pub(crate) per: u32,
    /// Most runs of it that are open at once: one of a schedule, ten of a webhook unless given.
    #[arg(long)]
    pub(crate) concurrency: Option<u32>,
    /// How long it lasts: up to 90 days, such as `30d`.
    #[arg(long, default_value = "30d", value_parser = seconds)]
    pub(crate) expires_in: u32,
}

/// What happens to missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missed {
    /// They are passed over.
    Skip,
    /// The last of them is made up for.
    Once,
    /// Each is made up for.
    All,
}

/// How a sender signs its webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheme {
    /// `X-Hub-Signature-256` over the body.
    Github,
    /// `X-Slack-Signature` over time and body.
    Slack,
    /// `t=…,v1=…` in one header, over time and body.
    Stripe,
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    StandardWebhooks,
    /// The same under the names `svix-…`.
    Svix,
    /// Ed25519 over the body, or over a timestamp and the body.
    Ed25519,
}

/// A span such as `90s`, `15m`, `1h`, `30d`, in seconds.
fn seconds(text: &str) -> Result<u32, &'static str> {
    let wrong = "it is a number with `s`, `m`, `h` or `d`, such as `15m`";
    let unit = text.chars().last().ok_or(wrong)?;
    let number: u32 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or(wrong)?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong),
    };
    number.checked_mul(scale).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        for wrong in ["", "d", "1", "1w", "-1d", "1.5h", "99999999d", "1 d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
