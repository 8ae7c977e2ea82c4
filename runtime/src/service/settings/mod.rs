//! Every setting once: its flag, where its value lies, and what people are told of it.
//!
//! The command line is made from [`all`], whose defaults are those of
//! [`Config`](super::config::Config). The methods
//! of [`Server`](crate::Server) and the table in the book are held against it by tests. Names are
//! gunicorn's where gunicorn has the setting. Times are in seconds and sizes in bytes. Where a value
//! comes from (a flag, the environment, a file, the program) is no matter of this table: all of them
//! give text, which is read here.

mod clocks;
mod http2;
mod limits;
mod logs;
mod processes;
mod proxies;
mod serving;
mod setting;
mod stacks;
mod tls;
mod value;

use self::clocks::CLOCKS;
use self::http2::HTTP2;
use self::limits::LIMITS;
use self::logs::LOGS;
use self::processes::PROCESSES;
pub(crate) use self::processes::{Mode, Processes};
use self::proxies::PROXIES;
use self::serving::SERVING;
pub(crate) use self::setting::{Setting, Settings, VARIABLES};
use self::stacks::STACKS;
use self::tls::TLS;

/// All settings, in the order of `--help`.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    [
        SERVING, PROCESSES, TLS, CLOCKS, LIMITS, HTTP2, STACKS, LOGS, PROXIES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::config::{Config, FOR_EVER};
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn a_default_that_is_shown_is_the_default_that_is_used() {
        let expected = format!("{:?}", Settings::default());
        let mut settings = Settings::default();
        for setting in all() {
            if let Some(text) = setting.default_text(&Settings::default()) {
                let read = setting.read(&mut settings, &text);
                assert_eq!(read, Ok(()), "--{} {text}", setting.flag);
            }
        }
        assert_eq!(format!("{settings:?}"), expected);
    }

    #[test]
    fn names_are_given_once() {
        let mut names = BTreeSet::new();
        for setting in all() {
            let short = setting.short.map(String::from);
            let all = [Some(setting.flag), setting.alias, short.as_deref()];
            for name in all.into_iter().flatten() {
                assert!(names.insert(name.to_owned()), "--{name}");
            }
        }
    }

    #[test]
    fn numbers_have_bounds() {
        let read = |flag: &str, text: &str| {
            let setting = all().find(|setting| setting.flag == flag);
            setting.expect(flag).read(&mut Settings::default(), text)
        };
        for (flag, good, bad) in [
            ("threads", "1", "0"),
            ("workers", "1000", "1001"),
            ("umask", "0o027", "1000"),
            ("umask", "0", "8"),
            ("stack-size", "1073741824", "1073741825"),
            ("timeout", "0.5", "-1"),
            ("limit-request-body", "0", "-1"),
            ("backlog", "0", "4294967296"),
            ("websocket-stop-code", "1012", "1005"),
            ("limit-request-fields", "500", "1073741825"),
            ("limit-request-field-size", "131072", "1073741825"),
            ("header-timeout", "1e19", "1e30"),
            ("write-timeout", "0", "nan"),
        ] {
            assert_eq!(read(flag, good), Ok(()), "--{flag} {good}");
            assert!(read(flag, bad).is_err(), "--{flag} {bad}");
        }
    }

    #[test]
    fn zero_is_no_limit_and_what_no_clock_sees_is_for_ever() {
        let mut settings = Settings::default();
        let mut read = |flag: &str, text: &str| {
            let setting = all().find(|setting| setting.flag == flag);
            setting.expect(flag).read(&mut settings, text).expect(text);
        };
        read("timeout", "0");
        read("body-timeout", "0.0");
        read("write-timeout", "1e19");
        read("limit-request-line", "0");
        read("keep-alive", "0");
        read("graceful-timeout", "0");
        let Config {
            clocks,
            head_limits,
            graceful_timeout,
            ..
        } = settings.server;
        assert_eq!([clocks.handler, clocks.body, clocks.write], [FOR_EVER; 3]);
        assert_eq!(head_limits.line, usize::MAX);
        assert_eq!([clocks.keep_alive, graceful_timeout], [Duration::ZERO; 2]);
    }
}
