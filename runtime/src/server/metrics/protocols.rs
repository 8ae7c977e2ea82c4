//! The numbers of TLS and of HTTP/2, where the server speaks them.

use super::text::Text;
use crate::service::Service;
use crate::service::metrics::{Handshake, HandshakeFailure, TLS_VERSIONS};
use std::sync::atomic::Ordering::Relaxed;
#[cfg(feature = "http2")]
use {
    crate::service::Spoken,
    crate::service::metrics::{Http2Event, Metrics},
};

pub(super) fn handshakes(service: &Service, out: &mut Text) {
    if service.config.tls.certificates.is_empty() {
        return;
    }
    let metrics = &service.metrics;
    let name = "greenway_tls_handshakes_total";
    out.family(
        name,
        "counter",
        "TLS handshakes, by what has become of them: full, resumed, slow (they took too long), \
         failed, plain (HTTP without TLS has come).",
    );
    for (result, label) in Handshake::ALL {
        let count = metrics.handshakes[result as usize].load(Relaxed);
        out.sample(name, &format!("result=\"{label}\""), count);
    }
    let name = "greenway_tls_handshake_failures_total";
    let help = "TLS handshakes that have failed, by why.";
    out.family(name, "counter", help);
    for (why, label) in HandshakeFailure::ALL {
        let count = metrics.handshake_failures[why as usize].load(Relaxed);
        out.sample(name, &format!("reason=\"{label}\""), count);
    }
    let name = "greenway_tls_connections_total";
    let help = "Connections whose handshake is over, by the version of TLS.";
    out.family(name, "counter", help);
    for (index, version) in TLS_VERSIONS.iter().enumerate() {
        let count = metrics.tls_versions[index].load(Relaxed);
        out.sample(name, &format!("version=\"{version}\""), count);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &service.tls {
        let name = "greenway_tls_handshakes";
        out.family(
            name,
            "gauge",
            "TLS handshakes that are under way, and connections that wait for a place among them.",
        );
        let (inside, waiting) = tls.line.counts();
        out.sample(name, "state=\"under_way\"", inside);
        out.sample(name, "state=\"waiting\"", waiting);
    }
}

#[cfg(not(feature = "http2"))]
pub(super) fn http2(_: &Service, _: &mut Text) {}

#[cfg(feature = "http2")]
pub(super) fn http2(service: &Service, out: &mut Text) {
    let (mut connections, mut requests) = (0_u64, 0_u64);
    service.lifecycle.each_context(|context| {
        if context.spoken() == Spoken::Http2 {
            connections += 1;
            requests += u64::from(context.requests());
        }
    });
    let count = |event| Metrics::http2_count(&service.metrics, event);
    out.one(
        "greenway_http2_connections",
        "gauge",
        "Open connections that speak HTTP/2.",
        connections,
    );
    out.one(
        "greenway_http2_connections_total",
        "counter",
        "Connections that have spoken HTTP/2.",
        count(Http2Event::Connection),
    );
    out.one(
        "greenway_http2_streams",
        "gauge",
        "Requests over HTTP/2 that are under way.",
        requests,
    );
    out.one(
        "greenway_http2_streams_total",
        "counter",
        "Requests over HTTP/2 that have begun.",
        count(Http2Event::Stream),
    );
    let name = "greenway_http2_resets_total";
    out.family(
        name,
        "counter",
        "Streams of HTTP/2 that were reset before their response was whole, by whom.",
    );
    out.sample(name, "by=\"client\"", count(Http2Event::ResetByClient));
    out.sample(name, "by=\"server\"", count(Http2Event::ResetByServer));
    out.one(
        "greenway_http2_floods_total",
        "counter",
        "Connections of HTTP/2 that were ended because their client did too much of something.",
        count(Http2Event::Flood),
    );
}
