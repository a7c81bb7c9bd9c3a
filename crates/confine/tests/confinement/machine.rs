//! What is found out about the machine, and what a launcher does to itself.

use std::fs;

use writ_confine::{CgroupParent, Exit, doctor, fork_worker, harden_self};
use writ_model::{IsolationMode, MeasureName, MeasureState};

use crate::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    the_doctor_sees_every_measure_hold_here,
    a_hardened_launcher_still_starts_confined_processes,
    a_hardened_launcher_is_hidden,
];

fn the_doctor_sees_every_measure_hold_here() {
    let report = doctor::examine().unwrap();

    assert!(report.is_complete(), "{report}");
    assert_eq!(report.mode, IsolationMode::Full);
    assert_eq!(report.measures.len(), 17, "{report}");
    if CgroupParent::find().is_ok() {
        assert!(report.is_active(MeasureName::Cgroup), "{report}");
    } else {
        let missing = report.missing().find(|measure| measure.name == MeasureName::Cgroup);
        let MeasureState::Missing { remedy, .. } = &missing.unwrap().state else { panic!() };
        assert!(remedy.contains("Delegate=yes"), "{remedy}");
    }
}

fn a_hardened_launcher_still_starts_confined_processes() {
    let mut launcher = fork_worker(&[], || {
        harden_self().unwrap();
        let mut cell = writ_confine::spawn(&writ_confine::Profile::cell(), || 9).unwrap();
        match cell.process.wait().unwrap() {
            Exit::Code(9) if cell.report.is_complete() => 0,
            _ => 1,
        }
    })
    .unwrap();

    assert_eq!(launcher.wait().unwrap(), Exit::Code(0));
}

fn a_hardened_launcher_is_hidden() {
    let mut launcher = fork_worker(&[], || {
        harden_self().unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let no_new = status.lines().any(|line| line == "NoNewPrivs:\t1");
        let no_core = limits.lines().any(|line| {
            line.starts_with("Max core file size") && line.split_whitespace().nth(5) == Some("0")
        });
        let hidden = rustix::process::dumpable_behavior()
            == Ok(rustix::process::DumpableBehavior::NotDumpable);
        i32::from(!(no_new && no_core && hidden))
    })
    .unwrap();

    assert_eq!(launcher.wait().unwrap(), Exit::Code(0));
}
