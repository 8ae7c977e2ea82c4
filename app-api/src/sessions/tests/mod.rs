//! Sessions as a browser sees them.

#[cfg(feature = "forms")]
mod csrf;

use super::{MemoryStore, SessionStore, Sessions};
use crate::testing::{Client, Reply, RequestBuilder};
use crate::{App, ConnectionInfo, Cookie, HttpError, Keys, Request, Response};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000_000) });

fn clock() -> u64 {
    NOW.get()
}

/// Lets time go by.
fn wait(seconds: u64) {
    NOW.set(NOW.get() + seconds);
}

const SECRET: &str = "a secret of thirty-two bytes or more";

/// What the tests ask for: `/set?a=1`, `/get`, and others.
fn app(sessions: Sessions) -> App {
    let mut app = App::new();
    app.install(sessions.clock(clock));
    app.get("/none", |_: Request| "nobody has looked");
    app.get("/get", |request: Request| {
        let session = request.session()?;
        let user = session.user::<String>().unwrap_or("nobody".into());
        Ok::<_, HttpError>(format!("{user} {}", session.get("a").unwrap_or(0)))
    });
    app.get("/set", |request: Request| {
        let a: u32 = request.query("a").unwrap().parse().unwrap();
        request.session()?.set("a", a);
        Ok::<_, HttpError>("set")
    });
    app.get("/login", |request: Request| {
        let session = request.session()?;
        session.log_in(request.query("user"));
        session.flash("success", "welcome");
        Ok::<_, HttpError>("in")
    });
    app.get("/logout", |request: Request| {
        request.session()?.log_out();
        Ok::<_, HttpError>("out")
    });
    app.get("/flashes", |request: Request| {
        let flashes = request.session()?.take_flashes().into_iter();
        let lines: Vec<_> = flashes
            .map(|f| format!("{}: {}", f.category, f.text))
            .collect();
        Ok::<_, HttpError>(lines.join("\n"))
    });
    app.get("/large", |request: Request| {
        let length: usize = request.query("n").unwrap().parse().unwrap();
        request.session()?.set("large", "x".repeat(length));
        Ok::<_, HttpError>("large")
    });
    app.get("/token", |request: Request| {
        Ok::<_, HttpError>(request.session()?.csrf_token())
    });
    app
}

/// Keeps a cookie, as far as the tests need it.
struct Browser {
    client: Client,
    cookie: RefCell<String>,
}

impl Browser {
    fn new(app: App) -> Self {
        Self {
            client: Client::new(app),
            cookie: RefCell::default(),
        }
    }

    fn send(&self, request: RequestBuilder<'_>) -> Reply {
        let reply = request
            .header("cookie", self.cookie.borrow().as_str())
            .send();
        if let Some(cookie) = reply.header("set-cookie") {
            let pair = cookie.split(';').next().unwrap();
            *self.cookie.borrow_mut() = pair.to_owned();
        }
        reply
    }

    fn get(&self, path: &str) -> Reply {
        self.send(self.client.get(path))
    }

    fn text(&self, path: &str) -> String {
        self.get(path).text()
    }

    fn cookie(&self) -> String {
        self.cookie.borrow().clone()
    }
}

fn both(test: impl Fn(Sessions)) {
    test(Sessions::in_memory());
    test(Sessions::in_cookie(Keys::new(SECRET)));
}

#[test]
fn values_are_kept_and_nobody_gets_a_cookie_for_nothing() {
    both(|sessions| {
        let browser = Browser::new(app(sessions));
        let none = browser.get("/none");
        assert!(none.headers().get("vary").is_none() && none.header("set-cookie").is_none());
        let looked = browser.get("/get");
        assert_eq!(looked.text(), "nobody 0");
        assert_eq!(
            (looked.header("vary"), looked.header("set-cookie")),
            (Some("Cookie"), None)
        );
        let set = browser.get("/set?a=7");
        let attributes = set
            .header("set-cookie")
            .unwrap()
            .split_once("; ")
            .unwrap()
            .1;
        assert_eq!(
            attributes,
            "Max-Age=1209600; Path=/; SameSite=Lax; HttpOnly"
        );
        assert_eq!(set.header("cache-control"), Some("private"));
        let again = browser.get("/get");
        assert_eq!(
            (again.text().as_str(), again.header("set-cookie")),
            ("nobody 7", None)
        );
        assert_eq!(browser.text("/set?a=8"), "set");
        assert_eq!(browser.text("/get"), "nobody 8");
    });
}

#[test]
fn what_sets_the_cookie_is_for_nobody_else() {
    for (said, sent) in [
        ("public, max-age=3600", "private"),
        ("no-cache", "private, no-cache"),
        ("max-age=60, Private", "max-age=60, Private"),
        ("no-store", "no-store"),
    ] {
        let mut app = App::new();
        app.install(Sessions::in_memory());
        app.get("/", move |request: Request| {
            request.session()?.set("a", 1);
            Ok::<_, HttpError>(Response::new("").with_header("cache-control", said))
        });
        let reply = Client::new(app).get("/").send();
        let all = reply.headers().get_all("cache-control").iter();
        assert_eq!(all.collect::<Vec<_>>(), [sent], "{said}");
    }
}

#[test]
fn the_cookie_is_as_it_was_asked_for() {
    let cookie = Cookie::new("__Host-id", "").same_site(crate::SameSite::Strict);
    let browser = Browser::new(app(Sessions::in_memory().cookie(cookie)));
    let line = browser
        .get("/set?a=1")
        .header("set-cookie")
        .unwrap()
        .to_owned();
    assert!(line.starts_with("__Host-id="), "{line}");
    assert!(
        line.ends_with("; Path=/; SameSite=Strict; HttpOnly; Secure"),
        "{line}"
    );
    let https = ConnectionInfo::default().with_scheme("https");
    let client = Client::new(app(Sessions::in_memory())).with_connection(https);
    let line = client.get("/set?a=1").send();
    assert!(line.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[test]
fn a_login_has_another_id_and_the_old_one_is_worth_nothing() {
    let browser = Browser::new(app(Sessions::in_memory()));
    browser.get("/set?a=7");
    let before = browser.cookie();
    browser.get("/login?user=Ada");
    assert_ne!(browser.cookie(), before);
    assert_eq!(browser.text("/get"), "Ada 7");
    let old = browser.client.get("/get").header("cookie", before).send();
    assert_eq!(old.text(), "nobody 0");
}

#[test]
fn ids_that_were_not_given_out_are_not_taken() {
    both(|sessions| {
        let browser = Browser::new(app(sessions));
        let foisted = format!("session={}", "A".repeat(43));
        for made_up in [
            &foisted,
            "session=",
            "session=x",
            "session=%00",
            "session=é",
        ] {
            *browser.cookie.borrow_mut() = (*made_up).to_owned();
            assert_eq!(browser.text("/get"), "nobody 0");
            assert_eq!(browser.text("/set?a=1"), "set");
            assert_ne!(browser.cookie(), *made_up);
            assert_eq!(browser.text("/get"), "nobody 1");
        }
    });
}

#[test]
fn a_logout_forgets_everything() {
    let stolen = Cell::new(String::new());
    both(|sessions| {
        let browser = Browser::new(app(sessions));
        browser.get("/set?a=7");
        browser.get("/login?user=Ada");
        let before = browser.cookie();
        let out = browser.get("/logout");
        let line = out.header("set-cookie").unwrap();
        assert!(line.starts_with("session=; Max-Age=0; Path=/;"), "{line}");
        assert_eq!(browser.text("/get"), "nobody 0");
        let reply = browser.client.get("/get").header("cookie", before).send();
        stolen.set(stolen.take() + &reply.text() + "; ");
    });
    // What is in the memory is gone; a cookie that was copied before is good until it is over.
    assert_eq!(stolen.take(), "nobody 0; Ada 7; ");
}

/// Two requests of one session at once: one logs out while the other one is on its way.
#[test]
fn a_logout_is_not_undone_by_a_request_on_its_way() {
    let store = Arc::new(MemoryStore::default());
    let mut app = app(Sessions::new(Shared(store.clone())));
    app.get("/slow", move |request: Request| {
        let session = request.session()?;
        session.set("a", 9);
        let cookie = request.cookie("session").unwrap();
        store.remove(&cookie)?; // what the other one does meanwhile
        Ok::<_, HttpError>("slow")
    });
    let browser = Browser::new(app);
    browser.get("/login?user=Ada");
    let before = browser.cookie();
    let reply = browser.get("/slow");
    // The browser may have logged in anew by now, and keeps the cookie of that.
    assert_eq!(reply.header("set-cookie"), None);
    let again = browser.client.get("/get").header("cookie", before).send();
    assert_eq!(again.text(), "nobody 0");
}

/// One store for the middleware and the test.
struct Shared(Arc<MemoryStore>);

impl SessionStore for Shared {
    fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError> {
        self.0.load(token)
    }

    fn create(&self, data: Vec<u8>, lifetime: Duration) -> Result<String, HttpError> {
        self.0.create(data, lifetime)
    }

    fn replace(
        &self,
        token: &str,
        data: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<String>, HttpError> {
        self.0.replace(token, data, lifetime)
    }

    fn remove(&self, token: &str) -> Result<(), HttpError> {
        self.0.remove(token)
    }
}

#[test]
fn sessions_end() {
    both(|sessions| {
        let minute = Duration::from_secs(60);
        let sessions = sessions.lifetime(10 * minute).longest(25 * minute);
        let browser = Browser::new(app(sessions));
        browser.get("/set?a=7");
        wait(30);
        assert!(
            browser.get("/get").header("set-cookie").is_none(),
            "it is fresh"
        );
        wait(30);
        let refreshed = browser.get("/get");
        assert!(
            refreshed
                .header("set-cookie")
                .unwrap()
                .contains("; Max-Age=600;")
        );
        wait(599);
        assert_eq!(browser.text("/get"), "nobody 7");
        wait(599);
        assert_eq!(browser.text("/get"), "nobody 7");
        wait(300);
        assert_eq!(browser.text("/get"), "nobody 0", "25 minutes are the most");
        browser.get("/set?a=8");
        wait(600);
        assert_eq!(
            browser.text("/get"),
            "nobody 0",
            "nobody looked for 10 minutes"
        );
    });
}

#[test]
fn keys_may_change_and_other_keys_are_nobodys() {
    let browser = Browser::new(app(Sessions::in_cookie(Keys::new(SECRET))));
    browser.get("/set?a=7");
    let new = "another secret of thirty-two bytes or more";
    let sees = |keys: Keys| {
        let client = Client::new(app(Sessions::in_cookie(keys)));
        client
            .get("/get")
            .header("cookie", browser.cookie())
            .send()
            .text()
    };
    assert_eq!(sees(Keys::new(new).and_old(SECRET)), "nobody 7");
    assert_eq!(sees(Keys::new(new)), "nobody 0");
    // A cookie of the application's own is no session, whatever it holds.
    let forged = r#"{"created":1000000,"saved":1000000,"user":"root"}"#;
    let own = Keys::new(SECRET).encrypt(Cookie::new("session", forged));
    *browser.cookie.borrow_mut() = format!("session={}", own.value());
    assert_eq!(browser.text("/get"), "nobody 0");
}

#[test]
fn what_is_too_large_is_a_500() {
    let browser = Browser::new(app(Sessions::in_memory().largest(1000)));
    assert_eq!(browser.get("/large?n=900").status(), 200);
    assert_eq!(browser.get("/large?n=1000").status(), 500);
    let browser = Browser::new(app(Sessions::in_cookie(Keys::new(SECRET))));
    assert_eq!(browser.get("/large?n=2900").status(), 200);
    assert_eq!(browser.get("/large?n=4000").status(), 500);
}

#[test]
fn messages_are_shown_once() {
    both(|sessions| {
        let browser = Browser::new(app(sessions));
        browser.get("/login?user=Ada");
        browser.get("/login?user=Ada");
        assert_eq!(
            browser.text("/flashes"),
            "success: welcome\nsuccess: welcome"
        );
        assert_eq!(browser.text("/flashes"), "");
        for _ in 0..30 {
            browser.get("/login?user=Ada");
        }
        assert_eq!(browser.text("/flashes").lines().count(), 20);
    });
}

#[test]
fn a_route_without_sessions_says_so() {
    let lone = |request: Request| request.session().map(|_| "");
    let reply = Client::new(lone).get("/").send();
    assert_eq!(reply.status(), 500);
}

#[test]
fn a_store_that_fails_is_the_response() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    struct Down;
    fn down<T>() -> Result<T, HttpError> {
        CALLS.fetch_add(1, Ordering::Relaxed);
        Err(HttpError::new(503, "try later").with_source("10.0.0.7: connection refused"))
    }
    impl SessionStore for Down {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>, HttpError> {
            down()
        }
        fn create(&self, _: Vec<u8>, _: Duration) -> Result<String, HttpError> {
            down()
        }
        fn replace(&self, _: &str, _: Vec<u8>, _: Duration) -> Result<Option<String>, HttpError> {
            down()
        }
        fn remove(&self, _: &str) -> Result<(), HttpError> {
            down()
        }
    }
    let browser = Browser::new(app(Sessions::new(Down)));
    *browser.cookie.borrow_mut() = "session=x".to_owned();
    assert_eq!(browser.get("/none").status(), 200);
    assert_eq!(CALLS.load(Ordering::Relaxed), 0, "nobody has looked");
    assert_eq!(browser.text("/get"), "503 Service Unavailable: try later\n");
    browser.cookie.borrow_mut().clear();
    assert_eq!(browser.get("/get").status(), 200);
    assert_eq!(browser.get("/set?a=1").status(), 503);
}

#[test]
fn nothing_secret_is_shown() {
    let app = |sessions: Sessions| {
        let mut app = App::new();
        app.install(sessions).get("/", |request: Request| {
            let session = request.session()?;
            session.set("pin", 4711);
            Ok::<_, HttpError>(format!("{session:?}"))
        });
        app
    };
    both(|sessions| {
        let shown = Client::new(app(sessions)).get("/").send().text();
        assert!(shown.contains("pin") && !shown.contains("4711"), "{shown}");
    });
}
