//! What every write gets passed in, and what it says about the feed when it is done.

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::random::{self, Entropy};
use rndrkit_domain::time::Timestamp;

/// Time and randomness of one write. The store has no clock and no generator of its own.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When the change happens; also the moment at which ends are judged.
    pub at: Timestamp,
    /// Random; names this change in the feed, so that a restored database is noticed.
    pub tag: i64,
    /// Random; keeps the hashes of personal data in the audit trail from being guessed.
    pub salt: [u8; 16],
}

impl Change {
    /// At this moment, with fresh randomness.
    pub fn new(at: Timestamp, entropy: &dyn Entropy) -> Self {
        Self { at, tag: i64::from_le_bytes(random::bytes(entropy)), salt: random::bytes(entropy) }
    }
}

/// A change that is durable, or the finding that there was nothing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// The result.
    pub value: T,
    /// Feed number of this change; when nothing changed, of the last change of the row. Whoever must be
    /// sure that every verifier knows waits for this number.
    pub number: FeedNumber,
    /// Whether anything changed.
    pub changed: bool,
}

impl<T> Committed<T> {
    pub(crate) const fn done(value: T, number: FeedNumber) -> Self {
        Self { value, number, changed: true }
    }

    pub(crate) const fn unchanged(value: T, number: FeedNumber) -> Self {
        Self { value, number, changed: false }
    }
}
