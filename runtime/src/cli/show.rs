//! `--print-config` and `--check-config`: all settings as a file, and where they come from.

use super::sources::{Resolved, Source};
use crate::service::settings::{self, Setting};
use std::fmt::Write;

/// All settings that hold, as a file for `--config` would have them. Those that are ours, which depend
/// on the machine and the build, are comments; with `changes_only` they are left out.
pub(super) fn as_file(resolved: &Resolved, changes_only: bool) -> String {
    let mut file = String::new();
    for (setting, source) in settings::all().zip(&resolved.sources) {
        if changes_only && *source == Source::Ours {
            continue;
        }
        let values = setting.show_each(&resolved.settings);
        let values = match setting.is_list() {
            true => values,
            false => vec![setting.show(&resolved.settings)],
        };
        let is_unset = values.iter().all(String::is_empty) && !setting.is_comma_list();
        let line = match is_unset {
            true => format!("# {} is not set", setting.flag),
            false if *source == Source::Ours => format!("# {}", line(setting, &values)),
            false => line(setting, &values),
        };
        let written = writeln!(file, "{line} # {source}");
        written.expect("there is room in memory");
    }
    file
}

/// A setting as it stands in a file.
pub(super) fn line(setting: &Setting, values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| quoted(value)).collect();
    let value = match values {
        [value] if setting.is_switch() || setting.is_number() => value.clone(),
        _ if setting.is_list() => format!("[{}]", quoted.join(", ")),
        _ => quoted.concat(),
    };
    format!("{} = {value}", setting.flag)
}

/// A text of TOML's.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter != '\'' && !letter.is_control();
    if text.contains(['"', '\\']) && text.chars().all(plain) {
        return format!("'{text}'");
    }
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => quoted += &format!("\\u{:04X}", u32::from(letter)),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::{flags, sources};
    use super::*;
    use crate::service::settings::Settings;

    #[test]
    fn what_is_printed_is_read_again() {
        let args = [
            "app",
            "--bind=a:1",
            "--bind=b:2",
            "--timeout=0",
            "--keep-alive=0.5",
            "--limit-request-line=0",
            "--access-logfile=/a\"b'\\c\t",
            "--access-logformat=%(h)s \"%(r)s\"",
            "--forwarded-allow-ips=",
            "--stack-marks=false",
            "--debug",
        ];
        let nothing = |_: &str| None;
        let matches = flags::command(&Settings::default()).get_matches_from(args);
        let first = sources::resolve(Settings::default(), &matches, &nothing).unwrap();
        let path = std::env::temp_dir().join(format!("greenway-show-{}.toml", std::process::id()));
        std::fs::write(&path, as_file(&first, false)).unwrap();
        let args = ["app", "-c", path.to_str().unwrap()];
        let matches = flags::command(&Settings::default()).get_matches_from(args);
        let second = sources::resolve(Settings::default(), &matches, &nothing);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            format!("{:?}", second.unwrap().settings),
            format!("{:?}", first.settings)
        );
    }
}
