//! Reads the files that AWS's tools keep under `~/.aws`: sections of names and values.
//!
//! In: a file's bytes. Out: [`Sections`], or the number of the first line that has no meaning.
//!
//! Invariants:
//! * what is ambiguous is refused, not guessed: a name or a section twice, a line that is neither
//!   section, setting, comment nor continuation;
//! * values are wiped when dropped, and no error shows any of the file.
//!
//! Not here: which section is a profile, and what its settings mean (`profile`).
//!
//! Spec: AWS SDKs and Tools Reference Guide, "Shared `config` and `credentials` files".

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// A line that has no meaning, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: usize,
}

/// A setting's value.
#[derive(PartialEq, Eq)]
pub(super) enum Setting {
    /// One line, trimmed.
    Line(Zeroizing<String>),
    /// Settings below a setting, such as those of `s3 =`: nothing here needs them.
    Nested,
}

/// A section's settings, by their names in small letters.
pub(super) type Section = BTreeMap<String, Setting>;

/// A file's sections, by the words between their brackets.
#[derive(Default)]
pub(super) struct Sections(BTreeMap<String, Section>);

impl Sections {
    pub(super) fn get(&self, name: &str) -> Option<&Section> {
        self.0.get(name)
    }
}

/// What the next line may belong to.
struct Reader {
    sections: Sections,
    section: Option<String>,
    setting: Option<String>,
}

/// Reads a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Sections, Malformed> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { sections: Sections::default(), section: None, setting: None };
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let read = std::str::from_utf8(line).ok().and_then(|line| reader.line(line));
        read.ok_or(Malformed { line: index + 1 })?;
    }
    Ok(reader.sections)
}

impl Reader {
    /// Nothing if the line has no meaning.
    fn line(&mut self, line: &str) -> Option<()> {
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Some(());
        }
        if line.contains(char::is_control) {
            return None;
        }
        if indented {
            return self.continued();
        }
        match line.strip_prefix('[') {
            Some(rest) => self.begin(rest),
            None => self.set(line),
        }
    }

    /// A line that continues a value makes it one that nothing here reads.
    fn continued(&mut self) -> Option<()> {
        let section = self.sections.0.get_mut(self.section.as_ref()?)?;
        *section.get_mut(self.setting.as_ref()?)? = Setting::Nested;
        Some(())
    }

    /// `name]`, and a comment at most.
    fn begin(&mut self, rest: &str) -> Option<()> {
        let (name, behind) = rest.split_once(']')?;
        let behind = behind.trim_start();
        let words: Vec<&str> = name.split_whitespace().collect();
        let name = words.join(" ").replace('"', "");
        let behind_is_comment = behind.is_empty() || behind.starts_with(['#', ';']);
        if name.is_empty() || !behind_is_comment || self.sections.0.contains_key(&name) {
            return None;
        }
        self.sections.0.insert(name.clone(), Section::new());
        (self.section, self.setting) = (Some(name), None);
        Some(())
    }

    /// `name = value`.
    fn set(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let section = self.sections.0.get_mut(self.section.as_ref()?)?;
        if name.is_empty() || section.contains_key(&name) {
            return None;
        }
        let value = Setting::Line(Zeroizing::new(without_comment(value.trim()).to_owned()));
        section.insert(name.clone(), value);
        self.setting = Some(name);
        Some(())
    }
}

/// The value before a comment: a mark with white space before it.
fn without_comment(value: &str) -> &str {
    let marks = [" #", " ;", "\t#", "\t;"];
    let end = marks.iter().filter_map(|mark| value.find(mark)).min();
    let value = end.and_then(|end| value.get(..end)).unwrap_or(value);
    if value.starts_with(['#', ';']) { "" } else { value.trim_end() }
}
