//! Landlock: rules over files, TCP ports, abstract sockets and signals that nothing takes back.
//!
//! Everything that ABI 2 knows (Linux 5.19) is required; what later versions add is used where the
//! kernel has it. The later parts repeat what the empty network namespace, the process namespace
//! and the read-only root already see to.
//!
//! The crate of the same name is `::landlock`.

use std::path::Path;

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest version whose rights are used.
const NEWEST: ABI = ABI::V6;
/// The version below which landlock counts as missing.
const REQUIRED: ABI = ABI::V2;

/// What is allowed beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Reading files and folders.
    Read,
    /// Reading and executing one file.
    Execute,
    /// Reading and writing one device.
    Device,
    /// Making, reading, writing and removing ordinary files and folders.
    Scratch,
}

impl Reach {
    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Self::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::Execute => AccessFs::ReadFile | AccessFs::Execute,
            Self::Device => AccessFs::ReadFile | AccessFs::WriteFile,
            Self::Scratch => {
                AccessFs::ReadFile
                    | AccessFs::ReadDir
                    | AccessFs::WriteFile
                    | AccessFs::Truncate
                    | AccessFs::RemoveFile
                    | AccessFs::RemoveDir
                    | AccessFs::MakeReg
                    | AccessFs::MakeDir
                    | AccessFs::MakeSym
                    | AccessFs::Refer
            }
        }
    }
}

/// Denies the calling process every right except these, for good.
pub(crate) fn restrict(allowed: &[(&Path, Reach)]) -> Result<(), String> {
    let mut rules = create().map_err(|error| format!("cannot make landlock rules: {error}"))?;
    for (path, reach) in allowed {
        rules = allow(rules, path, *reach)?;
    }
    let status = rules.restrict_self().map_err(|error| format!("cannot apply rules: {error}"))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("the kernel does not enforce landlock".into()),
    }
}

fn create() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

fn allow(rules: RulesetCreated, path: &Path, reach: Reach) -> Result<RulesetCreated, String> {
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot allow {reach:?} beneath `{}`: {error}", path.display())
    };
    let beneath = PathFd::new(path).map_err(|error| cannot(&error))?;
    rules.add_rule(PathBeneath::new(beneath, reach.rights())).map_err(|error| cannot(&error))
}
