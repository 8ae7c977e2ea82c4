//! gunicorn's words: those of its settings that are named otherwise here, and those that there are
//! none for.
//!
//! Whoever brings a command line or a file along from gunicorn is told what to use instead, as an
//! "unexpected argument" would leave them to search. The chapter `docs/src/gunicorn.md` has all of
//! gunicorn's settings; a test holds it against what is said here.

use super::file::distance;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

/// A setting of gunicorn's that there is none for.
struct Refused {
    /// Its name in gunicorn's file.
    name: &'static str,
    /// Its flags; none has only a name.
    flags: &'static [&'static str],
    /// What to do instead, or why there is nothing to do.
    instead: &'static str,
}

const fn refused(
    name: &'static str,
    flags: &'static [&'static str],
    instead: &'static str,
) -> Refused {
    Refused {
        name,
        flags,
        instead,
    }
}

const MAIN: &str = "the program's main does what is to be done before `serve`";
const AROUND: &str = "a middleware does what is to be done around each request";
const AT_EXIT: &str = "`green::at_exit` is for what is to be done at the end";
const MASTER: &str = "the master runs no code of the application's";
const RUST_LOG: &str = "`--log-level` or $RUST_LOG decides what is logged; a program may set a \
    logger of its own (`log::set_logger`)";
const SYSLOG: &str = "the log goes to the standard error, which systemd gives to the journal; \
    elsewhere `2>&1 | logger`";
const METRICS: &str = "metrics are asked for, by Prometheus: `--metrics-bind`";
const NO_PYTHON: &str = "there is no Python here";
const STRICT: &str = "such a request is answered with 400, since proxies read it in other ways";
const NO_ASGI: &str = "handlers are blocking functions on green threads; nothing is asynchronous";
const DIRTY: &str = "`green::unblock` hands what computes or blocks to OS threads";
const CONTROL: &str = "signals govern the server, and `--metrics-bind` shows what it does";
const UWSGI: &str = "proxies speak HTTP to it";

const REFUSED: &[Refused] = &[
    refused("wsgi_app", &[], "the program is the application"),
    refused(
        "max_requests",
        &["--max-requests"],
        "nothing piles up over time that a new process would get rid of; one whose handlers leak is \
         restarted by HUP",
    ),
    refused(
        "max_requests_jitter",
        &["--max-requests-jitter"],
        "there is no `--max-requests`",
    ),
    refused(
        "reload_engine",
        &["--reload-engine"],
        "`--reload` looks at the program's file",
    ),
    refused(
        "reload_extra_files",
        &["--reload-extra-file"],
        "`--reload` looks at the program's file; templates and static files are read anew without it",
    ),
    refused(
        "spew",
        &["--spew"],
        "`--log-level trace` shows what the server does; for a program's lines, a debugger",
    ),
    refused(
        "preload_app",
        &["--preload"],
        "each process runs the program's main; what they are to share belongs into a database",
    ),
    refused(
        "chdir",
        &["--chdir"],
        "the program's main has run already; change the folder before it is started (cd, or \
         WorkingDirectory= of systemd)",
    ),
    refused(
        "daemon",
        &["-D", "--daemon"],
        "the program stays in the foreground; let systemd or a container run it, or start it with \
         setsid and &",
    ),
    refused(
        "raw_env",
        &["-e", "--env"],
        "set variables where the program is started (env NAME=VALUE, or Environment= of systemd)",
    ),
    refused(
        "initgroups",
        &["--initgroups"],
        "further groups are systemd's (SupplementaryGroups=)",
    ),
    refused(
        "tmp_upload_dir",
        &[],
        "uploads that are too large for memory go into files without a name in $TMPDIR",
    ),
    refused(
        "secure_scheme_headers",
        &[],
        "X-Forwarded-Proto, -Protocol, -Ssl and Forwarded are known; `--forwarded-allow-ips` names \
         whose",
    ),
    refused(
        "disable_redirect_access_to_syslog",
        &["--disable-redirect-access-to-syslog"],
        SYSLOG,
    ),
    refused("logger_class", &["--logger-class"], RUST_LOG),
    refused("logconfig", &["--log-config"], RUST_LOG),
    refused("logconfig_dict", &[], RUST_LOG),
    refused("logconfig_json", &["--log-config-json"], RUST_LOG),
    refused("syslog_addr", &["--log-syslog-to"], SYSLOG),
    refused("syslog", &["--log-syslog"], SYSLOG),
    refused("syslog_prefix", &["--log-syslog-prefix"], SYSLOG),
    refused("syslog_facility", &["--log-syslog-facility"], SYSLOG),
    refused("statsd_host", &["--statsd-host"], METRICS),
    refused("dogstatsd_tags", &["--dogstatsd-tags"], METRICS),
    refused("statsd_prefix", &["--statsd-prefix"], METRICS),
    refused(
        "enable_backlog_metric",
        &["--enable-backlog-metric"],
        METRICS,
    ),
    refused(
        "default_proc_name",
        &[],
        "a process has the name of its program's file",
    ),
    refused("pythonpath", &["--pythonpath"], NO_PYTHON),
    refused("paste", &["--paste", "--paster"], NO_PYTHON),
    refused("raw_paste_global_conf", &["--paste-global"], NO_PYTHON),
    refused("on_starting", &[], MAIN),
    refused("on_reload", &[], MASTER),
    refused("when_ready", &[], MAIN),
    refused("pre_fork", &[], MASTER),
    refused("post_fork", &[], MAIN),
    refused("post_worker_init", &[], MAIN),
    refused("worker_int", &[], "`green::signals` tells of signals"),
    refused(
        "worker_abort",
        &[],
        "a handler that takes too long is unwound",
    ),
    refused("pre_exec", &[], MASTER),
    refused("pre_request", &[], AROUND),
    refused("post_request", &[], AROUND),
    refused("child_exit", &[], MASTER),
    refused("worker_exit", &[], AT_EXIT),
    refused("nworkers_changed", &[], MASTER),
    refused("on_exit", &[], AT_EXIT),
    refused("ssl_context", &[], "the flags say all that can be said"),
    refused("protocol", &["--protocol"], UWSGI),
    refused("uwsgi_allow_ips", &["--uwsgi-allow-from"], UWSGI),
    refused(
        "ssl_version",
        &["--ssl-version"],
        "`--tls-min-version` names the oldest version",
    ),
    refused(
        "suppress_ragged_eofs",
        &["--suppress-ragged-eofs"],
        "an end without close_notify is a departure, as any other",
    ),
    refused(
        "do_handshake_on_connect",
        &["--do-handshake-on-connect"],
        "the handshake has a clock of its own, `--handshake-timeout`",
    ),
    refused(
        "ciphers",
        &["--ciphers"],
        "rustls has none but those that are safe",
    ),
    refused(
        "http2_cleartext",
        &["--http2-cleartext"],
        "clients that know it beforehand may speak HTTP/2 on a plain port: `--http-protocols`",
    ),
    refused(
        "permit_obsolete_folding",
        &["--permit-obsolete-folding"],
        STRICT,
    ),
    refused("strip_header_spaces", &["--strip-header-spaces"], STRICT),
    refused(
        "permit_unconventional_http_method",
        &["--permit-unconventional-http-method"],
        "every method that RFC 9110 allows is passed on",
    ),
    refused(
        "permit_unconventional_http_version",
        &["--permit-unconventional-http-version"],
        STRICT,
    ),
    refused(
        "casefold_http_method",
        &["--casefold-http-method"],
        "methods are case-sensitive (RFC 9110)",
    ),
    refused(
        "forwarder_headers",
        &["--forwarder-headers"],
        "X-Forwarded-Prefix of a trusted proxy becomes SCRIPT_NAME",
    ),
    refused(
        "header_map",
        &["--header-map"],
        "fields with underscores never reach the environ (gunicorn's `drop`)",
    ),
    refused("asgi_loop", &["--asgi-loop"], NO_ASGI),
    refused("asgi_lifespan", &["--asgi-lifespan"], NO_ASGI),
    refused(
        "asgi_disconnect_grace_period",
        &["--asgi-disconnect-grace-period"],
        "a client that leaves ends its handler by unwinding",
    ),
    refused(
        "websocket_max_message_size",
        &["--websocket-max-message-size"],
        "`websocket::Options::max_message` sets it where a socket is accepted",
    ),
    refused("http_parser", &["--http-parser"], "there is one"),
    refused(
        "root_path",
        &["--root-path"],
        "the proxy's X-Forwarded-Prefix tells it, or `App::mount`",
    ),
    refused("dirty_apps", &["--dirty-app"], DIRTY),
    refused("dirty_workers", &["--dirty-workers"], DIRTY),
    refused("dirty_timeout", &["--dirty-timeout"], DIRTY),
    refused("dirty_threads", &["--dirty-threads"], DIRTY),
    refused(
        "dirty_graceful_timeout",
        &["--dirty-graceful-timeout"],
        DIRTY,
    ),
    refused("on_dirty_starting", &[], DIRTY),
    refused("dirty_post_fork", &[], DIRTY),
    refused("dirty_worker_init", &[], DIRTY),
    refused("dirty_worker_exit", &[], DIRTY),
    refused("control_socket", &["--control-socket"], CONTROL),
    refused("control_socket_mode", &["--control-socket-mode"], CONTROL),
    refused("control_socket_disable", &["--no-control-socket"], CONTROL),
];

/// A flag of gunicorn's that is taken, since nothing is lost where it has no effect.
struct Ignored {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    /// Why it has no effect.
    why: &'static str,
}

const IGNORED: [Ignored; 6] = [
    Ignored {
        long: "worker-tmp-dir",
        short: None,
        takes_value: true,
        why: "processes tell by a pipe that they live, not by a file",
    },
    Ignored {
        long: "name",
        short: Some('n'),
        takes_value: true,
        why: "a process has the name of its program's file",
    },
    Ignored {
        long: "reuse-port",
        short: None,
        takes_value: false,
        why: "all processes share one socket, so that a restart loses no connection",
    },
    Ignored {
        long: "no-sendfile",
        short: None,
        takes_value: false,
        why: "`sendfile` is used where the kernel can do it, and otherwise not",
    },
    Ignored {
        long: "capture-output",
        short: None,
        takes_value: false,
        why: "what the program prints goes where the shell has it go (>>file 2>&1)",
    },
    Ignored {
        long: "enable-stdio-inheritance",
        short: Some('R'),
        takes_value: false,
        why: "processes have the standard streams of the one that was started",
    },
];

/// The flags that are taken and have no effect. No help shows them.
pub(super) fn ignored_flags() -> impl Iterator<Item = Arg> {
    IGNORED.iter().map(|one| {
        let action = match one.takes_value {
            true => ArgAction::Set,
            false => ArgAction::SetTrue,
        };
        let arg = Arg::new(one.long).long(one.long).short(one.short);
        arg.action(action).hide(true)
    })
}

/// What is to be said of those that were given.
pub(super) fn ignored_among(matches: &ArgMatches) -> impl Iterator<Item = String> {
    let given = |one: &&Ignored| matches.value_source(one.long) == Some(ValueSource::CommandLine);
    let given = IGNORED.iter().filter(given);
    given.map(|one| format!("--{} has no effect: {}", one.long, one.why))
}

/// Names in gunicorn's file that its flags, and ours, do not have.
const RENAMED: [(&str, &str); 8] = [
    ("worker_class", "engine"),
    ("keepalive", "keep-alive"),
    ("accesslog", "access-logfile"),
    ("access_log_format", "access-logformat"),
    ("errorlog", "error-logfile"),
    ("loglevel", "log-level"),
    ("proxy_allow_ips", "proxy-allow-from"),
    ("pidfile", "pid"),
];

/// What to use instead of a flag of gunicorn's that there is none for.
pub(super) fn instead_of_flag(flag: &str) -> Option<&'static str> {
    let refused = REFUSED.iter().find(|one| one.flags.contains(&flag));
    refused.map(|one| one.instead)
}

/// The flag of gunicorn's that this may have been meant to be, and that there is none for.
pub(super) fn almost(flag: &str) -> Option<(&'static str, &'static str)> {
    let all = REFUSED
        .iter()
        .flat_map(|one| one.flags.iter().map(|flag| (*flag, one.instead)));
    let long = all.filter(|(known, _)| known.starts_with("--"));
    let mut nearest = long.filter(|(known, _)| distance(flag, known) == 1);
    nearest.next()
}

/// What to use instead of a setting of gunicorn's, by its name in a file.
pub(super) fn instead_of_name(name: &str) -> Option<&'static str> {
    let plain = name.replace('-', "_").to_lowercase();
    let refused = REFUSED.iter().find(|one| {
        let flag = |flag: &&str| flag.trim_start_matches('-').replace('-', "_") == plain;
        one.name == plain || one.flags.iter().any(flag)
    });
    let ignored = || {
        let name = match plain.as_str() {
            "proc_name" => "name",
            "sendfile" => "no_sendfile",
            other => other,
        };
        IGNORED
            .iter()
            .find(|one| one.long.replace('-', "_") == name)
    };
    let refused = refused.map(|one| one.instead);
    refused.or_else(|| ignored().map(|one| one.why))
}

/// How a setting is called that gunicorn's file calls by another name.
pub(super) fn renamed(name: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(theirs, _)| *theirs == name);
    renamed.map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_word_is_there_once_and_is_no_setting_of_ours() {
        let mut seen = BTreeSet::new();
        for one in REFUSED {
            assert!(seen.insert(one.name), "{}", one.name);
            for flag in one.flags {
                assert!(seen.insert(flag), "{flag}");
                let long = flag.trim_start_matches('-');
                let ours = crate::service::settings::all();
                assert!(ours.into_iter().all(|ours| ours.flag != long), "{flag}");
            }
            assert!(!one.instead.ends_with('.'), "{}", one.instead);
        }
    }

    #[test]
    fn words_are_found_as_people_write_them() {
        assert!(instead_of_flag("--max-requests").is_some());
        assert!(instead_of_flag("-D").is_some());
        assert!(instead_of_flag("--threads").is_none());
        let (flag, _) = almost("--max-request").expect("one letter is missing");
        assert_eq!(flag, "--max-requests");
        for name in [
            "max_requests",
            "max-requests",
            "no_sendfile",
            "preload",
            "statsd_host",
            "proc_name",
            "worker_tmp_dir",
        ] {
            assert!(instead_of_name(name).is_some(), "{name}");
        }
        assert_eq!(renamed("accesslog"), Some("access-logfile"));
    }
}
