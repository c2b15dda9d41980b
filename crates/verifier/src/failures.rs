//! The bound on failed look-ups per client address. Only look-ups count: answers from memory are never
//! throttled.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use rndrkit_domain::time::Monotonic;

/// Failed look-ups that one address may cause in a window.
const FAILURES_PER_WINDOW: u32 = 100;
const WINDOW_SECONDS: u64 = 60;
/// Addresses remembered. An attacker with more than this many makes room for himself again, and is then
/// still held by the bound on look-ups at once.
const MAX_ADDRESSES: usize = 16_384;

/// An IPv4 address, or the half of an IPv6 address that one customer of a provider usually has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Block {
    V4(u32),
    V6(u64),
}

impl Block {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Monotonic,
    failures: u32,
}

impl Window {
    fn is_over(self, now: Monotonic) -> bool {
        now.since(self.began).as_secs() >= WINDOW_SECONDS
    }
}

/// Counts failed look-ups per address.
pub(crate) struct Failures {
    windows: Cache<Block, Arc<Mutex<Window>>>,
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self { windows: Cache::new(MAX_ADDRESSES) }
    }

    /// Whether this address may cause another look-up. An unknown address may: the door knows why it has none.
    pub(crate) fn permits(&self, client: Option<IpAddr>, now: Monotonic) -> bool {
        let Some(window) = client.and_then(|address| self.windows.get(&Block::of(address))) else {
            return true;
        };
        let window = *window.lock();
        window.is_over(now) || window.failures < FAILURES_PER_WINDOW
    }

    /// Counts a failed look-up.
    pub(crate) fn charge(&self, client: Option<IpAddr>, now: Monotonic) {
        let Some(address) = client else { return };
        let fresh =
            || Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Window { began: now, failures: 0 })));
        let Ok(window) = self.windows.get_or_insert_with(&Block::of(address), fresh);
        let mut window = window.lock();
        if window.is_over(now) {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(1_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn fail(failures: &Failures, address: &str, count: u32) {
        (0..count).for_each(|_| failures.charge(address.parse().ok(), at(0)));
    }

    #[test]
    fn an_address_is_stopped_after_a_hundred_failures_and_free_again_a_minute_later() {
        let failures = Failures::new();
        fail(&failures, "192.0.2.1", 99);
        assert!(failures.permits("192.0.2.1".parse().ok(), at(0)));
        fail(&failures, "192.0.2.1", 1);
        assert!(!failures.permits("192.0.2.1".parse().ok(), at(0)));
        assert!(!failures.permits("192.0.2.1".parse().ok(), at(59)));
        assert!(failures.permits("192.0.2.1".parse().ok(), at(60)));
        assert!(failures.permits("192.0.2.2".parse().ok(), at(0)));
        assert!(failures.permits(None, at(0)));
    }

    #[test]
    fn all_addresses_of_a_64_count_as_one_and_mapped_ones_as_ipv4() {
        let failures = Failures::new();
        fail(&failures, "2001:db8:1:2::1", 100);
        assert!(!failures.permits("2001:db8:1:2:ffff::9".parse().ok(), at(0)));
        assert!(failures.permits("2001:db8:1:3::1".parse().ok(), at(0)));
        fail(&failures, "::ffff:192.0.2.1", 100);
        assert!(!failures.permits("192.0.2.1".parse().ok(), at(0)));
        assert!(failures.permits("::ffff:192.0.2.2".parse().ok(), at(0)));
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let failures = Failures::new();
        for address in 0..u32::try_from(MAX_ADDRESSES * 3).unwrap() {
            failures.charge(Some(IpAddr::V4(address.into())), at(0));
        }
        assert!(failures.windows.len() <= MAX_ADDRESSES + MAX_ADDRESSES / 8);
    }
}
