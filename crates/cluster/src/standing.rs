//! What a member knows while it is on the list: its beats, and which of them may still become trust.

use std::collections::VecDeque;
use std::time::Duration;

use rndrkit_domain::feed::{FeedHead, FeedNumber};
use rndrkit_domain::node::{BeatMark, Incarnation};
use rndrkit_domain::time::Monotonic;

use crate::marks::Marks;
use crate::roll::Unaware;

/// Answered beats that wait for their head to be applied, at most: more than are sent while a node catches up
/// before its trust is over anyway.
const MOST_PENDING: usize = 64;

/// A beat that was answered, and may be believed once its head is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// When it was sent.
    pub(crate) sent: Monotonic,
    /// How long it is worth from then on, as was right when it was sent.
    pub(crate) term: Duration,
    /// The newest number when it was answered.
    pub(crate) head: FeedNumber,
}

/// A row on the list.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) incarnation: Incarnation,
    pub(crate) marks: Marks,
    pub(crate) unaware: Unaware,
    pub(crate) next_beat: Monotonic,
    /// Oldest first.
    pending: VecDeque<Promise>,
    /// As the last beat found it.
    pub(crate) head: Option<FeedHead>,
    /// Whether there may be something new in the feed.
    pub(crate) look: bool,
    /// What the others were last told is applied here.
    pub(crate) told: FeedNumber,
}

impl Standing {
    /// Has just joined: the first beat is due.
    pub(crate) fn new(incarnation: Incarnation, first: BeatMark, unaware: Unaware, now: Monotonic) -> Self {
        Self {
            incarnation,
            marks: Marks::new(first),
            unaware,
            next_beat: now,
            pending: VecDeque::new(),
            head: None,
            look: false,
            told: 0,
        }
    }

    /// Whether the feed has, or may have, more than `applied`.
    pub(crate) fn has_more(&self, applied: FeedNumber) -> bool {
        self.look || self.is_behind(applied)
    }

    /// Whether the feed is known to have more.
    pub(crate) fn is_behind(&self, applied: FeedNumber) -> bool {
        self.head.is_some_and(|head| head.number > applied)
    }

    /// A beat was answered. When too many wait, the new one is let go: the older are worth something sooner.
    pub(crate) fn promise(&mut self, promise: Promise) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push_back(promise);
        }
    }

    /// Takes those out whose head is applied; the one that lasts longest.
    pub(crate) fn redeem(&mut self, applied: FeedNumber) -> Option<Promise> {
        let mut best: Option<Promise> = None;
        self.pending.retain(|promise| {
            let kept = applied >= promise.head;
            if kept && best.is_none_or(|best| best.until() < promise.until()) {
                best = Some(*promise);
            }
            !kept
        });
        best
    }

    /// What was answered so far is worth nothing.
    pub(crate) fn forget_promises(&mut self) {
        self.pending.clear();
    }
}

impl Promise {
    /// Counted from the sending, never from the answer: what was committed in between was not seen.
    pub(crate) fn until(&self) -> Monotonic {
        self.sent.plus(self.term)
    }
}
