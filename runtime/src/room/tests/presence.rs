//! Who is there, and who is told so.

use super::*;
use crate::green::Queue;

/// A room that notes who comes and goes: `+Ada`, `-Ada`.
fn noted(builder: RoomBuilder) -> (Room, Queue<String>) {
    let notes = Queue::new(1000);
    let log = notes.clone();
    let room = builder
        .on_change(move |_, change| {
            let note = match change {
                Change::Joined(who) => format!("+{}", who.name),
                Change::Left(who) => format!("-{}", who.name),
            };
            log.try_put(note).unwrap();
        })
        .build();
    (room, notes)
}

fn next(notes: &Queue<String>) -> String {
    notes.get_timeout(LONG).unwrap().unwrap()
}

#[test]
fn members_are_there_from_join_to_drop() {
    everywhere(|| {
        let (room, notes) = noted(Room::builder());
        let ada = room.join("Ada", Since::Now).unwrap();
        let grace = room.join("Grace", Since::Now).unwrap();
        let again = room.join("Ada", Since::Now).unwrap();
        let names: Vec<_> = room.members().iter().map(|p| p.name.to_string()).collect();
        assert_eq!(names, ["Ada", "Grace", "Ada"]);
        assert_eq!(room.members()[1], *grace.presence());
        drop(ada);
        assert_eq!(room.len(), 2);
        drop((grace, again));
        let notes: Vec<_> = (0..6).map(|_| next(&notes)).collect();
        assert_eq!(notes, ["+Ada", "+Grace", "+Ada", "-Ada", "-Grace", "-Ada"]);
    });
}

#[test]
fn a_client_that_polls_stays_for_a_while() {
    everywhere(|| {
        let (room, notes) = noted(Room::builder().linger(Duration::from_millis(30)));
        let soon = Duration::from_millis(1);
        for _ in 0..20 {
            // Together longer than it would linger after one of them.
            room.poll("Ada", Since::Now, 3 * soon).unwrap();
            assert_eq!(room.len(), 1);
        }
        assert_eq!(room.members()[0].via, Via::Poll);
        assert_eq!(next(&notes), "+Ada");
        assert_eq!(next(&notes), "-Ada", "and there was nothing in between");
        assert!(room.is_empty());
        // It can come again, and somebody looks after it again.
        room.poll("Ada", Since::Now, soon).unwrap();
        assert_eq!(next(&notes), "+Ada");
        assert_eq!(next(&notes), "-Ada");
        eventually(|| !lock(&room.shared.feed).waiting.contains_key(&0) && room.is_empty());
    });
}

#[test]
fn polls_of_one_name_are_one_member() {
    let (room, notes) = noted(Room::builder().linger(Duration::ZERO));
    let polls: Vec<_> = (0..5)
        .map(|worker| {
            let room = room.clone();
            on_worker(worker, move || {
                room.poll("Ada", Since::Now, LONG).unwrap().messages.len()
            })
        })
        .collect();
    eventually(|| lock(&room.shared.feed).waiting.len() == 5);
    assert_eq!(room.len(), 1);
    room.publish("1");
    for poll in polls {
        assert_eq!(poll.join().unwrap(), 1);
    }
    assert_eq!((next(&notes), next(&notes)), ("+Ada".into(), "-Ada".into()));
    assert!(notes.is_empty());
}

#[test]
fn a_room_has_a_bound() {
    let room = Room::builder().capacity(2).build();
    let ada = room.join("Ada", Since::Now).unwrap();
    room.poll("Grace", Since::Start, LONG).unwrap();
    assert_eq!(room.join("Edsger", Since::Now).unwrap_err(), RoomFull);
    assert_eq!(
        room.poll("Edsger", Since::Start, LONG).unwrap_err(),
        RoomFull
    );
    assert!(
        room.poll("Grace", Since::Start, LONG).is_ok(),
        "she is there"
    );
    drop(ada);
    assert!(room.join("Edsger", Since::Now).is_ok());
    let error = greenway_app::HttpError::from(RoomFull);
    assert_eq!(error.status(), 503);
    assert!(error.headers().contains_key("retry-after"));
}

#[test]
fn a_hook_may_publish_and_may_fail() {
    everywhere(|| {
        let room = Room::builder()
            .on_change(|room, change| match change {
                Change::Joined(who) => {
                    room.publish(Post::new(format!("{} is here", who.name)).passing());
                }
                Change::Left(_) => std::panic::resume_unwind(Box::new("a bug")),
            })
            .build();
        let ada = room.join("Ada", Since::Now).unwrap();
        drop(room.join("Grace", Since::Now).unwrap());
        assert_eq!(take(&ada, 2), ["Ada is here", "Grace is here"]);
        assert_eq!(room.len(), 1);
    });
}

#[test]
fn a_room_that_nobody_holds_is_gone_with_its_sweeper() {
    let room = Room::builder().linger(LONG * 100).build();
    room.poll("Ada", Since::Start, LONG).unwrap();
    let weak = Arc::downgrade(&room.shared);
    drop(room);
    // The sweeper, which is asleep for hours, does not hold it.
    eventually(|| weak.strong_count() == 0);
}
