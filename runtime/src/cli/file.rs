//! The file of `--config`: TOML whose keys are the long names of flags.
//!
//! What must stay true: a key that is no setting, and a value that would do nothing, is refused with
//! its line and with what would be right, as a setting that is not taken is worse than no start.

use super::gunicorn;
use crate::service::settings::{self, Setting, Settings};
use std::fs;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Settings from a file.
#[derive(Debug, Default)]
pub(super) struct File {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    flag: &'static str,
    /// Where it stands: file and line.
    place: String,
    texts: Vec<String>,
}

impl File {
    /// # Errors
    /// One line that says where it is wrong, and what would be right.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        if path.ends_with(".py") || path.starts_with("python:") || path.starts_with("file:") {
            return Err(format!(
                "cannot read {path}: settings are in TOML here, such as keep-alive = 5, not in \
                 Python as gunicorn's"
            ));
        }
        let text = fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let text = String::from_utf8(text)
            .map_err(|_| format!("cannot read {path}: it is not text in UTF-8"))?;
        Self::parse(path, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, String> {
        let place = |start: usize| {
            let before = text.as_bytes().get(..start).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            format!("{path}:{line}")
        };
        let table = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let why = error.message().replace('\n', ", ");
            format!("{}: this is not TOML: {why}", place(start))
        })?;
        let mut file = Self::default();
        for (key, value) in table.get_ref() {
            let place = place(key.span().start);
            let name = key.get_ref().as_ref();
            let setting = settings::all()
                .find(|setting| setting.flag == name)
                .ok_or_else(|| format!("{place}: {}", unknown(name)))?;
            let texts = texts(setting, value)
                .ok_or_else(|| format!("{place}: {name} takes {}", wanted(setting)))?;
            let checked = setting.replace(&mut Settings::default(), &texts);
            checked.map_err(|(text, right)| {
                format!("{place}: invalid value '{text}' for {name}: {right}")
            })?;
            let flag = setting.flag;
            file.entries.push(Entry { flag, place, texts });
        }
        Ok(file)
    }

    /// What the file gives for a setting, and where.
    pub(super) fn given(&self, setting: &Setting) -> Option<(&str, &[String])> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.flag == setting.flag)?;
        Some((&entry.place, &entry.texts))
    }
}

/// The value as the flag would take it; `None` if it is of the wrong kind.
fn texts(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    match value.get_ref() {
        DeValue::Boolean(on) if setting.is_switch() || setting.missing.is_some() => {
            Some(vec![on.to_string()])
        }
        DeValue::Integer(number) if setting.is_number() => {
            let number = i128::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(vec![number.to_string()])
        }
        DeValue::Float(number) if setting.is_number() => Some(vec![number.as_str().to_owned()]),
        DeValue::Array(items) if setting.is_list() || setting.is_comma_list() => {
            let items = items.iter().map(|item| text(item.get_ref()));
            let items: Vec<_> = items.collect::<Option<_>>()?;
            match setting.is_list() {
                true => Some(items),
                false => Some(vec![items.join(",")]),
            }
        }
        value if !setting.is_switch() && !setting.is_number() => Some(vec![text(value)?]),
        _ => None,
    }
}

/// What kind of value is right.
fn wanted(setting: &Setting) -> &'static str {
    match setting {
        _ if setting.is_switch() => "true or false",
        _ if setting.is_number() => "a number, without quotes",
        _ if setting.is_list() || setting.is_comma_list() => "a text, or a list of texts",
        _ => "a text, in quotes",
    }
}

fn unknown(name: &str) -> String {
    let plain = name.replace('_', "-").to_lowercase();
    let renamed = gunicorn::renamed(name);
    let alias = settings::all().find(|setting| {
        setting.alias == Some(name) || setting.flag == plain || Some(setting.flag) == renamed
    });
    if let (None, Some(instead)) = (alias, gunicorn::instead_of_name(name)) {
        return format!("{name:?} is no setting; {instead}");
    }
    let like = alias.or_else(|| {
        let distances = settings::all().map(|setting| (distance(&plain, setting.flag), setting));
        let nearest = distances.min_by_key(|(distance, _)| *distance);
        let close = |(distance, _): &(usize, _)| *distance <= 2;
        nearest.filter(close).map(|(_, setting)| setting)
    });
    match like {
        Some(setting) => format!("{name:?} is no setting; {} is", setting.flag),
        None => format!("{name:?} is no setting; they are named as the flags of --help"),
    }
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str, flag: &str) -> Vec<String> {
        let file = File::parse("app.toml", text).unwrap();
        let setting = settings::all()
            .find(|setting| setting.flag == flag)
            .unwrap();
        file.given(setting).expect(flag).1.to_vec()
    }

    #[test]
    fn values_are_what_their_flags_take() {
        assert_eq!(given("threads = 0x1_0", "threads"), ["16"]);
        assert_eq!(given("timeout = 1.5", "timeout"), ["1.5"]);
        assert_eq!(given("debug = true", "debug"), ["true"]);
        assert_eq!(given("proxy-protocol = true", "proxy-protocol"), ["true"]);
        assert_eq!(given("proxy-protocol = 'v2'", "proxy-protocol"), ["v2"]);
        assert_eq!(given("engine = 'threads'", "engine"), ["threads"]);
        assert_eq!(given("bind = 'a:1'", "bind"), ["a:1"]);
        assert_eq!(given("bind = ['a:1', 'b:2']", "bind"), ["a:1", "b:2"]);
        let trusted = "forwarded-allow-ips = ['10.0.0.0/8', '::1']";
        assert_eq!(given(trusted, "forwarded-allow-ips"), ["10.0.0.0/8,::1"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_is_right() {
        for (text, told) in [
            (
                "\n\nkeep-aliv = 3",
                "app.toml:3: \"keep-aliv\" is no setting; keep-alive is",
            ),
            (
                "limit_request_body = 3",
                "app.toml:1: \"limit_request_body\" is no setting; limit-request-body is",
            ),
            (
                "worker-class = 'green'",
                "app.toml:1: \"worker-class\" is no setting; engine is",
            ),
            (
                "accesslog = '-'",
                "app.toml:1: \"accesslog\" is no setting; access-logfile is",
            ),
            (
                "max_requests = 1000",
                "app.toml:1: \"max_requests\" is no setting; nothing piles up",
            ),
            (
                "colour = 'green'",
                "app.toml:1: \"colour\" is no setting; they are named as the flags of --help",
            ),
            (
                "[greenway]\nthreads = 3",
                "app.toml:1: \"greenway\" is no setting",
            ),
            (
                "# x\ntimeout = '30'",
                "app.toml:2: timeout takes a number, without quotes",
            ),
            (
                "timeout = -1",
                "app.toml:1: invalid value '-1' for timeout: a number of seconds",
            ),
            (
                "timeout = nan",
                "app.toml:1: invalid value 'nan' for timeout: a number of seconds",
            ),
            (
                "threads = 0",
                "app.toml:1: invalid value '0' for threads: a whole number from 1",
            ),
            ("debug = 1", "app.toml:1: debug takes true or false"),
            (
                "engine = true",
                "app.toml:1: engine takes a text, in quotes",
            ),
            (
                "engine = 'steam'",
                "app.toml:1: invalid value 'steam' for engine: green",
            ),
            (
                "bind = [80]",
                "app.toml:1: bind takes a text, or a list of texts",
            ),
            ("threads = 3\nthreads = 4", "app.toml:2: this is not TOML: "),
            ("threads 3", "app.toml:1: this is not TOML: "),
        ] {
            let error = File::parse("app.toml", text).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
