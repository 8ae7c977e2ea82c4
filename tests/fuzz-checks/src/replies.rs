//! A client that believes nothing: responses, parsed strictly.
//!
//! It shares no code with the server. Whatever a lenient client would let pass is a panic here.

/// What a server has written, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Replies {
    /// The final responses. Interim ones are checked and left out: whether `100 Continue` is said
    /// depends on how much of the body has come, and may.
    pub all: Vec<Reply>,
}

/// A final response.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// As a number.
    pub status: u16,
    /// Without its framing.
    pub body: Vec<u8>,
    /// It says that the connection ends with it.
    pub close: bool,
    /// The number that the application has put on it.
    pub call: Option<usize>,
    /// All is there that the head promises.
    pub complete: bool,
}

impl Replies {
    /// Takes `output` apart. `methods` are those of the requests, which say whether a response
    /// has a body.
    ///
    /// # Panics
    /// When a strict client could not read it.
    #[must_use]
    pub fn parse(output: &[u8], methods: &[&str]) -> Self {
        let mut rest = output;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let to_head = methods.get(all.len()) == Some(&"HEAD");
            all.extend(reply(&mut rest, to_head));
        }
        let whole = all.iter().rev().skip(1).all(|reply: &Reply| reply.complete);
        assert!(whole, "a response behind one that is not complete");
        Self { all }
    }

    /// As [`parse`](Self::parse), for output that may end anywhere: a head that is not complete is
    /// left out.
    pub(crate) fn parse_start(output: &[u8], methods: &[&str]) -> Self {
        let mut rest = output;
        let mut all = Vec::new();
        while find(rest, b"\r\n\r\n").is_some() {
            let to_head = methods.get(all.len()) == Some(&"HEAD");
            all.extend(reply(&mut rest, to_head));
        }
        Self { all }
    }

    /// Whether these are the first of `all`, the last one of them perhaps cut short.
    pub(crate) fn is_start_of(&self, all: &Self) -> bool {
        let Some((last, before)) = self.all.split_last() else {
            return true;
        };
        let Some(same) = all.all.get(before.len()) else {
            return false;
        };
        all.all.starts_with(before)
            && (last.status, last.close, last.call) == (same.status, same.close, same.call)
            && same.body.starts_with(&last.body)
    }
}

/// Takes one response off the front; `None` if it is an interim one.
fn reply(rest: &mut &[u8], to_head: bool) -> Option<Reply> {
    let head = Head::take(rest);
    let length = head.value("content-length");
    let coding = head.value("transfer-encoding");
    assert!(length.is_none() || coding.is_none(), "framed twice");
    let close = head.value("connection") == Some("close");
    if (100..200).contains(&head.status) {
        assert_eq!(head.status, 100, "no other interim response is sent");
        assert!(head.fields.is_empty(), "100 Continue has no fields");
        return None;
    }
    assert!(head.value("date").is_some(), "RFC 9110 section 6.6.1");
    let bodiless = to_head || matches!(head.status, 204 | 304);
    if head.status == 204 {
        assert!(length.is_none() && coding.is_none(), "RFC 9110 section 8.6");
    }
    let (body, complete) = match (length, coding) {
        _ if bodiless => (Vec::new(), true),
        (Some(length), _) => {
            let length: usize = length.parse().expect("digits");
            let here = length.min(rest.len());
            (take(rest, here).to_vec(), here == length)
        }
        (None, Some(coding)) => {
            assert_eq!((coding, head.minor), ("chunked", b'1'));
            chunks(rest)
        }
        (None, None) => {
            assert!(close, "a body without an end");
            (std::mem::take(rest).to_vec(), true)
        }
    };
    Some(Reply {
        status: head.status,
        body,
        close,
        call: head
            .value("x-call")
            .map(|text| text.parse().expect("digits")),
        complete,
    })
}

/// A chunked body, as far as it is there.
fn chunks(rest: &mut &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let line = take(rest, end + 2);
        let digits = str::from_utf8(&line[..end]).expect("ASCII");
        let size = usize::from_str_radix(digits, 16).expect("hexadecimal digits alone");
        let data = take(rest, size.min(rest.len()));
        body.extend_from_slice(data);
        if rest.len() < 2 {
            break;
        }
        assert_eq!(take(rest, 2), b"\r\n", "the end of a chunk");
        if size == 0 {
            return (body, true);
        }
    }
    *rest = &[];
    (body, false)
}

struct Head {
    status: u16,
    minor: u8,
    fields: Vec<(String, String)>,
}

impl Head {
    fn take(rest: &mut &[u8]) -> Self {
        let end = find(rest, b"\r\n\r\n").expect("a whole head") + 4;
        let text = str::from_utf8(take(rest, end)).expect("our heads are ASCII");
        let mut lines = text[..end - 4].split("\r\n");
        // `split` gives at least one part.
        let line = lines.next().expect("a status line");
        let (version, after) = line.split_at(8);
        assert!(matches!(version, "HTTP/1.0" | "HTTP/1.1"), "{line:?}");
        assert_eq!((&after[..1], &after[4..5]), (" ", " "), "{line:?}");
        let status = after[1..4].parse().expect("three digits");
        assert!((100..600).contains(&status));
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("name and value");
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'-';
            assert!(!name.is_empty() && name.bytes().all(plain), "{name:?}");
            assert!(!value.bytes().any(|b| b.is_ascii_control()), "{value:?}");
            (name.to_owned(), value.to_owned())
        });
        Self {
            status,
            minor: version.as_bytes()[7],
            fields: fields.collect(),
        }
    }

    /// The value of a field that may be there once.
    fn value(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        let value = found.next();
        assert!(found.next().is_none(), "{name} twice");
        value.map(|(_, value)| value.as_str())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(n);
    *rest = left;
    taken
}

/// The same bytes with every `Date` made equal.
pub(crate) fn mask_dates(output: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"\r\ndate: ";
    let mut masked = output.to_vec();
    let mut from = 0;
    while let Some(at) = find(&masked[from..], NAME) {
        let start = from + at + NAME.len();
        // IMF-fixdate always has 29 bytes (RFC 9110 section 5.6.7).
        let end = (start + 29).min(masked.len());
        masked[start..end].fill(b'#');
        from = end;
    }
    masked
}
