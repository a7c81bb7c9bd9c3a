//! The closed bundle: everything that directs a run, in one piece that is signed by digest.
//!
//! The document's text is kept exactly. The jail hashes a bundle and never opens it.

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Document, parse};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    document: String,
}

/// Why a bundle does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle.
    #[error("not a closed bundle")]
    Malformed,
    /// Its document is refused.
    #[error("the bundle's document is refused: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Document(Vec<Diagnostic>),
}

impl BundleError {
    /// The stable code of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "bundle-malformed",
            Self::Document(_) => "bundle-document-refused",
        }
    }
}

/// Closes a document into a bundle.
#[must_use]
pub fn close(source: &str) -> Vec<u8> {
    let bundle = Bundle { document: source.to_owned() };
    // A struct of one string always serializes.
    serde_json::to_vec(&bundle).unwrap_or_default()
}

/// Opens a bundle.
///
/// # Errors
///
/// [`BundleError`].
pub fn open(bytes: &[u8]) -> Result<Document, BundleError> {
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|_| BundleError::Malformed)?;
    parse(&bundle.document).map_err(BundleError::Document)
}
