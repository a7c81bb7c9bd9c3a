//! Signed evidence: what is verified, by which key, and what it says.
//!
//! Pure: bytes, keys and `now` come in; verified values or typed refusals go out. A `Verified…`
//! value can't be made but by verification and can't be deserialised: what crosses a process is
//! `Unverified…` again, and the receiver verifies for itself (DESIGN §3).
//!
//! Read in this order: `jws` (how anything is signed), `idc` (who signs), `writ` (what is
//! ordered), `charter` (what is granted), `standing` (what fires by itself, within which bounds),
//! `statement` (what the jail answers).

#![deny(clippy::wildcard_enum_match_arm)]

pub mod approval;
pub mod audit;
pub mod charter;
pub mod checkpoint;
pub mod digest;
pub mod idc;
pub mod issuer;
pub mod json;
pub mod jws;
pub mod key;
pub mod merkle;
pub mod proof;
pub mod seal;
pub mod standing;
pub mod statement;
pub mod writ;
