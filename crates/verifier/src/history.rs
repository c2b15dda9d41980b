//! Where a verifier stands in the feed, and whether what was read of the feed leads on from there.
//!
//! Used by whoever follows the feed: [`crate::Follower`], and the member of several nodes.

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedNumber};

use crate::source::SourceError;
use crate::verifier::Verifier;

/// A position in the feed. Number and tag together name a history: a restored database has other tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the last entry applied.
    pub number: FeedNumber,
    /// Its tag.
    pub tag: i64,
}

/// Why the feed does not lead on from a place, so that everything has to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The feed ends before the place: what was applied is no longer in the database.
    #[error("the feed does not continue what was applied: an older database came back")]
    Older,
    /// The place's own entry has another tag.
    #[error("the feed does not continue what was applied: its history was rewritten")]
    Rewritten,
    /// Entries were removed before they were applied.
    #[error("entries of the feed were removed before they were applied")]
    Removed,
    /// Entries that were read are not consecutive.
    #[error("entries of the feed are missing")]
    Missing,
}

impl Lost {
    /// Whether commits that were applied here are gone from the database, as after a restore or a fail-over
    /// that lost some; otherwise only entries of the feed are missing.
    #[must_use]
    pub const fn commits_are_gone(self) -> bool {
        matches!(self, Self::Older | Self::Rewritten)
    }
}

impl Place {
    /// Whether the feed that ends at `head` may lead on from here.
    pub const fn compare(self, head: FeedHead) -> Result<(), Lost> {
        if head.number < self.number {
            Err(Lost::Older)
        } else if head.number == self.number && head.tag != self.tag {
            Err(Lost::Rewritten)
        } else if self.number + 1 < head.oldest {
            Err(Lost::Removed)
        } else {
            Ok(())
        }
    }

    /// How entries stand to this place that were read from its number on, that number included so that its
    /// tag can be compared.
    pub fn continuation(self, entries: &[FeedEntry]) -> Continuation {
        let mut expected = match entries.first() {
            None => return Continuation::Nothing,
            Some(first) if first.number == self.number && first.tag != self.tag => {
                return Continuation::Lost(Lost::Rewritten);
            }
            Some(first) if first.number == self.number => self.number,
            // The place's own entry was removed since the head was read; what follows is still whole.
            Some(_) => self.number + 1,
        };
        for entry in entries {
            if entry.number != expected {
                return Continuation::Lost(Lost::Missing);
            }
            expected += 1;
        }
        if expected == self.number + 1 { Continuation::Nothing } else { Continuation::Good }
    }
}

/// How entries stand to the place that they were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// They lead on.
    Good,
    /// They hold nothing new.
    Nothing,
    /// They belong to another history, or do not connect.
    Lost(Lost),
}

impl Verifier {
    /// Where the feed has been applied up to.
    pub fn place(&self) -> Place {
        let position = self.position().lock();
        Place { number: position.number(), tag: position.tag() }
    }

    /// Applies entries of the feed as [`Self::apply`] does, and before that reads again what the entries
    /// say changed and memory has to know first: the prefixes. On an error nothing was applied.
    pub async fn follow(&self, entries: &[FeedEntry]) -> Result<(), SourceError> {
        let applied = self.applied();
        let news = |entry: &&FeedEntry| entry.number > applied;
        if entries.iter().filter(news).any(|entry| entry.kind.may_bring_prefixes()) {
            self.refresh_prefixes().await?;
        }
        self.apply(entries);
        Ok(())
    }

    /// Begins at `head`, or begins anew there: the prefixes are read again, then everything is forgotten
    /// (budgets and [`Self::remembered_revocations`] excepted). On an error nothing was forgotten.
    pub async fn start_at(&self, head: FeedHead) -> Result<(), SourceError> {
        self.refresh_prefixes().await?;
        self.reset(head);
        Ok(())
    }

    /// Says that the feed does not lead on, counts it, and begins anew at `head` as [`Self::start_at`].
    pub async fn lose_history(&self, head: FeedHead, lost: Lost) -> Result<(), SourceError> {
        self.refresh_prefixes().await?;
        tracing::error!(head = head.number, applied = self.applied(), "{lost}; all is read again");
        self.meters().histories_lost.increment(1);
        self.reset(head);
        Ok(())
    }

    /// Shows how far `head` is ahead of what has been applied.
    pub fn show_lag(&self, head: FeedHead) {
        self.meters().show_lag(head.number - self.applied());
    }
}
