//! What is sent for an error: the application's own page, or one of these.
//!
//! What must stay true: nothing of an error's source is on a page, but on those of an application
//! that is being debugged; all that a client has sent is escaped; and the headers of an error are
//! there whatever page is sent.

mod accept;
mod debug;

use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, Version, header};

use self::accept::Kind;
pub(crate) use self::debug::debug_page;
use self::debug::debug_page_of;
use crate::response::content_type;
use crate::response::for_page::ForPage;
use crate::{
    Application, Failure, Head, Html, HttpError, Input, IntoResponse, Request, Response,
    catch_abort, html_escape,
};

/// For servers: the response to be sent, where an application's response may have been
/// [made of an error](Response::error). Then its body is that of a page: the application's own
/// ([`answer_error`](Application::answer_error)), or else one that the client accepts: HTML, JSON
/// (RFC 9457), or a line of text. A page may look at the session of the visitor, if the request came
/// as far as that; what it changes there is not saved. The headers of the page come to those that the error and the
/// middleware have set. The status is the error's, unless the application's page has another one
/// than 200. The [`Failure`] in the extensions is for the log.
///
/// The request is the one that was answered, made anew without its body; `None` if it could not be
/// read, for which the application sees a `GET *`.
///
/// ```
/// use greenway_app::{App, testing::Client};
///
/// let client = Client::new(App::new());
/// let get = |accept: &'static str| client.get("/no").header("accept", accept).send();
/// assert_eq!(get("*/*").text(), "404 Not Found: nothing is at /no\n");
/// assert!(get("text/html,*/*;q=0.8").text().contains("<h1>404 Not Found</h1>"));
/// let problem = get("application/json");
/// assert_eq!(problem.header("content-type"), Some("application/problem+json"));
/// assert_eq!(problem.text(), r#"{"title":"Not Found","status":404,"detail":"nothing is at /no"}"#);
/// ```
///
/// # Panics
///
/// When the application's page does, by other means than [`abort`](crate::abort).
#[cold]
pub fn error_response<A: Application + ?Sized>(
    app: &A,
    request: Option<&Request>,
    mut response: Response,
) -> Response {
    let Some(first) = response.shared_error() else {
        return response;
    };
    let error = &*first;
    let mut request = match request {
        Some(request) => request.head_only(),
        None => {
            let head = Head::build(Method::GET, "*", Version::HTTP_11, std::iter::empty());
            let request = Request::new(head, Input::empty(), Arc::default());
            request.expect("`*` is a target")
        }
    };
    let for_page = response.extensions_mut().remove::<ForPage>();
    if let Some(for_page) = &for_page {
        request.extensions_mut().extend(for_page.extensions.clone());
        request.extensions_mut().insert(for_page.clone());
    }
    let request = &request;
    let own = catch_abort(|| app.answer_error(request, error));
    if for_page.is_some_and(|for_page| (for_page.is_used)()) {
        let cookie = HeaderValue::from_static("Cookie");
        let mut varies = response.headers().get_all(header::VARY).iter();
        if varies.all(|name| *name != cookie) {
            response.headers_mut().append(header::VARY, cookie);
        }
    }
    match own.unwrap_or_else(|aborted| Some(aborted.into_response())) {
        None => {
            if let Some(page) = default_page(request, error) {
                put_on(&mut response, page);
            }
        }
        Some(page) => {
            // A page that has failed itself says so by a page of ours, and the log tells of both.
            let failure = page
                .shared_error()
                .filter(|_| page.status().is_server_error());
            let failed = page.error().and_then(|of_page| {
                if failure.is_some() && request.is_debug() {
                    return Some(debug_page_of(request, error, Some(of_page)));
                }
                default_page(request, of_page)
            });
            if page.status() != StatusCode::OK {
                *response.status_mut() = page.status();
                response.extensions_mut().remove::<Failure>();
            }
            put_on(&mut response, page);
            if let Some(failure) = failure {
                let both = Failure::of_page(Arc::clone(&first), failure);
                response.extensions_mut().insert(both);
            }
            if let Some(failed) = failed {
                put_on(&mut response, failed);
            }
        }
    }
    response
}

/// Gives a response the body of a page, and its headers in the place of those of the same name;
/// cookies, and what the answer depends on, are those of both.
fn put_on(response: &mut Response, page: Response) {
    let (parts, body) = page.into_parts();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    for name in parts.headers.keys() {
        let values = parts.headers.get_all(name);
        if *name == header::SET_COOKIE || *name == header::VARY {
            for value in values {
                if !headers.get_all(name).iter().any(|known| known == value) {
                    headers.append(name, value.clone());
                }
            }
            continue;
        }
        headers.remove(name);
        for value in values {
            headers.append(name, value.clone());
        }
    }
    if let Some(failure) = parts.extensions.get::<Failure>() {
        response.extensions_mut().insert(failure.clone());
    }
    *response.body_mut() = body;
}

/// A page of ours, if not the text that is there already is what the client would like.
fn default_page(request: &Request, error: &HttpError) -> Option<Response> {
    if error.headers().contains_key(header::CONTENT_TYPE) {
        return None; // the author has said what it is
    }
    if request.is_debug() && error.status().is_server_error() {
        return Some(debug_page(request, error));
    }
    let title = error.status().canonical_reason().unwrap_or("Error");
    let mut page = match accept::kind(request.header("accept")?) {
        Kind::Text => Response::typed(format!("{error}\n"), content_type::TEXT),
        Kind::Html => html(error, title).into_response(),
        Kind::Json => {
            let content_type = HeaderValue::from_static("application/problem+json");
            Response::typed(problem(error, title), content_type)
        }
    };
    let vary = HeaderValue::from_static("accept");
    page.headers_mut().append(header::VARY, vary);
    Some(page)
}

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:4rem auto;\
                     padding:0 1rem;color:#222;background:#fff}h1{font-size:1.5rem}\
                     pre{overflow:auto;background:#f4f4f4;padding:1rem}\
                     @media(prefers-color-scheme:dark){body{color:#ddd;background:#111}\
                     pre{background:#222}}";

fn html(error: &HttpError, title: &str) -> Html<String> {
    let status = error.status().as_u16();
    let message = match error.message() {
        "" => String::new(),
        message => format!("<p>{}</p>\n", html_escape(message)),
    };
    Html(document(&format!("{status} {title}"), &message))
}

fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <h1>{title}</h1>\n{content}</html>\n"
    )
}

/// RFC 9457, 3; the type is left out, as it is `about:blank`.
fn problem(error: &HttpError, title: &str) -> String {
    let status = error.status().as_u16();
    let mut out = format!("{{\"title\":\"{title}\",\"status\":{status}");
    if !error.message().is_empty() {
        out.push_str(",\"detail\":\"");
        for c in error.message().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if c < ' ' => {
                    let _infallible = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
    out
}
