//! The answer with a file: head, conditions, ranges, body.

use super::Settings;
use super::name::Name;
use super::open::{Found, Missing, Opened, Wish, find};
use super::recent::Recent;
use crate::body::reader::copy_file;
use crate::semantics::codings::{self, Coding};
use crate::semantics::conditions::{Conditions, Validators, Verdict};
use crate::semantics::ranges::{Ranges, parse_range_header};
use crate::{Body, HttpError, Request, Response, media_type};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::hash::{BuildHasher, RandomState};
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

/// Times of files before this one (2 January 1980) are not when they were changed: builds that are
/// to be reproducible give all files the start of 1970 or of 1980.
const FIRST_REAL_TIME: Duration = Duration::from_secs(315_619_200);

/// What one file's answer has beside what its directory says.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub(super) disposition: Option<HeaderValue>,
    pub(super) content_type: Option<HeaderValue>,
}

/// Answers a request for `name`; `None` if it is no name that can be served.
pub(super) fn respond(
    request: &Request,
    settings: &Arc<Settings>,
    name: Option<Name>,
    extras: &Extras,
) -> Result<Response, HttpError> {
    let not_found = || HttpError::new(404, "no such file");
    let name = name.ok_or_else(not_found)?;
    let conditions = Conditions::of(request.head());
    let range = range_of(request);
    let wish = Wish {
        codings: accepted(request),
        whole: request.method() == Method::GET && range.is_none() && conditions.is_empty(),
    };
    let found = find_where_it_suits(request, settings, name, wish);
    let opened = match found {
        Ok(Found::File(opened)) => opened,
        Ok(Found::Directory) => return Ok(redirect(request)),
        Err(Missing::NotFound) => return Err(not_found()),
        Err(Missing::Forbidden) => return Err(HttpError::new(403, "this file cannot be read")),
        Err(Missing::Root(error)) => {
            let root = settings.root.display();
            let why = format!("static files: the directory {root} cannot be opened: {error}");
            return Err(HttpError::new(500, "").with_source(why));
        }
        Err(Missing::Failed(error)) => return Err(error.into()),
    };
    let headers = headers(settings, extras, &opened);
    let modified = headers
        .contains_key(header::LAST_MODIFIED)
        .then_some(opened.modified)
        .flatten();
    let known = Validators {
        etag: headers.get(header::ETAG).map(HeaderValue::as_bytes),
        modified,
    };
    match conditions.verdict(request.method(), known) {
        Verdict::Go => {}
        Verdict::NotModified => return Ok(not_modified(headers)),
        Verdict::Failed => {
            return Err(HttpError::new(
                412,
                "the file is not as the request wants it",
            ));
        }
    }
    let ranges = match range {
        Some(range) if conditions.range_counts(known) => parse_range_header(range, opened.length),
        _ => Ranges::All,
    };
    let response = match ranges {
        Ranges::All => all(opened),
        Ranges::Some(ranges) => match <[_; 1]>::try_from(ranges) {
            Ok([range]) => one(opened, range)?,
            Err(ranges) => several(opened, ranges, &headers),
        },
        Ranges::Unsatisfiable => {
            let length = opened.length;
            return Err(HttpError::new(416, format!("the file has {length} bytes"))
                .with_header(header::CONTENT_RANGE, format!("bytes */{length}")));
        }
    };
    Ok(with_defaults(response, headers))
}

/// Finds a file here if that is sure to be quick, or else where it may wait.
fn find_where_it_suits(
    request: &Request,
    settings: &Arc<Settings>,
    name: Name,
    wish: Wish,
) -> Result<Found, Missing> {
    static RECENT: LazyLock<Recent> = LazyLock::new(Recent::new);
    let entry = RECENT.entry(&(&settings.root, &name.path));
    let (found, here) = if entry.is_recent() {
        let begun = Instant::now();
        (find(settings, &name, &wish), Some(begun))
    } else {
        let there = Arc::clone(settings);
        (request.unblock(move || find(&there, &name, &wish)), None)
    };
    if found.is_ok() {
        entry.found(here.map(|begun| begun.elapsed()));
    }
    found
}

/// Codings that the client accepts, the best first.
fn accepted(request: &Request) -> Vec<Coding> {
    let fields: Vec<_> = request.head().values("accept-encoding").collect();
    codings::accepted(&fields, &Coding::ALL)
}

/// The Range, if it is one that may be followed. It has a meaning for GET only (RFC 9110, 14.2),
/// and two of them have none.
fn range_of(request: &Request) -> Option<&str> {
    if request.method() != Method::GET {
        return None;
    }
    let mut values = request.head().values("range");
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// All headers of a 200.
fn headers(settings: &Settings, extras: &Extras, opened: &Opened) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let content_type = extras
        .content_type
        .clone()
        .unwrap_or_else(|| content_type(&opened.name, settings.charset.as_deref()));
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(coding) = opened.coding {
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(coding.name()),
        );
    }
    if opened.varies {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(since) = opened.modified.and_then(since_1970) {
        if settings.etag {
            // Two files that were written at once may be of one length, too.
            let coding = opened.coding.map(|coding| format!("-{}", coding.name()));
            let coding = coding.unwrap_or_default();
            let tag = format!("\"{:x}-{:x}{coding}\"", since.as_nanos(), opened.length);
            headers.insert(header::ETAG, ascii(tag));
        }
        // RFC 9110, 8.8.2.1: not later than the Date of the answer.
        let modified = SystemTime::UNIX_EPOCH + since;
        let shown = modified.min(SystemTime::now());
        headers.insert(header::LAST_MODIFIED, ascii(httpdate::fmt_http_date(shown)));
    }
    let optional = [
        (header::CACHE_CONTROL, &settings.cache_control),
        (header::CONTENT_DISPOSITION, &extras.disposition),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// A time that can be believed, and that a header can tell.
fn since_1970(time: SystemTime) -> Option<Duration> {
    // The year 9999 is the last that a date in a header has.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (FIRST_REAL_TIME..LAST).contains(&since).then_some(since)
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, letters, blanks and quotes")
}

fn content_type(name: &str, charset: Option<&str>) -> HeaderValue {
    let Some(guessed) = media_type::guess(name) else {
        return HeaderValue::from_static("application/octet-stream");
    };
    match charset {
        Some(charset) if guessed.starts_with("text/") => {
            HeaderValue::try_from(format!("{guessed}; charset={charset}"))
                .unwrap_or(HeaderValue::from_static(guessed))
        }
        _ => HeaderValue::from_static(guessed),
    }
}

/// To the directory with its slash. The target is relative, so that it is right behind any mount
/// or proxy, and begins with a dot, so that it can be neither a host nor a scheme.
fn redirect(request: &Request) -> Response {
    let head = request.head();
    // All of the path, also what an application that this one is mounted in has taken off.
    let last = head.text(head.path).rsplit('/').next().unwrap_or_default();
    let query = match request.query_string() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    Response::redirect(format!("./{last}/{query}"), 301)
}

/// RFC 9110, 15.4.5: what a cache updates, and nothing about a body.
fn not_modified(mut headers: HeaderMap) -> Response {
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_DISPOSITION,
        header::ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
    with_defaults(Response::empty(StatusCode::NOT_MODIFIED), headers)
}

/// Adds the headers that the response does not have.
fn with_defaults(mut response: Response, defaults: HeaderMap) -> Response {
    let mut headers = defaults;
    headers.extend(std::mem::take(response.headers_mut()));
    *response.headers_mut() = headers;
    response
}

fn all(opened: Opened) -> Response {
    Response::new(match opened.whole {
        Some(bytes) => Body::full(bytes),
        None => Body::from_reader(opened.file, Some(opened.length)),
    })
}

fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

fn one(mut opened: Opened, range: Range<u64>) -> Result<Response, HttpError> {
    // A number in the kernel: no disk is asked.
    opened.file.seek(SeekFrom::Start(range.start))?;
    let body = Body::from_reader(opened.file, Some(range.end - range.start));
    Ok(Response::new(body)
        .with_status(StatusCode::PARTIAL_CONTENT)
        .with_header(header::CONTENT_RANGE, content_range(&range, opened.length)))
}

/// RFC 9110, 14.6: a part for each range.
fn several(opened: Opened, ranges: Vec<Range<u64>>, headers: &HeaderMap) -> Response {
    // Not to be guessed, so that no file can hold it by intent.
    let boundary = format!("{:016x}", RandomState::new().hash_one(opened.length));
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let parts: Vec<_> = ranges
        .into_iter()
        .map(|range| {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
                content_range(&range, opened.length)
            );
            (head, range)
        })
        .collect();
    let end = format!("\r\n--{boundary}--\r\n");
    let length = parts
        .iter()
        .map(|(head, range)| head.len() as u64 + range.end - range.start)
        .sum::<u64>()
        + end.len() as u64;
    let mut file = opened.file;
    let body = Body::stream(move |out| {
        for (head, range) in parts {
            out.send(head)?;
            file.seek(SeekFrom::Start(range.start))?;
            copy_file(&file, Some(range.end - range.start), out)?;
        }
        out.send(end)
    });
    Response::new(body.with_length(length))
        .with_status(StatusCode::PARTIAL_CONTENT)
        .with_header(
            header::CONTENT_TYPE,
            format!("multipart/byteranges; boundary={boundary}"),
        )
}
