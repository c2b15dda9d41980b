//! Keys that the product accepts the form of, the same in each run: nothing here is secret.

use std::sync::Mutex;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rndrkit_domain::key_text::{KeyPrefix, Minted, mint};
use rndrkit_domain::random::Entropy;

/// Bytes that a seed alone decides. Never use this for a real key.
pub(crate) struct Seeded(Mutex<SmallRng>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// A number below `end`, for shuffling.
    pub(crate) fn below(&self, end: usize) -> usize {
        let number = self.0.lock().expect("nobody panics with it").next_u64();
        usize::try_from(number % end.max(1) as u64).unwrap_or(0)
    }
}

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().expect("nobody panics with it").fill_bytes(buffer);
    }
}

/// The prefix of every measured key: the product's default.
pub(crate) fn prefix() -> KeyPrefix {
    KeyPrefix::parse("rk_live_").expect("the default prefix is one")
}

/// The next key.
pub(crate) fn next(entropy: &Seeded) -> Minted {
    mint(&prefix(), entropy)
}

/// The lines of a file of keys.
pub(crate) fn read(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| crate::arguments::exit(&format!("{path}: {error}")));
    text.lines().map(str::to_owned).collect()
}
