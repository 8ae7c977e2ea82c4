//! Queues of members: order, bounds, policies, coming back.

use super::*;
use crate::green::{Queue, Timeout};

#[test]
fn all_get_all_in_order() {
    everywhere(|| {
        let room = Room::new();
        let members: Vec<_> = (0..10)
            .map(|n| room.join(&n.to_string(), Since::Now).unwrap())
            .collect();
        for n in 1..=100 {
            assert_eq!(room.publish(n.to_string()).number(), n);
        }
        let expected: Vec<_> = (1..=100).map(|n| n.to_string()).collect();
        for member in &members {
            assert_eq!(take(member, 100), expected);
            assert!(member.is_empty());
        }
    });
}

#[test]
fn who_joins_gets_what_was_asked_for_and_then_what_comes() {
    everywhere(|| {
        let room = Room::builder().history(2).build();
        let before = room.cursor();
        let first = room.publish("1");
        for n in 2..=3 {
            room.publish(n.to_string());
        }
        let member = |since| room.join("Ada", since).unwrap();
        let members = [
            (member(Since::Now), &["4"][..], false),
            (member(Since::Start), &["2", "3", "4"], false),
            (member(Since::Cursor(first)), &["2", "3", "4"], false),
            (member(Since::Cursor(before)), &["2", "3", "4"], true),
            (member(Since::seen(Some("junk"))), &["2", "3", "4"], true),
        ];
        room.publish("4");
        for (member, expected, gap) in &members {
            assert_eq!(take(member, expected.len()), *expected);
            assert_eq!(member.gap(), *gap);
            assert!(member.is_empty());
        }
    });
}

/// A room whose only member does not read, and the member.
fn clogged(slow: Slow, since: Since) -> (Room, Member) {
    let room = Room::builder().history(9).queue(3).slow(slow).build();
    for n in 1..=9 {
        room.publish(format!("old {n}"));
    }
    let member = room.join("Ada", since).unwrap();
    let other = room.join("Grace", Since::Now).unwrap();
    for n in 1..=5 {
        say(&room, n);
        assert_eq!(take(&other, 1), [n.to_string()], "who reads gets it");
    }
    (room, member)
}

#[test]
fn a_slow_member_is_put_out_and_misses_nothing_when_it_comes_back() {
    everywhere(|| {
        let (room, member) = clogged(Slow::Disconnect, Since::Now);
        assert!(member.is_evicted());
        assert_eq!(take(&member, 2), ["1", "2"]);
        let last = member.next().unwrap();
        assert_eq!((last.text(), member.next().is_none()), (Some("3"), true));
        let stats = room.stats();
        assert_eq!((stats.evicted, stats.dropped, stats.members), (1, 0, 1));
        drop(member);
        assert!(room.is_empty());
        let back = room.join("Ada", last.cursor().into()).unwrap();
        assert_eq!(
            (take(&back, 2), back.gap()),
            (vec!["4".into(), "5".into()], false)
        );
    });
}

#[test]
fn the_oldest_or_the_newest_may_be_dropped_instead() {
    everywhere(|| {
        for (policy, expected) in [
            (Slow::DropOldest, ["3", "4", "5"]),
            (Slow::DropNewest, ["1", "2", "3"]),
        ] {
            let (room, member) = clogged(policy, Since::Now);
            assert!(!member.is_evicted());
            assert_eq!(take(&member, 3), expected, "{policy:?}");
            assert_eq!((room.stats().dropped, room.stats().evicted), (2, 0));
            room.publish("6");
            assert_eq!(take(&member, 1), ["6"], "there is room again");
        }
    });
}

/// What a member is given of the history is longer than its queue, and is not its fault.
#[test]
fn history_is_not_counted_as_slowness() {
    everywhere(|| {
        let (_, member) = clogged(Slow::DropNewest, Since::Start);
        assert_eq!(member.len(), 12);
        let all = take(&member, 12);
        assert_eq!(&all[8..], ["old 9", "1", "2", "3"]);
    });
}

#[test]
fn a_queue_is_bounded_in_bytes_and_takes_one_message_of_any_size() {
    let room = Room::builder()
        .queue_bytes(10)
        .slow(Slow::DropNewest)
        .build();
    let member = room.join("Ada", Since::Now).unwrap();
    let long = "longer than ten";
    for text in [long, "x", "12345", "12345", "6"] {
        say(&room, text);
        if text == "x" {
            assert_eq!(take(&member, 1), [long], "and x did not fit beside it");
        }
    }
    assert_eq!(take(&member, 2), ["12345", "12345"]);
    assert!(member.is_empty());
}

#[test]
fn waits_for_messages_end_as_all_waits_do() {
    everywhere(|| {
        let room = Room::new();
        let member = room.join("Ada", Since::Now).unwrap();
        let soon = Duration::from_millis(5);
        assert!(member.next_timeout(soon).is_err());
        assert!(Timeout::run(soon, || member.next()).is_err());
        room.publish("1");
        assert_eq!(take(&member, 1), ["1"], "nothing was lost");
    });
}

#[test]
fn a_killed_reader_leaves() {
    let room = Room::new();
    let member = room.join("Ada", Since::Now).unwrap();
    let reader = on_worker(0, move || member.iter().count());
    eventually(|| room.len() == 1);
    reader.kill();
    assert!(reader.join().is_err());
    assert!(room.is_empty());
}

/// The room may publish faster than its members read, as long as they read at all: those who
/// publish and those who deliver give way to the threads of their worker.
#[test]
fn a_burst_longer_than_a_queue_reaches_members_that_read() {
    const COUNT: usize = 5_000;
    let room = Room::builder().queue(64).build();
    let readers: Vec<_> = (0..6)
        .map(|worker| {
            let room = room.clone();
            on_worker(worker, move || {
                take(&room.join("Ada", Since::Now).unwrap(), COUNT).len()
            })
        })
        .collect();
    eventually(|| room.len() == 6);
    let publisher = on_worker(0, move || {
        for n in 0..COUNT {
            room.publish(n.to_string());
        }
        room // lives until all is delivered
    });
    for reader in readers {
        assert_eq!(reader.join().unwrap(), COUNT);
    }
    assert_eq!(publisher.join().unwrap().stats().evicted, 0);
}

#[test]
fn a_post_may_show_its_own_place() {
    let room = Room::new();
    let member = room.join("Ada", Since::Now).unwrap();
    let cursor = room.publish_with(|cursor| format!("I am {cursor}"));
    assert_eq!(take(&member, 1), [format!("I am {cursor}")]);

    let refused = std::panic::catch_unwind(AssertUnwindSafe(|| {
        room.publish_with(|_| -> Post { std::panic::resume_unwind(Box::new("no")) })
    }));
    assert!(refused.is_err());
    assert_eq!(room.publish("next").number(), cursor.number() + 1);
    assert_eq!(take(&member, 1), ["next"]);
}

#[test]
fn members_read_as_events_with_the_gap_first() {
    use greenway_app::Request;
    use greenway_app::testing::Client;

    let room = Room::builder().history(2).queue(1).build();
    for n in 1..=3 {
        room.publish(n.to_string());
    }
    room.publish(bytes::Bytes::from_static(b"\xff"));
    let (entered, events) = (Queue::new(1), room.clone());
    let app = move |request: Request| {
        let since = Since::seen(crate::sse::last_event_id(&request));
        let member = events.join("Ada", since).unwrap();
        // Nobody reads yet, so the second of these puts it out, which ends the stream.
        for text in ["4", "5"] {
            events.publish(text);
        }
        eventually(|| member.is_evicted());
        entered.try_put(()).unwrap();
        member.into_events()
    };
    let reply = Client::new(app)
        .get("/")
        .header("last-event-id", "x-1")
        .send();
    let last = room.cursor().to_string();
    let epoch = last.split('-').next().unwrap();
    assert_eq!(
        reply.chunks()[1..],
        [
            "event: gap\ndata: \n\n".to_owned(),
            format!("id: {epoch}-3\ndata: 3\n\n"),
            format!("id: {epoch}-5\ndata: 4\n\n"),
        ]
    );
    assert!(room.is_empty());
}
