//! Content by its digest: fetched from the control plane once, hashed, kept in a folder.

use std::{fs, path::PathBuf, sync::Arc};

use writ_api::{Client, Content};
use writ_evidence::digest::sha256;
use writ_model::{Digest, TenantId};

/// Content that this runner has used.
pub(crate) struct ContentCache {
    folder: PathBuf,
    server: Arc<Client>,
    ten: TenantId,
}

impl ContentCache {
    pub(crate) const fn new(folder: PathBuf, server: Arc<Client>, ten: TenantId) -> Self {
        Self { folder, server, ten }
    }

    /// The text of this digest; what has another digest is not it, wherever it came from.
    pub(crate) async fn get(&self, digest: Digest) -> Option<String> {
        let path = self.folder.join(digest.to_string().replace(':', "-"));
        let kept = fs::read_to_string(&path).ok();
        if let Some(text) = kept.filter(|text| sha256(text.as_bytes()) == digest) {
            return Some(text);
        }
        let route = format!("/v1/tenants/{}/runner/content/{digest}", self.ten);
        let content: Content = match self.server.get(&route).await {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(code = error.code(), "cannot fetch content");
                return None;
            }
        };
        if sha256(content.text.as_bytes()) != digest {
            tracing::warn!(code = "content", "the control plane served content of another digest");
            return None;
        }
        let next = path.with_extension("next");
        // Not kept is only slower.
        let _ = fs::write(&next, &content.text).and_then(|()| fs::rename(&next, &path));
        Some(content.text)
    }
}
