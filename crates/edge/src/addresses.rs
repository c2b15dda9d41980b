//! How many connections each address has, so that one cannot take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

/// The part of an IPv6 address that one subscriber has: 64 bits.
const SUBSCRIBER: u128 = !(u64::MAX as u128);

/// Counts connections by address; as large as there are connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Addresses {
    /// Counts a connection; none when its address has `most` already. Proxies that are trusted speak for many, and
    /// are not counted.
    pub(crate) fn enter(&self, peer: IpAddr, most: usize, trusted: &[IpNet]) -> Option<Presence> {
        let peer = peer.to_canonical();
        if trusted.iter().any(|proxy| proxy.contains(&peer)) {
            return Some(Presence(None));
        }
        let of = subscriber(peer);
        let mut counts = self.0.lock();
        let count = counts.entry(of).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Presence(Some((self.clone(), of))))
    }
}

fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & SUBSCRIBER).into(),
    }
}

/// A connection, counted while this is kept.
#[derive(Debug)]
pub(crate) struct Presence(Option<(Addresses, IpAddr)>);

impl Drop for Presence {
    fn drop(&mut self) {
        let Some((addresses, of)) = &self.0 else { return };
        let mut counts = addresses.0.lock();
        if let Some(count) = counts.get_mut(of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let addresses = Addresses::default();
        let enter = |address| addresses.enter(ip(address), 2, &[]);
        let held = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        let held = [enter("2001:db8::1"), enter("2001:db8::2:1")];
        assert!(held.iter().all(Option::is_some) && enter("2001:db8::ffff").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(enter("2001:db8::ffff").is_some());
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_are_gone() {
        let addresses = Addresses::default();
        drop(addresses.enter(ip("192.0.2.1"), 2, &[]));
        assert!(addresses.0.lock().is_empty());
    }

    #[test]
    fn a_trusted_proxy_is_not_counted() {
        let addresses = Addresses::default();
        let trusted = ["192.0.2.0/24".parse().unwrap()];
        let held: Vec<_> = (0..5).map(|_| addresses.enter(ip("192.0.2.1"), 2, &trusted)).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
