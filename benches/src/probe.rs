//! Looking at a server from outside: CPU time and resident memory of its processes from
//! `/proc`, and single requests that must be answered in time.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest answer that a probe reads.
const MAX_ANSWER: u64 = 64 * 1024;

/// The processes of a process group: a server and the workers that it started.
///
/// # Errors
/// When there is no `/proc`.
pub fn group(leader: u32) -> io::Result<Vec<u32>> {
    let pids = fs::read_dir("/proc")?.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // One that has ended since is of no group.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (group_of(&stat)? == leader).then_some(pid)
    });
    Ok(pids.collect())
}

/// Field 5 of proc_pid_stat(5), of a process that still runs.
fn group_of(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let running = fields.next()? != "Z";
    fields.nth(1)?.parse().ok().filter(|_| running)
}

/// User and system time that the processes have used, all their threads together.
///
/// The kernel counts in ticks of (usually) 10 ms, which is the resolution.
///
/// # Errors
/// When one of them is gone.
pub fn cpu_time(pids: &[u32]) -> io::Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        ticks += cpu_ticks(&stat).ok_or_else(|| unreadable("stat"))?;
    }
    Ok(Duration::from_secs_f64(
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// Fields 14 and 15 of proc_pid_stat(5). The name (field 2) may hold spaces and
/// parentheses, so counting starts after the last one.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// CPU time that all programs of the machine, and the hypervisor, have used.
///
/// # Errors
/// When `/proc/stat` is not what proc_stat(5) says.
pub fn machine_cpu_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = machine_ticks(&stat).ok_or_else(|| unreadable("stat of the machine"))?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
    ))
}

/// user, nice, system, irq, softirq and steal; idle and iowait are the fourth and fifth.
fn machine_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .map(|&index| fields.get(index).copied());
    busy.sum()
}

/// Resident bytes of the processes (`smaps_rollup`: exact, unlike `statm`): `Rss` of one,
/// and of several `Pss`, which counts a page that they share once.
///
/// # Errors
/// When one of them is gone or may not be looked at.
pub fn resident(pids: &[u32]) -> io::Result<u64> {
    let field = if pids.len() > 1 { "Pss:" } else { "Rss:" };
    let mut bytes = 0;
    for pid in pids {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        bytes += rolled_up(&rollup, field).ok_or_else(|| unreadable("smaps_rollup"))?;
    }
    Ok(bytes)
}

/// From here on, [`peak`] counts anew.
///
/// # Errors
/// When a process is gone, or the kernel cannot (`/proc/PID/clear_refs`, proc_pid_clear_refs(5)).
pub fn forget_peak(pids: &[u32]) -> io::Result<()> {
    let reset = |pid| fs::write(format!("/proc/{pid}/clear_refs"), "5");
    pids.iter().try_for_each(reset)
}

/// The most bytes that were resident since the start, or since [`forget_peak`]: of several
/// processes the sum, which counts a page that they share several times.
///
/// # Errors
/// When one of them is gone.
pub fn peak(pids: &[u32]) -> io::Result<u64> {
    let mut bytes = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        bytes += rolled_up(&status, "VmHWM:").ok_or_else(|| unreadable("status"))?;
    }
    Ok(bytes)
}

fn rolled_up(rollup: &str, field: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Sockets that the processes have open: whatever a server says, this is what it holds.
///
/// # Errors
/// When one of them is gone or may not be looked at.
pub fn sockets(pids: &[u32]) -> io::Result<usize> {
    pids.iter().map(|&pid| sockets_of(pid)).sum()
}

fn sockets_of(pid: u32) -> io::Result<usize> {
    let all = fs::read_dir(format!("/proc/{pid}/fd"))?;
    // Other descriptors come and go with what a server makes lazily. One that was closed
    // since it was listed cannot be read any more.
    let is_socket = |entry: io::Result<fs::DirEntry>| {
        let target = entry.and_then(|entry| fs::read_link(entry.path()));
        target.is_ok_and(|target| {
            target
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(b"socket:")
        })
    };
    Ok(all.map(is_socket).filter(|&is_socket| is_socket).count())
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("cannot make sense of /proc/PID/{what}"),
    )
}

/// Waits until the processes use no CPU for two looks in a row, at most `limit`.
/// Returns whether they came to rest.
///
/// # Errors
/// When one of them is gone.
pub fn settle(pids: &[u32], limit: Duration) -> io::Result<bool> {
    let started = Instant::now();
    let (mut before, mut calm) = (cpu_time(pids)?, 0);
    while started.elapsed() < limit && !crate::stop::stopped() {
        std::thread::sleep(Duration::from_millis(60));
        let time = cpu_time(pids)?;
        calm = if time == before { calm + 1 } else { 0 };
        before = time;
        if calm == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One answer, as far as a probe cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; chunked bodies are not decoded.
    pub body: Vec<u8>,
}

/// Sends `GET target` on a new connection and reads the answer by its Content-Length.
///
/// # Errors
/// When there is no proper answer within `limit`.
pub fn get(address: SocketAddr, target: &str, limit: Duration) -> io::Result<Answer> {
    ask(address, &request(target, &[]), limit)
}

/// Sends a request on a new connection and reads the answer by its Content-Length.
///
/// # Errors
/// When there is no proper answer within `limit`.
pub fn ask(address: SocketAddr, request: &[u8], limit: Duration) -> io::Result<Answer> {
    let limit = limit.max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(request)?;
    read_answer(stream)
}

/// Reads an answer by its Content-Length.
///
/// # Errors
/// When it is no proper one, or reading fails.
pub fn read_answer(stream: impl Read) -> io::Result<Answer> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut lines = BufReader::new(stream.take(MAX_ANSWER));
    let (mut line, mut status, mut length) = (String::new(), None, None);
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(bad("the server closed before the head ended"));
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if status.is_none() {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let status = status.ok_or_else(|| bad("no status line"))?;
    let length = length.filter(|&length| length as u64 <= MAX_ANSWER);
    let mut body = vec![0; length.ok_or_else(|| bad("no Content-Length that is small enough"))?];
    lines.read_exact(&mut body)?;
    Ok(Answer { status, body })
}

/// A GET request as bytes; `fields` are header lines without their line ends.
#[must_use]
pub fn request(target: &str, fields: &[&str]) -> Vec<u8> {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A WebSocket's opening handshake (RFC 6455, 4.1), with the key of that section's example.
#[must_use]
pub fn upgrade(target: &str) -> Vec<u8> {
    let fields = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    request(target, &fields)
}

/// A POST request as bytes, with a body of `length` bytes.
#[must_use]
pub fn post(target: &str, length: usize) -> Vec<u8> {
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    request.resize(request.len() + length, b'x');
    request
}

/// A POST request as bytes, with a body of this type.
#[must_use]
pub fn post_typed(target: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A POST request in chunked transfer coding (RFC 9112, 7.1), in pieces of `piece` bytes.
#[must_use]
pub fn post_chunked(target: &str, length: usize, piece: usize) -> Vec<u8> {
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    let mut left = length;
    while left > 0 {
        let size = left.min(piece.max(1));
        request.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        request.resize(request.len() + size, b'x');
        request.extend_from_slice(b"\r\n");
        left -= size;
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_confuse_its_cpu_time() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 9 0 0 0 70 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(group_of(stat), Some(12));
        assert_eq!(group_of(&stat.replace(") S ", ") Z ")), None);
        assert_eq!(cpu_ticks("12 (a"), None);
    }

    #[test]
    fn idle_time_of_the_machine_is_not_counted() {
        let stat = "cpu  1 2 4 100 200 8 16 32 1000 1000\ncpu0 9 9 9 9\n";
        assert_eq!(machine_ticks(stat), Some(63));
        assert_eq!(machine_ticks("intr 1 2 3"), None);
        assert!(machine_cpu_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn resident_bytes_are_found() {
        let rollup = "55-66 ---p 0 [rollup]\nRss:    1024 kB\nPss: 3 kB\n";
        assert_eq!(rolled_up(rollup, "Rss:"), Some(1024 * 1024));
        assert_eq!(rolled_up(rollup, "Pss:"), Some(3 * 1024));
        assert_eq!(rolled_up("Pss: 3 kB\n", "Rss:"), None);
    }

    #[test]
    fn bodies_are_framed() {
        let head = b"POST /e HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nxxx";
        assert_eq!(post("/e", 3), head);
        let chunked = String::from_utf8(post_chunked("/e", 40, 32)).unwrap();
        let body = chunked.split_once("\r\n\r\n").unwrap().1;
        let wanted = format!("20\r\n{}\r\n8\r\nxxxxxxxx\r\n0\r\n\r\n", "x".repeat(32));
        assert_eq!(body, wanted);
    }

    #[test]
    fn our_own_process_can_be_read() {
        let pid = [std::process::id()];
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(sockets(&pid).unwrap() >= 1);
        assert!(resident(&pid).unwrap() > 100_000);
        forget_peak(&pid).unwrap();
        assert!(peak(&pid).unwrap() > 100_000);
        let before = cpu_time(&pid).unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(80) {
            std::hint::black_box(started);
        }
        // Other threads of the test process only add to it.
        assert!(cpu_time(&pid).unwrap() > before);
    }

    #[test]
    fn a_probe_reads_one_answer_and_gives_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 512];
            let n = stream.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            stream
                .write_all(b"HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\nnono")
                .unwrap();
            listener
        });
        let answer = get(address, "/x", Duration::from_secs(5)).unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 404,
                body: b"non".to_vec()
            }
        );
        // Nobody accepts now, but the backlog takes the connection.
        let _listener = server.join().unwrap();
        let started = Instant::now();
        assert!(get(address, "/", Duration::from_millis(50)).is_err());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
