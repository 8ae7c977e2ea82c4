//! Routes through the in-process client, and rules against a slow reference.

mod around;
mod compose;
mod errors;

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use super::*;
use crate::route::rule::{Filter, Rule};
use crate::testing::{Client, Reply};
use crate::{Body, abort};

// Handlers take their request by value: it is theirs.
#[allow(clippy::needless_pass_by_value)]
/// Answers with the rule and what its wildcards are.
fn show(request: Request) -> String {
    let params: Vec<String> = request
        .params()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    format!(
        "{} {}",
        request.route().map_or("-", Route::rule),
        params.join(" ")
    )
}

fn routed(rules: &[&str], path: &str) -> String {
    let mut app = App::new();
    for rule in rules {
        app.get(rule, show);
    }
    let reply = Client::new(app).get(path).send();
    match reply.status().as_u16() {
        200 => reply.text(),
        status => status.to_string(),
    }
}

#[test]
fn wildcards() {
    for (rule, path, expected) in [
        ("/hello/<name>", "/hello/Ada", "name=Ada"),
        ("/hello/<name>", "/hello/", "404"),
        ("/hello/<name>", "/hello/a/b", "404"),
        ("/hello/<name>", "/hello/a/", "404"),
        ("/hello/<name:str>/", "/hello/a/", "name=a"),
        ("/<a>/<b>", "/1/2", "a=1 b=2"),
        ("/<id:int>", "/-12", "id=-12"),
        (
            "/<id:int>",
            "/9223372036854775807",
            "id=9223372036854775807",
        ),
        ("/<id:int>", "/9223372036854775808", "404"),
        ("/<id:int>", "/007", "id=007"),
        ("/<id:int>", "/+1", "404"),
        ("/<id:int>", "/-", "404"),
        ("/<id:int>", "/1.5", "404"),
        ("/<id:int>", "/١", "404"),
        ("/<x:float>", "/1.5", "x=1.5"),
        ("/<x:float>", "/-.5", "x=-.5"),
        ("/<x:float>", "/2", "x=2"),
        ("/<x:float>", "/1.2.3", "404"),
        ("/<x:float>", "/.", "404"),
        ("/<x:float>", "/inf", "404"),
        ("/<x:float>", "/1e5", "404"),
        ("/<rest:path>", "/a/b/c", "rest=a/b/c"),
        ("/<rest:path>", "/", "404"),
        ("/<rest:path>/end", "/a/b/end", "rest=a/b"),
        ("/<rest:path>/end", "/end/end", "rest=end"),
        ("/<rest:path>/end", "/end", "404"),
        ("/file-<n:int>.txt", "/file-7.txt", "n=7"),
        ("/file-<n:int>.txt", "/file-7.text", "404"),
        ("/file-<n:int>.txt", "/file-.txt", "404"),
        ("/<name>.<ext>", "/a.tar.gz", "name=a.tar ext=gz"),
        ("/<name>.<ext>", "/a", "404"),
        ("/<a:path>-<b:path>", "/x/1-2/y-3", "a=x/1 b=2/y-3"),
        ("/<a:int><b:int>", "/123", "a=12 b=3"),
        ("/<a:int><b>", "/12x", "a=12 b=x"),
        ("/<x:float>.txt", "/1.5.txt", "x=1.5"),
        (
            "/<lang>/wiki/<page:path>",
            "/de/wiki/A/B",
            "lang=de page=A/B",
        ),
        ("/<a>é<b>", "/xéy", "a=x b=y"),
        ("/v<major:int>/<x>", "/v2/é", "major=2 x=é"),
    ] {
        let expected = if expected == "404" {
            "404".to_owned()
        } else {
            format!("{rule} {expected}")
        };
        assert_eq!(routed(&[rule], path), expected, "{rule} on {path}");
    }
}

#[test]
fn an_encoded_slash_is_no_boundary() {
    for (rule, path, expected) in [
        ("/file/<name>", "/file/a%2Fb", "/file/<name> name=a/b"),
        ("/file/<name>", "/file/a%2fb%20c", "/file/<name> name=a/b c"),
        ("/file/<a>/<b>", "/file/a%2Fb", "404"),
        ("/a/b", "/a%2Fb", "404"),
        ("/file/<name>", "/file%2Fx", "404"),
        ("/<rest:path>", "/a%2Fb/c", "/<rest:path> rest=a/b/c"),
        ("/a b", "/a%20b", "/a b "),
        ("/é", "/%C3%A9", "/é "),
        ("/<x>", "/%C3%A9%25", "/<x> x=é%"),
        ("/<x>", "/%3Cx%3E", "/<x> x=<x>"),
    ] {
        assert_eq!(routed(&[rule], path), expected, "{rule} on {path}");
    }
}

#[test]
fn static_first_then_in_order() {
    let rules = ["/<a>", "/fixed", "/<b:int>", "/x/<c>", "/<d>/y", "/x<e>/y"];
    for (path, expected) in [
        ("/fixed", "/fixed "),
        ("/5", "/<a> a=5"),
        ("/x/y", "/x/<c> c=y"),
        ("/xx/y", "/<d>/y d=xx"),
    ] {
        assert_eq!(routed(&rules, path), expected, "{path}");
    }
    let rules = ["/<d>/y", "/x/<c>"];
    assert_eq!(
        routed(&rules, "/x/y"),
        "/<d>/y d=x",
        "the index keeps the order"
    );
}

#[test]
fn numbers_are_parsed() {
    let mut app = App::new();
    app.get("/<n:int>/<x:float>", |r: Request| {
        format!("{}", r.int("n") as f64 + r.float("x"))
    });
    assert_eq!(Client::new(app).get("/-2/0.5").send().text(), "-1.5");
}

/// Does nothing more with a route that is defined.
fn define<T>(_: T) {}

fn panic_message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(f).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| {
            (*payload
                .downcast_ref::<&str>()
                .expect("a panic with a message"))
            .to_owned()
        })
}

#[test]
fn confused_handlers_are_told_what_is_there() {
    let ask = |f: fn(&Request)| {
        let mut app = App::new();
        app.get("/<a>/<n:int>", move |request: Request| f(&request));
        let reply = Client::new(app).get("/x/1").send();
        reply.panic().unwrap().to_owned()
    };
    assert_eq!(
        ask(|request| drop(request.param("b").to_owned())),
        "the route \"/<a>/<n:int>\" has no wildcard <b>; it has <a>, <n>"
    );
    assert_eq!(
        ask(|request| assert_eq!(request.int("a"), 0)),
        "the wildcard <a> of the route \"/<a>/<n:int>\" is not <a:int>"
    );
    assert_eq!(
        ask(|request| assert!(request.float("n") > 0.0)),
        "the wildcard <n> of the route \"/<a>/<n:int>\" is not <n:float>"
    );
}

#[test]
fn bad_rules_panic_and_are_shown() {
    for (rule, problem) in [
        ("", "must start with a slash"),
        ("hello", "must start with a slash"),
        ("<a>", "must start with a slash"),
        ("/<a", "a `<` without its `>`"),
        ("/a>", "a `>` without its `<`"),
        ("/<a>>", "a `>` without its `<`"),
        ("/<a<b>>", "a `<` without its `>`"),
        ("/<>", "`` is no name"),
        ("/<:int>", "`` is no name"),
        ("/<1a>", "`1a` is no name"),
        ("/<a-b>", "`a-b` is no name"),
        ("/<a:re:(>", "the expression of `a`: "),
        ("/<a:re:x", "a `<` without its `>`"),
        (
            "/<a:rex>",
            "unknown filter `rex` (str, int, float, path, re:EXPRESSION exist)",
        ),
        ("/<a:INT>", "unknown filter `INT`"),
        ("/<int:id>", "write the name first, `<id:int>`"),
        ("/<a:>", "unknown filter ``"),
        ("/<a>/<a:int>", "two wildcards are named `a`"),
        ("/\0", "holds a NUL"),
    ] {
        let message = panic_message(|| {
            App::new().get(rule, show);
        });
        assert!(
            message.starts_with(&format!("route \"{rule}\": ")),
            "{message}"
        );
        assert!(message.contains(problem), "{rule}: {message}");
    }
    let message = panic_message(|| {
        App::new().route(&[], "/x", show);
    });
    assert_eq!(message, "route \"/x\": no methods given");
}

#[test]
fn the_same_rule_twice_panics() {
    for rule in ["/x", "/<x>"] {
        let message = panic_message(|| {
            App::new()
                .get(rule, show)
                .post(rule, show)
                .any(rule, show)
                .get(rule, show);
        });
        assert_eq!(
            message,
            format!("route \"{rule}\": it is there already for GET")
        );
        let message = panic_message(|| {
            App::new().any(rule, show).any(rule, show);
        });
        assert_eq!(
            message,
            format!("route \"{rule}\": it is there already for any method")
        );
        let message = panic_message(|| {
            App::new().route(&[Method::PUT, Method::PUT], rule, show);
        });
        assert_eq!(
            message,
            format!("route \"{rule}\": it is there already for PUT")
        );
    }
}

fn methods_app() -> Client {
    let mut app = App::new();
    app.get("/a", |_: Request| "get a")
        .post("/a", |_: Request| "post a")
        .delete("/<x>", |_: Request| "delete x")
        .put("/only", |_: Request| "put")
        .patch("/only", |_: Request| "patch")
        .route(&[Method::OPTIONS], "/own", |_: Request| "own options")
        .any("/any/<x>", |r: Request| format!("any {}", r.method()))
        .get("/any/<y>", |_: Request| "get any");
    Client::new(app)
}

fn allow(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status().as_u16(), reply.header("allow"))
}

#[test]
fn methods() {
    let client = methods_app();
    assert_eq!(client.get("/a").send().text(), "get a");
    assert_eq!(client.post("/a").send().text(), "post a");
    assert_eq!(client.delete("/a").send().text(), "delete x");
    assert_eq!(client.patch("/only").send().text(), "patch");
    // An exact method comes before "any", though defined later.
    assert_eq!(client.get("/any/1").send().text(), "get any");
    let odd = Method::from_bytes(b"BREW").unwrap();
    assert_eq!(client.request(odd, "/any/1").send().text(), "any BREW");
}

#[test]
fn not_found_is_plain_text_and_escaped() {
    let client = methods_app();
    let reply = client.get("/none/x").send();
    assert_eq!(reply.text(), "404 Not Found: nothing is at /none/x\n");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let reply = client.get("/none/%0A%1B[31m").send();
    assert_eq!(
        reply.text(),
        "404 Not Found: nothing is at /none/\\n\\u{1b}[31m\n"
    );
    assert_eq!(allow(&client.options("/none/x").send()), (404, None));
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let client = methods_app();
    for (method, path, expected) in [
        (
            Method::PUT,
            "/a",
            (405, Some("DELETE, GET, HEAD, OPTIONS, POST")),
        ),
        (
            Method::GET,
            "/only",
            (405, Some("DELETE, OPTIONS, PATCH, PUT")),
        ),
        (
            Method::HEAD,
            "/only",
            (405, Some("DELETE, OPTIONS, PATCH, PUT")),
        ),
        (
            Method::OPTIONS,
            "/a",
            (204, Some("DELETE, GET, HEAD, OPTIONS, POST")),
        ),
        (
            Method::OPTIONS,
            "*",
            (204, Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")),
        ),
        (Method::GET, "*", (404, None)),
        (Method::CONNECT, "host:1", (404, None)),
    ] {
        let reply = client.request(method.clone(), path).send();
        assert_eq!(allow(&reply), expected, "{method} {path}");
    }
    assert_eq!(client.options("/own").send().text(), "own options");
    assert_eq!(client.options("/any/1").send().text(), "any OPTIONS");
    assert_eq!(
        allow(&Client::new(App::new()).options("*").send()),
        (204, Some("OPTIONS"))
    );
}

#[test]
fn head_goes_to_get_unless_routed() {
    let client = methods_app();
    let reply = client.head("/a").send();
    assert_eq!((reply.status().as_u16(), reply.chunks().len()), (200, 0));

    let mut app = App::new();
    app.get("/a", |_: Request| "get")
        .route(&[Method::HEAD], "/a", |_: Request| StatusCode::ACCEPTED);
    assert_eq!(Client::new(app).head("/a").send().status(), 202);
}

#[test]
fn aborts_end_in_the_app() {
    let mut app = App::new();
    app.get("/", |_: Request| -> () { abort(418, "teapot") });
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            out.send("a")?;
            abort(500, "late")
        })
    });
    let app = Arc::new(app);
    // Without the client's own `catch_abort`.
    let head = crate::Head::build(
        Method::GET,
        "/",
        crate::Version::HTTP_11,
        std::iter::empty(),
    );
    let request = Request::new(head, crate::Input::empty(), Arc::default()).unwrap();
    assert_eq!(app.call(request).status(), 418);
    let reply = Client::new(app).get("/stream").send();
    assert_eq!((reply.status().as_u16(), reply.text().as_str()), (200, "a"));
    assert_eq!(
        reply.error().unwrap().to_string(),
        "500 Internal Server Error: late"
    );
}

#[test]
fn apps_nest() {
    let mut inner = App::new();
    inner.get("/in/<x>", show);
    let mut outer = App::new();
    outer.any("/<rest:path>", inner);
    let client = Client::new(outer);
    assert_eq!(client.get("/in/1").send().text(), "/in/<x> x=1");
    assert_eq!(client.get("/out").send().status(), 404);
}

#[test]
fn many_routes_find_their_own() {
    let mut app = App::new();
    for n in 0..500 {
        app.get(&format!("/api/r{n}/<id:int>"), show)
            .get(&format!("/s{n}"), show);
    }
    let client = Client::new(app);
    for n in [0, 250, 499] {
        let reply = client.get(&format!("/api/r{n}/7")).send();
        assert_eq!(reply.text(), format!("/api/r{n}/<id:int> id=7"));
        assert_eq!(
            client.get(&format!("/s{n}")).send().text(),
            format!("/s{n} ")
        );
    }
}

#[test]
fn debug_lists_the_routes() {
    let mut app = App::new();
    app.get("/a", show).any("/<b>", show);
    assert_eq!(format!("{app:?}"), "{GET /a, ANY /<b>}");
}

/// What Bottle's regular expression does, by trying everything.
fn reference<'a>(pieces: &[(Filter, &str)], path: &'a str) -> Option<Vec<&'a str>> {
    let Some(((filter, tail), rest)) = pieces.split_first() else {
        return path.is_empty().then(Vec::new);
    };
    let mut ends: Vec<usize> = (1..=path.len())
        .filter(|&end| path.is_char_boundary(end))
        .collect();
    if *filter != Filter::Path {
        ends.reverse();
    }
    ends.into_iter().find_map(|end| {
        let (text, after) = path.split_at(end);
        let fits = match filter {
            Filter::Str => !text.contains('/'),
            Filter::Path => true,
            Filter::Int => text.parse::<i64>().is_ok(),
            Filter::Float => {
                text.bytes().all(|b| b"-.0123456789".contains(&b)) && text.parse::<f64>().is_ok()
            }
            Filter::Own | Filter::Re | Filter::Rest => unreachable!("they are not tried here"),
        };
        let after = after.strip_prefix(tail).filter(|_| fits)?;
        let mut all = vec![text];
        all.extend(reference(rest, after)?);
        Some(all)
    })
}

/// All strings over the alphabet with up to `longest` characters.
fn strings(alphabet: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let to = all.len();
        for at in from..to {
            for c in alphabet {
                all.push(format!("{}{c}", all[at]));
            }
        }
        from = to;
    }
    all
}

#[test]
fn rules_mean_what_bottles_expressions_mean() {
    let paths = strings(&['1', '-', '.', '/', 'é'], 5);
    let filters = [Filter::Str, Filter::Int, Filter::Float, Filter::Path];
    let tails = ["", "-", ".", "/", "1", "-/", "é", "/."];
    let mut found = Found::new();
    let mut matched = BTreeMap::new();
    for first in filters {
        for second in filters {
            for middle in tails {
                for last in ["", ".", "/1"] {
                    let text = format!("/<a:{first}>{middle}<b:{second}>{last}");
                    let rule = Rule::parse(&text, &Filters::default()).unwrap();
                    let pieces = [(first, middle), (second, last)];
                    for path in &paths {
                        let path = format!("/{path}");
                        let got = rule.matches(&path, &mut found).then(|| {
                            found
                                .iter()
                                .map(|range| &path[range.clone()])
                                .collect::<Vec<_>>()
                        });
                        assert_eq!(got, reference(&pieces, &path[1..]), "{text} on {path}");
                        *matched.entry(got.is_some()).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    assert!(
        matched[&true] > 10_000,
        "the test must see matches: {matched:?}"
    );
}

#[test]
fn no_path_makes_a_rule_slow() {
    // Backtracking would need 4,000 to the power of six steps here.
    let text: String = ('a'..='f').map(|name| format!("<{name}:path>-")).collect();
    let rule = Rule::parse(&format!("/{text}end-<g>.<h>-<i>!"), &Filters::default()).unwrap();
    let path = format!("/{}!", "-".repeat(4_000));
    assert!(!rule.matches(&path, &mut Found::new()));
}
