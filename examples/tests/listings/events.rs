//! The listing of the chapter on events.

use greenway::App;
use greenway::testing::Client;

// ANCHOR: program
use greenway::Request;
use greenway::green::{Closed, Queue, sleep, spawn};
use greenway::sse::{Event, Sse};
use std::time::Duration;

fn clock(_: Request) -> Sse {
    let ticks = Queue::new(1);
    let feed = ticks.clone();
    spawn(move || {
        for n in 0.. {
            // Fails when the client has left, and the green thread ends.
            feed.put(Event::new(format!("tick {n}")).id(n.to_string()))?;
            sleep(Duration::from_millis(10));
        }
        Ok::<_, Closed<Event>>(())
    });
    Sse::new(ticks)
}
// ANCHOR_END: program

#[test]
fn a_clock_ticks_until_nobody_listens() {
    let mut app = App::new();
    app.get("/clock", clock);
    let reply = Client::new(app).get("/clock").leave_after(3).send();
    assert_eq!(
        reply.chunks()[1..],
        ["id: 0\ndata: tick 0\n\n", "id: 1\ndata: tick 1\n\n"]
    );
}
