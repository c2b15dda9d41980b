//! Randomness that a seed repeats (splitmix64). Not for secrets of real installations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rndrkit_domain::random::Entropy;

/// A generator. Each part of a world has one of its own, so that one part's draws do not shift another's.
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let random = Self(AtomicU64::new(seed ^ part.wrapping_mul(0xd134_2543_de82_ef95)));
        random.next();
        random
    }

    pub(crate) fn next(&self) -> u64 {
        let mut z =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// An index into something that is `len` long.
    pub(crate) fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    /// From `least` to `most`, to the microsecond.
    pub(crate) fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap() + 1;
        least + Duration::from_micros(self.below(span))
    }
}

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
