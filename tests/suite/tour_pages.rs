//! The tour's pages as people use them: the ways between them, the crowd at the gate, names, colours,
//! and screens of every size.

use super::browser::Tour;
use greenway_tests::webdriver::{Browser, Window};
use greenway_tests::{Engine, on_green_and_threads};
use serde_json::{Value, json};

on_green_and_threads!(
    a_crowd_waits_at_the_push_of_a_button,
    whoever_switches_is_there_once,
    two_of_one_name_are_told_apart
);

const PAGES: [&str; 5] = ["/", "/chat", "/rooms", "/limits", "/websocket/page"];

#[test]
fn every_page_leads_back_to_the_tour() {
    let tour = Tour::start(Engine::Green);
    let browser = &tour.browser;
    browser.open(&tour.url("/"));
    for page in &PAGES[1..] {
        browser.go(&tour.url(page));
        browser.click("#back");
        browser.wait_until("location.pathname === '/'");
    }
    // The chat is shown within the tour as well, which is where that link would lead.
    browser.run("document.querySelector('#chat-frame').scrollIntoView()");
    browser.wait_until(
        "document.querySelector('#chat-frame').contentDocument.querySelector('#back')?.hidden",
    );
    tour.nothing_went_wrong();
}

/// Handlers at the gate, as the page shows them.
const WAITING: &str = "document.querySelector('#waiting').textContent";
const FILLED: &str = "document.querySelectorAll('#crowd .waits').length";

fn a_crowd_waits_at_the_push_of_a_button(engine: Engine) {
    let tour = Tour::start(engine);
    let browser = &tour.browser;
    browser.open(&tour.url("/limits"));
    browser.wait_until(&format!("{WAITING} === '0'"));
    browser.click("#more");
    if engine == Engine::Threads {
        // Twenty hold the pool. The others wait in front of it, and the page with them.
        browser.wait_until(&format!("{FILLED} === 20 && {WAITING} === '?'"));
        browser.wait_until("document.querySelector('#stall').textContent.includes('Every thread')");
        assert_eq!(browser.eval(FILLED), json!(20));
        return;
    }
    browser.wait_until(&format!("{FILLED} === 30 && {WAITING} === '30'"));
    browser.click("#release");
    browser.wait_until("document.querySelectorAll('#crowd .passed').length === 30");
    browser.wait_until(&format!("{WAITING} === '0'"));
    assert_eq!(
        browser.eval("document.querySelector('#mine').textContent"),
        json!("Yours: 30 let through")
    );
    browser.click("#more");
    browser.wait_until(&format!("{FILLED} === 30"));
    assert_eq!(
        browser.eval("document.querySelectorAll('#crowd li').length"),
        json!(30)
    );
    tour.nothing_went_wrong();
}

/// Enters the room under a name, in a window of its own.
fn enter(tour: &Tour, name: &str) -> Window {
    let browser = &tour.browser;
    let window = browser.open(&tour.url("/rooms"));
    browser.clear("#name");
    browser.write("#name", &format!("{name}\n"));
    connected(browser);
    window
}

fn connected(browser: &Browser) {
    browser.wait_until("document.querySelector('#status').textContent === 'connected'");
}

fn whoever_switches_is_there_once(engine: Engine) {
    let tour = Tour::start(engine);
    let browser = &tour.browser;
    let grace = enter(&tour, "Grace");
    let ada = enter(&tour, "Ada");
    let names = "fetch('/rooms/people').then(reply => reply.json())\
                 .then(({ count, people }) => [count, people.map(who => who.name)])";
    // A client that polls stays a member for ten seconds after it has gone over to something else.
    for transport in ["poll", "socket", "events", "socket", "poll"] {
        browser.show(&ada);
        browser.run(&format!(
            "document.querySelector('[value={transport}]').click()"
        ));
        connected(browser);
        assert_eq!(
            browser.eval(names),
            json!([2, ["Ada", "Grace"]]),
            "over {transport}"
        );
    }
    browser.write("#text", "Here I am\n");
    browser.show(&grace);
    browser.wait_until("document.querySelector('#messages .said')?.textContent === 'Here I am'");
    let of_ada = browser.eval(
        "[...document.querySelectorAll('#messages .gap')].map(note => note.textContent)\
         .filter(note => note.includes('Ada'))",
    );
    assert_eq!(of_ada, json!(["Ada is here"]));
    tour.nothing_went_wrong();
}

fn two_of_one_name_are_told_apart(engine: Engine) {
    let tour = Tour::start(engine);
    let browser = &tour.browser;
    let called = "document.querySelector('#name').value";
    let hint = "document.querySelector('#called').textContent";
    let first = enter(&tour, "Ada");
    enter(&tour, "Ada");
    browser.wait_until(&format!("{called} === 'Ada 2'"));
    assert_eq!(
        browser.eval(hint),
        json!("Somebody else is called Ada, so you are Ada 2.")
    );
    // Whoever comes back is the same person, whichever name it asks for.
    browser.go(&tour.url("/rooms"));
    connected(browser);
    assert_eq!(browser.eval(called), json!("Ada 2"));
    browser.show(&first);
    assert_eq!(
        (browser.eval(called), browser.eval(hint)),
        (json!("Ada"), json!(""))
    );
    browser.wait_until("document.querySelector('#people').textContent === '2 here: Ada, Ada 2'");

    // In the chat, where nobody is seen before having said something.
    for text in ["one", "two"] {
        browser.open(&tour.url("/chat"));
        browser.clear("#name");
        browser.write("#name", "Grace");
        browser.write("#text", text);
        browser.click("#send");
        browser.wait_until(&format!(
            "[...document.querySelectorAll('#messages .said')].at(-1)?.textContent === '{text}'"
        ));
    }
    assert_eq!(
        browser
            .eval("[...document.querySelectorAll('#messages .who')].map(who => who.textContent)"),
        json!(["Grace", "Grace 2"])
    );
    browser.wait_until(&format!("{called} === 'Grace 2'"));
    tour.nothing_went_wrong();
}

#[test]
fn listings_have_colours_by_day_and_by_night() {
    let tour = Tour::start(Engine::Green);
    let browser = &tour.browser;
    browser.open(&tour.url("/"));
    let code = "document.querySelector('#rooms pre code')";
    let text = browser.eval(&format!("{code}.textContent"));
    assert!(
        text.as_str()
            .is_some_and(|text| text.contains("fn say(room: &Room, name: &str")),
        "the source is shown as it is: {text}"
    );
    let colours = format!(
        "[{code}, ...['k', 't', 'f', 's', 'c'].map(kind => {code}.querySelector('.' + kind))]\
         .map(piece => getComputedStyle(piece).color)"
    );
    let by_day = browser.eval(&colours);
    browser.be_dark();
    let by_night = browser.eval(&colours);
    for colours in [&by_day, &by_night] {
        let mut all: Vec<_> = colours
            .as_array()
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "{colours}");
    }
    assert_ne!(by_day, by_night);
    tour.nothing_went_wrong();
}

#[test]
fn pages_fit_a_phone() {
    let tour = Tour::start(Engine::Green);
    let browser = &tour.browser;
    browser.open(&tour.url("/"));
    for width in [390, 320] {
        browser.be_a_phone(width);
        for page in PAGES {
            browser.go(&tour.url(page));
            // Listings scroll by themselves; a page does not.
            browser.run("document.querySelectorAll('details').forEach(one => one.open = true)");
            assert_eq!(
                browser.eval("[innerWidth, document.documentElement.scrollWidth]"),
                json!([width, width]),
                "{page}"
            );
        }
    }
    tour.nothing_went_wrong();
}
