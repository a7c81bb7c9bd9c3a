//! A run's key on its way between runner and jail.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use writ_evidence::digest::RunKey;
use zeroize::Zeroizing;

/// A run key on its way; base64url, wiped on drop, without `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunKeyText(Zeroizing<String>);

impl From<&RunKey> for RunKeyText {
    fn from(key: &RunKey) -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(key.expose())))
    }
}

impl RunKeyText {
    /// The key, if the text is 32 bytes of unpadded base64url.
    #[must_use]
    pub fn key(&self) -> Option<RunKey> {
        let mut bytes = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(self.0.as_bytes(), bytes.as_mut()).ok()?;
        (length == 32).then(|| RunKey::from_bytes(bytes))
    }
}
