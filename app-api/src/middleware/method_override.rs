//! Methods for forms, which have GET and POST only.

use http::Method;

use crate::Request;

/// Lets a form send PUT, PATCH and DELETE: a hook for requests
/// [before](crate::App::before_request) they are routed. (Middleware comes after that, and could
/// not change which route it is.) It must be installed on the outermost application: the hooks of
/// a group or of a merged application come after the routing, and those of a mounted one come after
/// the routes and the middleware of the application around it, which would still see a POST.
///
/// The method is that of the header `X-HTTP-Method-Override`, or of the parameter `_method` of the
/// query: `<form method="post" action="/note/7?_method=DELETE">`. Only POST becomes another method,
/// and none but those three: a link that can be followed, fetched ahead or kept in a cache never
/// deletes. The body is not looked at, since it is not read before its route has said how long it
/// may be.
///
/// Other sites can send such forms as they can any POST, so that DELETE and PUT need protection
/// against forged requests, which scripts alone could not send.
///
/// ```
/// use greenway_app::{App, Request, middleware::method_override, testing::Client};
///
/// let mut app = App::new();
/// app.before_request(method_override);
/// app.delete("/note/<id:int>", |request: Request| format!("{} is gone", request.int("id")));
/// assert_eq!(Client::new(app).post("/note/7?_method=DELETE").send().text(), "7 is gone");
/// ```
pub fn method_override(request: &mut Request) {
    if request.method() != Method::POST {
        return;
    }
    let header = request.header("x-http-method-override");
    let asked = match header {
        Some(name) => known(name),
        None if request.query_string().contains("_method=") => {
            request.query("_method").and_then(|name| known(&name))
        }
        None => None,
    };
    if let Some(method) = asked {
        request.set_method(method);
    }
}

fn known(name: &str) -> Option<Method> {
    let all = [Method::PUT, Method::PATCH, Method::DELETE];
    all.into_iter()
        .find(|method| method.as_str().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;
    use crate::testing::Client;

    #[test]
    fn only_post_becomes_another_method() {
        let mut app = App::new();
        app.before_request(method_override);
        app.any("/", |request: Request| request.method().to_string());
        let client = Client::new(app);
        for (method, target, header, expected) in [
            (Method::POST, "/", None, "POST"),
            (Method::POST, "/", Some("PATCH"), "PATCH"),
            (Method::POST, "/", Some("delete"), "DELETE"),
            (Method::POST, "/?a=1&_method=PUT", None, "PUT"),
            (Method::POST, "/?_method=PUT", Some("DELETE"), "DELETE"),
            (Method::POST, "/?_method=PUT", Some("CONNECT"), "POST"),
            (Method::POST, "/?_method=GET", None, "POST"),
            (Method::POST, "/?_method=", None, "POST"),
            (Method::POST, "/?my_method=PUT", None, "POST"),
            (Method::GET, "/?_method=DELETE", Some("DELETE"), "GET"),
            (Method::PUT, "/?_method=DELETE", None, "PUT"),
        ] {
            let mut ask = client.request(method, target);
            if let Some(value) = header {
                ask = ask.header("x-http-method-override", value);
            }
            assert_eq!(ask.send().text(), expected, "{target} {header:?}");
        }
    }
}
