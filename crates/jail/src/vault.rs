//! Secret managers, as a cell reaches them. One resolver serves runs and tests alike.
//!
//! Today: `local:`, an encrypted file beside the jail.

pub mod local;

pub use local::VaultError;
