//! The hostile control plane: every attack of the table, tried against the real executables.
//!
//! The attacker holds the tenant's database and everything that clients and runners send, and answers as it
//! likes. A row names the attack, the rule that stops it and what remains of it; what the row says is compared with
//! what happens. When all of them have passed, `THREAT-MODEL.md` is generated from what happened and compared with
//! the committed file; `WRIT_BLESS=1` writes it.
//!
//! All attacks share one tenant: starting one takes longer than attacking it. So they run in one process, one after
//! the other: `cargo test -p writ-testkit --test attacks [FILTER]`.
//!
//! Read next: `table` (what a row is), `setting` (who is attacked), then any theme.

#![expect(clippy::indexing_slicing, reason = "a test reads JSON that it made")]
#![expect(clippy::too_many_lines, reason = "tables, a row for each attack")]

mod document;
mod moves;
mod setting;
mod table;

mod append;
mod approvals;
mod audit;
mod charter;
mod content;
mod credentials;
mod history;
mod http;
mod insiders;
mod protocol;
mod push;
mod reads;
mod rights;
mod sessions;
mod standing;
mod stops;
mod switches;
mod writs;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::{
    setting::Setting,
    table::{Evidence, Shown, Theme},
};

/// The setting, once the first attack has needed it, and what each attack has shown.
#[derive(Default)]
struct Stage {
    setting: Option<Result<Setting, String>>,
    shown: Vec<(&'static str, Shown)>,
}

impl Stage {
    fn setting(&mut self) -> Result<&mut Setting, String> {
        let started = self.setting.get_or_insert_with(|| {
            Setting::start().map_err(|error| format!("the attacked tenant: {error:#}"))
        });
        started.as_mut().map_err(|error| error.clone())
    }
}

fn themes() -> Vec<Theme> {
    vec![
        writs::theme(),
        credentials::theme(),
        charter::theme(),
        rights::theme(),
        history::theme(),
        stops::theme(),
        approvals::theme(),
        switches::theme(),
        push::theme(),
        sessions::theme(),
        standing::theme(),
        content::theme(),
        reads::theme(),
        protocol::theme(),
        insiders::theme(),
        audit::theme(),
        audit::off_the_log(),
    ]
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One tenant, one attack at a time: what each leaves behind is looked at before the next.
    arguments.test_threads = Some(1);
    let stage = Arc::new(Mutex::new(Stage::default()));
    let mut trials = Vec::new();
    for theme in themes() {
        for attack in theme.attacks {
            let stage = Arc::clone(&stage);
            trials.push(Trial::test(attack.id, move || {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                let shown = attack.attempt(stage.setting()?).map_err(failed)?;
                stage.shown.push((attack.id, shown));
                Ok(())
            }));
        }
    }
    let listed = arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if listed {
        return ExitCode::SUCCESS;
    }
    match conclude(&stage, &conclusion) {
        Ok(said) => {
            eprintln!("{said}");
            conclusion.exit_code()
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a `map_err` adapter")]
fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

/// What holds over all attacks together, and the document.
fn conclude(stage: &Mutex<Stage>, conclusion: &Conclusion) -> Result<String> {
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    let Stage { setting: Some(Ok(setting)), shown } = &mut *stage else {
        return Ok("no attack was tried".to_owned());
    };
    setting.check_nothing_unordered()?;
    setting.check_alive()?;
    setting.hunt()?;
    let logged = audit::refusals(setting)?;
    let signed = shown.iter().filter(|(_, shown)| shown.evidence == Evidence::Signed);
    let mut count = 0;
    for (id, shown) in signed {
        let code = shown.code.as_ref();
        ensure!(code.is_some_and(|code| logged.contains(code)), "{id}: not in the audit log");
        count += 1;
    }
    ensure!(logged.len() >= count, "{} refusals in the log, of {count}", logged.len());
    if conclusion.num_failed > 0 || conclusion.num_filtered_out > 0 {
        return Ok(
            "THREAT-MODEL.md was not compared: not all attacks were tried, or one succeeded"
                .to_owned(),
        );
    }
    let document = document::text(&themes(), shown)?;
    document::compare(&document)?;
    Ok(format!("{} attacks tried, none succeeded; THREAT-MODEL.md says so", shown.len()))
}
