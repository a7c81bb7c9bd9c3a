//! What an attack is: a row that says what is tried, what stops it and what remains, and the code that tries it.

use anyhow::{Result, ensure};

use crate::setting::Setting;

/// What can be seen of an attack afterwards, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The jail signed the refusal: it stands in the audit log.
    Signed,
    /// The order's status says so.
    Status,
    /// The runner's own log says so, with the code.
    Log,
    /// The caller is told; nothing is kept.
    Answer,
    /// The command fails with the code.
    Command,
    /// `writ audit verify` reports it.
    Verify,
    /// The receipt that the same order was answered with before: it is counted and done once.
    Same,
    /// Nothing, by design.
    Nothing,
}

impl Evidence {
    /// As the threat model says it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "a refusal that the jail signed, in the audit log",
            Self::Status => "the order's status",
            Self::Log => "the runner's log, with the code",
            Self::Answer => "the answer to whoever asked",
            Self::Command => "the command fails with the code",
            Self::Verify => "`writ audit verify` reports it",
            Self::Same => "the receipt of the first time; it is done once",
            Self::Nothing => "nothing: the attacker learns no more than metadata",
        }
    }
}

/// What happened when an attack was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The code that refused it; none where there was nothing to refuse.
    pub(crate) code: Option<String>,
    /// What remains.
    pub(crate) evidence: Evidence,
}

impl Shown {
    /// A refusal.
    pub(crate) fn refused(code: impl Into<String>, evidence: Evidence) -> Self {
        Self { code: Some(code.into()), evidence }
    }

    /// An attack that meets nothing that could refuse it, and gets nothing.
    pub(crate) const fn nothing(evidence: Evidence) -> Self {
        Self { code: None, evidence }
    }
}

/// One attack.
pub(crate) struct Attack {
    /// Stable name, in kebab case.
    pub(crate) id: &'static str,
    /// Where it is from: a sentence of the design, a peer that was broken so.
    pub(crate) source: &'static str,
    /// What is tried, in one sentence.
    pub(crate) what: &'static str,
    /// The code that refuses it; empty where nothing is asked that could be refused.
    pub(crate) code: &'static str,
    /// The rule behind the code.
    pub(crate) rule: &'static str,
    /// What remains.
    pub(crate) evidence: Evidence,
    /// Tries it.
    pub(crate) run: fn(&mut Setting) -> Result<Shown>,
}

impl Attack {
    /// Tries it, and compares what happened with what the row says; nothing was done that nobody ordered.
    pub(crate) fn attempt(&self, setting: &mut Setting) -> Result<Shown> {
        let shown = (self.run)(setting);
        setting.behave();
        let shown = shown?;
        let code = shown.code.as_deref().unwrap_or_default();
        ensure!(code == self.code, "`{code}` answered, where the row says `{}`", self.code);
        ensure!(
            shown.evidence == self.evidence,
            "{:?} remains, where the row says {:?}",
            shown.evidence,
            self.evidence
        );
        setting.check_nothing_unordered()?;
        Ok(shown)
    }
}

/// The attacks of one kind.
pub(crate) struct Theme {
    /// Its heading.
    pub(crate) title: &'static str,
    /// In the order in which they are tried.
    pub(crate) attacks: Vec<Attack>,
}
