//! The PROXY protocol's first line, versions 1 and 2: for whom a trusted proxy speaks. Bytes in, address out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyLine {
    /// More bytes are needed.
    Partial,
    /// The line's length, and the client's address unless the proxy speaks for itself (its health checks).
    Whole {
        length: usize,
        client: Option<SocketAddr>,
    },
    Invalid,
}

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line version 1 allows, and the most that version 2 may carry here with its optional parts.
const V1_LONGEST: usize = 107;
pub(super) const LONGEST: usize = 16 + 1_024;

pub(super) fn parse(bytes: &[u8]) -> ProxyLine {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(V2_SIGNATURE) {
        parse_v2(bytes)
    } else if begins(b"PROXY ") {
        parse_v1(bytes)
    } else {
        ProxyLine::Invalid
    }
}

fn parse_v1(bytes: &[u8]) -> ProxyLine {
    let Some(end) = bytes.windows(2).take(V1_LONGEST).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_LONGEST { ProxyLine::Partial } else { ProxyLine::Invalid };
    };
    let length = end + 2;
    let Ok(line) = std::str::from_utf8(&bytes[..end]) else { return ProxyLine::Invalid };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => ProxyLine::Whole { length, client: None },
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => match (source.parse::<IpAddr>(), port.parse()) {
            (Ok(ip), Ok(port)) if ip.is_ipv4() == (family == "TCP4") => {
                ProxyLine::Whole { length, client: Some(SocketAddr::new(ip, port)) }
            }
            _ => ProxyLine::Invalid,
        },
        _ => ProxyLine::Invalid,
    }
}

fn parse_v2(bytes: &[u8]) -> ProxyLine {
    let Some([command, family, high, low]) = bytes.get(12..16) else { return ProxyLine::Partial };
    let length = 16 + usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST {
        return ProxyLine::Invalid;
    }
    let Some(rest) = bytes.get(16..length) else { return ProxyLine::Partial };
    match (command, family) {
        (0x20, _) => ProxyLine::Whole { length, client: None },
        (0x21, 0x11) => client_v2::<4>(rest, length),
        (0x21, 0x21) => client_v2::<16>(rest, length),
        (0x21, _) => ProxyLine::Whole { length, client: None },
        _ => ProxyLine::Invalid,
    }
}

/// Source address, destination address, source port, destination port.
fn client_v2<const N: usize>(rest: &[u8], length: usize) -> ProxyLine {
    let (Some(source), Some(port)) = (rest.first_chunk::<N>(), rest.get(2 * N..2 * N + 4)) else {
        return ProxyLine::Invalid;
    };
    let ip = match <[u8; 16]>::try_from(&source[..]) {
        Ok(v6) => IpAddr::from(Ipv6Addr::from(v6)),
        Err(_) => Ipv4Addr::new(source[0], source[1], source[2], source[3]).into(),
    };
    ProxyLine::Whole { length, client: Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], client: Option<&str>) {
        let client = client.map(|client| client.parse().unwrap());
        assert_eq!(parse(bytes), ProxyLine::Whole { length: bytes.len(), client });
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), ProxyLine::Partial, "cut at {end}");
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[command, family][..], &length, rest].concat()
    }

    #[test]
    fn both_versions_name_the_client() {
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", Some("192.0.2.1:4711"));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", Some("[2001:db8::1]:4711"));
        check(b"PROXY UNKNOWN\r\n", None);
        check(&v2(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 18, 103, 1, 187]), Some("192.0.2.1:4711"));
        let mut six = vec![0; 36];
        (six[15], six[33]) = (1, 80);
        check(&v2(0x21, 0x21, &six), Some("[::1]:80"));
        check(&v2(0x20, 0, &[]), None);
    }

    #[test]
    fn what_is_no_such_line_is_refused_at_once() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat();
        let cases: [&[u8]; 7] = [
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 x 2\r\n",
            b"PROXY TCP4 192.0.2.1\r\n",
            &long,
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 4]),
        ];
        for case in cases {
            assert_eq!(parse(case), ProxyLine::Invalid, "{case:?}");
        }
    }
}
