//! Where the wildcards of a rule stand in a path.
//!
//! For most wildcards the end is forced (the rest of the path, the next slash, the end of the
//! digits), and one pass suffices. A rule with a wildcard whose end is not forced (`<name>.<ext>`)
//! is matched with a table from the end of the path: for each wildcard and each start, the end that
//! Bottle's expression would choose, or none. That replaces backtracking, which is exponential in
//! the wildcards. A rule with an expression of its own (`<name:re:...>`) is one expression as a
//! whole, matched in time linear in the path.

use std::ops::Range;

use smallvec::SmallVec;

use super::{End, Filter, Rule, Wild};

/// Where wildcards stand in a path. Few rules have more than two.
pub(crate) type Found = SmallVec<[Range<usize>; 2]>;

impl Rule {
    /// Matches a whole path and notes where the wildcards stand in it. `found`
    /// holds rubbish after a failure.
    pub(crate) fn matches(&self, path: &str, found: &mut Found) -> bool {
        found.clear();
        if !path.starts_with(&*self.lead) {
            return false;
        }
        if let Some(last) = self.wilds.last()
            && !path.ends_with(&*last.tail)
        {
            return false;
        }
        if let Some(expression) = &self.expression {
            return self.by_expression(expression, path, found);
        }
        if self.search {
            return self.search(path, found);
        }
        let mut at = self.lead.len();
        for wild in &self.wilds {
            let Some(end) = wild.forced_end(path, at) else {
                return false;
            };
            if !path.get(at..end).is_some_and(|text| wild.accepts(text))
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
    fn search(&self, path: &str, found: &mut Found) -> bool {
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

    /// The same for rules with an expression of their own.
    fn by_expression(&self, expression: &regex_lite::Regex, path: &str, found: &mut Found) -> bool {
        let Some(captures) = expression.captures(path) else {
            return false;
        };
        self.wilds.iter().enumerate().all(|(at, wild)| {
            let text = captures.name(&super::parse::group(at));
            text.is_some_and(|text| {
                found.push(text.range());
                // What the expression cannot say: whether a number fits, and what a filter of the
                // program's own thinks.
                wild.filter == Filter::Re || wild.accepts(text.as_str())
            })
        })
    }
}

impl Wild {
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
                // Their ends are forced, or their rules are expressions.
                Filter::Own | Filter::Re | Filter::Rest => {}
            }
        }
    }
}
