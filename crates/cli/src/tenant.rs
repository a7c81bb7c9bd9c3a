//! A tenant as this command sees it: its charter, folded from the anchor, and a signed client.

use std::time::{SystemTime, UNIX_EPOCH};

use writ_api::{Caller, CharterPage, Client, Credential};
use writ_evidence::charter::{CharterState, FoldError, UnverifiedEntry};
use writ_model::{RunnerGroupId, TenantId, UnixTime};
use writ_policy::Policies;

use crate::{charter_snapshot, failure::Failure, login, place::Place, session::Session};

/// Where the charter is read, and where changes of it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The control plane.
    Server,
    /// The gateways, whose runners have it.
    Gateways,
}

/// A login, its tenant and the charter as it is now.
pub(crate) struct Tenant {
    pub(crate) source: Source,
    /// The gateways that are named; the folder's if none is.
    pub(crate) named_gateways: Vec<String>,
    pub(crate) place: Place,
    pub(crate) session: Session,
    pub(crate) server: Client,
    pub(crate) charter: CharterState,
    pub(crate) named_group: Option<RunnerGroupId>,
}

impl Tenant {
    /// Fetches the charter and folds it from the trust anchor, or from where this folder has folded it before; whoever
    /// serves it is not believed.
    pub(crate) async fn open(
        place: Place,
        session: &str,
        source: Source,
        named_gateways: Vec<String>,
    ) -> Result<Self, Failure> {
        let session = fresh_session(&place, session).await?;
        let server = client(&place, &place.settings.server_url, &session)?;
        let ten = place.settings.tenant;
        let kept = charter_snapshot::find(&place);
        let before = kept.as_ref().map(CharterState::seq);
        let (charter, _) = match source {
            Source::Server => fetch_of_server(&server, ten, kept).await?,
            Source::Gateways => {
                let gateways = gateways(&place, &session, &named_gateways)?;
                fetch_of_gateways(&gateways, ten, kept).await?
            }
        };
        if place.settings.head.is_some_and(|head| !charter.knows_head(head.digest)) {
            let cause = "the charter that is served does not hold the head of the invitation";
            return Err(Failure::new("charter-behind", cause));
        }
        charter_snapshot::keep(&place, &charter, before);
        let named_group = None;
        Ok(Self { source, named_gateways, place, session, server, charter, named_group })
    }

    /// A path below this tenant.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}{rest}", self.place.settings.tenant)
    }

    /// The charter as it is now, and what has come since.
    pub(crate) async fn fetch_again(
        &self,
    ) -> Result<(CharterState, Vec<UnverifiedEntry>), Failure> {
        self.fetch(Some(self.charter.clone())).await
    }

    /// Every entry, folded anew from entry 0.
    pub(crate) async fn entries(&self) -> Result<Vec<UnverifiedEntry>, Failure> {
        Ok(self.fetch(None).await?.1)
    }

    async fn fetch(
        &self,
        state: Option<CharterState>,
    ) -> Result<(CharterState, Vec<UnverifiedEntry>), Failure> {
        let ten = self.place.settings.tenant;
        match self.source {
            Source::Server => fetch_of_server(&self.server, ten, state).await,
            Source::Gateways => fetch_of_gateways(&self.gateways()?, ten, state).await,
        }
    }

    /// The issuer that is named, or the tenant's only one.
    pub(crate) fn issuer(&self, named: Option<String>) -> Result<String, Failure> {
        match (named, self.charter.issuers()) {
            (Some(iss), _) => Ok(iss),
            (None, [only]) => Ok(only.iss.clone()),
            (None, _) => Err(Failure::new("issuer", "the tenant has several issuers")
                .with_remedy("name one with --issuer")),
        }
    }

    /// The runner group that orders are for.
    pub(crate) fn runner_group(&self) -> Result<RunnerGroupId, Failure> {
        let mut groups: Vec<_> = self.charter.runners().map(|runner| runner.group).collect();
        groups.dedup();
        match (self.named_group, groups.as_slice()) {
            (_, []) => Err(Failure::new("no-runner", "the charter enrolls no runner")),
            (None, [only]) => Ok(*only),
            (Some(named), groups) if groups.contains(&named) => Ok(named),
            (Some(named), _) => Err(Failure::new(
                "runner-group",
                format!("the charter enrolls no runner of {named}"),
            )
            .with_remedy("`writ runners list` shows them")),
            (None, _) => Err(Failure::new("runner-group", "the tenant has several runner groups")
                .with_remedy("name one with --runner-group; `writ runners list` shows them")),
        }
    }

    /// A client of the gateway's second origin.
    pub(crate) fn gateway(&self) -> Result<Client, Failure> {
        client(&self.place, &self.place.settings.gateway_url, &self.session)
    }

    /// Clients of the gateways that changes of the charter are pushed to, in that order.
    pub(crate) fn gateways(&self) -> Result<Vec<Client>, Failure> {
        gateways(&self.place, &self.session, &self.named_gateways)
    }
}

/// Seconds before its end at which a login is refreshed.
const REFRESH_BEFORE_S: u64 = 120;

/// The stored login, refreshed at its provider if it is about to end and can be.
async fn fresh_session(place: &Place, name: &str) -> Result<Session, Failure> {
    let mut session = Session::load(place, name)?;
    let ending = session.lives_until().is_none_or(|until| now().plus(REFRESH_BEFORE_S) > until);
    if ending && login::refresh(place, &mut session).await? {
        session.save(place, name)?;
    }
    Ok(session)
}

fn client(place: &Place, origin: &str, session: &Session) -> Result<Client, Failure> {
    let caller = Caller::Person(Box::new(session.idc.clone()));
    let credential = Credential { caller, key: session.key()? };
    Client::new(origin, credential, place.ca()?.as_deref())
        .map_err(|error| Failure::because("http", "cannot set up the HTTP client", &error))
}

fn gateways(place: &Place, session: &Session, named: &[String]) -> Result<Vec<Client>, Failure> {
    let urls =
        if named.is_empty() { std::slice::from_ref(&place.settings.gateway_url) } else { named };
    urls.iter().map(|url| client(place, url, session)).collect()
}

async fn fetch_of_server(
    server: &Client,
    ten: TenantId,
    state: Option<CharterState>,
) -> Result<(CharterState, Vec<UnverifiedEntry>), Failure> {
    fetch(server, &format!("/v1/tenants/{ten}/charter"), ten, state).await
}

/// The charter of the first gateway that answers.
async fn fetch_of_gateways(
    gateways: &[Client],
    ten: TenantId,
    state: Option<CharterState>,
) -> Result<(CharterState, Vec<UnverifiedEntry>), Failure> {
    let mut last = Failure::new("no-gateway", "this folder knows no gateway");
    for gateway in gateways {
        match fetch(gateway, "/v1/charter", ten, state.clone()).await {
            Err(failure) if matches!(failure.code(), "unreachable" | "runner-away") => {
                last = failure;
            }
            fetched => return fetched,
        }
    }
    Err(last.with_remedy("are the gateway and its runner running? name another with --gateway"))
}

/// Fetches and folds what comes after a state, or everything.
async fn fetch(
    server: &Client,
    path: &str,
    ten: TenantId,
    mut state: Option<CharterState>,
) -> Result<(CharterState, Vec<UnverifiedEntry>), Failure> {
    let refused = |error: &FoldError| {
        Failure::because(error.code(), "the charter that is served does not fold", error)
    };
    let policies = Policies::built_in()
        .map_err(|error| Failure::because("policies", "cannot fold the charter", &error))?;
    let mut entries = Vec::new();
    loop {
        let from = state.as_ref().map_or(0, |charter| charter.seq().saturating_add(1));
        let page: CharterPage = server.get(&format!("{path}?from={from}")).await?;
        if page.entries.is_empty() {
            if page.seq.saturating_add(1) < from {
                let cause = "the charter that is served is older than this folder has seen it";
                return Err(Failure::new("charter-behind", cause));
            }
            break;
        }
        for entry in &page.entries {
            match &mut state {
                None => {
                    state = Some(CharterState::found(entry, ten).map_err(|error| refused(&error))?);
                }
                Some(charter) => {
                    charter.append(entry, &policies).map_err(|error| refused(&error))?;
                }
            }
        }
        entries.extend(page.entries);
    }
    let state = state.ok_or_else(|| Failure::new("charter", "no charter is served"))?;
    Ok((state, entries))
}

/// Now, in whole seconds.
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs())
}
