//! Where a request may go: scheme, host, port, and whether that is allowed, at save and again at connect.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use http::uri::{Scheme, Uri};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Scheme, host, port. Two base URLs on one address share its breaker and its HTTP/2 connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub tls: bool,
    /// Lower case; an IPv6 literal without its brackets.
    pub host: Box<str>,
    pub port: u16,
}

impl Address {
    /// What a `Host` header or `:authority` says: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl Hash for Address {
    /// In one piece, for each call looks for its address in several maps. Few hosts have two ports or schemes.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.host.as_bytes());
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// A provider's base URL: an address and a path without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// Shared, for every call to it carries it along.
    pub address: Arc<Address>,
    pub path: Box<str>,
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, self.path)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotABaseUrl {
    #[error("`{0}` is no URL; write for example https://api.openai.com/v1")]
    Unreadable(String),
    #[error("`{0}` begins with neither https:// nor http://")]
    Scheme(String),
    #[error("a base URL holds no user name or password; put the key into a credential")]
    UserInfo,
    #[error("a base URL holds no `?` and no `#`")]
    Query,
}

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        if text.contains(['?', '#']) {
            return Err(NotABaseUrl::Query);
        }
        let unreadable = || NotABaseUrl::Unreadable(text.to_string());
        let uri: Uri = text.parse().map_err(|_| unreadable())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(NotABaseUrl::Scheme(text.to_string())),
        };
        let authority = uri.authority().ok_or_else(unreadable)?;
        if authority.as_str().contains('@') {
            return Err(NotABaseUrl::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() || authority.port().is_some() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(unreadable());
        }
        let address = Address { tls, host: host.into(), port: authority.port_u16().unwrap_or(default_port(tls)) };
        Ok(Self { address: Arc::new(address), path: uri.path().trim_end_matches('/').into() })
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A range of addresses, as `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; write for example 10.0.0.0/8 or 127.0.0.1")]
pub struct NotANetwork(String);

impl Network {
    pub fn contains(&self, ip: IpAddr) -> bool {
        let shift = 128 - u32::from(self.prefix);
        shift == 128 || as_bits(ip) >> shift == self.base >> shift
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_string());
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let (widest, offset) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = prefix.unwrap_or(widest);
        if prefix > widest {
            return Err(wrong());
        }
        Ok(Self { base: as_bits(ip), prefix: prefix + offset })
    }
}

/// IPv4 as its mapped IPv6 bits, so that a mapped literal can't slip past an IPv4 rule.
fn as_bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The operator's exceptions from «https to public addresses on port 443».
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Hosts that may be called over plain HTTP, and whatever address they have.
    pub http: Vec<String>,
    /// Non-public networks that may be called.
    pub private_networks: Vec<Network>,
    /// Ports besides 443; a host in `http` may use any.
    pub ports: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenied {
    #[error("plain HTTP to `{0}` is not allowed; use https, or have the operator add the host to [egress] http")]
    PlainHttp(Box<str>),
    #[error("port {0} is not allowed; have the operator add it to [egress] ports")]
    Port(u16),
    #[error("`{0}` is not at a public address; have the operator add its network to [egress] private_networks")]
    NotPublic(Box<str>),
}

impl Egress {
    /// What can be said before the name is resolved: asked when an address is saved.
    pub fn allows_address(&self, address: &Address) -> Result<(), EgressDenied> {
        let listed = self.http.iter().any(|host| host.eq_ignore_ascii_case(&address.host));
        if !address.tls && !listed {
            return Err(EgressDenied::PlainHttp(address.host.clone()));
        }
        let in_private = address.host.parse().is_ok_and(|ip| self.is_private_allowed(ip));
        if !listed && !in_private && address.port != 443 && !self.ports.contains(&address.port) {
            return Err(EgressDenied::Port(address.port));
        }
        match address.host.parse::<IpAddr>() {
            Ok(ip) => self.allows_ip(address, ip),
            Err(_) => Ok(()),
        }
    }

    /// Asked again for every address a name resolves to, straight before connecting to exactly that one.
    pub fn allows_ip(&self, address: &Address, ip: IpAddr) -> Result<(), EgressDenied> {
        let listed = self.http.iter().any(|host| host.eq_ignore_ascii_case(&address.host));
        if is_metadata(ip) && !listed || !(is_global(ip) || listed || self.is_private_allowed(ip)) {
            return Err(EgressDenied::NotPublic(address.host.clone()));
        }
        Ok(())
    }

    fn is_private_allowed(&self, ip: IpAddr) -> bool {
        self.private_networks.iter().any(|network| network.contains(ip))
    }
}

/// Cloud metadata services: not even a listed private network opens them, only the host named outright.
fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4 == Ipv4Addr::new(169, 254, 169, 254) || v4 == Ipv4Addr::new(100, 100, 100, 200),
        IpAddr::V6(v6) => {
            v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || embedded_v4(v6).is_some_and(|v4| is_metadata(v4.into()))
        }
    }
}

/// Global unicast, and nothing that leads somewhere else by another spelling.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_global_v4(v4),
        // Mapped, 6to4 and NAT64 addresses are refused whole: what they hold could have been written plainly.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000 && embedded_v4(v6).is_none() && !is_special_v6(v6),
    }
}

fn is_global_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = a == 0
        || a >= 224
        || v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

/// Documentation, benchmarking, ORCHID and Teredo within 2000::/3.
fn is_special_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000)
}

/// The IPv4 address inside a mapped, compatible, 6to4 or NAT64 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let pair = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(pair(high, low)),
        [0x64, 0xff9b, _, _, _, _, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Arc<Address> {
        text.parse::<BaseUrl>().unwrap().address
    }

    #[test]
    fn a_base_url_is_an_address_and_a_path() {
        let url: BaseUrl = "https://API.openai.com/v1/".parse().unwrap();
        assert_eq!((url.address.port, &*url.address.host, &*url.path), (443, "api.openai.com", "/v1"));
        assert_eq!("http://[::1]:8000/v1".parse::<BaseUrl>().unwrap().to_string(), "http://[::1]:8000/v1");
    }

    #[test]
    fn a_base_url_with_anything_else_is_refused() {
        for text in [
            "",
            "api.openai.com",
            "ftp://x",
            "https://u:p@x/v1",
            "https://x/v1?k=1",
            "https://x/#a",
            "https://x:0/",
            "https:///v1",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_public_addresses_over_tls_are_called_unless_the_operator_says_so() {
        let strict = Egress::default();
        assert!(strict.allows_address(&address("https://api.openai.com")).is_ok());
        assert!(strict.allows_address(&address("http://api.openai.com")).is_err());
        assert!(strict.allows_address(&address("https://api.openai.com:22")).is_err());
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "[::1]",
            "[::ffff:8.8.8.8]",
            "[2002:7f00:1::]",
            "[64:ff9b::a00:1]",
            "[fd00::1]",
            "[fe80::1]",
        ] {
            assert!(strict.allows_address(&address(&format!("https://{host}"))).is_err(), "{host}");
        }
        let open = Egress {
            http: vec!["127.0.0.1".into()],
            private_networks: vec!["10.0.0.0/8".parse().unwrap()],
            ports: vec![],
        };
        assert!(open.allows_address(&address("http://127.0.0.1:8000/v1")).is_ok());
        assert!(open.allows_address(&address("https://10.1.2.3:8443")).is_ok());
        assert!(open.allows_address(&address("https://11.1.2.3:8443")).is_err());
    }

    #[test]
    fn a_private_network_never_opens_the_metadata_service() {
        let wide = Egress {
            private_networks: vec!["169.254.0.0/16".parse().unwrap(), "::/0".parse().unwrap()],
            ..Egress::default()
        };
        assert!(wide.allows_ip(&address("https://x"), "169.254.169.254".parse().unwrap()).is_err());
        assert!(wide.allows_ip(&address("https://x"), "::ffff:169.254.169.254".parse().unwrap()).is_err());
    }
}
