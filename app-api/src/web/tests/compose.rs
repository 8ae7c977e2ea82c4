//! Applications within applications, names, filters, shared values, hosts.

use super::*;
use crate::{ConnectionInfo, UrlError};

/// Where it is, as WSGI says it.
#[allow(clippy::needless_pass_by_value)]
fn place(request: Request) -> String {
    let environ = request.environ();
    assert_eq!(&environ["SCRIPT_NAME"], request.script_name());
    assert_eq!(&environ["PATH_INFO"], request.path());
    format!("{}|{}", request.script_name(), request.path())
}

#[test]
fn a_mounted_application_sees_what_is_behind_its_prefix() {
    let mut app = App::new();
    app.mount("/a", place);
    app.mount("/a/b/", place);
    app.mount("/é x", place);
    app.get("/a/own", |_: Request| "own")
        .get("/a/early/<x>", |_: Request| "early");
    let client = Client::new(app);
    for (path, expected) in [
        ("/a", "/a|"),
        ("/a/", "/a|/"),
        ("/a/c%2Fd/e", "/a|/c/d/e"),
        ("/%61/c", "/a|/c"),
        // The order of definition, as with other rules; only a whole path comes first.
        ("/a/b/c", "/a|/b/c"),
        ("/a/b", "/a/b|"),
        ("/a/own", "own"),
        ("/a/early/1", "early"),
        ("/%C3%A9%20x/y%20z", "/é x|/y z"),
        ("/ab", "404"),
        ("/a%2Fc", "404"),
        ("/", "404"),
    ] {
        let reply = client.get(path).send();
        let got = if reply.status() == 200 {
            reply.text()
        } else {
            reply.status().as_str().to_owned()
        };
        assert_eq!(got, expected, "{path}");
    }
    assert_eq!(client.post("/a/own").send().text(), "/a|/own");
}

#[test]
fn mounts_nest_and_can_be_left() {
    let mut inner = App::new();
    inner.get("/", |request: Request| {
        let urls = ["here", "middle", "top"].map(|name| request.url_for(name, &[]));
        format!("{} {}", place(request), urls.join(" "))
    });
    inner.get("/here/<n:int>/<rest:path>", show).name("item");
    inner.get("/here", show).name("here");
    let mut middle = App::new();
    middle.get("/middle", show).name("middle");
    middle.mount("/in", inner);
    let mut app = App::new();
    app.get("/top", show)
        .name("top")
        .get("/hidden", show)
        .name("here");
    app.mount("/m", middle);
    let client = Client::new(app);
    assert_eq!(
        client.get("/m/in").send().text(),
        "/m/in| /m/in/here /m/middle /top"
    );
    assert_eq!(
        client.get("/m/in/here/7/a%2Fb/c").send().text(),
        "/here/<n:int>/<rest:path> n=7 rest=a/b/c"
    );
    assert_eq!(client.get("/m/in/none").send().status(), 404);
    assert_eq!(
        allow(&client.post("/m/in/here").send()),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn a_proxy_may_have_taken_a_prefix_off() {
    let mut inner = App::new();
    inner.get("/", |request: Request| {
        format!("{} {}", request.url_for("x", &[]), place(request))
    });
    inner.get("/x", show).name("x");
    let mut app = App::new();
    app.mount("/in", inner);
    let connection = ConnectionInfo::default().with_prefix("/pre%20fix/");
    let client = Client::new(app).with_connection(connection);
    assert_eq!(
        client.get("/in/").send().text(),
        "/pre%20fix/in/x /pre fix/in|/"
    );
    assert_eq!(ConnectionInfo::default().with_prefix("/").prefix, None);
}

#[test]
fn the_root_gets_what_nothing_else_wants() {
    let mut app = App::new();
    app.get("/a", |_: Request| "a")
        .get("/<n:int>", |_: Request| "number");
    app.mount("/", place);
    let client = Client::new(app);
    for (path, expected) in [
        ("/a", "a"),
        ("/7", "number"),
        ("/b/c", "|/b/c"),
        ("/", "|/"),
    ] {
        assert_eq!(client.get(path).send().text(), expected);
    }
}

#[test]
fn urls_are_made_and_found_again() {
    let mut app = App::new();
    app.filter("even", |text| text.len() % 2 == 0);
    app.get("/", show).name("home");
    app.get("/a b/<name>/<n:int>.html", show).name("page");
    app.get("/files/<p:path>", show).name("file");
    app.get("/re/<x:re:[a-z/]*>", show).name("re");
    app.get("/even/<x:even>", show).name("even");
    let url =
        |name: &str, values: &[(&str, &dyn std::fmt::Display)]| app.url_for(name, values).unwrap();
    let made = [
        (url("home", &[]), "/", "/ "),
        (
            url("home", &[("q", &"a&b"), ("q", &1)]),
            "/?q=a%26b&q=1",
            "/ ",
        ),
        (
            url("page", &[("n", &-7), ("name", &"x/é?#%")]),
            "/a%20b/x%2F%C3%A9%3F%23%25/-7.html",
            "/a b/<name>/<n:int>.html name=x/é?#% n=-7",
        ),
        (
            url("file", &[("p", &"a/b c")]),
            "/files/a/b%20c",
            "/files/<p:path> p=a/b c",
        ),
        (
            url("re", &[("x", &"a/b")]),
            "/re/a/b",
            "/re/<x:re:[a-z/]*> x=a/b",
        ),
        (
            url("even", &[("x", &"ab")]),
            "/even/ab",
            "/even/<x:even> x=ab",
        ),
    ];
    let problem = |name: &str, values: &[(&str, &dyn std::fmt::Display)]| -> String {
        let error: UrlError = app.url_for(name, values).unwrap_err();
        error.to_string()
    };
    for (got, expected) in [
        (problem("none", &[]), "no route is named \"none\""),
        (
            problem("page", &[("n", &1)]),
            "route \"/a b/<name>/<n:int>.html\", named \"page\": <name> has no value",
        ),
        (
            problem("page", &[("n", &"x"), ("name", &"y")]),
            "\"x\" is nothing for <n:int>",
        ),
        (
            problem("page", &[("n", &1), ("name", &"")]),
            "\"\" is nothing for <name:str>",
        ),
        (
            problem("file", &[("p", &"")]),
            "\"\" is nothing for <p:path>",
        ),
        (
            problem("file", &[("p", &"\0")]),
            "\"\\0\" is nothing for <p:path>",
        ),
        (problem("re", &[("x", &"A")]), "\"A\" is nothing for <x>"),
        (problem("even", &[("x", &"a")]), "\"a\" is nothing for <x>"),
    ] {
        assert!(got.ends_with(expected), "{got}");
    }
    let client = Client::new(app);
    for (made, expected, found) in made {
        assert_eq!(made, expected);
        assert_eq!(client.get(&made).send().text(), found);
    }
}

#[test]
fn expressions() {
    for (rule, path, expected) in [
        ("/<x:re:[a-z]+>", "/abc", "x=abc"),
        ("/<x:re:[a-z]+>", "/aBc", "404"),
        ("/<x:re:[a-z]+>", "/abc/d", "404"),
        ("/<x:re:.*>", "/a/b", "x=a/b"),
        ("/<x:re:.*>", "/", "x="),
        ("/<x:re:a|bc>", "/bc", "x=bc"),
        ("/<x:re:a|bc>.<y>", "/bc.txt", "x=bc y=txt"),
        ("/<x:re:(a)(b)?>-<n:int>", "/a-5", "x=a n=5"),
        ("/<x:re:[a]+>-<n:int>", "/a-9999999999999999999", "404"),
        ("/<x:re:a{2,3}><p:path>", "/aaaa/b", "x=aaa p=a/b"),
        (r"/<x:re:[a-z<\>]+>/<y>", "/%3Ca%3E/b", "x=<a> y=b"),
        ("/<x:re:.+>", "/a%2Fb", "x=a/b"),
        ("/(.)/<x:re:.>", "/a/b", "404"),
        ("/(.)/<x:re:.>", "/(.)/b", "x=b"),
    ] {
        let expected = if expected == "404" {
            "404".to_owned()
        } else {
            format!("{rule} {expected}")
        };
        assert_eq!(routed(&[rule], path), expected, "{rule} on {path}");
    }
    // Brackets cannot get out of their group, and the time is linear.
    let message = panic_message(|| define(App::new().get("/<x:re:a)(b>", show)));
    assert!(message.contains("the expression of `x`"), "{message}");
    let slow = format!("/{}", "a".repeat(8000));
    assert_eq!(routed(&["/<x:re:(a+)+>b"], &slow), "404");
}

#[test]
fn own_filters() {
    let mut app = App::new();
    app.filter("odd", |text| {
        assert!(!text.is_empty() && !text.contains('\0'));
        text.len() % 2 == 1
    });
    app.get("/<x:odd>", show).get("/<x:odd>/<y:odd>.txt", show);
    app.get("/<x:odd>-<y:re:[a-z]+>", show);
    app.group("/g", |group| define(group.get("/<x:odd>", show)));
    let client = Client::new(app);
    for (path, expected) in [
        ("/abc", "/<x:odd> x=abc"),
        ("/a%2Fb", "/<x:odd> x=a/b"),
        ("/a/b.txt", "/<x:odd>/<y:odd>.txt x=a y=b"),
        ("/abc-de", "/<x:odd>-<y:re:[a-z]+> x=abc y=de"),
        ("/g/é", "404"),
        ("/g/a", "/g/<x:odd> x=a"),
    ] {
        let reply = client.get(path).send();
        let got = if reply.status() == 200 {
            reply.text()
        } else {
            reply.status().as_str().to_owned()
        };
        assert_eq!(got, expected, "{path}");
    }
    for (name, rule, problem) in [
        ("int", "/", "the filter `int` is there already"),
        (
            "own",
            "/<x:own>.<y>",
            "so that its end is clear; `x` is not",
        ),
        (
            "own",
            "/<x:other>",
            "unknown filter `other` (str, int, float, path, re:EXPRESSION, own exist)",
        ),
    ] {
        let message = panic_message(|| define(App::new().filter(name, |_| true).get(rule, show)));
        assert!(message.ends_with(problem), "{message}");
    }
}

#[test]
fn merged_routes_keep_names_middleware_and_filters() {
    let add = |name: &'static str| {
        move |request: Request, next: Next<'_>| {
            let mut response = next.run(request);
            response
                .headers_mut()
                .append("x-via", name.parse().unwrap());
            response
        }
    };
    let mut part = App::new();
    part.install(add("part"))
        .filter("one", |text| text == "1")
        .share(7_u8);
    part.get("/<x:one>", show).name("one").mount("/m", place);
    part.host("part.example", |_: Request| "host");
    let mut app = App::new();
    app.install(add("app"));
    app.group("/g", |group| {
        group.install(add("group"));
        group.merge(part);
    });
    app.get("/state", |request: Request| {
        request.state::<u8>().to_string()
    });
    assert_eq!(app.url_for("one", &[("x", &1)]).unwrap(), "/g/1");
    let client = Client::new(app);
    let via = |reply: &Reply| {
        let values = reply.headers().get_all("x-via").iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let reply = client.get("/g/1").send();
    assert_eq!(
        (reply.text().as_str(), via(&reply).as_str()),
        ("/g/<x:one> x=1", "part group app")
    );
    assert_eq!(client.get("/g/2").send().status(), 404);
    assert_eq!(client.get("/g/m/x").send().text(), "/g/m|/x");
    assert_eq!(client.get("/g/m").send().text(), "/g/m|");
    assert_eq!(client.get("/state").send().text(), "7");
    let reply = client.get("/").header("host", "part.example").send();
    assert_eq!(
        (reply.text().as_str(), via(&reply).as_str()),
        ("host", "part group app")
    );
}

#[test]
fn state_is_found_in_handlers_middleware_and_outer_applications() {
    struct Outer(&'static str);
    let mut inner = App::new();
    inner.share("inner").get("/", |request: Request| {
        format!("{} {}", request.state::<&str>(), request.state::<Outer>().0)
    });
    let mut app = App::new();
    app.share("replaced").share(Outer("outer")).share("app");
    app.install(|request: Request, next: Next<'_>| {
        let seen = *request.state::<&str>();
        next.run(request).with_header("x-seen", seen)
    });
    app.before_request(|request| assert_eq!(*request.state::<&str>(), "app"));
    app.mount("/in", inner);
    app.get("/none", |request: Request| {
        request.try_state::<u128>().is_none().to_string()
    });
    app.get("/no", |request: Request| {
        request.state::<u128>().to_string()
    });
    let client = Client::new(app);
    assert_eq!(client.get("/in").send().text(), "inner outer");
    assert_eq!(client.get("/404").send().header("x-seen"), Some("app"));
    assert_eq!(client.get("/none").send().text(), "true");
    assert_eq!(
        client.get("/no").send().panic(),
        Some("the application shares no `u128`: give it one with `app.share(...)`")
    );
}

#[test]
fn hosts() {
    let name = |name: &'static str| move |_: Request| name;
    let mut app = App::new();
    app.host("api.example.org", name("api"))
        .host("*.example.org", name("any"))
        .host("LOCAL", name("local"))
        .get("/", name("home"));
    let client = Client::new(app);
    for (host, expected) in [
        ("api.example.org", "api"),
        ("API.Example.org:80", "api"),
        ("api.example.org.", "api"),
        ("www.api.example.org", "any"),
        ("example.org", "home"),
        (".example.org", "home"),
        ("evilexample.org", "home"),
        ("local:1", "local"),
        ("[::1]:80", "home"),
        ("", "home"),
    ] {
        let reply = client.get("/").header("host", host).send();
        assert_eq!(reply.text(), expected, "{host}");
    }
    for pattern in ["", "*", "a/b", "a:80", "a.*.b", "*a"] {
        let message = panic_message(|| define(App::new().host(pattern, name("x")).get("/", show)));
        assert!(
            message.starts_with(&format!("host {pattern:?}: ")),
            "{message}"
        );
    }
}

#[test]
fn hooks_can_change_method_and_path() {
    let mut app = App::new();
    app.before_request(|request| {
        assert_eq!(&request.environ()["REQUEST_METHOD"], "POST");
        request.set_method(Method::DELETE);
        request.set_path("/new/a b%2F/é?");
    });
    app.delete("/new/<x>/<y>", |request: Request| {
        let environ = request.environ().clone();
        assert_eq!(
            (&environ["REQUEST_METHOD"], &environ["RAW_URI"]),
            ("DELETE", "/old?q=1")
        );
        assert_eq!(
            (request.path(), request.query("q").as_deref()),
            ("/new/a b%2F/é?", Some("1"))
        );
        assert_eq!(request.raw_path(), "/new/a%20b%252F/%C3%A9%3F");
        show(request)
    });
    let reply = Client::new(app).post("/old?q=1").send();
    assert_eq!(reply.text(), "/new/<x>/<y> x=a b%2F y=é?");
}

#[test]
fn a_detached_request_keeps_its_place() {
    let mut inner = App::new();
    inner
        .share(5_u8)
        .get("/<x>", |request: Request| {
            fn elsewhere<T: Send>(detached: T) -> T {
                detached
            }
            let request = elsewhere(request.detach(0)?).attach();
            let state = *request.state::<u8>();
            let url = request.url_for("me", &[("x", &2)]);
            Ok(format!("{state} {url} {}", place(request)))
        })
        .name("me");
    let mut app = App::new();
    app.mount("/in", inner);
    assert_eq!(
        Client::new(app).get("/in/1").send().text(),
        "5 /in/2 /in|/1"
    );
}

#[test]
fn mistakes_are_told_at_once() {
    for (message, expected) in [
        (
            panic_message(|| define(App::new().mount("x", place))),
            "route \"x\": it must start with a slash",
        ),
        (
            panic_message(|| define(App::new().mount("/<x>", place))),
            "route \"/<x>\": a prefix to mount at has no wildcards",
        ),
        (
            panic_message(|| define(App::new().mount("/a", place).mount("/a/", place))),
            "route \"/a\": it is there already for any method",
        ),
        (
            panic_message(|| define(App::new().mount("/", place).mount("", place))),
            "route \"/\": it is there already for any method",
        ),
        (
            panic_message(|| {
                define(
                    App::new()
                        .get("/a", show)
                        .name("x")
                        .get("/b", show)
                        .name("x"),
                );
            }),
            "two routes are named \"x\"",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn no_path_that_is_made_names_a_host() {
    let mut app = App::new();
    app.get("/<rest:path>", |request: Request| {
        request.param("rest").to_owned()
    })
    .name("rest");
    let url = app
        .url_for("rest", &[("rest", &"/evil.example/x")])
        .unwrap();
    assert_eq!(url, "/%2Fevil.example/x");
    assert_eq!(Client::new(app).get(&url).send().text(), "/evil.example/x");
    let mut app = App::new();
    app.get("//x", |_: Request| "").name("x");
    assert!(app.url_for("x", &[]).is_err());
}
