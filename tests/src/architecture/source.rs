//! Reading sources: code without comments and strings, its words, and its paths.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path from the root of the workspace, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// Such as `runtime/src/server/builder.rs`.
    pub path: String,
    /// As it stands in the file.
    pub text: String,
    /// Without comments, strings and character literals.
    pub code: String,
}

impl Source {
    /// A source that is not a file's.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: strip(text, false),
        }
    }

    /// All sources under a folder, which is named from `root`.
    ///
    /// # Panics
    /// When the folder has no sources, or they cannot be read.
    #[must_use]
    pub fn under(root: &Path, folder: &str) -> Vec<Self> {
        let mut folders = vec![root.join(folder)];
        let mut sources = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for entry in entries {
                let path: PathBuf = entry.expect("a folder can be read to its end").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("sources are UTF-8");
                    let path = path.strip_prefix(root).expect("it lies below");
                    sources.push(Self::new(&path.display().to_string(), &text));
                }
            }
        }
        assert!(!sources.is_empty(), "no sources under {folder}");
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// The identifiers and keywords of the code.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        tokens(&self.code)
            .into_iter()
            .filter(|token| is_word(token))
    }

    /// Whether the code has this identifier or keyword.
    #[must_use]
    pub fn has_word(&self, word: &str) -> bool {
        self.words().any(|found| found == word)
    }

    /// Whether a path begins with the name of this crate.
    #[must_use]
    pub fn uses_crate(&self, name: &str) -> bool {
        let tokens = tokens(&self.code);
        // `::may::x` is one, `x::may::y` is not.
        let begins = |at: usize| match at {
            0 => true,
            1 => tokens[0] != ".",
            _ if tokens[at - 1] == "::" => !is_word(tokens[at - 2]),
            _ => tokens[at - 1] != ".",
        };
        let goes_on = |at: usize| tokens.get(at + 1) == Some(&"::");
        let imported = |at: usize| at > 0 && ["use", "crate"].contains(&tokens[at - 1]);
        let is_it = |at: usize| tokens[at] == name && (begins(at) && goes_on(at) || imported(at));
        (0..tokens.len()).any(is_it)
    }

    /// Whether it names a path such as `std::net`, or one below it: in full, or in a `use` with
    /// braces.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        let wanted: Vec<_> = path.split("::").collect();
        let tokens = tokens(&self.code);
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at] == "use" {
                let (imports, end) = use_tree(&tokens, at + 1);
                if imports.iter().any(|import| contains(&import.path, &wanted)) {
                    return true;
                }
                at = end;
            } else if is_word(tokens[at]) {
                let (path, end) = path_at(&tokens, at);
                if contains(&path, &wanted) {
                    return true;
                }
                at = end;
            } else {
                at += 1;
            }
        }
        false
    }

    /// Whether it is a file of tests.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }

    /// Lines that are neither blank nor only comments: outside of tests, and in them.
    #[must_use]
    pub fn lines_of_code(&self) -> (usize, usize) {
        let count = |text: &str| {
            let code = strip(text, true);
            code.lines().filter(|line| !line.trim().is_empty()).count()
        };
        if self.is_test() {
            return (0, count(&self.text));
        }
        // By convention the tests of a file are its end.
        let tests = self.text.find("#[cfg(test)]\nmod tests {");
        let (code, tests) = self.text.split_at(tests.unwrap_or(self.text.len()));
        (count(code), count(tests))
    }

    /// Blocks of `unsafe` code.
    #[must_use]
    pub fn unsafe_blocks(&self) -> usize {
        let tokens = tokens(&self.code);
        tokens
            .windows(2)
            .filter(|pair| *pair == ["unsafe", "{"])
            .count()
    }

    /// Conditions of compilation other than `test`.
    #[must_use]
    pub fn conditions(&self) -> usize {
        let tokens = tokens(&self.code);
        let is_test = |at: usize| tokens[at..].starts_with(&["cfg", "(", "test", ")"]);
        let names = ["cfg", "cfg_attr"];
        (0..tokens.len())
            .filter(|&at| names.contains(&tokens[at]) && !is_test(at))
            .count()
    }
}

fn contains(path: &[String], wanted: &[&str]) -> bool {
    path.windows(wanted.len()).any(|part| part == wanted)
}

/// Whether a token is an identifier or a keyword.
pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The tokens of code that has been [stripped](strip): words, numbers, `::`, and single characters.
pub(super) fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if in_word(first) {
            rest.find(|c| !in_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// What a `use` brings in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The whole path; of `a::*` it is `a`.
    pub(super) path: Vec<String>,
    /// The name that it has here. `None` for `*` and `as _`.
    pub(super) name: Option<String>,
    /// Whether it is `*`.
    pub(super) glob: bool,
}

/// The path that begins with the word at `at`, and where it ends.
pub(super) fn path_at(tokens: &[&str], mut at: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[at].to_owned()];
    at += 1;
    while at + 1 < tokens.len() && tokens[at] == "::" && is_word(tokens[at + 1]) {
        path.push(tokens[at + 1].to_owned());
        at += 2;
    }
    (path, at)
}

/// The imports of the `use` whose tree begins at `at`, and where its statement ends.
pub(super) fn use_tree(tokens: &[&str], at: usize) -> (Vec<Import>, usize) {
    let end = tokens[at..].iter().position(|token| *token == ";");
    let end = end.map_or(tokens.len(), |length| at + length);
    let mut imports = Vec::new();
    branch(&tokens[at..end], &[], &mut imports);
    (imports, end)
}

/// Reads one branch of a `use`: `a::b`, `a::*`, `a as b`, `a::{b, c}`.
fn branch(tokens: &[&str], prefix: &[String], imports: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let mut name = None;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "::" => {}
            "{" => {
                let inner = &tokens[at + 1..tokens.len() - 1];
                let (mut depth, mut start) = (0, 0);
                for end in 0..=inner.len() {
                    match inner.get(end) {
                        Some(&"{") => depth += 1,
                        Some(&"}") => depth -= 1,
                        Some(&",") | None if depth == 0 => {
                            branch(&inner[start..end], &path, imports);
                            start = end + 1;
                        }
                        _ => {}
                    }
                }
                return;
            }
            "*" => {
                imports.push(Import {
                    path,
                    name: None,
                    glob: true,
                });
                return;
            }
            "as" => {
                name = tokens.get(at + 1).map(|name| (*name).to_owned());
                break;
            }
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    if path.len() > prefix.len() || !tokens.is_empty() {
        let name = name
            .or_else(|| path.last().cloned())
            .filter(|name| name != "_");
        imports.push(Import {
            path,
            name,
            glob: false,
        });
    }
}

/// Code without comments, and unless `keep_strings` without strings and character literals.
pub(super) fn strip(text: &str, keep_strings: bool) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back();
        let in_word = before.is_some_and(|c: char| c.is_alphanumeric() || c == '_');
        let (skipped, comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), true)
        } else if first == '"' {
            (1 + string_end(&rest[1..]), false)
        } else if let Some(hashes) = raw_string(rest).filter(|_| !in_word) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            let found = rest[start..].find(&end);
            (
                start + found.map_or(rest.len() - start, |at| at + end.len()),
                false,
            )
        } else if first == '\'' {
            (char_literal(rest), false)
        } else {
            (0, false)
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if keep_strings && !comment {
            code.push_str(&rest[..skipped]);
        } else {
            code.push(' ');
        }
        rest = &rest[skipped..];
    }
    code
}

/// Where a string ends whose opening quote has been taken off.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How many `#` a raw string has that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a character literal; 0 for a lifetime.
fn char_literal(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escape) = inner.strip_prefix('\\') {
        let mut chars = escape.char_indices().skip(1);
        return chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 3);
    }
    let mut chars = inner.chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text =
            "a // b\n/* c */ d \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' '\\u{1f}' &'j k \"l\nm\" n";
        let code = strip(text, false);
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "d", "&'j", "k", "n"]);
        let source = Source::new("a.rs", "// a\n\nlet b = \"c\n d\";\n");
        assert_eq!(source.lines_of_code(), (2, 0));
    }

    #[test]
    fn paths_are_found_however_they_are_written() {
        let code = "use std ::\n net::TcpStream; fn mayor() { x::may::y } \
             use crate::{a, b::{c, d as e}};";
        let source = Source::new("a.rs", code);
        for path in [
            "std::net",
            "std::net::TcpStream",
            "may",
            "crate::a",
            "crate::b",
            "crate::b::d",
        ] {
            assert!(source.names(path), "{path}");
        }
        for path in ["std::ne", "crate::c", "crate::d", "mayo"] {
            assert!(!source.names(path), "{path}");
        }
        assert!(source.has_word("mayor") && !source.has_word("mayo"));
    }

    #[test]
    fn crates_are_known_by_the_paths_that_begin_with_them() {
        for code in [
            "use may::go;",
            "may::go!(f)",
            "use may;",
            "f(::may::x)",
            "extern crate may;",
        ] {
            assert!(Source::new("a.rs", code).uses_crate("may"), "{code}");
        }
        for code in [
            "let may = 1;",
            "x::may::y",
            "a.may()",
            "mayor::x",
            "you may",
        ] {
            assert!(!Source::new("a.rs", code).uses_crate("may"), "{code}");
        }
    }

    #[test]
    fn imports_have_paths_and_names() {
        let tokens = tokens("a::{self, b::*, c as d, e::{f, g as _},}; h");
        let (imports, end) = use_tree(&tokens, 0);
        assert_eq!(tokens[end], ";");
        let shown: Vec<_> = imports
            .iter()
            .map(|import| (import.path.join("::"), import.name.as_deref(), import.glob))
            .collect();
        let expected = [
            ("a", Some("a"), false),
            ("a::b", None, true),
            ("a::c", Some("d"), false),
            ("a::e::f", Some("f"), false),
            ("a::e::g", None, false),
        ];
        assert_eq!(
            shown,
            expected.map(|(path, name, glob)| (path.to_owned(), name, glob))
        );
    }
}
