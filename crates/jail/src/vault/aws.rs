//! AWS: who asks (`credentials`), the proof of it (`sign`), and what is asked of Secrets Manager and said
//! by it (`secrets_manager`). No IO: `cell::credential::aws_sm` sends.

pub mod credentials;
pub mod secrets_manager;
pub mod sign;
mod timestamp;
