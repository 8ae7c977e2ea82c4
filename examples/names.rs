//! Names that are told apart: of two people who call themselves Ada, the second is "Ada 2".
//!
//! Whoever comes with the same key is the same person, who may keep a name, over whichever
//! connection. A page makes up a key for itself and shows it to nobody; who comes without one
//! shares the empty key with all who do. This tells people apart in a chat, and proves nothing.

use greenway::HttpError;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a name is kept for somebody who has asked for it, and is not seen to use it.
const GRACE: Duration = Duration::from_secs(30);
/// Names that are kept at once; one more is answered with 503.
const MOST: usize = 10_000;

#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Holder>>);

struct Holder {
    key: String,
    asked: Instant,
}

impl Names {
    /// The name for whoever has this key: the one that is wanted, with a number behind it if
    /// somebody else has it. `is_used` tells which names are in use; all others are free after a
    /// while. A name has `longest` characters at most, with its number.
    pub(crate) fn take(
        &self,
        wanted: &str,
        key: &str,
        longest: usize,
        is_used: impl Fn(&str) -> bool,
    ) -> Result<String, HttpError> {
        // Nothing below can panic half-way through a change.
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|name, holder| holder.asked.elapsed() < GRACE || is_used(name));
        if names.len() >= MOST {
            return Err(HttpError::new(503, "too many names").with_header("retry-after", "30"));
        }
        let name = (1_u32..)
            .map(|number| numbered(wanted, number, longest))
            .find(|name| match names.get(name) {
                Some(holder) => holder.key == key,
                None => key.is_empty() || !is_used(name),
            });
        let name = name.ok_or_else(|| HttpError::new(503, "all such names are taken"))?;
        let (key, asked) = (key.to_owned(), Instant::now());
        names.insert(name.clone(), Holder { key, asked });
        Ok(name)
    }
}

fn numbered(wanted: &str, number: u32, longest: usize) -> String {
    if number == 1 {
        return wanted.to_owned();
    }
    let number = format!(" {number}");
    let most = longest.saturating_sub(number.len());
    let start: String = wanted.chars().take(most).collect();
    format!("{}{number}", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn two_of_one_name_get_numbers() {
        let names = Names::default();
        let take = |name: &str, key: &str| {
            names
                .take(name, key, 8, |used| used == "Used")
                .expect("there are names enough")
        };
        assert_eq!(take("Ada", "a"), "Ada");
        assert_eq!(take("Ada", "b"), "Ada 2");
        assert_eq!(take("Ada", "c"), "Ada 3");
        assert_eq!(take("Ada", "a"), "Ada", "who has it keeps it");
        assert_eq!(take("Ada 2", "b"), "Ada 2");
        assert_eq!(take("Grace H.", "a"), "Grace H.");
        assert_eq!(take("Grace H.", "b"), "Grace 2", "no longer than it may be");
        assert_eq!(
            take("Used", "a"),
            "Used 2",
            "somebody has it who did not ask"
        );
        assert_eq!(
            (take("Used", ""), take("Used", "")),
            ("Used".into(), "Used".into())
        );
    }
}
