//! How Rust is read: as a flat row of tokens with their lines, each knowing whether it is test code.
//!
//! Comments and the inside of strings are no tokens, so a rule about code never trips over a word in a
//! sentence. Types are not known here: what needs them is clippy's.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One token; brackets count as tokens of their own.
#[derive(Clone, Debug)]
pub struct Token {
    /// As written.
    pub text: String,
    /// Where it begins, from 1.
    pub line: usize,
    /// Where it ends: later than `line` for a string over several lines.
    pub end_line: usize,
    /// Whether it stands in a test, in a module for tests, or in a file for tests.
    pub in_test: bool,
}

/// A function, with the attributes in front of it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its name.
    pub line: usize,
    /// Whether it is run as a test.
    pub is_test: bool,
}

/// A Rust file as tokens.
#[derive(Debug)]
pub struct RustSource {
    /// All tokens in order.
    pub tokens: Vec<Token>,
    /// All functions, wherever they stand.
    pub functions: Vec<Function>,
    /// Names in `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
    line_is_test: Vec<bool>,
    is_test_file: bool,
}

impl RustSource {
    /// Reads `text`, the contents of the file at `path`.
    ///
    /// # Panics
    /// When it is not Rust.
    #[must_use]
    pub fn read(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: not Rust: {error}"));
        let is_test_file = path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"));
        let mut reader = Reader { tokens: Vec::new(), functions: Vec::new(), test_modules: Vec::new() };
        reader.walk(stream, is_test_file);
        let mut line_is_test = vec![false; text.lines().count() + 2];
        for token in reader.tokens.iter().filter(|token| token.in_test) {
            line_is_test[token.line..=token.end_line].fill(true);
        }
        let Reader { tokens, functions, test_modules } = reader;
        Self { tokens, functions, test_modules, line_is_test, is_test_file }
    }

    /// Whether the code on `line`, or the next below it, is test code.
    #[must_use]
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_test_file || self.line_is_test.get(line).is_some_and(|test| *test)
    }

    /// Makes all of it test code: its `mod` stands behind `#[cfg(test)]`.
    pub(crate) fn make_test(&mut self) {
        self.is_test_file = true;
        self.tokens.iter_mut().for_each(|token| token.in_test = true);
    }

    /// Where the tokens `sequence`, separated by blanks, stand one after the other.
    pub fn find<'a>(&'a self, sequence: &'a str) -> impl Iterator<Item = &'a Token> {
        // `::` is two tokens.
        let wanted: Vec<&str> = sequence
            .split(' ')
            .flat_map(|word| if word == "::" { vec![":"; 2] } else { vec![word] })
            .collect();
        self.tokens
            .windows(wanted.len())
            .filter(move |window| window.iter().zip(&wanted).all(|(token, wanted)| token.text == *wanted))
            .map(|window| &window[0])
    }
}

struct Reader {
    tokens: Vec<Token>,
    functions: Vec<Function>,
    test_modules: Vec<String>,
}

impl Reader {
    fn walk(&mut self, stream: TokenStream, in_test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        // Behind `#[cfg(test)]` or `#[test]` everything is test code up to the end of that item.
        let (mut item_is_test, mut item_is_run) = (false, false);
        for (index, tree) in trees.iter().enumerate() {
            let test = in_test || item_is_test;
            match tree {
                TokenTree::Group(group) => {
                    if is_attribute(&trees, index) {
                        item_is_test |= marks_test(group);
                        item_is_run |= marks_run(group);
                    }
                    self.group(group, in_test || item_is_test);
                    if group.delimiter() == Delimiter::Brace {
                        (item_is_test, item_is_run) = (false, false);
                    }
                }
                TokenTree::Ident(ident) => {
                    self.push(ident.to_string(), ident.span(), test);
                    if let (name, Some(TokenTree::Ident(next))) = (ident.to_string(), trees.get(index + 1)) {
                        self.item(&name, next, trees.get(index + 2), (item_is_test, item_is_run));
                    }
                }
                TokenTree::Punct(punct) => {
                    self.push(punct.to_string(), punct.span(), test);
                    if punct.as_char() == ';' {
                        (item_is_test, item_is_run) = (false, false);
                    }
                }
                TokenTree::Literal(literal) => self.push(literal.to_string(), literal.span(), test),
            }
        }
    }

    fn item(
        &mut self,
        keyword: &str,
        name: &proc_macro2::Ident,
        next: Option<&TokenTree>,
        (is_test, is_run): (bool, bool),
    ) {
        let ends = matches!(next, Some(TokenTree::Punct(punct)) if punct.as_char() == ';');
        match keyword {
            "fn" => {
                let line = name.span().start().line;
                self.functions.push(Function { name: name.to_string(), line, is_test: is_run });
            }
            "mod" if is_test && ends => self.test_modules.push(name.to_string()),
            _ => {}
        }
    }

    fn group(&mut self, group: &Group, in_test: bool) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        self.push(open.to_owned(), group.span_open(), in_test);
        self.walk(group.stream(), in_test);
        self.push(close.to_owned(), group.span_close(), in_test);
    }

    fn push(&mut self, text: String, span: proc_macro2::Span, in_test: bool) {
        let (line, end_line) = (span.start().line, span.end().line);
        self.tokens.push(Token { text, line, end_line, in_test });
    }
}

/// Whether the group at `index` is the `[…]` of `#[…]`.
fn is_attribute(trees: &[TokenTree], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| &trees[before]);
    matches!(before, Some(TokenTree::Punct(punct)) if punct.as_char() == '#')
}

/// Whether an attribute makes the item after it test code: `cfg(test)`, or one that makes it run as a test.
fn marks_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string();
    marks_run(attribute) || (text.starts_with("cfg") && text.contains("test") && !text.contains("not"))
}

/// Whether an attribute makes a function run as a test: `test`, `tokio::test`, with or without arguments.
fn marks_run(attribute: &Group) -> bool {
    let path: Vec<String> = attribute
        .stream()
        .into_iter()
        .take_while(|tree| !matches!(tree, TokenTree::Group(_)))
        .map(|tree| tree.to_string())
        .collect();
    path.last().is_some_and(|last| last == "test") && path.len() <= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_makes_test_code_up_to_the_end_of_its_item() {
        let source = RustSource::read(
            "crates/a/src/lib.rs",
            "fn one() {}\n#[cfg(test)]\nmod tests {\n#[test]\nfn two() {}\n}\nfn three() {}\n#[tokio::test]\nasync fn \
             four() {}\n",
        );
        let tests: Vec<&str> =
            source.functions.iter().filter(|function| function.is_test).map(|f| f.name.as_str()).collect();
        assert_eq!(tests, ["two", "four"]);
        let test_lines: Vec<usize> = (1..10).filter(|line| source.is_test_line(*line)).collect();
        assert_eq!(test_lines, [2, 3, 4, 5, 6, 8, 9]);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_tokens() {
        let source = RustSource::read("a.rs", "// unsafe\nconst A: &str = \"unsafe { }\";");
        assert_eq!(source.find("unsafe").count(), 0);
        assert_eq!(source.find("const A").count(), 1);
    }
}
