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
/// Most entries of a charter in one message: so many are folded in a few tenths of a second.
pub const CHARTER_PAGE: usize = 500;
/// Bytes of charter entries in one message, unless one alone is longer: half of what the link takes.
pub const CHARTER_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// After how many entries a folded charter is written down anew: as many are folded at each start.
pub const SNAPSHOT_EVERY: u64 = 1000;
/// Bytes of a charter's snapshot in one message; base64 makes a third more of them.
pub const SNAPSHOT_PAGE: usize = 4 * 1024 * 1024;
/// Longest snapshot of a charter: a hundred bytes for each of two million entries.
pub const SNAPSHOT_MAX: usize = 256 * 1024 * 1024;
/// Largest response body that a cell reads, after which the call fails.
pub const RESPONSE_BODY_MAX: usize = 4 * 1024 * 1024;
/// Largest output of one step.
pub const STEP_OUTPUT_MAX: usize = 1024 * 1024;
/// How long a writ may live, in seconds: `exp - iat` (DESIGN §3.2).
pub const WRIT_LIFETIME_S: u64 = 300;
/// How far two clocks may differ, in seconds (DESIGN §3).
pub const CLOCK_SKEW_S: u64 = 60;
