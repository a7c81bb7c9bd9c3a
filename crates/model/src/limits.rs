//! The bounds that more than one process must agree on, each with its reason.

/// Longest compact JWS, in bytes, that any parser looks at (DESIGN §3).
pub const SIGNED_OBJECT_MAX: usize = 16 * 1024;
/// Deepest JSON nesting in a signed object (DESIGN §3).
pub const SIGNED_OBJECT_DEPTH: usize = 16;
/// Largest run input, webhook bodies included (GitHub caps its own at 25 MB; alerts are far below).
pub const RUN_INPUT_MAX: usize = 1024 * 1024;
/// Largest closed bundle of an automation.
pub const BUNDLE_MAX: usize = 1024 * 1024;
/// Largest push of charter entries to a gateway: an entry is a few signed objects and its body.
pub const CHARTER_PUSH_MAX: usize = 1024 * 1024;
/// Largest action pack document.
pub const PACK_MAX: usize = 1024 * 1024;
/// Largest message between runner, jail, cell and launcher: input, bundle and a pack together.
pub const LINK_MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// Largest response body that a cell reads, after which the call fails.
pub const RESPONSE_BODY_MAX: usize = 4 * 1024 * 1024;
/// Largest output of one step.
pub const STEP_OUTPUT_MAX: usize = 1024 * 1024;
/// How long a writ may live, in seconds: `exp - iat` (DESIGN §3.2).
pub const WRIT_LIFETIME_S: u64 = 300;
/// How far two clocks may differ, in seconds (DESIGN §3).
pub const CLOCK_SKEW_S: u64 = 60;
