//! Which versions of HTTP are spoken, and how much a connection of HTTP/2 may hold.

use super::setting::Setting;
#[cfg(feature = "http2")]
use crate::service::config::Http2;

pub(super) static HTTP2: &[Setting] = &[
    Setting::new(
        "http-protocols",
        "PROTOCOLS",
        |all| &mut all.server.http_protocols,
        "Versions of HTTP that are spoken, with commas between them: h1, h2 (in a build with \
         greenway's feature http2).",
    )
    .default("all that the build has"),
    #[cfg(feature = "http2")]
    Setting::new(
        "http2-max-concurrent-streams",
        "N",
        |all| &mut all.server.http2.streams,
        "Requests of a connection of HTTP/2 at once.",
    )
    .least(1)
    .most(10_000),
    #[cfg(feature = "http2")]
    Setting::new(
        "http2-initial-window-size",
        "BYTES",
        |all| &mut all.server.http2.window,
        "Bytes of a request's body over HTTP/2 that may come before they are read.",
    )
    .least(1)
    .most(Http2::MOST_WINDOW as usize),
    #[cfg(feature = "http2")]
    Setting::new(
        "http2-max-frame-size",
        "BYTES",
        |all| &mut all.server.http2.frame,
        "Bytes that a frame of HTTP/2 may carry: 16384 to 16777215.",
    )
    .least(16_384)
    .most(16_777_215),
    #[cfg(feature = "http2")]
    Setting::new(
        "http2-max-header-list-size",
        "BYTES",
        |all| &mut all.server.http2.header_list,
        "Bytes of a request's fields over HTTP/2, each counted with 32 more; beyond it 431.",
    )
    .least(1)
    .most(1 << 30),
];
