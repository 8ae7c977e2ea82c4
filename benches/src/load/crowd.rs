//! Slow clients by the thousand, and what becomes of them: "Slowloris" in its three
//! forms. Each form keeps a different clock of the server from being reached by the
//! naive means (there is always a byte coming), so each must be cut by a clock that
//! does not start anew with every byte.
//!
//! What must stay true: a client that was cut stays cut (its age is the figure), all of
//! them act at the same pace but not in the same instant, and the crowd ends when it is
//! told to, when the last client was cut, or at its limit.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::Timespec;

use super::connect::{self, Receiver};
use super::lane::now;
use super::{LoadError, MAX_CONNECTIONS, nanos};

/// Handshakes in flight.
const CONNECTING: usize = 256;
/// How long a pass waits for events: the grain of the pace and of the ages.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};
/// Bytes that a slow reader takes at a time.
const SIP: usize = 64;

/// In which way clients are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The head comes byte by byte and never ends.
    Head,
    /// The head is complete; the body comes byte by byte.
    Body,
    /// A large response is taken in a few bytes at a time.
    Reader,
}

/// A crowd to be.
#[derive(Debug, Clone)]
pub struct CrowdJob {
    /// The server; must be in 127.0.0.0/8.
    pub target: SocketAddr,
    /// What they do.
    pub form: Form,
    /// The bytes that they send at once; the byte by byte comes after them.
    pub opening: Vec<u8>,
    /// How many (at most [`MAX_CONNECTIONS`]).
    pub clients: usize,
    /// Time over which they arrive, evenly: thousands in one instant would be a test of
    /// the server's backlog.
    pub ramp: Duration,
    /// The pause of a client between two bytes, or sips.
    pub pause: Duration,
    /// When those that are left are let go, counted from the start.
    pub limit: Duration,
    /// The core that the crowd's one thread is pinned to.
    pub core: Option<usize>,
}

/// What a crowd shows while it is there.
#[derive(Debug, Default)]
pub struct View {
    open: AtomicUsize,
    gone: AtomicUsize,
    leave: AtomicBool,
}

impl View {
    /// Clients that have been connected, those that were cut since included.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Clients that were cut.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.gone.load(Ordering::Relaxed)
    }

    /// Asks all that are left to leave.
    pub fn leave(&self) {
        self.leave.store(true, Ordering::Relaxed);
    }
}

/// What became of a crowd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fates {
    /// How old each client was when it was cut, in ascending order.
    pub ages: Vec<Duration>,
    /// With which status they were cut; 0 counts those that were told nothing.
    pub statuses: BTreeMap<u16, usize>,
    /// Clients that nobody cut.
    pub left: usize,
}

impl Fates {
    /// The status that most were told (0: none).
    #[must_use]
    pub fn usual_status(&self) -> Option<u16> {
        let most = self.statuses.iter().max_by_key(|(_, count)| **count)?;
        Some(*most.0)
    }
}

/// Lets the crowd in and watches it until nobody is left, `view` asks them to leave,
/// `stop` says `true`, or the limit is over.
///
/// # Errors
/// When the job is out of bounds or the kernel refuses what the crowd itself needs.
pub fn run(job: &CrowdJob, view: &View, stop: &dyn Fn() -> bool) -> Result<Fates, LoadError> {
    if !job.target.ip().is_loopback() || job.clients == 0 || job.clients > MAX_CONNECTIONS {
        return Err(LoadError::Refused(
            "a crowd needs a target in 127.0.0.0/8 and a bounded number of clients".to_owned(),
        ));
    }
    if let Some(core) = job.core {
        let mut set = CpuSet::new();
        set.set(core);
        // A core that was taken away from us only costs precision.
        let _ = sched_setaffinity(None, &set);
    }
    let mut crowd = Crowd {
        job,
        view,
        poll: epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?,
        clients: Vec::new(),
        connecting: 0,
        turns: VecDeque::new(),
        fates: Fates::default(),
    };
    let started = now();
    let mut space = [MaybeUninit::<Event>::uninit(); 512];
    while crowd.fates.ages.len() < job.clients
        && now() - started < nanos(job.limit)
        && !view.leave.load(Ordering::Relaxed)
        && !stop()
    {
        crowd.let_in(now() - started)?;
        let (events, _) = match epoll::wait(&crowd.poll, &mut space[..], Some(&TICK)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        for event in events.iter() {
            crowd.on_event(event.data.u64() as usize, event.flags)?;
        }
        crowd.act();
    }
    let mut fates = crowd.fates;
    fates.left = job.clients - fates.ages.len();
    fates.ages.sort_unstable();
    Ok(fates)
}

/// Never reused, so that an index names one client for ever.
struct Client {
    stream: Option<TcpStream>,
    /// When it was connected; 0 before.
    since: u64,
}

struct Crowd<'a> {
    job: &'a CrowdJob,
    view: &'a View,
    poll: std::os::fd::OwnedFd,
    clients: Vec<Client>,
    connecting: usize,
    /// When it is whose turn; in order, since all pause equally long.
    turns: VecDeque<(u64, usize)>,
    fates: Fates,
}

impl Crowd<'_> {
    fn let_in(&mut self, elapsed: u64) -> Result<(), LoadError> {
        let receiver = match self.job.form {
            Form::Head | Form::Body => Receiver::Eager,
            Form::Reader => Receiver::Small,
        };
        let part = (elapsed as f64 / nanos(self.job.ramp).max(1) as f64).min(1.0);
        let due = (self.job.clients as f64 * part).ceil() as usize;
        while self.connecting < CONNECTING && self.clients.len() < due {
            let stream = connect::open_as(self.job.target, receiver)?;
            let name = EventData::new_u64(self.clients.len() as u64);
            epoll::add(&self.poll, &stream, name, EventFlags::OUT).map_err(io::Error::from)?;
            self.clients.push(Client {
                stream: Some(stream),
                since: 0,
            });
            self.connecting += 1;
        }
        Ok(())
    }

    fn on_event(&mut self, index: usize, flags: EventFlags) -> Result<(), LoadError> {
        let client = &mut self.clients[index];
        let Some(stream) = client.stream.as_mut() else {
            return Ok(());
        };
        if client.since == 0 {
            self.connecting -= 1;
            // A new socket takes the few hundred bytes of an opening at once or is broken.
            if let Err(error) = stream.write_all(&self.job.opening) {
                return Err(LoadError::NotReady(format!(
                    "slow client {index} was not taken: {error}"
                )));
            }
            client.since = now();
            self.turns
                .push_back((client.since + nanos(self.job.pause), index));
            // A slow reader must not be told of what it does not want to read yet; that the
            // connection is gone is always told.
            let wanted = match self.job.form {
                Form::Head | Form::Body => EventFlags::IN,
                Form::Reader => EventFlags::empty(),
            };
            let name = EventData::new_u64(index as u64);
            epoll::modify(&self.poll, &*stream, name, wanted).map_err(io::Error::from)?;
            self.view.open.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) && self.job.form == Form::Reader {
            self.cut(index, 0);
        } else if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer) {
                Ok(n) => self.cut(index, status(&buffer[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.cut(index, 0),
            }
        }
        Ok(())
    }

    /// Everybody whose turn it is does as little as it can.
    fn act(&mut self) {
        let time = now();
        while let Some(&(due, index)) = self.turns.front() {
            if due > time {
                return;
            }
            self.turns.pop_front();
            let Some(stream) = self.clients[index].stream.as_mut() else {
                continue;
            };
            let done = match self.job.form {
                Form::Head | Form::Body => stream.write(b"x"),
                Form::Reader => match stream.read(&mut [0; SIP]) {
                    Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                    read => read,
                },
            };
            match done {
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    // An answer may have come just before the reset; it is read by then.
                    self.cut(index, 0);
                }
                _ => self.turns.push_back((due + nanos(self.job.pause), index)),
            }
        }
    }

    fn cut(&mut self, index: usize, status: u16) {
        let client = &mut self.clients[index];
        // Closing the descriptor takes it out of epoll.
        client.stream = None;
        let age = Duration::from_nanos(now().saturating_sub(client.since));
        self.fates.ages.push(age);
        *self.fates.statuses.entry(status).or_default() += 1;
        self.view.gone.fetch_add(1, Ordering::Relaxed);
    }
}

/// The status in the first bytes of an answer; 0 when that is not what they are.
fn status(bytes: &[u8]) -> u16 {
    let digits = bytes
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn job(target: SocketAddr, form: Form, opening: &[u8]) -> CrowdJob {
        CrowdJob {
            target,
            form,
            opening: opening.to_vec(),
            clients: 3,
            ramp: Duration::from_millis(10),
            pause: Duration::from_millis(20),
            limit: Duration::from_secs(5),
            core: None,
        }
    }

    /// Reads for a while from each of three clients, then does `last` to them.
    fn serve(
        patience: Duration,
        last: fn(&mut TcpStream),
    ) -> (SocketAddr, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            std::thread::sleep(patience);
            let taken = |stream: &mut TcpStream| {
                let mut bytes = vec![0; 4096];
                stream.set_nonblocking(true).unwrap();
                let n = stream.read(&mut bytes).unwrap_or(0);
                bytes.truncate(n);
                stream.set_nonblocking(false).unwrap();
                last(stream);
                bytes
            };
            streams.iter_mut().map(taken).collect()
        });
        (address, server)
    }

    #[test]
    fn bytes_drip_until_the_server_says_no() {
        let (address, server) = serve(Duration::from_millis(200), |stream| {
            stream.write_all(b"HTTP/1.1 408 Late\r\n\r\n").unwrap();
        });
        let view = View::default();
        let job = job(address, Form::Head, b"GET / HTTP/1.1\r\nX: ");
        let fates = run(&job, &view, &|| false).unwrap();
        assert_eq!((view.opened(), view.gone(), fates.left), (3, 3, 0));
        assert_eq!(fates.usual_status(), Some(408), "{fates:?}");
        assert!(fates.ages[0] >= Duration::from_millis(150), "{fates:?}");
        for bytes in server.join().unwrap() {
            let dripped = bytes.strip_prefix(b"GET / HTTP/1.1\r\nX: ").unwrap();
            assert!((2..=10).contains(&dripped.len()), "{}", dripped.len());
            assert!(dripped.iter().all(|&byte| byte == b'x'));
        }
    }

    #[test]
    fn a_slow_reader_leaves_the_server_with_its_response() {
        let (address, server) = serve(Duration::from_millis(100), |stream| {
            // More than the two kernels hold for a client that does not read.
            stream.set_nonblocking(true).unwrap();
            let taken = stream.write(&[7; 8 << 20]).unwrap_or(0);
            assert!(taken < 1 << 20, "{taken} bytes went out to a slow reader");
        });
        let job = job(address, Form::Reader, b"GET /bytes HTTP/1.1\r\n\r\n");
        let view = View::default();
        let limited = CrowdJob {
            limit: Duration::from_millis(600),
            ..job
        };
        let fates = run(&limited, &view, &|| false).unwrap();
        // Closed with bytes unsent: the reader cannot know before it has read them all.
        assert_eq!(fates.left, 3, "{fates:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_crowd_leaves_when_asked_and_stays_at_home() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let view = View::default();
        view.leave();
        let mut job = job(listener.local_addr().unwrap(), Form::Body, b"x");
        assert_eq!(run(&job, &view, &|| false).unwrap().left, 3);
        job.target = "192.0.2.1:80".parse().unwrap();
        assert!(matches!(
            run(&job, &View::default(), &|| false),
            Err(LoadError::Refused(_))
        ));
    }
}
