//! What a question is asked under, beside who asks for what: how they have signed in, what is called, who has
//! approved it. Built-in roles ask for none of it; guardrails may.

use cedar_policy::{Context, RestrictedExpression};
use writ_evidence::approval::QUORUM_MAX;
use writ_model::{ActionName, Login, pack::Effect};

/// What is called, and who has approved it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// The action that is called through a connection, if one is.
    pub action: Option<&'a ActionName>,
    /// What the action does, where that is known.
    pub effect: Option<Effect>,
    /// How many people have approved this very call.
    pub approvals: u8,
}

impl Circumstances<'_> {
    /// Before anything is called: whatever people could still approve counts as approved.
    #[must_use]
    pub const fn before_approvals() -> Self {
        Self { action: None, effect: None, approvals: QUORUM_MAX }
    }

    /// The question's context; `None` if Cedar does not take it, which is a denial.
    pub(crate) fn context(&self, login: Option<Login<'_>>) -> Option<Context> {
        let mut fields = vec![("approvals".to_owned(), long(self.approvals.into()))];
        if let Some(login) = login {
            fields.push(("login".to_owned(), login_record(&login)?));
        }
        if let Some(action) = self.action {
            let mut call = vec![
                ("action".to_owned(), text(&action.to_string())),
                ("pack".to_owned(), text(action.pack().as_str())),
            ];
            call.extend(self.effect.map(|effect| ("effect".to_owned(), text(effect_name(effect)))));
            fields.push(("call".to_owned(), RestrictedExpression::new_record(call).ok()?));
        }
        Context::from_pairs(fields).ok()
    }
}

fn login_record(login: &Login<'_>) -> Option<RestrictedExpression> {
    let seconds = |at: writ_model::UnixTime| i64::try_from(at.0).ok().map(long);
    let mut fields = vec![
        ("at".to_owned(), seconds(login.at)?),
        ("through".to_owned(), text(login.through)),
        ("workload".to_owned(), RestrictedExpression::new_bool(login.is_workload)),
        ("amr".to_owned(), RestrictedExpression::new_set(login.amr.iter().map(|one| text(one)))),
    ];
    fields.extend(login.acr.map(|acr| ("acr".to_owned(), text(acr))));
    if let Some(at) = login.auth_time {
        fields.push(("auth_time".to_owned(), seconds(at)?));
    }
    RestrictedExpression::new_record(fields).ok()
}

const fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Destructive => "destructive",
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn long(number: i64) -> RestrictedExpression {
    RestrictedExpression::new_long(number)
}
