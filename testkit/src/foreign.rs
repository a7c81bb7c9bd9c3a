//! Signers and verifiers that are not ours: `jose` and `dpop` for Node.js, `joserfc` for CPython.
//!
//! Each runs a script of `testkit/fixtures` over a batch of orders. Keys are made for one test.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::world::{parts, sources};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// `jose`, on Node.js.
    Jose,
    /// `joserfc`, on CPython.
    Joserfc,
}

impl Foreign {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Jose, Self::Joserfc];

    /// Has a batch of orders done; the answers come in their order.
    ///
    /// # Errors
    ///
    /// The part is not installed (`cargo xtask test` installs it), or failed.
    pub fn ask(self, orders: &[Value]) -> Result<Vec<Value>> {
        let (parts, fixtures) = (parts()?, sources().join("testkit/fixtures"));
        let mut command = match self {
            Self::Jose => {
                let mut node = Command::new("node");
                node.arg(fixtures.join("differential.mjs")).arg(&parts);
                node
            }
            Self::Joserfc => {
                let mut python = Command::new(parts.join("venv/bin/python"));
                python.arg(fixtures.join("differential.py"));
                python
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{self:?}: run `cargo xtask test` once"))?;
        let text = serde_json::to_vec(orders)?;
        // It reads all of its orders before it answers.
        child.stdin.take().context("no input")?.write_all(&text)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{self:?}: {said}");
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        ensure!(answers.len() == orders.len(), "{self:?} answered {} orders", answers.len());
        Ok(answers)
    }

    /// As [`Self::ask`], where every answer is a text.
    ///
    /// # Errors
    ///
    /// As there, or an answer is none.
    pub fn texts(self, orders: &[Value]) -> Result<Vec<String>> {
        let text = |answer: Value| answer.as_str().map(str::to_owned).context("not a text");
        self.ask(orders)?.into_iter().map(text).collect()
    }
}
