use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::templates::Value;
use crate::testing::Reply;
use crate::{Bytes, Sink};

/// A page of this template, with as many rows as it wants.
fn streamed(template: &'static str) -> App {
    let mut app = App::new();
    app.templates(Templates::embedded([("page.html", template)]));
    app.get("/", |request: Request| {
        let rows = Value::make_iterable(|| 0..100_000);
        request.render_stream("page.html", context! { rows, long => "<".repeat(20_000) })
    });
    app
}

fn get(app: App) -> Reply {
    Client::new(app).get("/").send()
}

#[test]
fn a_long_page_comes_in_pieces() {
    let reply = get(streamed("{% for row in rows %}{{ row }},{% endfor %}"));
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(reply.header("content-length"), None);
    assert!(reply.chunks().iter().all(|chunk| chunk.len() <= 8192));
    assert!(reply.chunks().len() >= 588_890 / 8192);
    let expected: String = (0..100_000).map(|row| format!("{row},")).collect();
    assert!(reply.text() == expected);
}

#[test]
fn a_long_value_comes_in_pieces() {
    let reply = get(streamed("{{ long }}"));
    assert!(reply.chunks().iter().all(|chunk| chunk.len() <= 8192));
    assert!(reply.text() == "&lt;".repeat(20_000));
}

#[test]
fn what_is_flushed_is_sent() {
    let reply = get(streamed("head{{ flush() }}body{{ flush() }}{{ flush() }}"));
    assert_eq!(reply.chunks(), ["head\n", "body\n", "\n"]);
    // What is collected is sent with the rest.
    let reply = get(streamed("{% set x %}a{{ flush() }}b{% endset %}c{{ x }}"));
    assert_eq!(reply.text(), "ca\nb");
    // Also where values are written as JSON.
    let mut app = App::new();
    app.templates(Templates::embedded([("a.json", "[{{ flush() }}{{ 1 }}]")]));
    app.get("/", |request: Request| {
        request.render_stream("a.json", context! {})
    });
    assert_eq!(get(app).chunks(), ["[\n", "1]"]);
    let whole = embedded("a{{ flush() }}b");
    assert_eq!(page(whole), "ab");
}

#[test]
fn an_early_mistake_is_a_clean_answer_and_a_late_one_cuts() {
    let reply = get(streamed("{{ 'a' * 10 }}{{ rows.x.y }}"));
    assert_eq!(
        (reply.status().as_u16(), reply.text().as_str()),
        (500, "500 Internal Server Error\n")
    );
    let late =
        "{% for row in rows %}{{ row }}{% if row == 9000 %}{{ row.x.y }}{% endif %}{% endfor %}";
    let reply = get(streamed(late));
    assert_eq!(reply.status(), 200);
    let error = reply.error().unwrap().to_string();
    assert!(error.contains("page.html:1"), "{error}");
    let unknown = |request: Request| request.render_stream("none.html", context! {});
    let mut app = App::new();
    app.templates(Templates::embedded([("page.html", "")]))
        .get("/", unknown);
    assert_eq!(get(app).status(), 500);
}

/// Takes some chunks, then its client is gone.
struct Takes(usize);

impl Sink for Takes {
    fn send(&mut self, _: Bytes) -> Result<(), crate::BodyError> {
        self.0 = self.0.checked_sub(1).ok_or_else(crate::BodyError::gone)?;
        Ok(())
    }

    fn start(&mut self) -> Result<(), crate::BodyError> {
        Ok(())
    }
}

#[test]
fn rows_are_asked_for_as_the_client_takes_them_and_no_more_when_it_is_gone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let rows = {
        let asked = Arc::clone(&asked);
        Value::make_iterable(move || {
            let asked = Arc::clone(&asked);
            (0..1_000_000_usize).inspect(move |row| asked.store(*row, Ordering::Relaxed))
        })
    };
    let mut app = App::new();
    let page = "{% for row in rows %}01234567{% endfor %}";
    app.templates(Templates::embedded([("page.html", page)]));
    app.get("/", move |request: Request| {
        request.render_stream("page.html", context! { rows => rows.clone() })
    });
    let head = Head::build(Method::GET, "/", Version::HTTP_11, std::iter::empty());
    let request = Request::new(head, Input::empty(), Arc::default()).unwrap();
    let body = app.call(request).into_parts().1;
    assert_eq!(
        asked.load(Ordering::Relaxed),
        0,
        "nothing before it is sent"
    );
    let error = body.send_to(&mut Takes(3)).unwrap_err();
    assert!(error.is_gone(), "{error}");
    // Of four pieces, the last of which nobody has taken; fewer if the machine was slow.
    assert!(asked.load(Ordering::Relaxed) <= 4 * 1024);
}
