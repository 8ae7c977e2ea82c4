//! What clients begin a handshake with, byte by byte: for hellos that no library would send.

/// A ClientHello.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Such as `0x0303`, for TLS 1.2.
    pub version: u16,
    /// Cipher suites.
    pub suites: Vec<u16>,
    /// Ways of compression; 0 is none.
    pub compressions: Vec<u8>,
    /// Extensions, each with what is in it.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// One of TLS 1.2 that a server can do something with, if it speaks one of these suites.
    #[must_use]
    pub fn with_suites(suites: &[u16]) -> Self {
        Self {
            version: 0x0303,
            suites: suites.to_vec(),
            compressions: vec![0],
            extensions: vec![
                (0x000a, vec![0, 2, 0, 0x1d]),    // groups: x25519
                (0x000b, vec![1, 0]),             // points: uncompressed
                (0x000d, vec![0, 4, 4, 3, 8, 4]), // signatures: ECDSA, RSA-PSS
                (0x0017, vec![]),                 // extended master secret
                (0xff01, vec![0]),                // renegotiation is secure
            ],
        }
    }

    /// The message in a record.
    ///
    /// # Panics
    /// When it is too long for one.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([7; 32]); // the random
        body.push(0); // no session
        let suites: Vec<u8> = self.suites.iter().flat_map(|it| it.to_be_bytes()).collect();
        put(&mut body, 2, &suites);
        put(&mut body, 1, &self.compressions);
        let mut extensions = Vec::new();
        for (kind, content) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            put(&mut extensions, 2, content);
        }
        put(&mut body, 2, &extensions);
        let mut message = vec![1];
        put(&mut message, 3, &body);
        // Its own version stands for nothing: old servers want it to be old.
        let mut record = vec![22, 3, 1];
        put(&mut record, 2, &message);
        record
    }
}

/// Puts a length of so many bytes, and then what has it.
fn put(out: &mut Vec<u8>, bytes: usize, content: &[u8]) {
    let length = content.len().to_be_bytes();
    let (too_long, length) = length.split_at(length.len() - bytes);
    assert!(too_long.iter().all(|byte| *byte == 0), "too long");
    out.extend(length);
    out.extend(content);
}

/// What a server has answered to a [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A fatal alert of this number.
    Alert(u8),
    /// A ServerHello.
    Hello(ServerHello),
}

/// What a server has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The version, up to TLS 1.2.
    pub version: u16,
    /// The last bytes of the random, which tell of a downgrade (RFC 8446 section 4.1.3).
    pub downgrade: Vec<u8>,
    /// The cipher suite.
    pub suite: u16,
    /// The way of compression.
    pub compression: u8,
    /// The kinds of the extensions.
    pub extensions: Vec<u16>,
}

/// Reads the first record of a server; `None` while it is not whole.
///
/// # Panics
/// When it is neither of what a server may answer.
#[must_use]
pub fn answer(bytes: &[u8]) -> Option<Answer> {
    let [kind, _, _, high, low, rest @ ..] = bytes else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let content = rest.get(..length)?;
    let number = |at: usize| u16::from_be_bytes([content[at], content[at + 1]]);
    match (kind, content) {
        (21, [2, alert]) => Some(Answer::Alert(*alert)),
        (22, [2, ..]) => {
            let session = usize::from(content[38]);
            let after = 39 + session;
            let mut extensions = Vec::new();
            let mut at = after + 5;
            let end = content.len().min(4 + usize::from(number(2)));
            while at + 4 <= end {
                extensions.push(number(at));
                at += 4 + usize::from(number(at + 2));
            }
            Some(Answer::Hello(ServerHello {
                version: number(4),
                downgrade: content[30..38].to_vec(),
                suite: number(after),
                compression: content[after + 2],
                extensions,
            }))
        }
        other => panic!("neither an alert nor a hello: {other:?}"),
    }
}
