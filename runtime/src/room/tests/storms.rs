//! Many at once, from all kinds of threads.

use super::*;

/// Everybody publishes, reads, comes and goes at once, on two workers and on OS threads. Each
/// message reaches each member that stays, once and in one order.
#[test]
fn all_members_see_one_order() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 300;
    let room = Room::builder().queue(PUBLISHERS * EACH).build();
    let join = |name: &str| room.join(name, Since::Now).unwrap();
    let read = |member: Member| move || take(&member, PUBLISHERS * EACH);
    let green: Vec<_> = (0..6).map(|n| on_worker(n, read(join("green")))).collect();
    let os: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(read(join("os"))))
        .collect();
    let passers: Vec<_> = (0..4)
        .map(|n| {
            let room = room.clone();
            on_worker(n, move || {
                for _ in 0..100 {
                    let member = room.join("passer", Since::Now).unwrap();
                    let _whatever_came = member.next_timeout(Duration::from_micros(50));
                }
            })
        })
        .collect();
    let publish = |who: usize| {
        let room = room.clone();
        move || {
            for n in 0..EACH {
                room.publish(format!("{who}.{n}"));
            }
        }
    };
    let publishers: Vec<_> = (1..PUBLISHERS).map(|n| on_worker(n, publish(n))).collect();
    std::thread::spawn(publish(0)).join().unwrap();
    for thread in publishers.into_iter().chain(passers) {
        thread.join().unwrap();
    }

    let mut seen: Vec<_> = green.into_iter().map(|g| g.join().unwrap()).collect();
    seen.extend(os.into_iter().map(|thread| thread.join().unwrap()));
    let first = &seen[0];
    for other in &seen[1..] {
        assert!(other == first, "all in the same order");
    }
    for who in 0..PUBLISHERS {
        let own = first
            .iter()
            .filter(|text| text.starts_with(&format!("{who}.")));
        let expected: Vec<_> = (0..EACH).map(|n| format!("{who}.{n}")).collect();
        assert!(own.eq(&expected), "each once, in the order of who said it");
    }
    assert_eq!(room.stats().published, (PUBLISHERS * EACH) as u64);
    eventually(|| room.is_empty());
}

/// Clients that are cut again and again, and come back with the cursor of the last message that
/// they have: together they have seen everything.
#[test]
fn who_comes_back_with_a_cursor_has_missed_nothing() {
    const COUNT: usize = 2_000;
    let room = Room::builder().history(COUNT).queue(5).build();
    let start = room.cursor();
    let clients: Vec<_> = (0..4)
        .map(|worker| {
            let room = room.clone();
            on_worker(worker, move || {
                let (mut seen, mut last, mut times) = (Vec::new(), start, 0);
                while seen.len() < COUNT {
                    times += 1;
                    let member = room.join("Ada", last.into()).unwrap();
                    assert!(!member.gap());
                    // Reads a little and leaves; or is evicted, or all is said.
                    for _ in 0..1 + times % 40 {
                        let next = member.next_timeout(Duration::from_millis(20));
                        let Ok(Some(message)) = next else { break };
                        last = message.cursor();
                        seen.push(last.number());
                    }
                }
                seen
            })
        })
        .collect();
    let publisher = {
        let room = room.clone();
        on_worker(0, move || {
            for n in 0..COUNT {
                room.publish(n.to_string());
            }
        })
    };
    publisher.join().unwrap();
    for client in clients {
        let seen = client.join().unwrap();
        assert!(seen.into_iter().eq(1..=COUNT as u64));
    }
}

/// Polls race with messages; none is lost between two of them.
#[test]
fn polls_lose_nothing() {
    const COUNT: u64 = 1_000;
    let room = Room::builder().history(COUNT as usize).build();
    let start = room.cursor();
    let clients: Vec<_> = (0..6)
        .map(|worker| {
            let room = room.clone();
            on_worker(worker, move || {
                let (mut seen, mut last) = (Vec::new(), start);
                while seen.len() < COUNT as usize {
                    let news = room.poll(&worker.to_string(), last.into(), LONG).unwrap();
                    assert!(!news.gap && !news.messages.is_empty());
                    seen.extend(
                        news.messages
                            .iter()
                            .map(|message| message.cursor().number()),
                    );
                    last = news.cursor;
                }
                seen
            })
        })
        .collect();
    for n in 0..COUNT {
        room.publish(n.to_string());
    }
    for client in clients {
        assert!(client.join().unwrap().into_iter().eq(1..=COUNT));
    }
}
