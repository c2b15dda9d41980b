//! The bound on failed look-ups per client address. Only look-ups count: answers from memory are never
//! throttled.

use std::collections::HashMap;
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
    /// Look-ups under way, each of which may fail. As many as have their turn, and no more.
    running: Mutex<HashMap<Block, u32>>,
}

/// A look-up under way, held until it is over.
pub(crate) struct Running<'a> {
    failures: &'a Failures,
    block: Option<Block>,
}

impl Running<'_> {
    /// It found nothing.
    pub(crate) fn failed(&self, now: Monotonic) {
        if let Some(block) = self.block {
            self.failures.charge(block, now);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(block) = self.block else { return };
        let mut running = self.failures.running.lock();
        if let Some(count) = running.get_mut(&block) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                running.remove(&block);
            }
        }
    }
}

impl Failures {
    pub(crate) fn new() -> Self {
        Self { windows: Cache::new(MAX_ADDRESSES), running: Mutex::default() }
    }

    /// Whether this address may cause another look-up. An unknown address may: the door knows why it has none.
    pub(crate) fn permits(&self, client: Option<IpAddr>, now: Monotonic) -> bool {
        client.is_none_or(|address| self.counted(Block::of(address), now) < FAILURES_PER_WINDOW)
    }

    /// Whether this address has caused a failed look-up lately.
    pub(crate) fn suspects(&self, client: Option<IpAddr>, now: Monotonic) -> bool {
        client.is_some_and(|address| self.counted(Block::of(address), now) > 0)
    }

    /// Begins a look-up, unless it and those that are under way could bring this address above its bound.
    pub(crate) fn begin(&self, client: Option<IpAddr>, now: Monotonic) -> Option<Running<'_>> {
        let block = client.map(Block::of);
        if let Some(block) = block {
            let mut running = self.running.lock();
            let under_way = running.get(&block).copied().unwrap_or(0);
            if self.counted(block, now).saturating_add(under_way) >= FAILURES_PER_WINDOW {
                return None;
            }
            running.insert(block, under_way.saturating_add(1));
        }
        Some(Running { failures: self, block })
    }

    fn counted(&self, block: Block, now: Monotonic) -> u32 {
        let Some(window) = self.windows.get(&block) else { return 0 };
        let window = *window.lock();
        if window.is_over(now) { 0 } else { window.failures }
    }

    fn charge(&self, block: Block, now: Monotonic) {
        let fresh =
            || Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Window { began: now, failures: 0 })));
        let Ok(window) = self.windows.get_or_insert_with(&block, fresh);
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
        for _ in 0..count {
            failures.begin(address.parse().ok(), at(0)).unwrap().failed(at(0));
        }
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
            failures.begin(Some(IpAddr::V4(address.into())), at(0)).unwrap().failed(at(0));
        }
        assert!(failures.windows.len() <= MAX_ADDRESSES + MAX_ADDRESSES / 8);
        assert!(failures.running.lock().is_empty());
    }

    #[test]
    fn what_is_under_way_counts_as_failed_until_it_is_over() {
        let failures = Failures::new();
        let client = "192.0.2.1".parse().ok();
        fail(&failures, "192.0.2.1", 97);
        let under_way: Vec<_> = (0..3).map(|_| failures.begin(client, at(1)).unwrap()).collect();
        assert!(failures.begin(client, at(1)).is_none());
        assert!(failures.begin("192.0.2.2".parse().ok(), at(1)).is_some());
        assert!(failures.begin(None, at(1)).is_some());
        under_way[0].failed(at(1));
        assert!(failures.begin(client, at(1)).is_none(), "over twice is over once");
        drop(under_way);
        let rest: Vec<_> = (0..3).filter_map(|_| failures.begin(client, at(1))).collect();
        assert_eq!(rest.len(), 2, "two found what they looked for");
    }

    #[test]
    fn an_address_is_suspected_from_its_first_failure_to_the_end_of_the_minute() {
        let failures = Failures::new();
        let client = "192.0.2.1".parse().ok();
        drop(failures.begin(client, at(0)));
        assert!(!failures.suspects(client, at(0)), "nothing has failed");
        fail(&failures, "192.0.2.1", 1);
        assert!(failures.suspects(client, at(59)));
        assert!(!failures.suspects(client, at(60)));
        assert!(!failures.suspects("192.0.2.2".parse().ok(), at(0)));
        assert!(
            !failures.suspects(None, at(0)),
            "nobody's failures are held against those without an address"
        );
    }
}
