//! What is written where, and shown to whom.

use super::setting::Setting;

pub(super) static LOGS: &[Setting] = &[
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
    )
    .alias("log-file"),
    Setting::new(
        "log-level",
        "LEVEL",
        |all| &mut all.log_level,
        "What to log of the server itself: off, error, warn (warning), info, debug or trace. \
         RUST_LOG, where it is set, wins.",
    )
    .words(&["off", "error", "warn", "info", "debug", "trace"]),
    Setting::new(
        "metrics-bind",
        "ADDRESS",
        |all| &mut all.server.metrics_bind,
        "Show metrics for Prometheus at /metrics on HOST:PORT.",
    )
    .default("nowhere"),
    Setting::new(
        "debug",
        "",
        |all| &mut all.server.debug,
        "For development: the application may show its clients what goes wrong inside of it. Never \
         on a public server.",
    )
    .default("off"),
];
