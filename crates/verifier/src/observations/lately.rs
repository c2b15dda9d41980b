//! Which pairs of secret and network were noted a moment ago: a table of fixed size without a lock, where a look
//! costs a hash and two comparisons. It may forget, and then a pair is noted once more; it hardly ever errs the
//! other way: two pairs would have to agree in fifty bits.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Monotonic;

/// How long a pair counts as noted: what a page shows is at most this much older than the truth, and one flush.
pub(super) const NOTED_FOR: Duration = Duration::from_secs(30);
/// Pairs of places, half a megabyte together: as many keys at work as one machine serves within that time.
const SETS: usize = 32_768;
/// Odd, with its bits spread evenly (the golden ratio), so that a multiplication mixes.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The half of a place that holds the second.
const LOWER_HALF: u64 = 0xffff_ffff;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Each place holds 32 bits of the pair's hash, and the second in which the pair was noted.
pub(super) struct Lately(Box<[[AtomicU64; 2]]>);

impl Default for Lately {
    fn default() -> Self {
        Self((0..SETS).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect())
    }
}

/// The network of an address as a number: /24 or /48, as [`rndrkit_domain::observation::network_of`] has them.
#[inline]
pub(super) fn network_bits(ip: Option<IpAddr>) -> u64 {
    match ip.map(|ip| ip.to_canonical()) {
        None => 0,
        Some(IpAddr::V4(ip)) => 1 << 56 | u64::from(ip.to_bits() >> 8),
        // The first 48 bits of 128, which is what the shift leaves.
        Some(IpAddr::V6(ip)) => 2 << 56 | u64::try_from(ip.to_bits() >> 80).unwrap_or_default(),
    }
}

#[inline]
fn hash(digest: &Digest, network: u64) -> u64 {
    let random = digest.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    (random ^ network.wrapping_mul(SPREAD)).wrapping_mul(SPREAD)
}

#[inline]
const fn second(now: Monotonic) -> u64 {
    // It wraps after 136 years.
    (now.0 / NANOSECONDS_PER_SECOND) & LOWER_HALF
}

/// Seconds since what stands in a place was noted.
#[inline]
const fn age(there: u64, now: u64) -> u64 {
    now.wrapping_sub(there) & LOWER_HALF
}

/// What stands in a place.
#[inline]
const fn entry(hash: u64, second: u64) -> u64 {
    (hash << 32) | second
}

impl Lately {
    #[inline]
    fn set(&self, hash: u64) -> Option<&[AtomicU64; 2]> {
        // The upper bits are the best mixed ones; the lower half is in the entry.
        let place = usize::try_from(hash >> 49).unwrap_or_default();
        self.0.get(place % SETS)
    }

    /// Whether the pair was noted within [`NOTED_FOR`].
    #[inline]
    pub(super) fn noted(&self, digest: &Digest, network: u64, now: Monotonic) -> bool {
        let hash = hash(digest, network);
        let now = second(now);
        self.set(hash).is_some_and(|places| {
            places.iter().any(|place| {
                let there = place.load(Ordering::Relaxed);
                there >> 32 == hash & LOWER_HALF && age(there, now) < NOTED_FOR.as_secs()
            })
        })
    }

    /// The pair is noted now. It takes its own place, or the older one.
    pub(super) fn note(&self, digest: &Digest, network: u64, now: Monotonic) {
        let hash = hash(digest, network);
        let new = entry(hash, second(now));
        let Some([first, other]) = self.set(hash) else { return };
        let (one, two) = (first.load(Ordering::Relaxed), other.load(Ordering::Relaxed));
        let is_own = |there: u64| there >> 32 == new >> 32;
        let now = second(now);
        let place =
            if is_own(one) || (!is_own(two) && age(one, now) >= age(two, now)) { first } else { other };
        place.store(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        Digest::of(&number.to_string())
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic((1_000_000 + seconds) * NANOSECONDS_PER_SECOND)
    }

    #[test]
    fn a_pair_is_known_for_its_time_and_no_other_is_taken_for_it() {
        let lately = Lately::default();
        assert!(!lately.noted(&digest(1), 5, at(0)));
        lately.note(&digest(1), 5, at(0));
        assert!(lately.noted(&digest(1), 5, at(29)));
        assert!(!lately.noted(&digest(1), 6, at(1)) && !lately.noted(&digest(2), 5, at(1)));
        assert!(!lately.noted(&digest(1), 5, at(30)));
        lately.note(&digest(1), 5, at(31));
        assert!(lately.noted(&digest(1), 5, at(60)));
    }

    #[test]
    fn ten_thousand_pairs_are_nearly_all_known_at_once() {
        let lately = Lately::default();
        for number in 0..10_000 {
            lately.note(&digest(number), number % 3, at(0));
        }
        let known = (0..10_000).filter(|number| lately.noted(&digest(*number), number % 3, at(1))).count();
        assert!(known > 9_800, "{known}");
    }

    #[test]
    fn networks_are_told_apart_as_pages_tell_them() {
        let bits = |ip: &str| network_bits(Some(ip.parse().unwrap()));
        assert_eq!(bits("192.0.2.1"), bits("192.0.2.250"));
        assert_eq!(bits("192.0.2.1"), bits("::ffff:192.0.2.9"));
        assert_ne!(bits("192.0.2.1"), bits("192.0.3.1"));
        assert_eq!(bits("2001:db8:1:2::3"), bits("2001:db8:1:ffff::9"));
        assert_ne!(bits("2001:db8:1::"), bits("2001:db8:2::"));
        assert_ne!(bits("0.0.0.0"), network_bits(None));
    }
}
