//! A server that listens to signals itself, and has things to do at its end.
//!
//! `GET /seen` gives the signals that have come, in their order; they are printed as well.

#![forbid(unsafe_code)]

use greenway::green::signals::{SIGTERM, SIGUSR1, SIGUSR2, signal};
use greenway::green::{Queue, at_exit, at_exit_within, sleep, spawn};
use greenway::{App, Request};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

fn main() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for (number, name) in [(SIGUSR1, "USR1"), (SIGUSR2, "USR2"), (SIGTERM, "TERM")] {
        let seen = seen.clone();
        let listening = signal(number, move || {
            sleep(Duration::from_millis(1)); // as a handler may
            println!("signal {name}");
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(name);
        });
        listening.expect("these signals may be handled");
    }

    // What green threads have collected is written at the end.
    let words = Queue::new(10);
    let collect = words.clone();
    let writer = spawn(move || collect.iter().for_each(|word: &str| println!("{word}")));
    at_exit(move || {
        words.put("collected").expect("it is open");
        words.close();
        writer.join().expect("it ends with the queue");
        println!("exit: first registered");
        at_exit(|| println!("exit: registered at exit"));
    });
    at_exit(|| panic!("exit: as the test wants it"));
    at_exit_within(Duration::from_millis(20), || {
        println!("exit: takes too long");
        sleep(Duration::MAX);
    });
    let came = seen.clone();
    at_exit(move || {
        // For the tests: it comes to our handler as well as to the server.
        while !came
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&"TERM")
        {
            sleep(Duration::from_millis(1));
        }
        println!("exit: last registered");
    });

    let mut app = App::new();
    app.get("/seen", move |_: Request| {
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join(" ")
    });
    app.get("/slow", |_: Request| {
        println!("request: begun");
        sleep(Duration::from_millis(300));
        println!("request: done");
        "done"
    });
    greenway::serve(app)
}
