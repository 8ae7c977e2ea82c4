//! Rules of routes: Bottle's `"/hello/<name:filter>"`.
//!
//! A rule is text with wildcards: `lead (wildcard tail)*`. It means what
//! Bottle's regular expression means, greedy where that is greedy, but matching
//! takes time linear in the path: no rule can be made slow by a request.

mod filter;
mod matching;
mod parse;
mod url;

use std::fmt;
use std::sync::Arc;

use regex_lite::Regex;

use self::filter::OwnFilter;
pub(crate) use self::filter::{Filter, Filters};
pub(crate) use self::matching::Found;

/// A parsed rule.
#[derive(Debug)]
pub(crate) struct Rule {
    text: Arc<str>,
    lead: Box<str>,
    wilds: Box<[Wild]>,
    /// Whether some wildcard needs the table.
    search: bool,
    /// The whole rule, if it holds an expression.
    expression: Option<Box<Regex>>,
}

#[derive(Debug)]
struct Wild {
    name: Box<str>,
    filter: Filter,
    /// What is asked besides, for [`Filter::Own`] and [`Filter::Re`].
    own: Option<Own>,
    /// The static text between this wildcard and the next, or the end.
    tail: Box<str>,
    end: End,
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

/// A filter that the rule has brought along.
enum Own {
    Function(OwnFilter),
    Expression {
        text: Box<str>,
        /// The expression for all of a text.
        whole: Regex,
    },
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function(_) => "a function",
            Self::Expression { text, .. } => text,
        })
    }
}

impl Wild {
    fn accepts(&self, text: &str) -> bool {
        self.filter.accepts(text)
            && match &self.own {
                None => true,
                // What was an encoded slash on its way is a slash to the program.
                Some(Own::Function(accepts)) => accepts(&text.replace('\0', "/")),
                Some(Own::Expression { whole, .. }) => whole.is_match(text),
            }
    }
}

impl Rule {
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

    /// The rule by the segments of its paths.
    pub(crate) fn segments(&self) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        let mut fixed = true;
        // A rule starts with a slash, and so does its lead.
        let mut text = &self.lead[1..];
        let mut wilds = self.wilds.iter();
        loop {
            while let Some((segment, rest)) = text.split_once('/') {
                segments.push(if fixed {
                    Segment::Fixed(segment)
                } else {
                    Segment::Any
                });
                fixed = true;
                text = rest;
            }
            let Some(wild) = wilds.next() else { break };
            if wild.filter.crosses_slashes() {
                segments.push(Segment::Rest);
                return segments;
            }
            fixed = false;
            text = &wild.tail;
        }
        segments.push(if fixed {
            Segment::Fixed(text)
        } else {
            Segment::Any
        });
        segments
    }
}

/// What a rule has between two slashes.
pub(crate) enum Segment<'a> {
    /// This text.
    Fixed(&'a str),
    /// Some text with wildcards, which is not empty.
    Any,
    /// Anything to the end of the path.
    Rest,
}
