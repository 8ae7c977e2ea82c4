//! Streams whose chunks tell when they were yielded: how long a chunk takes from the handler
//! to the client.
//!
//! What must stay true: a chunk's time of arrival is taken right after the read that brought
//! it, and before anything is looked at; streams that end are asked for again, so that the
//! load stays the same; the loop ends at its limit.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hdrhistogram::Histogram;
use memchr::memchr;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::Timespec;

use super::frames::stamp;
use super::lane::{now, wall};
use super::{LoadError, empty_histogram, nanos};

/// Longest sleep: how late the end, or a stop, is noticed.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};
/// Longest line of a stream: chunks have 32 bytes, heads some hundred.
const MAX_LINE: usize = 4096;

/// Streams to be read.
#[derive(Debug, Clone)]
pub struct TickJob {
    /// The server; must be in 127.0.0.0/8.
    pub target: SocketAddr,
    /// Asks for a stream of `chunks` chunks.
    pub request: Vec<u8>,
    /// How many streams.
    pub streams: usize,
    /// Chunks of each stream.
    pub chunks: u64,
    /// Chunks of each stream that come before those whose latency counts.
    pub warmup: u64,
    /// When to give up.
    pub limit: Duration,
    /// The core that the one thread is pinned to.
    pub core: Option<usize>,
}

/// What came.
#[derive(Debug, Clone)]
pub struct Ticks {
    /// From a chunk's own time to its arrival, nanoseconds.
    pub latency: Histogram<u64>,
    /// From the first request to the last chunk.
    pub took: Duration,
}

/// Reads all streams to their ends, and calls `at_end` while their connections are open.
///
/// # Errors
/// When the job is out of bounds, a stream breaks, or not all chunks come in time.
pub fn run(
    job: &TickJob,
    stop: fn() -> bool,
    at_end: &mut dyn FnMut(),
) -> Result<Ticks, LoadError> {
    if !job.target.ip().is_loopback() || !(1..=1024).contains(&job.streams) {
        let why = "the target or the number of streams is out of bounds";
        return Err(LoadError::Refused(why.to_owned()));
    }
    // A thread of its own: servers that are started later must not inherit the core.
    let (ticks, streams) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(job, stop));
        let read = reader.join();
        read.map_err(|_| io::Error::other("the reader of the streams panicked"))?
    })?;
    at_end();
    drop(streams);
    Ok(ticks)
}

/// One stream and the line of it that has not ended.
#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    partial: Vec<u8>,
    chunks: u64,
}

fn read_all(job: &TickJob, stop: fn() -> bool) -> Result<(Ticks, Vec<Stream>), LoadError> {
    if let Some(core) = job.core {
        let mut set = CpuSet::new();
        set.set(core);
        // A core that was taken away from us only costs precision.
        let _ = sched_setaffinity(None, &set);
    }
    let poll = epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?;
    let (started, mut streams) = (now(), Vec::new());
    for index in 0..job.streams {
        let mut socket = TcpStream::connect(job.target)?;
        socket.set_nodelay(true)?;
        socket.write_all(&job.request)?;
        socket.set_nonblocking(true)?;
        let data = EventData::new_u64(index as u64);
        epoll::add(&poll, &socket, data, EventFlags::IN).map_err(io::Error::from)?;
        streams.push(Stream {
            socket,
            partial: Vec::new(),
            chunks: 0,
        });
    }
    let mut space = [MaybeUninit::<Event>::uninit(); 64];
    let mut latency = empty_histogram();
    let mut unfinished = job.streams;
    while unfinished > 0 {
        if stop() {
            return Err(LoadError::Stopped);
        }
        if now() - started > nanos(job.limit) {
            let came: u64 = streams.iter().map(|stream| stream.chunks).sum();
            return Err(LoadError::NotReady(format!(
                "only {came} of {} chunks came within {:.0} s",
                job.chunks * job.streams as u64,
                job.limit.as_secs_f64()
            )));
        }
        let (events, _) = match epoll::wait(&poll, &mut space[..], Some(&TICK)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(LoadError::Io(error.into())),
        };
        for event in events.iter() {
            let stream = &mut streams[event.data.u64() as usize];
            let before = stream.chunks;
            stream.take(job, &mut latency)?;
            unfinished -= usize::from(before < job.chunks && stream.chunks >= job.chunks);
        }
    }
    let took = Duration::from_nanos(now() - started);
    Ok((Ticks { latency, took }, streams))
}

impl Stream {
    /// Reads once, and counts the chunks that have ended.
    fn take(&mut self, job: &TickJob, latency: &mut Histogram<u64>) -> Result<(), LoadError> {
        let mut buffer = [0; 4096];
        let n = match self.socket.read(&mut buffer) {
            Ok(0) => return Err(LoadError::NotReady("the server closed a stream".to_owned())),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let arrived = wall();
        self.partial.extend_from_slice(&buffer[..n]);
        let mut used = 0;
        while let Some(end) = memchr(b'\n', &self.partial[used..]) {
            if let Some(yielded) = stamp(&self.partial[used..=used + end]) {
                self.chunks += 1;
                if self.chunks > job.warmup {
                    latency.saturating_record(arrived.saturating_sub(yielded).max(1));
                }
            }
            used += end + 1;
        }
        self.partial.drain(..used);
        if self.partial.len() > MAX_LINE {
            let why = "a line of a stream is longer than 4 KiB";
            return Err(LoadError::NotReady(why.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `chunks` on one connection, in writes that split lines anywhere.
    fn serve(chunks: u64) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            for _ in 0..chunks {
                let chunk = format!("20\r\nt={} \n\r\n", wall() - 1_000_000);
                let (left, right) = chunk.split_at(7);
                let _ = stream.write_all(left.as_bytes());
                let _ = stream.write_all(right.as_bytes());
            }
            // Until the client has gone.
            let _ = stream.read(&mut [0; 512]);
        });
        address
    }

    fn job(target: SocketAddr) -> TickJob {
        TickJob {
            target,
            request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            streams: 1,
            chunks: 30,
            warmup: 10,
            limit: Duration::from_secs(10),
            core: None,
        }
    }

    #[test]
    fn chunks_are_as_old_as_they_say() {
        let mut asked = false;
        let ticks = run(&job(serve(30)), || false, &mut || asked = true).unwrap();
        assert!(asked);
        assert_eq!(ticks.latency.len(), 20);
        // A millisecond old when they were sent, and the histogram has three digits.
        assert!(ticks.latency.min() >= 999_000, "{}", ticks.latency.min());
    }

    #[test]
    fn chunks_that_do_not_come_are_told() {
        let mut job = job(serve(5));
        job.limit = Duration::from_millis(50);
        let error = run(&job, || false, &mut || {}).unwrap_err().to_string();
        assert!(error.contains("only 5 of 30"), "{error}");
    }
}
