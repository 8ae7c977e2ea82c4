//! permessage-deflate (RFC 7692): what is offered and what is agreed on.
//!
//! `tungstenite` does not speak this extension, so it is written here, on `flate2`: `compress` and
//! `inflate` treat the messages of each direction, and `pool` keeps their compressors.

mod compress;
mod inflate;
mod pool;

pub(super) use self::compress::Deflater;
pub(super) use self::inflate::Inflater;
pub use self::pool::{CompressorPool, LendPool};

use super::extensions::Extension;

/// The name of the extension.
const NAME: &str = "permessage-deflate";

/// The smallest window that zlib compresses with. The RFC has one of 8 bits, too.
pub const MIN_WINDOW_BITS: u8 = 9;
/// The largest window, 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

/// Compression of messages, permessage-deflate (RFC 7692). Off unless it is asked for.
///
/// As it comes, each message is compressed by itself, by a compressor that all sockets of a
/// worker share: an idle socket costs nothing. With *context takeover* messages refer to those
/// before them, which makes small ones that are alike much smaller, and each socket keeps memory
/// for it: a server 330 KB for its own messages (220 KB in windows of 12 bits or fewer), and 50 KB
/// for the client's.
///
/// Whatever is agreed on, an incoming message is inflated no further than the limit for messages.
/// Compression and secrets do not mix: who can make a server send text of their own next to a
/// secret can learn the secret from the lengths.
///
/// ```
/// use greenway_proto::websocket::Deflate;
///
/// // Small and alike: worth a context for each socket, in a window of 4 KiB.
/// let deflate = Deflate::new()
///     .server_context_takeover(true)
///     .server_window_bits(12);
/// assert_ne!(deflate, Deflate::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deflate {
    server_takeover: bool,
    client_takeover: bool,
    server_bits: u8,
    client_bits: u8,
    level: u32,
    threshold: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflate {
    /// No context takeover in either direction, windows of 15 bits, level 6, nothing below 64
    /// bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_takeover: false,
            client_takeover: false,
            server_bits: MAX_WINDOW_BITS,
            client_bits: MAX_WINDOW_BITS,
            level: 6,
            threshold: 64,
        }
    }

    /// Whether the server's messages may refer to earlier ones. The client can still forbid it.
    #[must_use]
    pub const fn server_context_takeover(mut self, on: bool) -> Self {
        self.server_takeover = on;
        self
    }

    /// Whether the client's messages may refer to earlier ones.
    #[must_use]
    pub const fn client_context_takeover(mut self, on: bool) -> Self {
        self.client_takeover = on;
        self
    }

    /// How far back the server's messages refer at most: 2 to the power of `bits` bytes.
    ///
    /// # Panics
    ///
    /// If `bits` is not in 9 to 15; that of [`client_window_bits`](Deflate::client_window_bits)
    /// likewise.
    #[must_use]
    pub const fn server_window_bits(mut self, bits: u8) -> Self {
        assert!(
            MIN_WINDOW_BITS <= bits && bits <= MAX_WINDOW_BITS,
            "9 to 15 bits"
        );
        self.server_bits = bits;
        self
    }

    /// The same for the client's messages. A server can ask only those clients for it that offer
    /// to be asked, as browsers do; from others it takes windows of 15 bits.
    #[must_use]
    pub const fn client_window_bits(mut self, bits: u8) -> Self {
        assert!(
            MIN_WINDOW_BITS <= bits && bits <= MAX_WINDOW_BITS,
            "9 to 15 bits"
        );
        self.client_bits = bits;
        self
    }

    /// How hard to compress, from 1 (fast) to 9 (small).
    ///
    /// # Panics
    ///
    /// If `level` is not in 1 to 9.
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        assert!(1 <= level && level <= 9, "levels are 1 to 9");
        self.level = level;
        self
    }

    /// Messages of fewer bytes are sent as they are: what deflate gains on them is less than what
    /// it costs.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// A server's choice among a client's offers: the first that it can satisfy, and the
    /// extension for the response. Offers with unknown, doubled or malformed parameters are
    /// declined (RFC 7692 section 7.1).
    pub fn accept(&self, offers: &[Extension]) -> Option<(DeflateParameters, String)> {
        let offers = offers.iter().filter(|offer| is_deflate(offer));
        offers
            .filter_map(|offer| Parameters::read(offer, true))
            .find_map(|offer| self.satisfy(&offer))
    }

    fn satisfy(&self, offer: &Parameters) -> Option<(DeflateParameters, String)> {
        let server_bits = self
            .server_bits
            .min(offer.server_bits.unwrap_or(MAX_WINDOW_BITS));
        if server_bits < MIN_WINDOW_BITS {
            return None;
        }
        let client_bits = match offer.client_bits {
            None => MAX_WINDOW_BITS,
            Some(bits) => self.client_bits.min(bits.unwrap_or(MAX_WINDOW_BITS)),
        };
        let agreed = DeflateParameters {
            server_no_context_takeover: offer.server_no_takeover || !self.server_takeover,
            client_no_context_takeover: offer.client_no_takeover || !self.client_takeover,
            server_bits,
            client_bits,
            level: self.level,
            threshold: self.threshold,
        };
        let mut answer = NAME.to_owned();
        if agreed.server_no_context_takeover {
            answer += "; server_no_context_takeover";
        }
        if agreed.client_no_context_takeover {
            answer += "; client_no_context_takeover";
        }
        if offer.server_bits.is_some() || server_bits < MAX_WINDOW_BITS {
            answer += &format!("; server_max_window_bits={server_bits}");
        }
        if client_bits < MAX_WINDOW_BITS {
            answer += &format!("; client_max_window_bits={client_bits}");
        }
        Some((agreed, answer))
    }

    /// What a client offers.
    pub fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        if !self.server_takeover {
            offer += "; server_no_context_takeover";
        }
        if !self.client_takeover {
            offer += "; client_no_context_takeover";
        }
        if self.server_bits < MAX_WINDOW_BITS {
            offer += &format!("; server_max_window_bits={}", self.server_bits);
        }
        offer += "; client_max_window_bits";
        if self.client_bits < MAX_WINDOW_BITS {
            offer += &format!("={}", self.client_bits);
        }
        offer
    }

    /// A client's look at the response: `None` if the server did not take the offer.
    ///
    /// # Errors
    ///
    /// The response goes beyond what was offered; the client has to fail the connection.
    pub fn check(&self, response: &[Extension]) -> Result<Option<DeflateParameters>, &'static str> {
        let answer = match response {
            [] => return Ok(None),
            [answer] if is_deflate(answer) => answer,
            _ => return Err("an extension that was not offered"),
        };
        let answer = Parameters::read(answer, false).ok_or("malformed extension parameters")?;
        if !self.server_takeover && !answer.server_no_takeover {
            return Err("server_no_context_takeover was ignored");
        }
        let server_bits = answer.server_bits.unwrap_or(MAX_WINDOW_BITS);
        let client_bits = answer.client_bits.flatten().unwrap_or(MAX_WINDOW_BITS);
        if server_bits > self.server_bits {
            return Err("server_max_window_bits was ignored");
        }
        if answer.client_bits.is_some() && client_bits > self.client_bits {
            return Err("client_max_window_bits is beyond the offer");
        }
        Ok(Some(DeflateParameters {
            server_no_context_takeover: answer.server_no_takeover,
            client_no_context_takeover: answer.client_no_takeover || !self.client_takeover,
            server_bits,
            client_bits: client_bits.min(self.client_bits),
            level: self.level,
            threshold: self.threshold,
        }))
    }
}

fn is_deflate(extension: &Extension) -> bool {
    extension.name.eq_ignore_ascii_case(NAME)
}

/// The four parameters of an offer or of an answer.
#[derive(Debug, Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// In an offer it may have no value: "can be told".
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None` if a parameter is unknown, doubled or malformed.
    fn read(extension: &Extension, offer: bool) -> Option<Self> {
        let mut found = Self::default();
        for (name, value) in &extension.parameters {
            let fresh = match (name.as_str(), value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut found.server_no_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut found.client_no_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    found.server_bits.replace(window_bits(value)?).is_none()
                }
                ("client_max_window_bits", Some(value)) => {
                    let bits = Some(window_bits(value)?);
                    found.client_bits.replace(bits).is_none()
                }
                ("client_max_window_bits", None) if offer => {
                    found.client_bits.replace(None).is_none()
                }
                _ => false,
            };
            if !fresh {
                return None;
            }
        }
        Some(found)
    }
}

/// 8 to 15, without leading zeros (RFC 7692 section 7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// What both ends have agreed on, and how this end makes use of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateParameters {
    /// Whether the server begins each message without a context.
    pub server_no_context_takeover: bool,
    /// Whether the client begins each message without a context.
    pub client_no_context_takeover: bool,
    /// How far back the server's messages refer at most: 2 to the power of so many bytes.
    pub server_bits: u8,
    /// The same for the client's messages.
    pub client_bits: u8,
    /// How hard this end compresses, from 1 (fast) to 9 (small).
    pub level: u32,
    /// This end sends messages of fewer bytes as they are.
    pub threshold: usize,
}
