//! Where a request comes from. The socket says it; a forwarding header counts only as far as it was written by proxies
//! of ours, read from the right.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, header};
use serde::{Deserialize, Deserializer, de::Error};

/// The socket's address, in the extensions of every request that [`crate::serve`] took in.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The socket's other end.
    pub address: SocketAddr,
    /// What it came over.
    pub wire: Wire,
}

/// Whether others on the way can read along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// They can.
    Plain,
    /// They cannot: TLS ends here.
    Tls,
}

impl Peer {
    /// One that came in plain.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, wire: Wire::Plain }
    }
}

/// The client's address, in the extensions of every request behind the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

impl Client {
    /// What counts as one client: an address, of IPv6 its /64, which one household has.
    pub(crate) fn household(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

/// A range of addresses, as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a network like 10.0.0.0/8 or fd00::/8, or one address")]
pub struct NotANetwork;

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| NotANetwork)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NotANetwork))?;
        if bits > most { Err(NotANetwork) } else { Ok(Self { base, bits }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The client of a request that came from `peer` (none where there is no socket, in tests).
pub(crate) fn client(peer: Option<Peer>, headers: &HeaderMap, trusted: &[Network]) -> Client {
    let socket = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip().to_canonical());
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(socket) {
        return Client(socket);
    }
    let mut client = socket;
    for hop in hops(headers).iter().rev() {
        // An unreadable hop was not written by a proxy of ours: the one before it is the last that is known.
        let Some(address) = address_of(hop) else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    Client(client)
}

/// Whether the request came in plain over loopback to a name of loopback: development, where `Secure` cookies fail.
pub(crate) fn is_plain_loopback(peer: Option<Peer>, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host_name(host);
    let is_local = name == "localhost" || address_of(name).is_some_and(|address| address.is_loopback());
    is_local
        && peer.is_some_and(|peer| peer.wire == Wire::Plain && peer.address.ip().to_canonical().is_loopback())
        && !headers.contains_key("x-forwarded-proto")
        && !headers.contains_key(header::FORWARDED)
}

/// `example.com` of `example.com:8080`, `[::1]` of `[::1]:8080`.
fn host_name(host: &str) -> &str {
    let name_end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    let colon = host[name_end..].find(':').map_or(host.len(), |colon| name_end + colon);
    &host[..colon]
}

/// The addresses in `X-Forwarded-For`, or else in `Forwarded` (RFC 7239), from the client to us.
fn hops(headers: &HeaderMap) -> Vec<String> {
    let values = |name: &str| {
        let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).map(|hop| hop.trim().to_owned()).collect::<Vec<_>>()
    };
    let hops = values("x-forwarded-for");
    if !hops.is_empty() {
        return hops;
    }
    let of_pair = |element: String| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"));
        found.map(|(_, node)| node.trim_matches('"').to_owned()).unwrap_or_default()
    };
    values("forwarded").into_iter().map(of_pair).collect()
}

/// An address with or without brackets and port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn from(peer: &str, header: (&'static str, &'static str)) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, HeaderValue::from_static(header.1));
        let trusted = ["10.0.0.0/8".parse().expect("a network"), "::1".parse().expect("a network")];
        let peer = Peer::plain(format!("{peer}:1").parse().expect("an address"));
        client(Some(peer), &headers, &trusted).0.to_string()
    }

    #[test]
    fn forwarding_headers_count_from_the_right_as_far_as_proxies_are_ours() {
        let xff = |text| ("x-forwarded-for", text);
        assert_eq!(from("203.0.113.9", xff("198.51.100.1")), "203.0.113.9", "not a proxy of ours");
        assert_eq!(from("10.1.2.3", xff("198.51.100.1")), "198.51.100.1");
        assert_eq!(
            from("10.1.2.3", xff("1.1.1.1, 198.51.100.1, 10.9.9.9")),
            "198.51.100.1",
            "the first is made up"
        );
        assert_eq!(from("10.1.2.3", xff("nonsense, 10.9.9.9")), "10.9.9.9");
        assert_eq!(from("10.1.2.3", xff("")), "10.1.2.3");
        assert_eq!(from("[::1]", xff("[2001:db8::1]:443")), "2001:db8::1");
        assert_eq!(from("[::ffff:10.1.2.3]", ("forwarded", "for=198.51.100.1;proto=https")), "198.51.100.1");
        assert_eq!(from("10.1.2.3", ("forwarded", "For=\"[2001:db8::1]:80\"")), "2001:db8::1");
    }

    #[test]
    fn networks_are_read_and_refused() {
        let all: Network = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains("1.2.3.4".parse().expect("an address")));
        let half: Network = "10.0.0.0/9".parse().expect("a network");
        assert!(half.contains("10.127.255.255".parse().expect("an address")));
        assert!(!half.contains("10.128.0.0".parse().expect("an address")));
        for bad in ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "x/8", "10.0.0.0/-1"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }

    #[test]
    fn only_loopback_by_its_own_name_is_development() {
        let is = |peer: &str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            is_plain_loopback(Some(Peer::plain(peer.parse().expect("an address"))), &headers)
        };
        assert!(
            is("127.0.0.1:9", "127.0.0.1:8080")
                && is("127.0.0.1:9", "localhost")
                && is("[::1]:9", "[::1]:8080")
        );
        assert!(!is("127.0.0.1:9", "api.example.com") && !is("10.0.0.1:9", "localhost:8080"));
        assert!(!is("127.0.0.1:9", "localhost.example.com") && !is("127.0.0.1:9", ""));
    }

    #[test]
    fn a_household_of_ipv6_is_a_64() {
        let household = |text: &str| Client(text.parse().expect("an address")).household().to_string();
        assert_eq!(household("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(household("192.0.2.7"), "192.0.2.7");
    }
}
