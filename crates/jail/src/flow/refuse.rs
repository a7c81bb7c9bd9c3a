//! How the jail says no: a code, the rule, and a signed refusal where it belongs on record.

use writ_evidence::{
    charter::Suspended,
    statement::{Refusal, Says},
};
use writ_jail_link::{JailReply, Refused};
use writ_model::{Digest, RunId, StepId, UnixTime};
use writ_policy::Denied;

use super::Jail;

/// A refusal in the making.
#[derive(Debug)]
pub(crate) struct Refusing {
    code: String,
    reason: String,
    on_record: bool,
    writ: Option<Digest>,
    run: Option<RunId>,
    step: Option<StepId>,
    stopped: bool,
}

impl Refusing {
    /// A refusal that is answered and not put on record: the request itself makes no sense.
    pub(crate) fn unsigned(code: &str, reason: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            reason: reason.into(),
            on_record: false,
            writ: None,
            run: None,
            step: None,
            stopped: false,
        }
    }

    /// The refusal of a jail that has stopped for good.
    pub(crate) fn stopped(code: &str, reason: impl Into<String>) -> Self {
        Self { stopped: true, ..Self::unsigned(code, reason) }
    }

    /// A refusal that goes on record.
    pub(crate) fn signed(code: &str, reason: impl Into<String>) -> Self {
        Self { on_record: true, ..Self::unsigned(code, reason) }
    }

    /// An error with its sources as the reason; it goes on record.
    pub(crate) fn because(code: &str, error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason.push_str(": ");
            reason.push_str(&inner.to_string());
            source = inner.source();
        }
        Self::signed(code, reason)
    }

    /// The same, but not put on record.
    pub(crate) fn off_record(mut self) -> Self {
        self.on_record = false;
        self
    }

    /// As it is told to who asks for nothing.
    pub(crate) fn unsaid(self) -> Refused {
        let Self { code, reason, stopped, .. } = self;
        Refused { code, reason, statement: None, stopped }
    }

    /// Whether its code is one of these.
    pub(crate) fn is_any_of(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    /// Names the writ that it is about.
    pub(crate) const fn about_writ(mut self, writ: Digest) -> Self {
        self.writ = Some(writ);
        self
    }

    /// Names the run that it is about.
    pub(crate) const fn about_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Names the step that it is about.
    pub(crate) fn about_step(mut self, step: &StepId) -> Self {
        self.step = Some(step.clone());
        self
    }
}

impl From<Denied> for Refusing {
    fn from(denied: Denied) -> Self {
        Self::signed(denied.code, denied.reason)
    }
}

impl From<Suspended> for Refusing {
    fn from(suspended: Suspended) -> Self {
        Self::signed("suspended", suspended.to_string())
    }
}

impl Jail {
    /// Answers a refusal. One that can't be put on record is still a refusal.
    pub(super) fn refuse(&mut self, refusing: Refusing, now: UnixTime) -> JailReply {
        let Refusing { code, reason, on_record, writ, run, step, stopped } = refusing;
        let statement = if on_record {
            let refusal = Refusal { writ, run, step, code: code.clone(), reason: reason.clone() };
            self.state_with(Says::Refusal(refusal), now, Vec::new()).ok()
        } else {
            None
        };
        JailReply::Refused(Refused { code, reason, statement, stopped })
    }
}
