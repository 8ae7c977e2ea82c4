//! A real browser, driven by the W3C's WebDriver protocol: as much of it as the tests need.
//!
//! `chromedriver` (Debian: `chromium-driver`) does the driving; this module speaks JSON over
//! HTTP with it and needs no crate for that.

use crate::{DEADLINE, Folder, Program};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// How the browser is started: without a screen, without a sandbox (which root may not have), and
/// without talking to its makers.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one window or more. Closed when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    _program: Program,
    // Dropped last. The browser has its profile there, and does not clean up when it is killed.
    _folder: Folder,
}

/// A window of a [`Browser`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window(String);

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// When `chromedriver` or the browser cannot be started. The script `test` at the root installs
    /// both.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        Self::start_believing(false)
    }

    /// As [`start`](Self::start); with `anybody`, it believes certificates that nobody has signed.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    #[must_use]
    pub fn start_believing(anybody: bool) -> Self {
        let folder = Folder::new("browser");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", folder.as_ref());
        let program = Program::start_command(&mut command);
        let line = program.wait_for_output("started successfully on port");
        let port = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok());
        let port: u16 = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        let driver = SocketAddr::from(([127, 0, 0, 1], port));
        let options = json!({ "args": FLAGS });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options,
            "acceptInsecureCerts": anybody,
            "goog:loggingPrefs": { "browser": "ALL" } });
        let answer = call(
            driver,
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": wanted } }),
        );
        let answer = answer.unwrap_or_else(|error| panic!("the browser does not start: {error}"));
        let session = answer["sessionId"]
            .as_str()
            .expect("a session has a name")
            .to_owned();
        Self {
            driver,
            session,
            _program: program,
            _folder: folder,
        }
    }

    #[track_caller]
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        call(
            self.driver,
            method,
            &format!("/session/{}{path}", self.session),
            body,
        )
        .unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    /// Opens a page in a window of its own.
    ///
    /// # Panics
    /// When it does not load.
    #[track_caller]
    pub fn open(&self, url: &str) -> Window {
        let window = self.command("POST", "/window/new", &json!({ "type": "window" }));
        let window = Window(
            window["handle"]
                .as_str()
                .expect("a window has a handle")
                .to_owned(),
        );
        self.show(&window);
        self.command("POST", "/url", &json!({ "url": url }));
        window
    }

    /// Shows pages as a phone does that is so many CSS pixels wide, from now on.
    ///
    /// # Panics
    /// When the browser cannot.
    #[track_caller]
    pub fn be_a_phone(&self, width: u32) {
        let screen =
            json!({ "width": width, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Shows pages in dark colours, for whom they have some, from now on.
    ///
    /// # Panics
    /// When the browser cannot.
    #[track_caller]
    pub fn be_dark(&self) {
        let dark = json!({ "name": "prefers-color-scheme", "value": "dark" });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [dark] }));
    }

    /// A command of the browser's own protocol, for the present window.
    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("POST", "/goog/cdp/execute", &body);
    }

    /// Goes to a page in the present window.
    ///
    /// # Panics
    /// When it does not load.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// Turns to a window.
    ///
    /// # Panics
    /// When it is closed.
    #[track_caller]
    pub fn show(&self, window: &Window) {
        self.command("POST", "/window", &json!({ "handle": window.0 }));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.command(
            "POST",
            "/element",
            &json!({ "using": "css selector", "value": selector }),
        );
        // The key is a constant of the protocol; there is only one.
        let id = found
            .as_object()
            .and_then(|object| object.values().next())
            .and_then(Value::as_str);
        id.expect("an element has a name").to_owned()
    }

    /// Clicks on an element, as a person does: it must be visible.
    ///
    /// # Panics
    /// When there is none, or it cannot be clicked.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element, key by key, after what it holds.
    ///
    /// # Panics
    /// When there is none, or it takes no text.
    #[track_caller]
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command(
            "POST",
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Empties an element that holds text.
    ///
    /// # Panics
    /// When there is none, or it takes no text.
    #[track_caller]
    pub fn clear(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("/element/{element}/clear"), &json!({}));
    }

    /// The value of a JavaScript expression in the present window; of a promise, what it gives.
    ///
    /// # Panics
    /// When it throws.
    #[track_caller]
    #[must_use]
    pub fn eval(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.command(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// Runs JavaScript in the present window, whatever it gives.
    ///
    /// # Panics
    /// When it throws.
    #[track_caller]
    pub fn run(&self, script: &str) {
        self.command(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        );
    }

    /// Waits until a JavaScript expression is true in the present window.
    ///
    /// # Panics
    /// When it is not within [`DEADLINE`].
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        let started = Instant::now();
        while self.eval(&format!("!!({expression})")) != json!(true) {
            if started.elapsed() >= DEADLINE {
                let text = self.eval("document.body.innerText");
                panic!("{expression}: not within {DEADLINE:?}; the page says {text}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Errors that the browser has noted on its console.
    ///
    /// # Panics
    /// When the browser is gone.
    #[track_caller]
    #[must_use]
    pub fn console_errors(&self) -> Vec<String> {
        let entries = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let errors = entries
            .into_iter()
            .filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver is killed anyway, but the browser would outlive it.
        let _ = call(
            self.driver,
            "DELETE",
            &format!("/session/{}", self.session),
            &json!({}),
        );
    }
}

/// One command: what the answer holds as its value, or what went wrong.
fn call(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let (status, answer) =
        exchange(driver, method, path, &body.to_string()).map_err(|error| error.to_string())?;
    let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    if status == 200 {
        Ok(value)
    } else {
        Err(value.to_string())
    }
}

/// Sends a request; gives status and body of the answer. The driver keeps connections open
/// whatever it is asked, so the length of the body tells its end.
fn exchange(
    driver: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(driver)?;
    stream.set_read_timeout(Some(DEADLINE * 3))?; // a browser starts slowly on a busy machine
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if let Some(code) = line.strip_prefix("HTTP/1.1 ") {
            status = code
                .get(..3)
                .and_then(|code| code.parse().ok())
                .unwrap_or(0);
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        } else {
            break;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    Ok((status, body))
}
