//! The page for the author of an application that is being debugged.

use std::error::Error;
use std::fmt::Write;

use super::accept::{Kind, kind};
use super::document;
use crate::{Html, HttpError, IntoResponse, Request, Response, html_escape};

/// All that is known of an error: the request and its route, the causes, and where it happened.
pub(crate) fn debug_page(request: &Request, error: &HttpError) -> Response {
    debug_page_of(request, error, None)
}

/// As [`debug_page`], and why the application's own page has failed.
pub(super) fn debug_page_of(
    request: &Request,
    error: &HttpError,
    of_page: Option<&HttpError>,
) -> Response {
    let mut sections = vec![("Request", asked(request))];
    sections.extend(reasons(error));
    if let Some(of_page) = of_page {
        sections.push((
            "The page for this error has failed, too",
            of_page.to_string(),
        ));
        sections.extend(reasons(of_page));
    }
    let html = kind(request.header("accept").unwrap_or_default()) == Kind::Html;
    let response = if html {
        let mut content = String::new();
        for (name, text) in &sections {
            let _infallible =
                writeln!(content, "<h2>{name}</h2>\n<pre>{}</pre>", html_escape(text));
        }
        content.push_str("<p>This page is here because the application is in debug mode.</p>\n");
        Html(document(&html_escape(&error.to_string()), &content)).into_response()
    } else {
        let mut text = format!("{error}\n");
        for (name, section) in &sections {
            let _infallible = write!(text, "\n{name}:\n{section}\n");
        }
        text.into_response()
    };
    response.with_status(error.status()).without_cache()
}

fn reasons(error: &HttpError) -> Vec<(&'static str, String)> {
    let mut sections = Vec::new();
    let causes: Vec<String> = error.causes().map(told).collect();
    if !causes.is_empty() {
        sections.push(("Caused by", causes.join("\n\n")));
    }
    if let Some(place) = error.place() {
        sections.push(("Where", place.to_string()));
    }
    sections
}

fn asked(request: &Request) -> String {
    let mut text = format!("{} {}", request.method(), request.target());
    if let Some(route) = request.route() {
        let _infallible = write!(text, "\nroute: {route:?}");
        for (name, value) in request.params() {
            let _infallible = write!(text, "\n{name} = {value:?}");
        }
    }
    text
}

/// A cause; that of a template with the lines around it.
fn told(cause: &(dyn Error + 'static)) -> String {
    #[cfg(feature = "templates")]
    if let Some(error) = cause.downcast_ref::<minijinja::Error>() {
        return format!("{error:#}");
    }
    cause.to_string()
}
