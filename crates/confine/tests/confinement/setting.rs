//! What the sandbox tests share: a step to run, in whichever interpreter, with what it may use.

use std::{collections::BTreeMap, time::Duration};

use writ_confine::{
    CgroupParent,
    sandbox::{Interpreter, Interpreters, SandboxLimits, SandboxResult, SandboxSpec, run},
};
use writ_model::CodeLanguage;

/// Runs Python, with a control group if there is one.
pub(crate) fn run_code(code: &str, input: &[u8]) -> SandboxResult {
    run(python(code), groups().as_ref(), input).unwrap()
}

/// A step of Python.
pub(crate) fn python(code: &str) -> SandboxSpec {
    let found = Interpreters::discover(None, true);
    spec(found.of(CodeLanguage::Python).unwrap().clone(), code)
}

/// A step of any language.
pub(crate) fn spec(interpreter: Interpreter, code: &str) -> SandboxSpec {
    SandboxSpec {
        interpreter,
        code: code.as_bytes().to_vec(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        limits: SandboxLimits { wall: Duration::from_secs(20), ..SandboxLimits::default() },
        broker: None,
        uid_shared: true,
    }
}

pub(crate) fn groups() -> Option<CgroupParent> {
    CgroupParent::find().ok()
}

pub(crate) fn log(result: &SandboxResult) -> String {
    format!("{:?}: {}", result.outcome, String::from_utf8_lossy(&result.stderr))
}
