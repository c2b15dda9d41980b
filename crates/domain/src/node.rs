//! What the words of several nodes mean: a node, its beats, and how long each may be believed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::feed::{FeedHead, FeedNumber};
use crate::random::{self, Entropy};
use crate::time::Timestamp;

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 32 lower-case hexadecimal digits")]
pub struct InvalidMark;

macro_rules! random_mark {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// A new one; no two are ever the same.
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(u128::from_le_bytes(random::bytes::<16>(entropy)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidMark;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let is_plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if !is_plain {
                    return Err(InvalidMark);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidMark)
            }
        }
    };
}

random_mark! {
    /// One run of one process. Random at each start and never stored by the process, so that neither a
    /// restarted nor a copied process is taken for the one before.
    Incarnation
}

random_mark! {
    /// Names one sign of life of a node. A beat replaces the one before only if that is the one it knows.
    BeatMark
}

/// A node's row as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Which process.
    pub incarnation: Incarnation,
    /// For people: its host name or what its operator calls it. Nothing is decided by it.
    pub name: String,
    /// Its last sign of life.
    pub beat: BeatMark,
    /// The feed number that it had applied then.
    pub applied: FeedNumber,
    /// How long it may go on deciding after a beat.
    pub trust: Duration,
    /// Its version.
    pub version: String,
    /// For people: when it said so, by the database's clock. Nothing is decided by it.
    pub seen_at: Timestamp,
}

/// What a node says when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Which process.
    pub incarnation: Incarnation,
    /// For people.
    pub name: String,
    /// Its first beat.
    pub beat: BeatMark,
    /// How long it may go on deciding after a beat.
    pub trust: Duration,
    /// Its version.
    pub version: String,
}

/// A sign of life, which also says what has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Whose.
    pub incarnation: Incarnation,
    /// The last beat that was answered.
    pub confirmed: BeatMark,
    /// The last beat that was sent; when its answer was lost it may be the one that is stored.
    pub attempted: BeatMark,
    /// This beat.
    pub next: BeatMark,
    /// The feed number that the node has applied.
    pub applied: FeedNumber,
    /// Whether those who wait for confirmations are to be woken: this beat says something new.
    pub wakes: bool,
}

/// The answer to a beat, all from one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatAnswer {
    /// The newest position of the feed.
    pub head: FeedHead,
    /// The database's clock.
    pub database_time: Timestamp,
    /// All nodes, this one included.
    pub roster: Roster,
}

/// All nodes that may decide, read in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Their rows.
    pub nodes: Vec<NodeRow>,
    /// The longest trust that any node of this installation has been allowed.
    pub longest_trust: Duration,
    /// Names the history that the database server is on: another after a fail-over or a restore.
    pub timeline: Timeline,
}

impl Roster {
    /// The longest trust that any node may have now.
    #[must_use]
    pub fn longest_trust(&self) -> Duration {
        self.nodes.iter().map(|node| node.trust).fold(self.longest_trust, Duration::max)
    }
}

/// A database server's identity and timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeline {
    /// Made when the server's files were.
    pub system: i64,
    /// Raised by every promotion and every restore to a point in time.
    pub number: i64,
}

/// How far a node's clock may be wrong about the length of a second, in percent.
pub const CLOCK_RATE_ERROR_PERCENT: u32 = 10;
/// Longest pause of the whole machine that a node's clock may fail to count.
pub const UNCOUNTED_PAUSE: Duration = Duration::from_millis(500);

/// How long a change waits at most for a node that says nothing: after this, by the waiter's own clock,
/// no node can still believe what it held before the change. `L·(1+ρ)/(1−ρ) + π`, rounded up to a second.
#[must_use]
pub fn longest_wait(longest_trust: Duration) -> Duration {
    let slow = u64::from(100 + CLOCK_RATE_ERROR_PERCENT);
    let fast = u64::from(100 - CLOCK_RATE_ERROR_PERCENT);
    let trust_ms = u64::try_from(longest_trust.as_millis()).unwrap_or(u64::MAX / 1_000);
    let wait_ms = (trust_ms.saturating_mul(slow)).div_ceil(fast);
    let pause_ms = u64::try_from(UNCOUNTED_PAUSE.as_millis()).unwrap_or(u64::MAX);
    Duration::from_secs(wait_ms.saturating_add(pause_ms).div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsEntropy;

    #[test]
    fn the_longest_wait_is_what_the_documents_say() {
        assert_eq!(longest_wait(Duration::from_secs(5)), Duration::from_secs(7));
        assert_eq!(longest_wait(Duration::from_secs(30)), Duration::from_secs(38));
        assert_eq!(longest_wait(Duration::from_secs(2)), Duration::from_secs(3));
    }

    #[test]
    fn a_mark_reads_back_and_nothing_else_does() {
        let mark = Incarnation::generate(&OsEntropy);
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for bad in ["", "0", "G0000000000000000000000000000000", "+0000000000000000000000000000000"] {
            assert_eq!(bad.parse::<Incarnation>(), Err(InvalidMark), "{bad}");
        }
    }
}
