//! The one parser of compact JWS: whatever arrives, it answers, and what it takes is canonical.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use writ_evidence::{issuer::parse_jwks, json, jws::UnverifiedJws};

fuzz_target!(|data: &[u8]| {
    let _ = json::parse(data);
    let _ = parse_jwks(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(jws) = UnverifiedJws::parse(text) else { return };
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3, "three parts exactly");
    for part in &parts {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("a part that was taken is base64url");
        assert_eq!(URL_SAFE_NO_PAD.encode(bytes), *part, "one spelling for the same bytes");
    }
    assert_eq!(jws.protected(), parts[0]);
    let header = URL_SAFE_NO_PAD.decode(parts[0]).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("a header is JSON");
    for refused in ["crit", "b64", "jku", "x5u", "x5c"] {
        assert!(header.get(refused).is_none(), "`{refused}` was taken");
    }
});
