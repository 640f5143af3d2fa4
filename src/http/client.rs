//! The identity of a client, by which penalties, connections and shares are counted.

use super::message::Request;
use crate::shares::Client;
use std::net::{IpAddr, Ipv6Addr};

/// The address of the client of a request. A proxy on this machine adds it to `X-Forwarded-For`. The header is ignored
/// from other addresses, because any client can send it.
pub fn client(request: &Request) -> Option<IpAddr> {
    let peer = request.peer?.to_canonical();
    let mut headers = request.headers.iter().rev();
    let forwarded = headers.find(|(name, _)| peer.is_loopback() && name.eq_ignore_ascii_case("X-Forwarded-For"));
    let last = forwarded.and_then(|(_, list)| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    Some(last.map_or(peer, |last| last.to_canonical()))
}

/// The client to which the places of a request are counted: its network and the user who logged in.
pub fn holder(request: &Request, user: Option<&str>) -> Client {
    Client { address: client(request).map(network), user: user.map(Into::into) }
}

/// The addresses that count as one client: an IPv4 address, or an IPv6 network of 64 bits, because one subscriber has
/// all of its addresses. Link-local addresses count one by one, because each belongs to another machine.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_unicast_link_local() && !ip.is_loopback() => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9") && !same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("192.0.2.1", "192.0.2.2") && same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("fe80::1", "fe80::2") && !same("::1", "::2"));
    }
}
