//! Where randomness comes from. Passed in, so that simulations replay.

/// A source of random bytes that nobody can predict.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator, through the `rand` crate's reseeding thread generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's randomness")]
        let mut generator = rand::rng();
        rand::Rng::fill_bytes(&mut generator, buffer);
    }
}

/// `N` fresh random bytes.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut buffer = [0_u8; N];
    entropy.fill(&mut buffer);
    buffer
}
