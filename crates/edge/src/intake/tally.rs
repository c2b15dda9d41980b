//! What the reader of an HTTP/1 connection and the service behind it tell each other.
//!
//! The parser between them answers requests in order and calls the service once for each head that it was given,
//! so a number is enough to know a request by, and nothing that a caller can send is taken for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::violation::Violation;

/// Both sides run in one task, or in tasks of one thread: nothing here has to be ordered.
const HERE: Ordering = Ordering::Relaxed;

/// Counts of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: AtomicU64,
    answered: AtomicU64,
    refused: OnceLock<(u64, Violation)>,
    has_other_protocol: AtomicBool,
}

impl Tally {
    /// The service begins with the next request. What is wrong with it, if it only stands for one that was
    /// not read.
    pub(crate) fn begin(&self) -> Option<Violation> {
        // One thread writes: a plain addition does, and costs less than an atomic one.
        let number = self.begun.load(HERE) + 1;
        self.begun.store(number, HERE);
        self.refused.get().filter(|(refused, _)| *refused == number).map(|(_, violation)| *violation)
    }

    /// The service has an answer to the request that it began with last.
    pub(crate) fn answer(&self, changes_protocol: bool) {
        if changes_protocol {
            self.has_other_protocol.store(true, HERE);
        }
        self.answered.store(self.begun.load(HERE), HERE);
    }

    /// The request of this number, counted from 1, is not read, and none after it.
    pub(super) fn refuse(&self, number: u64, violation: Violation) {
        let _ = self.refused.set((number, violation));
    }

    /// Whether the service has answered the request of this number.
    pub(super) fn has_answered(&self, number: u64) -> bool {
        self.answered.load(HERE) >= number
    }

    /// Whether the connection speaks something else by now.
    pub(super) fn has_other_protocol(&self) -> bool {
        self.has_other_protocol.load(HERE)
    }
}
