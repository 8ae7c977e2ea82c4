//! Long polls.

use super::*;

#[test]
fn a_newcomer_does_not_wait_and_others_do() {
    everywhere(|| {
        let room = Room::new();
        let news = room.poll("Ada", Since::Start, LONG).unwrap();
        assert_eq!((news.messages.len(), news.gap), (0, false));
        let (asks, other) = (news.cursor, room.clone());
        let poll = on_worker(1, move || other.poll("Ada", asks.into(), LONG).unwrap());
        eventually(|| !lock(&room.shared.feed).waiting.is_empty());
        let cursor = room.publish("1");
        let news = poll.join().unwrap();
        assert_eq!(
            (texts(&news.messages), news.cursor),
            (vec!["1".into()], cursor)
        );
        assert!(lock(&room.shared.feed).waiting.is_empty());
    });
}

#[test]
fn what_was_said_between_two_polls_is_there_at_once() {
    everywhere(|| {
        let room = Room::builder().history(2).build();
        let start = room.cursor();
        room.publish("1");
        room.publish("2");
        let news = room.poll("Ada", start.into(), LONG).unwrap();
        assert_eq!(
            (texts(&news.messages), news.gap),
            (vec!["1".into(), "2".into()], false)
        );
        room.publish("3");
        let news = room.poll("Ada", start.into(), LONG).unwrap();
        assert_eq!(
            (texts(&news.messages), news.gap),
            (vec!["2".into(), "3".into()], true)
        );
        let other_run = Room::new().cursor();
        assert!(room.poll("Ada", other_run.into(), LONG).unwrap().gap);
    });
}

#[test]
fn a_poll_comes_back_empty_and_leaves_nothing_behind() {
    everywhere(|| {
        let room = Room::new();
        let soon = Duration::from_millis(5);
        for since in [Since::Now, room.cursor().into()] {
            let news = room.poll("Ada", since, soon).unwrap();
            assert!(news.messages.is_empty() && !news.gap);
            assert_eq!(news.cursor, room.cursor());
        }
        assert!(lock(&room.shared.feed).waiting.is_empty());
    });
}

#[test]
fn now_means_after_the_call() {
    let room = Room::new();
    room.publish("before");
    let other = room.clone();
    let poll = on_worker(0, move || other.wait_since(Since::Now, LONG));
    eventually(|| !lock(&room.shared.feed).waiting.is_empty());
    room.publish("after");
    assert_eq!(texts(&poll.join().unwrap().messages), ["after"]);
    assert!(room.is_empty(), "nobody has seen who asked");
}

#[test]
fn a_killed_poll_leaves_nothing_behind() {
    let room = Room::builder().linger(Duration::ZERO).build();
    let other = room.clone();
    let poll = on_worker(0, move || other.poll("Ada", Since::Now, LONG).map(drop));
    eventually(|| !lock(&room.shared.feed).waiting.is_empty());
    poll.kill();
    assert!(poll.join().is_err());
    assert!(lock(&room.shared.feed).waiting.is_empty());
    eventually(|| room.is_empty());
}
