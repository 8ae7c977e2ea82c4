//! Messages that are made while others publish; and what is the application's in a message.

use super::*;
use crate::green::{Event, spawn};
use bytes::Bytes;
use std::sync::atomic::AtomicUsize;

#[test]
fn what_makes_a_message_may_wait_and_holds_up_nobody() {
    everywhere(|| {
        let room = Room::new();
        let member = room.join("Ada", Since::Now).unwrap();
        let start = room.cursor();
        let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let slow = {
            let (room, begun, go_on) = (room.clone(), begun.clone(), go_on.clone());
            spawn(move || {
                room.publish_with(|cursor| {
                    begun.set();
                    go_on.wait();
                    format!("slow {}", cursor.number())
                })
            })
        };
        begun.wait();
        assert_eq!(room.publish("quick").number(), 2);
        let nested = room.publish_with(|cursor| {
            assert_eq!((cursor.number(), room.publish("inner").number()), (3, 4));
            assert!(
                room.since(start.into()).messages.is_empty(),
                "in order only"
            );
            "outer"
        });
        assert_eq!(nested.number(), 3);
        assert_eq!(room.cursor(), start);
        go_on.set();
        assert_eq!(slow.join().unwrap().number(), 1);
        let expected = ["slow 1", "quick", "outer", "inner"];
        assert_eq!(take(&member, 4), expected);
        let news = room.wait_since(start.into(), LONG);
        assert_eq!(
            (texts(&news.messages), news.gap),
            (expected.map(String::from).to_vec(), false)
        );
        assert_eq!(news.cursor.number(), 4);
    });
}

#[test]
fn a_message_that_is_not_made_leaves_no_hole_to_wait_for() {
    everywhere(|| {
        let room = Room::new();
        let member = room.join("Ada", Since::Now).unwrap();
        let start = room.cursor();
        let fails = |behind: bool| {
            let make = |_| -> &str {
                if behind {
                    room.publish("behind it");
                }
                std::panic::resume_unwind(Box::new("as this test wants it"))
            };
            let made = catch_unwind(AssertUnwindSafe(|| room.publish_with(make)));
            assert!(made.is_err());
        };
        fails(false);
        assert_eq!(room.cursor(), start, "nobody has seen its place");
        fails(true);
        assert_eq!(room.publish("next").number(), 3);
        assert_eq!(take(&member, 2), ["behind it", "next"]);
        let news = room.since(start.into());
        assert_eq!(
            (texts(&news.messages), news.gap),
            (vec!["behind it".into(), "next".into()], false)
        );
    });
}

#[test]
fn publishing_waits_where_too_much_waits_for_a_message() {
    everywhere(|| {
        let room = Room::new();
        let start = room.cursor();
        let published = Arc::new(AtomicUsize::new(0));
        let mut others = None;
        room.publish_with(|_| {
            let (there, count) = (room.clone(), published.clone());
            others = Some(spawn(move || {
                for n in 0..300 {
                    there.publish(n.to_string());
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }));
            eventually(|| published.load(Ordering::SeqCst) == MOST_BEHIND - 1);
            sleep(Duration::from_millis(5));
            assert_eq!(published.load(Ordering::SeqCst), MOST_BEHIND - 1);
            "first"
        });
        others.expect("started above").join().unwrap();
        assert_eq!(room.cursor().number(), start.number() + 301);
    });
}

/// Bytes of the application's, whose destructor uses what they were kept in.
struct Owned {
    room: Room,
    member: Weak<Member>,
    gone: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _waiting = self.member.upgrade().map(|member| member.len());
        let _last = self.room.cursor();
        self.room.publish(Post::new("one is gone").passing());
        self.gone.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_bytes_of_a_message_are_dropped_under_no_lock() {
    let (done, wait) = std::sync::mpsc::channel();
    // On a thread that is left behind if it hangs.
    let _left_behind = on_worker(0, move || {
        for (history, queue) in [(2, None), (0, Some(2))] {
            let gone = Arc::new(AtomicUsize::new(0));
            let room = Room::builder().history(history);
            let room = room
                .queue(queue.unwrap_or(1))
                .slow(Slow::DropOldest)
                .build();
            let member = queue.map(|_| room.join("Ada", Since::Now).unwrap());
            let member = member.map(Arc::new);
            for _ in 0..20 {
                let owned = Owned {
                    room: room.clone(),
                    member: member.as_ref().map(Arc::downgrade).unwrap_or_default(),
                    gone: gone.clone(),
                };
                room.publish(Bytes::from_owner(owned));
                eventually(|| room.shared.delivery.is_idle());
            }
            eventually(|| gone.load(Ordering::SeqCst) >= 18);
        }
        done.send(()).unwrap();
    });
    assert!(wait.recv_timeout(LONG).is_ok(), "it waits for its own lock");
}
