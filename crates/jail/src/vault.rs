//! Secret managers: what a launcher reads of them, and the one that is a file.
//!
//! `local` is the encrypted file beside the jail. `settings` is what an operator says of Vault and AWS
//! Secrets Manager, `sources` what a cell is handed of them. What a cell does with it, over the
//! broker's sockets, is `cell::credential`: one resolver for runs and for tests of connections.

pub mod aws;
pub mod local;
pub mod settings;
pub mod sources;

pub use local::VaultError;
pub use settings::{SecretManagers, SettingsError};
pub use sources::Sources;
