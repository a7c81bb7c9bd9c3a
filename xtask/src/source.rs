//! What a Rust file says, to the depth that the house rules need: tokens, and which are test code.
//!
//! In: the text of a file. Out: its tokens outside comments and literals, with line numbers; the
//! same with its plain strings; the lines and tokens of items under `#[cfg(test)]`; the test modules
//! it declares.
//!
//! Invariants:
//! * Text in a comment, a string or a character never becomes a token; only who asks for strings gets
//!   them, each whole and in its quotes.
//! * A file that is not valid Rust gives some tokens rather than an error: the compiler complains.
//!
//! Not here: macros are not expanded, so a name that only an expansion contains is not seen.

use std::ops::Range;

mod mask;

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The word, `::`, or a single sign.
    pub(crate) text: String,
    /// Line number, from 1.
    pub(crate) line: usize,
}

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    tokens: Vec<Token>,
    tests: Vec<Range<usize>>,
    with_strings: Vec<Token>,
    line_count: usize,
}

impl Source {
    /// Reads the text of one file.
    pub(crate) fn read(text: &str) -> Self {
        let mask::Masked { text: masked, strings } = mask::mask(text);
        let with_strings = tokens(&masked, &strings);
        let tokens: Vec<Token> =
            with_strings.iter().filter(|token| !token.is_string()).cloned().collect();
        let tests = test_items(&tokens);
        Self { tokens, tests, with_strings, line_count: text.lines().count() }
    }

    /// Every token, tests included.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Every token that is compiled into the product.
    pub(crate) fn production(&self) -> Vec<Token> {
        without(&self.tokens, &self.tests)
    }

    /// The same with its plain strings, each a token in its quotes.
    pub(crate) fn production_with_strings(&self) -> Vec<Token> {
        without(&self.with_strings, &test_items(&self.with_strings))
    }

    /// Lines of the file without those of its test items.
    pub(crate) fn production_lines(&self) -> usize {
        let of_tests: usize = self.tests.iter().map(|test| self.lines_of(test)).sum();
        self.line_count.saturating_sub(of_tests)
    }

    /// Whether `name` is declared as `#[cfg(test)] mod name;`.
    pub(crate) fn declares_test_module(&self, name: &str) -> bool {
        self.tests.iter().any(|test| {
            let words = self.tokens.get(test.clone()).unwrap_or_default();
            matches!(words, [.., keyword, module, end]
                if keyword.text == "mod" && module.text == name && end.text == ";")
        })
    }

    fn lines_of(&self, range: &Range<usize>) -> usize {
        match self.tokens.get(range.clone()) {
            Some([first, .., last]) => last.line + 1 - first.line,
            _ => 0,
        }
    }
}

impl Token {
    /// What a plain string says, as it is written; nothing for any other token.
    pub(crate) fn string(&self) -> Option<&str> {
        self.text.strip_prefix('"')?.strip_suffix('"')
    }

    fn is_string(&self) -> bool {
        self.text.starts_with('"')
    }
}

fn without(tokens: &[Token], tests: &[Range<usize>]) -> Vec<Token> {
    let numbered = tokens.iter().enumerate();
    let kept = numbered.filter(|(at, _)| !tests.iter().any(|test| test.contains(at)));
    kept.map(|(_, token)| token.clone()).collect()
}

/// Whether a token is a name or a number.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(is_word_char)
}

fn is_word_char(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Words, signs and strings in the order of the text. Where a string stands the masked text is blank.
fn tokens(masked: &str, strings: &[(usize, String)]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut strings = strings.iter().peekable();
    let mut line_start = 0;
    for (line, number) in masked.split_inclusive('\n').zip(1..) {
        let line_end = line_start + line.len();
        let mut rest = line.trim_start();
        loop {
            let next = line_end - rest.len();
            let before = |(at, _): &&(usize, String)| *at <= next && *at < line_end;
            while let Some((_, literal)) = strings.next_if(before) {
                tokens.push(Token { text: literal.clone(), line: number });
            }
            let Some(length) = first_token(rest) else { break };
            let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            tokens.push(Token { text: text.to_owned(), line: number });
            rest = after.trim_start();
        }
        line_start = line_end;
    }
    tokens
}

fn first_token(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if is_word_char(first) {
        return Some(rest.find(|next| !is_word_char(next)).unwrap_or(rest.len()));
    }
    let sign = if rest.starts_with("::") { 2 } else { first.len_utf8() };
    Some(sign)
}

/// The token ranges of items that only a test build compiles, attributes included.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_test_attribute(tokens.get(at..).unwrap_or_default()) {
            let end = end_of_item(tokens, at);
            items.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    items
}

fn starts_test_attribute(tokens: &[Token]) -> bool {
    let shapes: [&[&str]; 2] = [
        &["#", "[", "cfg", "(", "test", ")", "]"],
        &["#", "[", "cfg", "(", "all", "(", "test", ","],
    ];
    shapes.iter().any(|shape| {
        tokens.len() >= shape.len()
            && shape.iter().zip(tokens).all(|(expected, token)| token.text == *expected)
    })
}

/// Where the item that begins with attributes at `start` ends: behind its `;` or closing brace.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while tokens.get(at).is_some_and(|token| token.text == "#") {
        at = end_of_group(tokens, at + 1);
    }
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "(" | "[" => at = end_of_group(tokens, at),
            "{" => return end_of_group(tokens, at),
            ";" => return at + 1,
            "}" => return at,
            _ => at += 1,
        }
    }
    at
}

/// Where the bracketed group that opens at `start` ends.
pub(crate) fn end_of_group(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests;
