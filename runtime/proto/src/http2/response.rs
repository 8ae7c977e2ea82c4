//! A response's fields, as HTTP/2 has them.

use crate::http1::date::SERVER_NAME;
use crate::http1::encode::is_ours;
use crate::http1::{Date, Framing, Plan};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, SERVER, UPGRADE};

/// The fields of a response: what [`write_head`](crate::http1::write_head) writes down, without
/// what is about one connection of HTTP/1 (RFC 9113 section 8.2.2).
#[must_use]
pub fn response_fields(
    content_type: Option<&HeaderValue>,
    headers: Option<&HeaderMap>,
    plan: &Plan,
    date: &Date,
) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(4 + headers.map_or(0, HeaderMap::len));
    if !plan.has_server {
        fields.insert(SERVER, HeaderValue::from_static(SERVER_NAME));
    }
    if !plan.has_date
        && let Ok(date) = HeaderValue::from_str(date.as_str())
    {
        fields.insert(DATE, date);
    }
    if let Framing::Length(length) = plan.framing {
        fields.insert(CONTENT_LENGTH, length.into());
    }
    if let Some(value) = content_type {
        fields.append(CONTENT_TYPE, value.clone());
    }
    add_allowed(&mut fields, headers);
    fields
}

/// The fields of an interim response.
#[must_use]
pub fn interim_fields(headers: Option<&HeaderMap>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    add_allowed(&mut fields, headers);
    fields
}

fn add_allowed(fields: &mut HeaderMap, headers: Option<&HeaderMap>) {
    for (name, value) in headers.into_iter().flatten() {
        if *name != UPGRADE && !is_ours(name.as_str()) {
            fields.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{RequestInfo, plan};
    use http::{StatusCode, Version};
    use std::time::UNIX_EPOCH;

    #[test]
    fn what_is_about_a_connection_stays_behind() {
        let mut headers = HeaderMap::new();
        for name in [
            "connection",
            "keep-alive",
            "upgrade",
            "transfer-encoding",
            "x-mine",
        ] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let asked = RequestInfo {
            head: false,
            version: Version::HTTP_2,
            keep_alive: false,
        };
        let date = Date::at(UNIX_EPOCH);
        let plan = plan(&asked, StatusCode::OK, Some(&headers), None);
        assert_eq!(plan.framing, Framing::Close);
        let fields = response_fields(None, Some(&headers), &plan, &date);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["server", "date", "x-mine", "set-cookie", "set-cookie"]
        );
    }
}
