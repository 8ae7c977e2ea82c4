//! A command line in the environment, as gunicorn has in `GUNICORN_CMD_ARGS`: for those who can set
//! variables of a program and cannot change how it is started.

use super::flags;
use super::sources::Environment;
use crate::service::settings::Settings;
use clap::ArgMatches;

/// Ours, and gunicorn's. The first one that is there holds.
pub(super) const VARIABLES: [&str; 2] = ["GREENWAY_CMD_ARGS", "GUNICORN_CMD_ARGS"];

/// Flags from the environment, and the name of the variable that they are from.
///
/// # Errors
/// One line that says what is wrong with them.
pub(super) fn in_environment(
    environment: Environment<'_>,
) -> Result<Option<(&'static str, ArgMatches)>, String> {
    let there = VARIABLES.iter().find_map(|name| {
        let text = environment(name)?;
        (!text.is_empty()).then_some((*name, text))
    });
    let Some((name, text)) = there else {
        return Ok(None);
    };
    let words = text.into_string().ok().and_then(|text| words(&text));
    let words = words.ok_or_else(|| format!("{name}: a quotation has no end"))?;
    let command = flags::command(&Settings::default()).no_binary_name(true);
    let matches =
        command
            .try_get_matches_from(words)
            .map_err(|error| match error.use_stderr() {
                true => format!("{name}: {}", flags::wrong(&error)),
                false => format!("{name}: --help and --version are for the command line"),
            })?;
    match flags::asks_to_be_shown(&matches) {
        Some(flag) => Err(format!("{name}: --{flag} is for the command line")),
        None => Ok(Some((name, matches))),
    }
}

/// The words of a command line, as a shell takes them apart: with quotation marks of both kinds and
/// backslashes. `None` if a quotation has no end.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            letter @ ('"' | '\\') => word.push(letter),
                            letter => word.extend(['\\', letter]),
                        },
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, expected) in [
            ("", &[][..]),
            ("  --bind=a:1\t-w 3 ", &["--bind=a:1", "-w", "3"]),
            (
                r#"--access-logformat '%(h)s "%(r)s"'"#,
                &["--access-logformat", r#"%(h)s "%(r)s""#],
            ),
            (r#"a"b c"d"#, &["ab cd"]),
            (r#""\"\\\n""#, &[r#""\\n"#]),
            (r"a\ b \'", &["a b", "'"]),
            ("'' \"\"", &["", ""]),
        ] {
            assert_eq!(
                words(text).as_deref(),
                Some(
                    &expected
                        .iter()
                        .map(|word| (*word).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{text}"
            );
        }
        for text in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(words(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_told_with_the_variable() {
        for (text, told) in [
            (
                "--threads 0",
                "GREENWAY_CMD_ARGS: invalid value '0' for '--threads <N>'",
            ),
            (
                "--no-such-flag",
                "GREENWAY_CMD_ARGS: unexpected argument '--no-such-flag'",
            ),
            (
                "--max-requests 5",
                "GREENWAY_CMD_ARGS: unexpected argument '--max-requests' found: nothing piles up",
            ),
            (
                "--help",
                "GREENWAY_CMD_ARGS: --help and --version are for the command line",
            ),
            (
                "--check-config",
                "GREENWAY_CMD_ARGS: --check-config is for the command line",
            ),
            ("'--debug", "GREENWAY_CMD_ARGS: a quotation has no end"),
        ] {
            let environment = |name: &str| (name == "GREENWAY_CMD_ARGS").then(|| text.into());
            let error = in_environment(&environment).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}
