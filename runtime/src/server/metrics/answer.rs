//! What is shown under which path.

use super::{Health, text};
use crate::green::run_info;
use crate::service::date;
use greenway_app::Head;
use greenway_proto::http1::{Reject, error_response};
use http::{Method, StatusCode};
use std::time::Instant;

/// The whole response to a request.
pub(super) fn answer(head: Result<Head, Reject>, health: &Health<'_>) -> Vec<u8> {
    let refuse = |status, reason| {
        let mut response = Vec::new();
        error_response(&mut response, status, reason, None, &date(Instant::now()));
        response
    };
    let head = match head {
        Ok(head) => head,
        Err(reject) => return refuse(reject.status, reject.reason),
    };
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    let query = head.query.map(|query| head.text(query));
    let Some(page) = page(head.text(head.path), query, health) else {
        let paths = "see /metrics, /threads, /healthz and /readyz";
        return refuse(StatusCode::NOT_FOUND, paths);
    };
    let Page { status, kind, body } = page;
    let length = body.len();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut response = format!(
        "HTTP/1.1 {} {reason}\r\nserver: greenway\r\nconnection: close\r\n\
         content-type: {kind}; charset=utf-8\r\n\
         cache-control: no-store\r\ncontent-length: {length}\r\n\r\n",
        status.as_u16()
    );
    if head.method == Method::GET {
        response.push_str(&body);
    }
    response.into_bytes()
}

struct Page {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

fn page(path: &str, query: Option<&str>, health: &Health<'_>) -> Option<Page> {
    let good = |kind, body| Page {
        status: StatusCode::OK,
        kind,
        body,
    };
    let verdict = |(well, body): (bool, String)| Page {
        status: match well {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        },
        kind: "text/plain",
        body,
    };
    let page = match (path, query) {
        ("/metrics", _) => good("text/plain; version=0.0.4", text::render(health)),
        ("/threads", Some("all")) => good("text/plain", format!("{:#}", run_info())),
        ("/threads", _) => good("text/plain", run_info().to_string()),
        ("/healthz", _) => verdict(health.live()),
        ("/readyz", _) => verdict(health.ready()),
        _ => return None,
    };
    Some(page)
}
