//! THREAT-MODEL.md, written from what was seen to happen.
//!
//! The text around the tables stands in `threat-model.txt` beside this file; every row is a passing attack.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};
use writ_testkit::world::sources;

use crate::table::{Shown, Theme};

/// Text before and after the tables, parted at this line.
const TEXT: &str = include_str!("threat-model.txt");
const TABLES: &str = "<!-- tables -->\n";
const FILE: &str = "THREAT-MODEL.md";

/// The document.
pub(crate) fn text(themes: &[Theme], shown: &[(&'static str, Shown)]) -> Result<String> {
    let (before, after) = TEXT.split_once(TABLES).context("no place for the tables")?;
    let seen: BTreeMap<&str, &Shown> = shown.iter().map(|(id, shown)| (*id, shown)).collect();
    let count: usize = themes.iter().map(|theme| theme.attacks.len()).sum();
    ensure!(seen.len() == count, "{} of {count} attacks were seen: two have one name", seen.len());
    let mut text = before.replace("{count}", &count.to_string());
    for theme in themes {
        write!(text, "### {}\n\n", theme.title)?;
        text.push_str("| attack | stopped by | what remains | from |\n| --- | --- | --- | --- |\n");
        for attack in &theme.attacks {
            let shown = seen.get(attack.id).with_context(|| format!("{} not seen", attack.id))?;
            let code = shown.code.as_ref().map(|code| format!("[`{code}`]({}): ", page(code)));
            let code = code.unwrap_or_default();
            let (remains, rule) = (shown.evidence.as_str(), attack.rule);
            writeln!(
                text,
                "| `{}`: {} | {code}{rule} | {remains} | {} |",
                attack.id, attack.what, attack.source
            )?;
        }
        text.push('\n');
    }
    text.push_str(after);
    Ok(text)
}

fn page(code: &str) -> String {
    format!("docs/errors/{code}.md")
}

/// Compares the document with the committed one, or writes it.
pub(crate) fn compare(text: &str) -> Result<()> {
    let path = sources().join(FILE);
    if std::env::var_os("WRIT_BLESS").is_some() {
        return fs::write(&path, text).context("cannot write THREAT-MODEL.md");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = text.lines().zip(committed.lines()).find(|(new, old)| new != old);
    ensure!(
        text == committed,
        "THREAT-MODEL.md is not what was seen; `WRIT_BLESS=1` writes it. First difference:\n{differs:?}"
    );
    Ok(())
}
