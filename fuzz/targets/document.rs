//! The parser of documents: whatever is published, it answers; what it finds has a place in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match writ_workflow::parse(text) {
        Ok(document) => {
            let again = writ_workflow::parse(text).expect("the same text is taken again");
            assert_eq!(format!("{document:?}"), format!("{again:?}"));
        }
        Err(findings) => {
            assert!(!findings.is_empty(), "refused without a reason");
            // YAML 1.2 §5.4: a line ends with LF, CR or both.
            let lines = u64::try_from(text.split(['\n', '\r']).count()).expect("lines") + 1;
            for finding in findings {
                let line = u64::from(finding.line);
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
                assert!(finding.column >= 1, "{finding:?}");
            }
        }
    }
});
