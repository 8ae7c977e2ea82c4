//! The notice board in a real browser: a visitor joins, pins something up and talks, and another one
//! sees it at once.

use greenway_tests::webdriver::{Browser, Window};
use greenway_tests::{Engine, Folder, Program, neighbour, on_green_and_threads};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

on_green_and_threads!(
    a_notice_is_pinned_up_and_all_see_it,
    who_comes_in_needs_the_password,
    people_talk_in_front_of_the_board
);

/// The smallest picture there is: a GIF of one pixel.
const PICTURE: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\x80\0\xff\xff\xff!\xf9\x04\0\0\0\0\0,\0\0\0\0\
                         \x01\0\x01\0\0\x02\x02D\x01\0;";

struct Board {
    program: Program,
    browser: Browser,
    // Dropped last: they write to it.
    data: Folder,
}

impl Board {
    /// A new board with one account: Ada's.
    fn start(engine: Engine) -> Self {
        let data = Folder::new("board");
        let mut command = Command::new(neighbour("greenway-board"));
        let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
        let program = Program::start_command(command.args(args).env("BOARD_DATA", data.as_ref()));
        let browser = Browser::start();
        Self {
            program,
            browser,
            data,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.program.wait_for_addr())
    }

    /// A second window, whose list is live.
    fn reader(&self) -> Window {
        let window = self.browser.open(&self.url("/"));
        self.browser
            .wait_until("document.querySelector('.notices.open')");
        window
    }

    #[track_caller]
    fn nothing_went_wrong(&self) {
        assert_eq!(self.browser.console_errors(), Vec::<String>::new());
    }
}

/// Fills the form of the login in, and presses one of its buttons.
fn come_in(browser: &Browser, name: &str, password: &str, button: &str) {
    browser.write("#login [name=name]", name);
    browser.write("#login [name=password]", password);
    browser.click(button);
    browser.wait_until("document.querySelector('.flash')");
}

fn join(browser: &Browser, name: &str) {
    come_in(browser, name, "correct horse", "#login [name=join]");
    assert_eq!(flash(browser), json!(format!("Welcome, {name}!")));
}

fn flash(browser: &Browser) -> Value {
    browser.eval("document.querySelector('.flash').textContent.trim()")
}

fn pin(browser: &Browser, title: &str, text: &str, picture: Option<&Path>) {
    browser.click("#pin summary");
    browser.write("#pin [name=title]", title);
    browser.write("#pin [name=text]", text);
    if let Some(path) = picture {
        // This is how WebDriver chooses a file.
        browser.write(
            "#pin [name=picture]",
            path.to_str().expect("the path is text"),
        );
        browser.wait_until("!document.querySelector('#preview').hidden");
    }
    browser.click("#pin form button");
    browser.wait_until("document.querySelector('.flash')?.textContent.includes('pinned up')");
}

fn a_notice_is_pinned_up_and_all_see_it(engine: Engine) {
    let board = Board::start(engine);
    let browser = &board.browser;
    let author = browser.open(&board.url("/"));
    join(browser, "Ada");
    let reader = board.reader();
    browser.show(&author);
    let picture = board.data.path("flowers.gif");
    std::fs::write(&picture, PICTURE).expect("the folder can be written to");
    pin(
        browser,
        "Flowers <b>&</b> seeds",
        "Take what you like.\n\nAda",
        Some(&picture),
    );

    // The other window has not been touched.
    browser.show(&reader);
    browser.wait_until(
        "document.querySelector('.notice h2')?.textContent === 'Flowers <b>&</b> seeds'",
    );
    assert_eq!(
        browser.eval("document.querySelectorAll('.notice').length"),
        json!(1)
    );
    assert_eq!(
        browser.eval("document.querySelectorAll('.notice b').length"),
        json!(0)
    );
    browser.wait_until("document.querySelector('.notice img').naturalWidth === 1");

    browser.show(&author);
    pin(browser, "Wool", "100% of a sheep", None);
    browser.show(&reader);
    browser.wait_until("document.querySelector('.notice h2').textContent === 'Wool'");

    browser.clear(".search input");
    browser.write(".search input", "SHEEP\n");
    browser.wait_until("document.querySelector('.found')?.textContent.includes('1 for “SHEEP”')");
    assert_eq!(
        browser.eval("[...document.querySelectorAll('.notice h2')].map(h => h.textContent)"),
        json!(["Wool"])
    );

    browser.click(".notice h2 a");
    browser.wait_until("location.pathname === '/notices/2' && document.title === 'Wool'");
    let table = "fetch('/notices.csv').then(reply => reply.text())\
                 .then(text => text.split('\\r\\n').map(line => line.replace(/\"[0-9: -]*\"/, 'then')))";
    assert_eq!(
        browser.eval(table),
        json!([
            "id,posted,author,title,text",
            r#"2,then,"Ada","Wool","100% of a sheep""#,
            "1,then,\"Ada\",\"Flowers <b>&</b> seeds\",\"Take what you like.",
            "",
            "Ada\"",
            ""
        ])
    );
    board.nothing_went_wrong();
}

fn who_comes_in_needs_the_password(engine: Engine) {
    let board = Board::start(engine);
    let browser = &board.browser;
    browser.open(&board.url("/"));
    join(browser, "Ada");
    assert_eq!(
        browser.eval("document.querySelector('.who .name').textContent"),
        json!("Ada")
    );
    browser.click(".who button");
    browser.wait_until("document.querySelector('#login')");
    come_in(browser, "Ada", "incorrect horse", "#login button");
    assert_eq!(
        flash(browser),
        json!("No account has this name and this password.")
    );
    browser.go(&board.url("/"));
    assert_eq!(
        browser.eval("document.querySelector('.flash')"),
        json!(null),
        "it is said once"
    );
    come_in(browser, "Ada", "correct horse", "#login button");
    assert_eq!(flash(browser), json!("Welcome, Ada!"));
    board.nothing_went_wrong();

    // What is not there looks like the rest of the board, and leads back to it.
    browser.go(&board.url("/notices/7"));
    assert_eq!(
        browser.eval("[document.querySelector('.status'), document.querySelector('h1 + p')].map(e => e.textContent)"),
        json!(["404", "There is no such notice."])
    );
    browser.click(".error .back");
    browser.wait_until("location.pathname === '/'");
}

fn people_talk_in_front_of_the_board(engine: Engine) {
    let board = Board::start(engine);
    let (ada, guest) = (&board.browser, Browser::start());
    ada.open(&board.url("/"));
    join(ada, "Ada");
    guest.open(&board.url("/"));
    let said = "[...document.querySelectorAll('#said li')].map(one => one.textContent)";
    for browser in [ada, &guest] {
        browser.wait_until("document.querySelector('#here').textContent === '2 here'");
    }
    ada.write("#say input", "Is <i>anybody</i> there?\n");
    for browser in [ada, &guest] {
        browser.wait_until("document.querySelector('#said li')");
        assert_eq!(browser.eval(said), json!(["AdaIs <i>anybody</i> there?"]));
    }
    // Who has not come in has nothing to speak with, and is not heard over a socket of its own.
    assert_eq!(guest.eval("document.querySelector('#say')"), json!(null));
    guest.run("socket.send('I am nobody')");
    // Whoever comes later hears what was said.
    join(&guest, "Grace");
    guest.write("#say input", "Yes\n");
    for browser in [ada, &guest] {
        browser.wait_until("document.querySelectorAll('#said li').length >= 2");
        let all = ["AdaIs <i>anybody</i> there?", "GraceYes"];
        assert_eq!(browser.eval(said), json!(all));
        let mine = "document.querySelector('#said .mine').textContent";
        let own = if std::ptr::eq(browser, ada) {
            all[0]
        } else {
            all[1]
        };
        assert_eq!(browser.eval(mine), json!(own));
    }
    board.nothing_went_wrong();
    assert_eq!(guest.console_errors(), Vec::<String>::new());
}

/// Every page is as wide as the screen, and no wider.
#[test]
fn the_board_fits_a_phone() {
    let board = Board::start(Engine::Green);
    let browser = &board.browser;
    browser.open(&board.url("/"));
    join(browser, "Ada");
    pin(
        browser,
        &"Donaudampfschifffahrt".repeat(3),
        &"https://example.org/".repeat(20),
        None,
    );
    for width in [390, 320] {
        browser.be_a_phone(width);
        for page in ["/", "/?q=schiff", "/notices/1", "/nowhere"] {
            browser.go(&board.url(page));
            browser.run("document.querySelectorAll('details').forEach(one => one.open = true)");
            assert_eq!(
                browser.eval("[innerWidth, document.documentElement.scrollWidth]"),
                json!([width, width]),
                "{page}"
            );
        }
    }
}
