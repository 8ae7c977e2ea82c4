//! Every setting once: its flag, where its value lies, and what people are told of it.
//!
//! The command line is made from [`SETTINGS`], whose defaults are those of [`Config`]. The methods
//! of [`Server`](crate::Server) and the table in the book are held against it by tests. Names are
//! gunicorn's where gunicorn has the setting. Times are in seconds and sizes in bytes.

use super::access_log::Format;
use super::config::{Config, Engine, FOR_EVER, HalfClose};
use super::trust::Trust;
use greenway_proto::websocket::CloseCode;
use log::LevelFilter;
use std::str::FromStr;
use std::time::Duration;

/// What a command line decides: the server, and what belongs to the program as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server: Config,
    /// Where the server's own log goes; `-` is the standard error.
    pub(crate) error_log: String,
    pub(crate) log_level: LevelFilter,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: Config::default(),
            error_log: "-".to_owned(),
            log_level: LevelFilter::Info,
        }
    }
}

/// One setting.
pub(crate) struct Setting {
    /// The long flag, without its dashes.
    pub(crate) flag: &'static str,
    pub(crate) short: Option<char>,
    /// Another name of the flag, which gunicorn has.
    pub(crate) alias: Option<&'static str>,
    /// The environment variable that stands in for the flag.
    pub(crate) env: Option<&'static str>,
    /// What the flag takes, with the unit: `SECONDS`, `BYTES`. Empty for a switch.
    pub(crate) value: &'static str,
    /// Its default in words, where the value itself says too little. Else the value is shown.
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
    /// The largest number that makes sense.
    most: usize,
    /// 0 stands for no limit.
    zero_is_none: bool,
    at: fn(&mut Settings) -> &mut dyn Value,
}

impl Setting {
    const fn new(
        flag: &'static str,
        value: &'static str,
        at: fn(&mut Settings) -> &mut dyn Value,
        help: &'static str,
    ) -> Self {
        Self {
            flag,
            short: None,
            alias: None,
            env: None,
            value,
            default: None,
            help,
            most: usize::MAX,
            zero_is_none: false,
            at,
        }
    }

    const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    const fn default(mut self, words: &'static str) -> Self {
        self.default = Some(words);
        self
    }

    const fn most(mut self, number: usize) -> Self {
        self.most = number;
        self
    }

    const fn zero_is_none(mut self) -> Self {
        self.zero_is_none = true;
        self
    }

    /// Whether the flag takes no value.
    pub(crate) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether the flag may be given several times.
    pub(crate) fn is_list(&self) -> bool {
        (self.at)(&mut Settings::default()).is_list()
    }

    /// Takes the value from `text`.
    ///
    /// # Errors
    /// What would be right, for the one who gave it.
    pub(crate) fn read(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let too_much = |number: usize| number > self.most;
        if text.parse().is_ok_and(too_much) {
            return Err(format!("a whole number from 1 to {}", self.most));
        }
        let place = (self.at)(settings);
        if self.zero_is_none && text.parse() == Ok(0.0) {
            place.lift();
            return Ok(());
        }
        place.read(text)
    }

    /// The default as the flag would take it; `None` if it is described in words.
    pub(crate) fn default_text(&self) -> Option<String> {
        match self.default {
            Some(_) => None,
            None => Some((self.at)(&mut Settings::default()).show()),
        }
    }
}

/// What can be given as text.
trait Value {
    fn read(&mut self, text: &str) -> Result<(), String>;

    /// As `read` would take it.
    fn show(&self) -> String;

    /// Takes the value for "no limit", where there is one.
    fn lift(&mut self) {}

    fn is_list(&self) -> bool {
        false
    }
}

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

/// A count or a size that cannot be 0.
impl Value for usize {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        put(
            self,
            number.ok_or_else(|| "a whole number from 1".to_owned()),
        )
    }

    fn lift(&mut self) {
        *self = Self::MAX;
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(
            self,
            text.parse()
                .map_err(|_| format!("a whole number up to {}", Self::MAX)),
        )
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse().map_err(|_| "a whole number".to_owned()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// In seconds. Times that no clock will see the end of are all the same.
impl Value for Duration {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let seconds = text.parse().ok();
        let time = seconds.and_then(|seconds| Self::try_from_secs_f64(seconds).ok());
        let time = time.map(|time| time.min(FOR_EVER));
        put(
            self,
            time.ok_or_else(|| "a number of seconds, such as 30 or 0.5".to_owned()),
        )
    }

    fn show(&self) -> String {
        self.as_secs_f64().to_string()
    }

    fn lift(&mut self) {
        *self = FOR_EVER;
    }
}

impl Value for bool {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse().map_err(|_| "true or false".to_owned()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, Ok(text.to_owned()))
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// Each time one more.
impl Value for Vec<String> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        self.push(text.to_owned());
        Ok(())
    }

    fn show(&self) -> String {
        self.join(" ")
    }

    fn is_list(&self) -> bool {
        true
    }
}

impl<T: Value + Default> Value for Option<T> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut value = T::default();
        value.read(text)?;
        *self = Some(value);
        Ok(())
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
}

impl Value for Engine {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for HalfClose {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Value for CloseCode {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let code = text
            .parse()
            .ok()
            .map(u16::into)
            .filter(|code: &Self| code.is_sendable());
        let right = "a close code that may be sent, such as 1001, 1012 or 4000";
        put(self, code.ok_or_else(|| right.to_owned()))
    }

    fn show(&self) -> String {
        self.as_u16().to_string()
    }
}

impl Value for Format {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        String::new() // its default is described in words
    }
}

impl Value for Trust {
    fn read(&mut self, text: &str) -> Result<(), String> {
        put(self, text.parse())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for LevelFilter {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let right = "off, error, warn, info, debug or trace";
        put(self, Self::from_str(text).map_err(|_| right.to_owned()))
    }

    fn show(&self) -> String {
        self.as_str().to_lowercase()
    }
}

/// More address space than this for each stack is a slip, and cannot be had.
const LARGEST_STACK: usize = 1 << 30;
/// No head as a whole may be larger, whatever was asked for.
const LARGEST_HEAD: usize = 1 << 30;

#[cfg(feature = "minihttp")]
const ENGINES: &str = "Where handlers run: green (a green thread for each connection), threads (a \
    fixed pool of OS threads) or minihttp (hosted by the crate may_minihttp).";
#[cfg(not(feature = "minihttp"))]
const ENGINES: &str = "Where handlers run: green (a green thread for each connection) or threads \
    (a fixed pool of OS threads).";

/// All settings, in the order of `--help`.
pub(crate) static SETTINGS: [Setting; 31] = [
    Setting::new("engine", "ENGINE", |all| &mut all.server.engine, ENGINES)
        .short('k')
        .alias("worker-class")
        .env("GREENWAY_ENGINE"),
    Setting::new(
        "bind",
        "ADDRESS",
        |all| &mut all.server.bind,
        "Listen on HOST:PORT, unix:PATH or fd://NUMBER; may be given several times.",
    )
    .short('b')
    .default(
        "the sockets of LISTEN_FDS (systemd); else 0.0.0.0:$PORT where PORT is set; else \
         127.0.0.1:8000",
    ),
    Setting::new(
        "cores",
        "N",
        |all| &mut all.server.green.workers,
        "OS threads that run green threads.",
    )
    .env("GREENWAY_CORES")
    .default("one for each core"),
    Setting::new(
        "threads",
        "N",
        |all| &mut all.server.threads,
        "Requests that the threads engine serves at once.",
    ),
    Setting::new(
        "websocket-threads",
        "N",
        |all| &mut all.server.websocket_threads,
        "WebSockets that may be open at once on the threads engine, where each holds a thread; \
         more are answered with 503.",
    )
    .default("half of the threads"),
    Setting::new(
        "websocket-stop-code",
        "CODE",
        |all| &mut all.server.websocket_stop_code,
        "The close code that WebSockets are sent when the server stops, such as 1001 (going away) \
         or 1012 (restart).",
    ),
    Setting::new(
        "worker-connections",
        "N",
        |all| &mut all.server.connections,
        "Connections that may be open at once; more are answered with 503.",
    )
    .default("what the limits of the process allow"),
    Setting::new(
        "limit-handlers",
        "N",
        |all| &mut all.server.handlers,
        "Handlers that may run at once; more are answered with 503.",
    )
    .default("no limit"),
    Setting::new(
        "backlog",
        "N",
        |all| &mut all.server.backlog,
        "Connections that the kernel keeps until they are accepted.",
    ),
    Setting::new(
        "keep-alive",
        "SECONDS",
        |all| &mut all.server.clocks.keep_alive,
        "Seconds that a connection may wait for its next request; 0 for one request each.",
    ),
    Setting::new(
        "timeout",
        "SECONDS",
        |all| &mut all.server.clocks.handler,
        "Seconds that a handler may take for its response, or between two chunks of it; 0 for no \
         limit.",
    )
    .short('t')
    .zero_is_none(),
    Setting::new(
        "header-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.head,
        "Seconds that a request's head may take to come; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "body-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.body,
        "Seconds that a request's body may pause; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "write-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.write,
        "Seconds that a client may take to accept a piece of a response; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "half-close",
        "MEANING",
        |all| &mut all.server.half_close,
        "What it means that a client ends its sending direction (a FIN) while it is being served: \
         auto (ask it with a 100 Continue; once a stream has begun, it has left), serve or leave.",
    ),
    Setting::new(
        "graceful-timeout",
        "SECONDS",
        |all| &mut all.server.graceful_timeout,
        "Seconds that requests may go on after TERM, INT or QUIT. A second signal ends the process at once.",
    ),
    Setting::new(
        "limit-request-line",
        "BYTES",
        |all| &mut all.server.head_limits.line,
        "Bytes of a request line; more is 414. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none(),
    Setting::new(
        "limit-request-fields",
        "N",
        |all| &mut all.server.head_limits.fields,
        "Header fields of a request; more is 431. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none(),
    Setting::new(
        "limit-request-field-size",
        "BYTES",
        |all| &mut all.server.head_limits.field_size,
        "Bytes of a header field; more is 431. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none()
    .alias("limit-request-field_size"),
    Setting::new(
        "limit-request-body",
        "BYTES",
        |all| &mut all.server.body_limit,
        "Bytes of a request's body; more is 413.",
    ),
    Setting::new(
        "stack-size",
        "BYTES",
        |all| &mut all.server.green.stack_size,
        "Bytes of address space for a green thread's stack.",
    )
    .most(LARGEST_STACK)
    .default("262144 (1048576 in debug builds)"),
    Setting::new(
        "stack-marks",
        "",
        |all| &mut all.server.green.stack_marks,
        "Find out how much of its stack each route uses, and show it with USR2 and at /threads.",
    )
    .default("off (on in debug builds)"),
    Setting::new(
        "max-blocking-time",
        "SECONDS",
        |all| &mut all.server.green.max_blocking_time,
        "Seconds that a handler may run without a wait, holding up its worker, before it is \
         reported in the log with its stack; 0 for never.",
    )
    .default("1 (0.1 in debug builds)"),
    Setting::new(
        "access-logfile",
        "FILE",
        |all| &mut all.server.access_log,
        "Where to write the access log; - is the standard output.",
    )
    .default("nowhere"),
    Setting::new(
        "access-logformat",
        "FORMAT",
        |all| &mut all.server.access_log_format,
        "How a line of the access log looks: gunicorn's letters, such as \"%(h)s %(r)s %(s)s \
         %(L)s\", or json.",
    )
    .default("combined, and the duration in microseconds"),
    Setting::new(
        "error-logfile",
        "FILE",
        |all| &mut all.error_log,
        "Where to write the server's own log; - is the standard error.",
    ),
    Setting::new(
        "metrics-bind",
        "ADDRESS",
        |all| &mut all.server.metrics_bind,
        "Show metrics for Prometheus at /metrics on HOST:PORT.",
    )
    .default("nowhere"),
    Setting::new(
        "forwarded-allow-ips",
        "LIST",
        |all| &mut all.server.forwarded_allow,
        "Proxies whose X-Forwarded-For, -Proto, -Host, -Prefix and Forwarded fields are believed: addresses \
         and networks, with commas between them; * for everybody.",
    )
    .env("FORWARDED_ALLOW_IPS"),
    Setting::new(
        "proxy-protocol",
        "",
        |all| &mut all.server.proxy_protocol,
        "Connections from --proxy-allow-from begin with a header of the PROXY protocol (version 1 \
         or 2).",
    )
    .default("off"),
    Setting::new(
        "proxy-allow-from",
        "LIST",
        |all| &mut all.server.proxy_allow,
        "Load balancers that speak the PROXY protocol: a list as that of --forwarded-allow-ips.",
    ),
    Setting::new(
        "log-level",
        "LEVEL",
        |all| &mut all.log_level,
        "What to log of the server itself: off, error, warn, info, debug or trace. RUST_LOG, where \
         it is set, wins.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_default_that_is_shown_is_the_default_that_is_used() {
        let expected = format!("{:?}", Settings::default());
        let mut settings = Settings::default();
        for setting in &SETTINGS {
            if let Some(text) = setting.default_text() {
                let read = setting.read(&mut settings, &text);
                assert_eq!(read, Ok(()), "--{} {text}", setting.flag);
            }
        }
        assert_eq!(format!("{settings:?}"), expected);
    }

    #[test]
    fn names_are_given_once() {
        let mut names = BTreeSet::new();
        for setting in &SETTINGS {
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
            let setting = SETTINGS.iter().find(|setting| setting.flag == flag);
            setting.expect(flag).read(&mut Settings::default(), text)
        };
        for (flag, good, bad) in [
            ("threads", "1", "0"),
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
            let setting = SETTINGS.iter().find(|setting| setting.flag == flag);
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
