//! Every way a body can end, and that its producer is dropped once on each.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Counts its drops. Not `Send`, as producers may be.
struct Witness(Rc<Cell<u32>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn witness() -> (Witness, Rc<Cell<u32>>) {
    let drops = Rc::new(Cell::new(0));
    (Witness(Rc::clone(&drops)), drops)
}

/// Records; fails from the given chunk on, and panics if used after that.
#[derive(Default)]
struct Probe {
    chunks: Vec<Bytes>,
    starts: u32,
    capacity: Option<usize>,
    failed: bool,
}

impl Sink for Probe {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        assert!(!chunk.is_empty(), "an empty chunk reached the sink");
        assert!(!self.failed, "a chunk after the failure reached the sink");
        if self.capacity == Some(self.chunks.len()) {
            self.failed = true;
            return Err(BodyError::gone());
        }
        self.chunks.push(chunk);
        Ok(())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        assert!(!self.failed, "a start after the failure reached the sink");
        self.starts += 1;
        Ok(())
    }
}

fn small() -> Probe {
    Probe {
        capacity: Some(1),
        ..Probe::default()
    }
}

/// A stream that owns a witness, says three things and ends as told.
fn stream(witness: Witness, end: fn() -> Result<(), BodyError>) -> Body {
    Body::stream(move |out| {
        let _held = &witness;
        out.send("one")?;
        out.send("two")?;
        end()
    })
}

/// An iterator that owns a witness and never ends by itself.
fn endless(witness: Witness) -> impl Iterator<Item = &'static str> {
    std::iter::repeat_with(move || {
        let _held = &witness;
        "again"
    })
}

#[test]
fn dropped_once_at_the_end() {
    let (guard, drops) = witness();
    let mut probe = Probe::default();
    stream(guard, || Ok(())).send_to(&mut probe).unwrap();
    assert_eq!(probe.chunks, ["one", "two"]);
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    Body::iter(endless(guard).take(2))
        .send_to(&mut Probe::default())
        .unwrap();
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropped_once_on_an_error() {
    let (guard, drops) = witness();
    let result = stream(guard, || Err(BodyError::new("odd"))).send_to(&mut Probe::default());
    assert_eq!(result.unwrap_err().to_string(), "odd");
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    let mut probe = Probe::default();
    let items = endless(guard)
        .map(Ok)
        .take(1)
        .chain([Err(io::Error::other("disk")), Ok("never")]);
    let error = Body::iter(items).send_to(&mut probe).unwrap_err();
    assert_eq!(error.to_string(), "disk");
    assert_eq!(probe.chunks, ["again"]);
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropped_once_on_a_panic() {
    let (guard, drops) = witness();
    let body = stream(guard, || std::panic::resume_unwind(Box::new("boom")));
    let body = body.map_chunks(|chunk| chunk);
    let mut probe = Probe::default();
    let payload = catch_unwind(AssertUnwindSafe(|| body.send_to(&mut probe))).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(probe.chunks, ["one", "two"]);
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropped_once_when_the_sink_fails() {
    let (guard, drops) = witness();
    assert!(
        stream(guard, || Ok(()))
            .send_to(&mut small())
            .unwrap_err()
            .is_gone()
    );
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    assert!(
        Body::iter(endless(guard))
            .send_to(&mut small())
            .unwrap_err()
            .is_gone()
    );
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    let body = Body::iter(endless(guard)).map_chunks(|chunk| chunk);
    assert!(body.send_to(&mut small()).unwrap_err().is_gone());
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropped_once_when_never_driven() {
    let (guard, drops) = witness();
    let body = stream(guard, || Ok(()));
    assert_eq!(drops.get(), 0);
    drop(body.map_chunks(|chunk| chunk));
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    drop(Body::iter(endless(guard)));
    assert_eq!(drops.get(), 1);

    let (guard, drops) = witness();
    let body = stream(guard, || Ok(())).into_full().unwrap_err();
    assert_eq!(drops.get(), 0, "into_full gives a stream back unharmed");
    drop(body);
    assert_eq!(drops.get(), 1);
}

#[test]
fn chunks_leave_one_by_one() {
    // The producer sees its chunk in the sink before it makes the next one.
    let seen: Rc<RefCell<Vec<usize>>> = Rc::default();
    let sent = Rc::new(Cell::new(0));
    struct Counting(Rc<Cell<usize>>);
    impl Sink for Counting {
        fn send(&mut self, _: Bytes) -> Result<(), BodyError> {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
        fn start(&mut self) -> Result<(), BodyError> {
            Ok(())
        }
    }
    let (log, count) = (Rc::clone(&seen), Rc::clone(&sent));
    let body = Body::iter((0..3).map(move |_| {
        log.borrow_mut().push(count.get());
        "x"
    }));
    body.send_to(&mut Counting(sent)).unwrap();
    assert_eq!(*seen.borrow(), [0, 1, 2]);
}

#[test]
fn empty_chunks_are_nothing_yet() {
    let mut probe = Probe::default();
    Body::iter(["", "a", "", "b", ""])
        .send_to(&mut probe)
        .unwrap();
    assert_eq!(probe.chunks, ["a", "b"]);

    let mut probe = Probe::default();
    let blank = Body::iter(["a", "b"]).map_chunks(|c| if c == "a" { Bytes::new() } else { c });
    blank.send_to(&mut probe).unwrap();
    assert_eq!(probe.chunks, ["b"]);

    let mut probe = Probe::default();
    Body::full("").send_to(&mut probe).unwrap();
    Body::empty().send_to(&mut probe).unwrap();
    assert!(probe.chunks.is_empty());
}

#[test]
fn a_producer_cannot_hide_that_the_client_left() {
    let body = Body::stream(|out| {
        for _ in 0..5 {
            let _ = out.send("x");
            let _ = out.start();
        }
        Ok(())
    });
    assert!(body.send_to(&mut small()).unwrap_err().is_gone());

    struct Broken;
    impl Sink for Broken {
        fn send(&mut self, _: Bytes) -> Result<(), BodyError> {
            Err(BodyError::new("full disk"))
        }
        fn start(&mut self) -> Result<(), BodyError> {
            Ok(())
        }
    }
    let body = Body::stream(|out| {
        let _ = out.send("x");
        Ok(())
    });
    assert!(!body.send_to(&mut Broken).unwrap_err().is_gone());
}

#[test]
fn start_reaches_the_sink_through_maps() {
    let mut probe = Probe::default();
    let body = Body::stream(|out| {
        out.start()?;
        out.send("late")
    });
    body.map_chunks(|chunk| chunk).send_to(&mut probe).unwrap();
    assert_eq!(probe.starts, 1);
}

#[test]
fn a_head_may_go_first() {
    let mut probe = Probe::default();
    let body = Body::empty().head_first();
    assert_eq!(body.length(), None);
    body.send_to(&mut probe).unwrap();
    assert_eq!((probe.starts, probe.chunks.len()), (1, 0));

    let (witness, drops) = witness();
    let body = stream(witness, || Ok(())).head_first();
    assert!(body.send_to(&mut small()).unwrap_err().is_gone());
    assert_eq!(drops.get(), 1);

    let mut probe = Probe::default();
    Body::full("x").head_first().send_to(&mut probe).unwrap();
    assert_eq!((probe.starts, probe.chunks.concat()), (1, b"x".to_vec()));
}

#[test]
fn lengths() {
    assert_eq!(Body::empty().length(), Some(0));
    assert_eq!(Body::default().length(), Some(0));
    assert_eq!(Body::full("abc").length(), Some(3));
    assert_eq!(Body::iter(["abc"]).length(), None);
    assert_eq!(Body::from_reader(io::empty(), Some(7)).length(), Some(7));
    assert_eq!(Body::from_reader(io::empty(), None).length(), None);
    assert_eq!(Body::full("abc").map_chunks(|c| c).length(), None);
    assert!(Body::full("").is_empty() && Body::full("").is_full());
    assert!(!Body::iter([""]).is_empty() && !Body::iter([""]).is_full());
}

#[test]
fn the_fast_path_takes_bytes_out() {
    let mut body = Body::full("abc");
    assert_eq!(body.take_full().unwrap(), "abc");
    assert!(body.is_empty());
    assert_eq!(body.take_full().unwrap(), "");
    let mut stream = Body::iter(["abc"]);
    assert!(stream.take_full().is_none());
    let mut probe = Probe::default();
    stream.send_to(&mut probe).unwrap();
    assert_eq!(
        probe.chunks,
        ["abc"],
        "a refused take leaves the stream whole"
    );
}

#[test]
fn out_is_a_writer() {
    let mut probe = Probe::default();
    Body::stream(|out| Ok(write!(out, "{}-{}", 1, 2)?))
        .send_to(&mut probe)
        .unwrap();
    assert_eq!(probe.chunks.concat(), b"1-2");

    let error = Body::stream(|out| {
        out.write_all(b"one")?;
        out.write_all(b"two")?;
        Ok(())
    });
    assert!(
        error.send_to(&mut small()).unwrap_err().is_gone(),
        "also through io::Error"
    );
}

/// Gives at most `step` bytes per read, with interruptions.
struct Slow {
    left: usize,
    step: usize,
    interrupt: bool,
}

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = self.step.min(buf.len()).min(self.left);
        buf[..n].fill(b'x');
        self.left -= n;
        Ok(n)
    }
}

#[test]
fn readers_come_in_bounded_chunks() {
    for (size, step) in [
        (0, 1),
        (1, 1),
        (200_000, 200_000),
        (70_000, 33),
        (65_536, 65_536),
    ] {
        for length in [None, Some(size as u64)] {
            let mut probe = Probe::default();
            let reader = Slow {
                left: size,
                step,
                interrupt: false,
            };
            Body::from_reader(reader, length)
                .send_to(&mut probe)
                .unwrap();
            assert!(probe.chunks.iter().all(|chunk| chunk.len() <= 64 * 1024));
            let all = probe.chunks.concat();
            assert_eq!(all.len(), size, "step {step}, length {length:?}");
            assert!(all.iter().all(|&b| b == b'x'));
        }
    }
}

#[test]
fn a_declared_length_is_kept() {
    let mut probe = Probe::default();
    Body::from_reader(&b"abcdef"[..], Some(4))
        .send_to(&mut probe)
        .unwrap();
    assert_eq!(probe.chunks, ["abcd"]);

    let mut probe = Probe::default();
    let error = Body::from_reader(&b"ab"[..], Some(4))
        .send_to(&mut probe)
        .unwrap_err();
    let kind = error.downcast_ref::<io::Error>().unwrap().kind();
    assert_eq!(kind, io::ErrorKind::UnexpectedEof);
    assert_eq!(probe.chunks, ["ab"]);
}

#[test]
fn a_reader_is_dropped_with_its_body() {
    struct Guarded(Witness);
    impl Read for Guarded {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let _held = &self.0;
            buf.fill(b'x');
            Ok(buf.len())
        }
    }
    let (guard, drops) = witness();
    let body = Body::from_reader(Guarded(guard), None);
    assert!(body.send_to(&mut small()).unwrap_err().is_gone());
    assert_eq!(drops.get(), 1);
}

#[test]
fn debug_shows_the_kind() {
    assert_eq!(format!("{:?}", Body::full("abc")), "Body::Full(3 bytes)");
    assert_eq!(format!("{:?}", Body::empty()), "Body::Empty");
    assert_eq!(format!("{:?}", Body::iter(["a"])), "Body::Stream");
    assert_eq!(
        format!("{:?}", Body::from_reader(io::empty(), Some(3))),
        "Body::Stream(3 bytes)"
    );
}

/// A server that can send files, in bites; what it was offered.
struct Sendfile {
    bite: u64,
    bytes: Vec<u8>,
    offers: Vec<u64>,
}

impl Sink for Sendfile {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    fn send_file(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        self.offers.push(length);
        let n = file
            .take(length.min(self.bite))
            .read_to_end(&mut self.bytes)?;
        Ok(n as u64)
    }
}

/// A file of 200,000 bytes that has no name any more, and its bytes.
fn some_file() -> (File, Vec<u8>) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at / 7) as u8).collect();
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gw-body-{}-{number}", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    (file, bytes)
}

#[test]
fn files_are_offered_to_servers_that_can_send_them() {
    // What of 200,000 bytes needs no waiting each time; a chunk of 64 KiB in between.
    for (bite, offers) in [
        (0, &[200_000, 134_464, 68_928][..]),
        (50_000, &[200_000, 84_464]),
        (1 << 20, &[200_000]),
    ] {
        let (file, bytes) = some_file();
        let mut sink = Sendfile {
            bite,
            bytes: Vec::new(),
            offers: Vec::new(),
        };
        let body = Body::from_reader(file, Some(200_000));
        body.send_to(&mut sink).unwrap();
        assert!(sink.bytes == bytes, "other bytes with bites of {bite}");
        assert_eq!(sink.offers, offers, "with bites of {bite}");
    }
    let (file, bytes) = some_file();
    let mut probe = Probe::default();
    let body = Body::from_reader(file, Some(200_000));
    body.send_to(&mut probe).unwrap();
    assert!(probe.chunks.concat() == bytes, "a server that cannot");
}

#[test]
fn a_file_that_is_too_short_is_an_error() {
    let (file, bytes) = some_file();
    let mut sink = Sendfile {
        bite: 1 << 20,
        bytes: Vec::new(),
        offers: Vec::new(),
    };
    let body = Body::from_reader(file, Some(300_000));
    let error = body.send_to(&mut sink).unwrap_err().into_io();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(sink.bytes == bytes);
}

#[test]
fn a_whole_body_may_go_to_another_thread() {
    fn sendable(body: Body) -> impl Send + Into<Body> {
        body.into_whole().unwrap()
    }
    let there: Body = sendable(Body::full("abc")).into();
    assert_eq!(there.into_full().unwrap(), "abc");
    let error = crate::IntoResponse::into_response(HttpError::new(404, "none"));
    let there: Body = sendable(error.into_parts().1).into();
    assert_eq!(there.error().unwrap().status(), 404);
    let empty: Body = sendable(Body::empty()).into();
    assert!(empty.is_empty());
    assert!(Body::iter(["a"]).into_whole().is_err());
}
