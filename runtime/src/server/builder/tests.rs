//! Each method is the flag of its name.

use super::*;
use crate::service::config::{CertReqs, TlsVersion};
use crate::service::settings::{self, Setting};

/// Each method, with a value that is not its default, and that value as its flag takes it.
#[allow(clippy::type_complexity)]
const METHODS: [(&str, &str, fn(Server) -> Server); 56] = [
    ("engine", "threads", |s| s.engine(Engine::Threads)),
    ("bind", "a:1", |s| s.bind("a:1")),
    ("cores", "77", |s| s.cores(77)),
    ("threads", "7", |s| s.threads(7)),
    ("websocket_threads", "8", |s| s.websocket_threads(8)),
    ("websocket_stop_code", "1012", |s| {
        s.websocket_stop_code(1012.into())
    }),
    ("worker_connections", "9", |s| s.worker_connections(9)),
    ("limit_handlers", "10", |s| s.limit_handlers(10)),
    ("backlog", "11", |s| s.backlog(11)),
    ("workers", "3", |s| s.workers(3)),
    ("master", "true", |s| s.master(true)),
    ("boot_timeout", "12", |s| {
        s.boot_timeout(Duration::from_secs(12))
    }),
    ("pid", "/c", |s| s.pid("/c")),
    ("user", "nobody", |s| s.user("nobody")),
    ("group", "20", |s| s.group("20")),
    ("umask", "0027", |s| s.umask(0o027)),
    ("reload", "true", |s| s.reload(true)),
    ("reload_build", "make", |s| s.reload_build("make")),
    ("certfile", "/c", |s| s.certfile("/c")),
    ("keyfile", "/k", |s| s.keyfile("/k")),
    ("ca_certs", "/r", |s| s.ca_certs("/r")),
    ("cert_reqs", "required", |s| s.cert_reqs(CertReqs::Required)),
    ("tls_min_version", "1.3", |s| {
        s.tls_min_version(TlsVersion::Tls13)
    }),
    ("handshake_timeout", "30", |s| {
        s.handshake_timeout(Duration::from_secs(30))
    }),
    ("limit_handshakes", "31", |s| s.limit_handshakes(31)),
    ("tls_reload", "32", |s| {
        s.tls_reload(Duration::from_secs(32))
    }),
    ("redirect_bind", "c:3", |s| s.redirect_bind("c:3")),
    ("keep_alive", "0.5", |s| {
        s.keep_alive(Duration::from_millis(500))
    }),
    ("timeout", "13", |s| s.timeout(Duration::from_secs(13))),
    ("header_timeout", "14", |s| {
        s.header_timeout(Duration::from_secs(14))
    }),
    ("body_timeout", "15", |s| {
        s.body_timeout(Duration::from_secs(15))
    }),
    ("write_timeout", "16", |s| {
        s.write_timeout(Duration::from_secs(16))
    }),
    ("half_close", "leave", |s| s.half_close(HalfClose::Leave)),
    ("graceful_timeout", "17", |s| {
        s.graceful_timeout(Duration::from_secs(17))
    }),
    ("limit_request_line", "18", |s| s.limit_request_line(18)),
    ("limit_request_fields", "19", |s| s.limit_request_fields(19)),
    ("limit_request_field_size", "20", |s| {
        s.limit_request_field_size(20)
    }),
    ("limit_request_body", "21", |s| s.limit_request_body(21)),
    ("http_protocols", "h1", |s| s.http_protocols("h1")),
    ("http2_max_concurrent_streams", "22", |s| {
        s.http2_max_concurrent_streams(22)
    }),
    ("http2_initial_window_size", "23", |s| {
        s.http2_initial_window_size(23)
    }),
    ("http2_max_frame_size", "16385", |s| {
        s.http2_max_frame_size(16_385)
    }),
    ("http2_max_header_list_size", "24", |s| {
        s.http2_max_header_list_size(24)
    }),
    ("stack_size", "22", |s| s.stack_size(22)),
    ("stack_marks", "true", |s| s.stack_marks(true)),
    ("max_blocking_time", "23", |s| {
        s.max_blocking_time(Duration::from_secs(23))
    }),
    ("access_log", "/a", |s| s.access_log("/a")),
    ("access_log_format", "json", |s| s.access_log_format("json")),
    ("error_log", "/b", |s| s.error_log("/b")),
    ("log_level", "debug", |s| s.log_level(LevelFilter::Debug)),
    ("metrics_bind", "b:2", |s| s.metrics_bind("b:2")),
    ("debug", "true", |s| s.debug(true)),
    ("forwarded_allow_ips", "10.0.0.0/8", |s| {
        s.forwarded_allow_ips("10.0.0.0/8")
    }),
    ("proxy_protocol", "v2", |s| {
        s.proxy_protocol(ProxyProtocol::V2)
    }),
    ("proxy_allow_from", "*", |s| s.proxy_allow_from("*")),
];

/// Methods have the names of flags. Those of the logs are spelt in words.
fn method_of(setting: &Setting) -> String {
    let name = setting.flag.replace('-', "_");
    name.replace("access_logf", "access_log_f")
        .replace("access_log_file", "access_log")
        .replace("error_logfile", "error_log")
}

#[test]
fn each_method_does_what_its_flag_does() {
    assert_eq!(
        settings::all().map(method_of).collect::<Vec<_>>(),
        METHODS.map(|(name, ..)| name)
    );
    for (setting, (name, text, call)) in settings::all().zip(METHODS) {
        let mut flags = Settings::default();
        setting.read(&mut flags, text).unwrap();
        let server = call(Server::new(|_: greenway_app::Request| "Hello"));
        assert_eq!(server.invalid, None, "{name}");
        assert_eq!(
            format!("{:?}", server.settings),
            format!("{flags:?}"),
            "{name}"
        );
    }
}

#[test]
fn each_methods_documentation_has_the_default() {
    let source = concat!(
        include_str!("mod.rs"),
        include_str!("tls.rs"),
        include_str!("../for_programs.rs")
    );
    for setting in settings::all() {
        let name = &method_of(setting);
        let (before, _) = source.split_once(&format!("pub fn {name}(")).expect(name);
        let (_, default) = before.rsplit_once("Default:").expect(name);
        assert!(
            !default.contains("pub fn"),
            "{name} has no word on its default"
        );
        let default = default.to_lowercase().replace('`', "");
        let Some(value) = setting.default_text(&Settings::default()) else {
            continue;
        };
        let mebibytes = value.parse::<u64>().map_or(0, |bytes| bytes >> 20);
        let right = match setting.value {
            "SECONDS" => format!("{value} s"),
            "BYTES" if mebibytes > 0 => format!("{mebibytes} mib"),
            _ => value,
        };
        assert!(
            default.contains(&right),
            "{name}: {right:?} is not in {default:?}"
        );
    }
}
