//! Rules of routes: Bottle's `"/hello/<name:filter>"`.
//!
//! A rule is text with wildcards: `lead (wildcard tail)*`. It means what
//! Bottle's regular expression means, greedy where that is greedy, but matching
//! takes time linear in the path: no rule can be made slow by a request.
//!
//! # Implementation
//!
//! For most wildcards the end is forced (the rest of the path, the next slash,
//! the end of the digits), and one pass suffices. A rule with a wildcard whose
//! end is not forced (`<name>.<ext>`) is matched with a table from the end of
//! the path: for each wildcard and each start, the end that Bottle's expression
//! would choose, or none. That replaces backtracking, which is exponential in
//! the wildcards.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A parsed rule.
#[derive(Debug)]
pub(crate) struct Rule {
    text: Arc<str>,
    lead: Box<str>,
    wilds: Box<[Wild]>,
    /// Whether some wildcard needs the table.
    search: bool,
}

#[derive(Debug)]
struct Wild {
    name: Box<str>,
    filter: Filter,
    /// The static text between this wildcard and the next, or the end.
    tail: Box<str>,
    end: End,
}

/// What a wildcard matches; always at least one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Anything but a slash.
    Str,
    /// `-?[0-9]+` that fits an `i64`.
    Int,
    /// `-?[0-9.]+` that is a finite number.
    Float,
    /// Anything, slashes included, as little as possible.
    Path,
}

/// How the end of a wildcard is found.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is the last one: what its tail leaves.
    Last,
    /// The tail has its first slash at this offset, and the wildcard can have
    /// none.
    Slash(usize),
    /// A number that its tail cannot prolong.
    Run,
    /// Several ends are possible.
    Table,
}

impl Filter {
    /// Longest number that is looked at, in bytes.
    const LONGEST: usize = 32;

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "path" => Self::Path,
            _ => return None,
        })
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Str => !text.is_empty() && !text.contains('/'),
            Self::Path => !text.is_empty(),
            Self::Int => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                text.len() <= Self::LONGEST
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && text.parse::<i64>().is_ok()
            }
            Self::Float => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                text.len() <= Self::LONGEST
                    && digits.bytes().all(|b| self.continues(b))
                    && text.parse().is_ok_and(f64::is_finite)
            }
        }
    }

    /// Whether a number may go on with this byte.
    fn continues(self, byte: u8) -> bool {
        byte.is_ascii_digit() || (self == Self::Float && byte == b'.')
    }

    /// The end of the longest number that starts at `start`.
    fn run(self, text: &[u8], start: usize) -> usize {
        let sign = usize::from(text.get(start) == Some(&b'-'));
        let rest = &text[start + sign..];
        start + sign + rest.iter().take_while(|&&b| self.continues(b)).count()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Path => "path",
        })
    }
}

impl Rule {
    /// Parses a rule, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("it must start with a slash".to_owned());
        }
        if text.contains('\0') {
            return Err("it holds a NUL, which no path can".to_owned());
        }
        let mut pieces = text.split('<');
        // `split` gives at least one piece.
        let lead = pieces.next().unwrap_or_default();
        if lead.contains('>') {
            return Err("a `>` without its `<`".to_owned());
        }
        let mut wilds: Vec<Wild> = Vec::new();
        for piece in pieces {
            let (inside, tail) = piece.split_once('>').ok_or("a `<` without its `>`")?;
            if tail.contains('>') {
                return Err("a `>` without its `<`".to_owned());
            }
            let (name, filter) = inside.split_once(':').unwrap_or((inside, "str"));
            let Some(filter) = Filter::parse(filter) else {
                return Err(format!(
                    "unknown filter `{filter}` (str, int, float and path exist)"
                ));
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty()
                || !name.bytes().all(plain)
                || name.starts_with(|c: char| c.is_ascii_digit())
            {
                return Err(format!("`{name}` is no name for a wildcard"));
            }
            if wilds.iter().any(|wild| *wild.name == *name) {
                return Err(format!("two wildcards are named `{name}`"));
            }
            wilds.push(Wild {
                name: name.into(),
                filter,
                tail: tail.into(),
                end: End::Table,
            });
        }
        let last = wilds.len().saturating_sub(1);
        for (at, wild) in wilds.iter_mut().enumerate() {
            wild.end = wild.find_end(at == last);
        }
        Ok(Self {
            text: text.into(),
            lead: lead.into(),
            search: wilds.iter().any(|wild| matches!(wild.end, End::Table)),
            wilds: wilds.into(),
        })
    }

    /// The rule as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn shared_text(&self) -> &Arc<str> {
        &self.text
    }

    /// Names and filters of the wildcards, in order.
    pub(crate) fn wilds(&self) -> impl Iterator<Item = (&str, Filter)> {
        self.wilds.iter().map(|wild| (&*wild.name, wild.filter))
    }

    /// Whether it has no wildcards.
    pub(crate) fn is_static(&self) -> bool {
        self.wilds.is_empty()
    }

    /// What every match starts with, up to a slash: the key of the index.
    pub(crate) fn prefix(&self) -> &str {
        // A rule starts with a slash, and so does its lead.
        &self.lead[..=self.lead.rfind('/').unwrap_or(0)]
    }

    /// Matches a whole path and notes where the wildcards stand in it. `found`
    /// holds rubbish after a failure.
    pub(crate) fn matches(&self, path: &str, found: &mut Vec<Range<usize>>) -> bool {
        found.clear();
        if !path.starts_with(&*self.lead) {
            return false;
        }
        if let Some(last) = self.wilds.last()
            && !path.ends_with(&*last.tail)
        {
            return false;
        }
        if self.search {
            return self.search(path, found);
        }
        let mut at = self.lead.len();
        for wild in &self.wilds {
            let Some(end) = wild.forced_end(path, at) else {
                return false;
            };
            if !path
                .get(at..end)
                .is_some_and(|text| wild.filter.accepts(text))
                || !path[end..].starts_with(&*wild.tail)
            {
                return false;
            }
            found.push(at..end);
            at = end + wild.tail.len();
        }
        at == path.len()
    }

    /// The same for rules whose ends are not forced.
    fn search(&self, path: &str, found: &mut Vec<Range<usize>>) -> bool {
        // Most paths that are not meant for this rule end here, without a table.
        let rest = &path[self.lead.len()..];
        if !self.wilds.iter().all(|wild| rest.contains(&*wild.tail)) {
            return false;
        }
        let n = path.len();
        let width = n + 1;
        // ends[wild * width + start]: where the wildcard ends that starts there,
        // such that all that follows fits; 0 for nowhere (no end is 0, since the
        // lead is not empty).
        let mut ends = vec![0_usize; self.wilds.len() * width];
        for (at, wild) in self.wilds.iter().enumerate().rev() {
            let (head, later) = ends.split_at_mut((at + 1) * width);
            let row = &mut head[at * width..];
            // Whether everything after this wildcard fits if it ends at `end`.
            let fits = |end: usize| {
                let after = end + wild.tail.len();
                path.is_char_boundary(end)
                    && path[end..].starts_with(&*wild.tail)
                    && if later.is_empty() {
                        after == n
                    } else {
                        later[after] != 0
                    }
            };
            wild.fill(path, row, fits);
        }
        let mut at = self.lead.len();
        for (wild, row) in self.wilds.iter().zip(ends.chunks(width)) {
            if row[at] == 0 {
                return false;
            }
            found.push(at..row[at]);
            at = row[at] + wild.tail.len();
        }
        true
    }
}

impl Wild {
    fn find_end(&self, last: bool) -> End {
        let first = self.tail.bytes().next();
        match (self.filter, self.tail.find('/')) {
            _ if last => End::Last,
            (Filter::Str | Filter::Int | Filter::Float, Some(offset)) => End::Slash(offset),
            (Filter::Int | Filter::Float, None)
                if first.is_some_and(|b| !self.filter.continues(b)) =>
            {
                End::Run
            }
            _ => End::Table,
        }
    }

    fn forced_end(&self, path: &str, start: usize) -> Option<usize> {
        let bytes = path.as_bytes();
        match self.end {
            End::Last => path.len().checked_sub(self.tail.len()),
            End::Slash(offset) => {
                let slash = start + memchr::memchr(b'/', &bytes[start..])?;
                slash.checked_sub(offset)
            }
            End::Run => Some(self.filter.run(bytes, start)),
            // Rules with such a wildcard go through the table.
            End::Table => None,
        }
        .filter(|&end| end >= start && path.is_char_boundary(end))
    }

    /// One row of the table, from the end of the path to its start.
    fn fill(&self, path: &str, row: &mut [usize], fits: impl Fn(usize) -> bool) {
        let bytes = path.as_bytes();
        let mut best = 0;
        for start in (0..row.len()).rev() {
            match self.filter {
                // Greedy: the farthest end before the next slash.
                Filter::Str => {
                    if bytes.get(start) == Some(&b'/') {
                        best = 0;
                    }
                    row[start] = best;
                    if best == 0 && fits(start) {
                        best = start;
                    }
                }
                // Not greedy: the nearest end.
                Filter::Path => {
                    row[start] = best;
                    if fits(start) {
                        best = start;
                    }
                }
                Filter::Int | Filter::Float => {
                    let run = self.filter.run(bytes, start).min(start + Filter::LONGEST);
                    let fitting = |&end: &usize| {
                        fits(end)
                            && path
                                .get(start..end)
                                .is_some_and(|text| self.filter.accepts(text))
                    };
                    row[start] = (start + 1..=run).rev().find(fitting).unwrap_or(0);
                }
            }
        }
    }
}
