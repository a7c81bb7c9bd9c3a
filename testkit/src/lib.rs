//! Development only: stand-ins, and a world of real executables to test against.
//!
//! Read: `world` (a `writ dev` of its own, driven through the command line), `installation` (what `writ init`
//! founds, with TLS), `github_stand_in`, `hostile` (a control plane that relays what it should not), `relay`
//! (the real control plane, but…), `part` (one process of a world), `needle` (a secret in any spelling), `keys`
//! (logins of a test's own making), `charter_model` (a second model of the charter), `webhook_examples`.

#![expect(clippy::indexing_slicing, reason = "a stand-in reads JSON that tests sent")]

pub mod charter_model;
pub mod foreign;
pub mod github_stand_in;
pub mod hostile;
pub mod identity_provider;
pub mod installation;
pub mod keys;
pub mod load;
pub mod long_charter;
pub mod machines;
pub mod moto;
pub mod needle;
pub mod openbao;
pub mod part;
pub mod prism;
pub mod relay;
pub mod rsa_issuer;
pub mod socket_activation;
pub mod tenant;
pub mod webhook_examples;
pub mod world;
