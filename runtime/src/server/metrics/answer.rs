//! What is shown under which path.

use super::Pages;
use crate::service::date;
use greenway_app::Head;
use greenway_proto::http1::{Reject, error_response};
use http::{Method, StatusCode};
use std::time::Instant;

/// The whole response to a request.
pub(super) fn answer(head: Result<Head, Reject>, pages: &dyn Pages) -> Vec<u8> {
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
    let Some(page) = pages.page(head.text(head.path), query) else {
        let paths = "see /metrics, /threads, /healthz and /readyz";
        return refuse(StatusCode::NOT_FOUND, paths);
    };
    let super::Page { status, kind, body } = page;
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
