//! `writ explain CODE`: the page of `docs/errors` about a code, which the executable carries.
//!
//! In: a code as a failure prints it, or none. Out: its page, or every code there is.
//!
//! Invariant: `pages` is what `docs/errors` holds; `cargo xtask rules` fails when it is not, and when a
//! code has no page.

use crate::{failure::Failure, output};

/// One page for each code. It stands before `mod pages`, which is written in it.
macro_rules! embed {
    ($($code:literal,)*) => {
        /// Codes and their pages, in alphabetical order.
        pub(super) const PAGES: &[(&str, &str)] = &[$((
            $code,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/", $code, ".md")),
        )),*];
    };
}

mod pages;

/// What a pack's own names for its service's errors begin with.
const OF_PACK: &str = "service-";

/// Prints a page, or lists the codes.
pub(super) fn run(code: Option<&str>) -> Result<(), Failure> {
    let Some(code) = code else {
        return pages::PAGES.iter().try_for_each(|(code, _)| output::line(code));
    };
    let page = page(code).ok_or_else(|| {
        Failure::new("code-unknown", format!("there is no page about `{code}`"))
            .with_remedy("`writ explain` without a code lists them")
    })?;
    output::line(page.trim_end())
}

/// The page about a code. A pack names its service's errors itself: they share one.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    let named = |code: &str| {
        let found = pages::PAGES.binary_search_by_key(&code, |(code, _)| code).ok()?;
        pages::PAGES.get(found).map(|(_, page)| *page)
    };
    named(code).or_else(|| if code.starts_with(OF_PACK) { named("service-refused") } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_its_page_says_what_to_do() {
        assert!(pages::PAGES.len() > 300);
        for (code, text) in pages::PAGES {
            assert_eq!(page(code), Some(*text), "{code}");
            assert!(text.starts_with(&format!("# {code}\n")), "{code}");
            assert!(text.contains("\n*What to do:* "), "{code}");
            assert!(run(Some(code)).is_ok(), "{code}");
        }
    }

    #[test]
    fn an_error_that_a_pack_names_is_explained_as_the_services() {
        assert_eq!(page("service-not-in-channel"), page("service-refused"));
        assert_ne!(page("service-not-in-channel"), None);
    }

    #[test]
    fn an_unknown_code_is_said_to_be_unknown() {
        let failure = run(Some("no-such-code")).unwrap_err().to_string();

        assert!(failure.starts_with("error[code-unknown]: "), "{failure}");
    }
}
