//! The feed of changes: every change that can alter a decision has a number, in commit order, without gaps.

use crate::id::{AccountId, KeyId};
use crate::key_text::Digest;

/// Position in the feed. 0 = before the first change.
pub type FeedNumber = i64;

/// What an entry is about. Verifiers that meet a kind they do not know drop everything they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeedKind {
    /// A key was made, ended or changed; the entry names its digests.
    Key,
    /// An account's plan, status or external id changed, or it was deleted.
    Account,
    /// The plans themselves changed.
    Plans,
    /// The operator API's tokens changed.
    Tokens,
    /// A key was ended; otherwise as [`Self::Key`]. Told apart so that it can be ended again should the
    /// database lose it.
    KeyRevoked,
    /// Keys may have another prefix from now on.
    Prefixes,
    /// Written by a newer version.
    Unknown(i16),
}

impl FeedKind {
    /// Says that anything may have changed. Its number is never given to a kind, so that no version knows it:
    /// every one drops all that it holds.
    pub const ANYTHING: Self = Self::Unknown(0);

    /// The number in the database.
    #[must_use]
    pub const fn to_number(self) -> i16 {
        match self {
            Self::Key => 1,
            Self::Account => 2,
            Self::Plans => 3,
            Self::Tokens => 4,
            Self::KeyRevoked => 5,
            Self::Prefixes => 6,
            Self::Unknown(number) => number,
        }
    }

    /// From the database.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            1 => Self::Key,
            2 => Self::Account,
            3 => Self::Plans,
            4 => Self::Tokens,
            5 => Self::KeyRevoked,
            6 => Self::Prefixes,
            other => Self::Unknown(other),
        }
    }

    /// Whether keys may have a prefix after this that they could not have before.
    #[must_use]
    pub const fn may_bring_prefixes(self) -> bool {
        matches!(self, Self::Prefixes | Self::Unknown(_))
    }
}

/// One entry of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its position.
    pub number: FeedNumber,
    /// Random; (number, tag) names a history, so that a restored database is noticed.
    pub tag: i64,
    /// What it is about.
    pub kind: FeedKind,
    /// The account concerned, if one.
    pub account_id: Option<AccountId>,
    /// The key concerned, if one.
    pub key_id: Option<KeyId>,
    /// All digests of that key.
    pub digests: Vec<Digest>,
}

/// The newest position of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedHead {
    /// Number of the newest entry; 0 when there is none.
    pub number: FeedNumber,
    /// Its tag.
    pub tag: i64,
    /// Number of the oldest entry that is still stored.
    pub oldest: FeedNumber,
}
