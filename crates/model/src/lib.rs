//! The nouns every other crate speaks in: ids, names, digests, time, limits, action packs.
//!
//! Pure: no clock, randomness, file, socket or environment. A value of a type from here has a
//! valid *form*; whether it is *true* is for `evidence` (signatures) and `policy` (rights) to say.
//!
//! Read next: `writ_evidence`, which signs and verifies what these nouns are combined into.

mod address;
mod connection;
mod digest;
mod http_call;
mod id;
mod isolation;
pub mod limits;
mod name;
pub mod pack;
mod principal;
mod process;
mod secret_ref;
mod step;
mod time;

pub use address::{address_allowed, refused_range};
pub use connection::{
    Cidr, Connection, ConnectionHost, ConnectionKind, InvalidCidr, RESERVED_HEADERS,
};
pub use digest::{Digest, InvalidDigest, KeyedDigest, TenantId};
pub use http_call::{HttpCall, HttpOutput};
pub use id::{InvalidId, RunId, RunnerGroupId, RunnerId};
pub use isolation::{IsolationMode, IsolationReport, Measure, MeasureName, MeasureState};
pub use name::{
    ActionName, AutomationName, ConnectionName, GroupName, InvalidName, PackName, PinnedAction,
    PinnedConnection, PolicyName, RoleName, ServiceAccountName, StandingName, WebhookPath,
    WorkspaceName,
};
pub use principal::{
    Actor, CharterGroup, Grantee, Login, Principal, Role, SERVICE_ACCOUNTS, TokenGroup, UnknownRole,
};
pub use process::{ProcessInput, ProcessReturn, is_environment_name};
pub use secret_ref::{InvalidSecretRef, SecretManager, SecretRef};
pub use step::{CodeLanguage, StepId, UnknownLanguage};
pub use time::{UnixMillis, UnixTime};
