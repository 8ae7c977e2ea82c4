//! [`Count`]: numbers of things in a sentence, with or without the plural's "s".

use std::fmt;

/// Shown, `Count(2, "worker")` is `2 workers`, and `Count(1, "worker")` is `1 worker`.
#[derive(Debug)]
pub struct Count<N>(pub N, pub &'static str);

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Count<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(n, what) = self;
        let s = if *n == N::from(1) { "" } else { "s" };
        write!(f, "{n} {what}{s}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let shown = [0_u64, 1, 2].map(|n| Count(n, "green thread").to_string());
        assert_eq!(
            shown,
            ["0 green threads", "1 green thread", "2 green threads"]
        );
    }
}
