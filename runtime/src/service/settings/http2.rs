//! Which versions of HTTP are spoken, and how much a connection of HTTP/2 may hold.

use super::setting::Setting;
use crate::service::config::{
    LEAST_FRAME, MOST_FRAME, MOST_HEADER_LIST, MOST_STREAMS, MOST_WINDOW,
};

pub(super) static HTTP2: &[Setting] = &[
    Setting::new(
        "http-protocols",
        "PROTOCOLS",
        |all| &mut all.server.http_protocols,
        "Versions of HTTP that are spoken, with commas between them: h1, h2 (in a build with \
         greenway's feature http2).",
    )
    .default("all that the build has"),
    Setting::new(
        "http2-max-concurrent-streams",
        "N",
        |all| &mut all.server.http2.streams,
        "Requests of a connection of HTTP/2 at once.",
    )
    .least(1)
    .most(MOST_STREAMS as usize),
    Setting::new(
        "http2-initial-window-size",
        "BYTES",
        |all| &mut all.server.http2.window,
        "Bytes of a request's body over HTTP/2 that may come before they are read.",
    )
    .least(1)
    .most(MOST_WINDOW as usize),
    Setting::new(
        "http2-max-frame-size",
        "BYTES",
        |all| &mut all.server.http2.frame,
        "Bytes that a frame of HTTP/2 may carry: 16384 to 16777215.",
    )
    .least(LEAST_FRAME as usize)
    .most(MOST_FRAME as usize),
    Setting::new(
        "http2-max-header-list-size",
        "BYTES",
        |all| &mut all.server.http2.header_list,
        "Bytes of a request's fields over HTTP/2, each counted with 32 more; beyond it 431.",
    )
    .least(1)
    .most(MOST_HEADER_LIST as usize),
];
