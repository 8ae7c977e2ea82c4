//! Which proxies are believed: their addresses, as a list of networks.
//!
//! What a request says about where it comes from is a claim of whoever sent it. It counts if it
//! comes from a proxy of ours, and from nobody else.

use greenway_app::ConnectionInfo;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A list of peers that are trusted: `127.0.0.1,::1`, `10.0.0.0/8`, `*`; empty for nobody.
///
/// Who connects over a unix socket is trusted as soon as anybody is: the file's permissions have
/// let it in, and there is no address to tell one from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    everybody: bool,
    networks: Vec<IpNet>,
}

impl Default for Trust {
    /// This machine, as gunicorn's default.
    fn default() -> Self {
        let this_machine = [
            IpAddr::from([127, 0, 0, 1]),
            "::1".parse().expect("an address"),
        ];
        Self {
            everybody: false,
            networks: this_machine.map(IpNet::from).to_vec(),
        }
    }
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let mut trust = Self {
            everybody: false,
            networks: Vec::new(),
        };
        for item in list.split(',').map(str::trim) {
            if item == "*" {
                trust.everybody = true;
            } else if let Ok(network) = item.parse::<IpNet>() {
                trust.networks.push(network);
            } else if let Ok(address) = item.parse::<IpAddr>() {
                trust.networks.push(address.to_canonical().into());
            } else if !item.is_empty() || list.contains(',') {
                return Err(format!(
                    "{item:?} is neither an address, nor a network such as 10.0.0.0/8, nor *"
                ));
            }
        }
        Ok(trust)
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let everybody = self.everybody.then(|| "*".to_owned());
        let networks = self.networks.iter().map(|network| {
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.to_string()
            }
        });
        let items: Vec<_> = everybody.into_iter().chain(networks).collect();
        f.write_str(&items.join(","))
    }
}

impl Trust {
    /// Whether this address is on the list.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        // A socket for both families shows IPv4 peers as ::ffff:a.b.c.d.
        let address = address.to_canonical();
        self.everybody
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address))
    }

    /// Whether the peer of a connection is on the list.
    pub(crate) fn trusts_peer_of(&self, info: &ConnectionInfo) -> bool {
        match (info.local, info.peer) {
            (None, _) => self.everybody || !self.networks.is_empty(), // a unix socket
            (Some(_), Some(peer)) => self.trusts(peer.ip()),
            // Reset before we could ask who it was. It may have left a request behind.
            (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(list: &str) -> Trust {
        list.parse().unwrap()
    }

    #[test]
    fn lists_of_addresses_and_networks() {
        for (list, address, expected) in [
            ("127.0.0.1,::1", "127.0.0.1", true),
            ("127.0.0.1,::1", "::1", true),
            ("127.0.0.1,::1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("10.0.0.0/8, 192.168.1.0/24", "10.200.3.4", true),
            ("10.0.0.0/8, 192.168.1.0/24", "192.168.2.1", false),
            ("fd00::/8", "fd12::1", true),
            ("*", "8.8.8.8", true),
            ("", "127.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(trust(list).trusts(address), expected, "{list:?} {address}");
            assert_eq!(trust(&trust(list).to_string()), trust(list));
        }
        assert_eq!(Trust::default(), trust("127.0.0.1,::1"));
        for bad in ["localhost", "10.0.0.0/33", "127.0.0.1,,::1", "127.0.0.1:80"] {
            assert!(bad.parse::<Trust>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_peer_without_an_address_is_on_a_unix_socket_or_has_left() {
        let local = "127.0.0.1:80".parse().ok();
        let (unix, left) = (
            ConnectionInfo::new(None, None),
            ConnectionInfo::new(local, None),
        );
        assert!(trust("10.0.0.1").trusts_peer_of(&unix));
        assert!(!trust("").trusts_peer_of(&unix));
        assert!(!trust("*").trusts_peer_of(&left));
        assert!(
            trust("10.0.0.1")
                .trusts_peer_of(&ConnectionInfo::new(local, "10.0.0.1:5".parse().ok()))
        );
    }
}
