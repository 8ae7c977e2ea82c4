//! Multipart forms: the parser against a second one, which sees the whole form at once.

use crate::Cuts;
use greenway_app::forms::Multipart;
use greenway_app::{HttpError, Limits};
use std::io::{self, Read};

/// What the parts hold, or the status that the form is refused with.
type Parts = Result<Vec<Vec<u8>>, u16>;

/// Reads a form whose boundary is `b`.
pub(crate) fn check(cuts: Cuts, body: &[u8]) {
    let whole = read(Cuts::NONE, body);
    assert_eq!(whole, read(cuts, body), "the cuts matter");
    assert_eq!(whole, read(Cuts(0), body), "not the same byte by byte");
    match &whole {
        // The other one does not look into the headers, so it takes more.
        Ok(parts) => assert_eq!(Some(parts), reference(body).as_ref()),
        Err(status) => assert!([400, 413, 415, 431].contains(status), "{status}"),
    }
}

fn read(cuts: Cuts, body: &[u8]) -> Parts {
    let content_type = "multipart/form-data; boundary=b";
    let reader = Pieces {
        left: body,
        cuts,
        reads: 0,
    };
    let status = |error: HttpError| error.status().as_u16();
    let mut form =
        Multipart::new(reader, content_type, &Limits::default()).expect("the boundary is allowed");
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().map_err(status)? {
        // No name of a client's becomes a path.
        let name = part.filename();
        assert!(!name.starts_with('.') && !name.contains(['/', '\\', '\0']));
        parts.push(part.read_all(usize::MAX).map_err(status)?);
    }
    Ok(parts)
}

struct Pieces<'a> {
    left: &'a [u8],
    cuts: Cuts,
    reads: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.cuts.size(self.reads).min(out.len());
        self.reads += 1;
        let n = self.left.len().min(size);
        let (piece, left) = self.left.split_at(n);
        out[..n].copy_from_slice(piece);
        self.left = left;
        Ok(n)
    }
}

/// The second parser. `None` if the form has no end.
fn reference(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = [b"\r\n", body].concat();
    let mut parts = Vec::new();
    let (_, mut line) = delimiter(&text, 0)?;
    loop {
        let Line::Next(after) = line else {
            return Some(parts);
        };
        let blank = after + find(&text[after..], b"\r\n\r\n")?;
        // The second line end of the blank line may be the first of the delimiter.
        let (at, next) = delimiter(&text, blank + 2)?;
        parts.push(text[at.min(blank + 4)..at].to_vec());
        line = next;
    }
}

enum Line {
    Next(usize),
    Last,
}

/// The next delimiter from `from` on, and where its line ends.
fn delimiter(text: &[u8], from: usize) -> Option<(usize, Line)> {
    let mut at = from;
    loop {
        at += find(&text[at..], b"\r\n--b")?;
        let rest = &text[at + 5..];
        let (last, rest) = match rest.strip_prefix(b"--") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let spaces = rest.iter().take_while(|b| b" \t".contains(b)).count();
        let rest = &rest[spaces..];
        if spaces <= 128 && (rest.starts_with(b"\r\n") || (last && rest.is_empty())) {
            let line = if last {
                Line::Last
            } else {
                Line::Next(text.len() - rest.len() + 2)
            };
            return Some((at, line));
        }
        at += 5;
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
