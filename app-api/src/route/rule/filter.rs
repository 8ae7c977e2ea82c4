//! What wildcards match.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Filters that the program has added: whether a text is one of theirs.
pub(crate) type Filters = FxHashMap<Box<str>, OwnFilter>;

/// A filter that the program has added.
pub(crate) type OwnFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a wildcard matches: at least one character, unless an expression says otherwise.
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
    /// Anything but a slash that a function of the program accepts.
    Own,
    /// What an expression matches, slashes and nothing included.
    Re,
    /// Anything that is left of the path, also nothing: what is behind the prefix of a mount.
    Rest,
}

impl Filter {
    /// Longest number that is looked at, in bytes.
    pub(super) const LONGEST: usize = 32;

    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "path" => Self::Path,
            _ => return None,
        })
    }

    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Str | Self::Own => !text.is_empty() && !text.contains('/'),
            Self::Re | Self::Rest => true,
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

    /// Whether it may hold slashes.
    pub(super) fn crosses_slashes(self) -> bool {
        matches!(self, Self::Path | Self::Re | Self::Rest)
    }

    /// Whether a number may go on with this byte.
    pub(super) fn continues(self, byte: u8) -> bool {
        byte.is_ascii_digit() || (self == Self::Float && byte == b'.')
    }

    /// The end of the longest number that starts at `start`.
    pub(super) fn run(self, text: &[u8], start: usize) -> usize {
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
            Self::Own => "a filter of your own",
            Self::Re => "re",
            Self::Rest => "the rest",
        })
    }
}
