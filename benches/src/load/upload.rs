//! One client that uploads a file as a multipart form (RFC 7578) and holds no more of it than a
//! piece.
//!
//! The file is noise, as compressed pictures and archives are: a file of one letter would be kind
//! to whoever looks for the boundary in it. Everything is bounded by a time limit.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::lane::{now, thread_cpu};
use super::{LoadError, nanos};
use crate::probe::{self, Answer};

/// Bytes that are written at once.
const PIECE: usize = 256 << 10;
const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// What is uploaded, and where to.
#[derive(Debug, Clone)]
pub struct UploadJob {
    /// The server; must be in 127.0.0.0/8.
    pub target: SocketAddr,
    /// The path.
    pub path: &'static str,
    /// Bytes of the file.
    pub length: usize,
    /// The core that the client is pinned to.
    pub core: Option<usize>,
    /// How long all of it may take.
    pub limit: Duration,
}

/// What an upload has brought.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// What the server said.
    pub answer: Answer,
    /// From the first byte of the request to the last one of the answer.
    pub took: Duration,
    /// CPU time of the client.
    pub cpu: Duration,
}

/// Uploads a file.
///
/// # Errors
/// When the job is out of bounds, the connection breaks, or it takes longer than the limit.
pub fn run(job: &UploadJob, stop: fn() -> bool) -> Result<Uploaded, LoadError> {
    if !job.target.ip().is_loopback() {
        return Err(LoadError::Refused(
            "the target is not in 127.0.0.0/8".to_owned(),
        ));
    }
    // A thread of its own: servers that are started later must not inherit the core.
    std::thread::scope(|scope| {
        let client = scope.spawn(|| upload(job, stop));
        let uploaded = client.join();
        uploaded.map_err(|_| io::Error::other("the client panicked"))?
    })
}

fn upload(job: &UploadJob, stop: fn() -> bool) -> Result<Uploaded, LoadError> {
    if let Some(core) = job.core {
        let mut set = CpuSet::new();
        set.set(core);
        // A core that was taken away from us only costs precision.
        let _ = sched_setaffinity(None, &set);
    }
    let (start, piece) = (opening(job), noise(PIECE));
    let end = ending();
    let mut stream = TcpStream::connect(job.target)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(job.limit))?;
    stream.set_read_timeout(Some(job.limit))?;
    let (from, cpu) = (now(), thread_cpu());
    let mut write = |bytes: &[u8]| {
        if stop() {
            return Err(LoadError::Stopped);
        }
        if now() - from > nanos(job.limit) {
            let limit = job.limit.as_secs_f64();
            let why = format!("the upload was not taken within {limit:.0} s");
            return Err(LoadError::NotReady(why));
        }
        stream.write_all(bytes).map_err(LoadError::Io)
    };
    let mut sent = write(&start);
    let mut left = job.length;
    while left > 0 && sent.is_ok() {
        let bytes = left.min(PIECE);
        sent = write(&piece[..bytes]);
        left -= bytes;
    }
    let sent = sent.and_then(|()| write(&end));
    // A server that refuses an upload answers, and closes while we still write.
    let answer = probe::read_answer(&stream);
    let answer = match (sent, answer) {
        (Ok(()), answer) => answer?,
        (Err(LoadError::Io(_)), Ok(answer)) if answer.status >= 400 => answer,
        (Err(error), _) => return Err(error),
    };
    Ok(Uploaded {
        answer,
        took: Duration::from_nanos(now() - from),
        cpu: Duration::from_nanos(thread_cpu() - cpu),
    })
}

/// The head, a field, and what stands before the bytes of the file.
fn opening(job: &UploadJob) -> Vec<u8> {
    let before = form_opening(&[("title", "A long recording")], "recording.mkv");
    let length = before.len() + job.length + ending().len();
    let mut all = format!(
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\r\n",
        job.path,
        form_type()
    )
    .into_bytes();
    all.extend_from_slice(&before);
    all
}

/// The Content-Type of the forms that are made here.
pub(crate) fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A form with these fields and a file `file` of this name, up to the bytes of the file.
pub(crate) fn form_opening(fields: &[(&str, &str)], filename: &str) -> Vec<u8> {
    let mut form = String::new();
    for (name, value) in fields {
        form += &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    form += &format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"{filename}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    form.into_bytes()
}

/// What follows the bytes of the file.
pub(crate) fn ending() -> Vec<u8> {
    format!("\r\n--{BOUNDARY}--\r\n").into_bytes()
}

/// Bytes without a pattern, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    // Marsaglia's xorshift with any seed but 0.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(5);

    fn job(target: SocketAddr, length: usize) -> UploadJob {
        UploadJob {
            target,
            path: "/upload",
            length,
            core: None,
            limit: LIMIT,
        }
    }

    /// Reads so many bytes of a request, or less if it has less; answers with this.
    fn server(most: u64, answer: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"--\r\n") && (request.len() as u64) < most {
                let mut some = [0; 4096];
                let n = stream.read(&mut some).unwrap();
                request.extend_from_slice(&some[..n]);
            }
            stream.write_all(answer).unwrap();
            request
        });
        (address, server)
    }

    #[test]
    fn the_length_is_that_of_the_form() {
        let length = PIECE + 3;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n262147";
        let (address, server) = server(u64::MAX, answer);
        let uploaded = run(&job(address, length), || false).unwrap();
        assert_eq!(uploaded.answer.body, b"262147");
        let request = server.join().unwrap();
        let at = request.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(request[..at].to_vec()).unwrap();
        let declared = format!("Content-Length: {}\r\n", request.len() - at);
        assert!(head.contains(&declared), "{head}");
        let (body, end) = (&request[at..], ending());
        assert!(body.ends_with(&end));
        let file = &body[body.len() - end.len() - length..body.len() - end.len()];
        assert_eq!(file[..PIECE], noise(PIECE));
        assert_eq!(file[PIECE..], noise(3));
    }

    #[test]
    fn one_that_is_not_for_this_machine_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 80));
        let refused = run(&job(elsewhere, 1), || false);
        assert!(matches!(refused, Err(LoadError::Refused(_))));
        let (address, _server) = server(0, b"");
        let stopped = run(&job(address, 1), || true);
        assert!(matches!(stopped, Err(LoadError::Stopped)));
    }
}
