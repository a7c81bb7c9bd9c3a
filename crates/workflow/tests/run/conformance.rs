//! The specification's own examples and conformance scenarios, from a copy beside the checkout.

use std::{env, fs, path::PathBuf};

use serde_json::Value;

use crate::world::{World, fault_of, output_of};

#[test]
fn corpus_every_example_is_taken_or_refused_with_place_and_help() {
    let (mut taken, mut refused) = (0, 0);
    for (path, source) in corpus("examples", "yaml") {
        let Err(findings) = writ_workflow::parse(&source) else {
            taken += 1;
            continue;
        };
        refused += 1;
        assert!(!findings.is_empty());
        for found in findings {
            let place = found.line > 0 && found.column > 0;
            assert!(place && !found.help.is_empty(), "{}: {found}", path.display());
            assert!(found.to_string().contains(&found.help), "{found}");
        }
    }
    eprintln!("examples: {taken} taken, {refused} refused");
    assert!(taken >= 5, "only {taken} examples are taken");
}

#[test]
fn corpus_invalid_documents_are_refused_with_line_and_column() {
    let files = corpus("invalid", "yaml");
    assert!(!files.is_empty());
    for (path, source) in files {
        let findings = writ_workflow::parse(&source).expect_err(&path.display().to_string());
        assert!(findings.iter().all(|f| f.line > 0 && f.column > 0), "{}", path.display());
    }
}

#[test]
fn corpus_conformance_scenarios_within_the_subset_end_as_they_say() {
    let mut ran = 0;
    for (path, feature) in corpus("ctk", "feature") {
        for scenario in feature.split("Scenario:").skip(1) {
            let title = format!("{}: {}", path.display(), scenario.lines().next().unwrap_or(""));
            ran += u32::from(conforms(&title, scenario));
        }
    }
    eprintln!("conformance: {ran} scenarios ran");
    assert!(ran >= 9, "only {ran} scenarios are within the subset");
}

/// Whether a scenario is within the subset; if so, it ended as it says.
fn conforms(title: &str, scenario: &str) -> bool {
    let Some(source) = block(scenario, "workflow with definition:") else { return false };
    let Ok(document) = writ_workflow::parse(&source) else { return false };
    let input = block(scenario, "workflow input is:").map_or(Value::Null, |text| value(&text));
    let effects = World::of(document).run(input);
    if let Some(expected) = block(scenario, "complete with output:") {
        assert_eq!(output_of(&effects), value(&expected), "{title}");
        return true;
    }
    if let Some(expected) = block(scenario, "fault with error:") {
        let error = fault_of(&effects).to_value();
        for (name, wanted) in value(&expected).as_object().unwrap() {
            assert_eq!(error.get(name), Some(wanted), "{title}");
        }
        return true;
    }
    panic!("{title} says nothing that is checked here")
}

/// The YAML after a line that ends so.
fn block(scenario: &str, after: &str) -> Option<String> {
    let (_, rest) = scenario.split_once(after)?;
    let (_, rest) = rest.split_once("\"\"\"yaml\n")?;
    let (text, _) = rest.split_once("\"\"\"")?;
    let indent = text.len() - text.trim_start_matches(' ').len();
    Some(text.lines().map(|line| line.get(indent..).unwrap_or("")).collect::<Vec<_>>().join("\n"))
}

fn value(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

fn corpus(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let root = env::var_os("WRIT_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let folder = root.join("serverless-workflow").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("corpus missing: {}; set WRIT_CORPORA", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}
