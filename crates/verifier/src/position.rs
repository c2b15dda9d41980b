//! How far the feed has been applied, and the fence that keeps late answers out.
//!
//! A look-up reads the database at some feed number; entries may be applied while its answer travels. The
//! answer is usable only if nothing between the two concerns it. One lock guards the position, the recent
//! entries and the accounts, so that landing an answer and applying an entry never interleave.

use std::collections::VecDeque;

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Monotonic;

use crate::account::Accounts;
use crate::revocations::Revocations;
use crate::watch::Change;

/// Entries remembered for the fence. A look-up that takes longer than this many changes reads again.
const RECENT_ENTRIES: usize = 4_096;

/// What an answer is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// One secret, with its key and account if it is known.
    Secret(Digest, Option<(KeyId, AccountId)>),
    /// The tokens of the operator API.
    Tokens,
}

impl Target {
    /// Whether an entry may have changed the answer. When an entry does not say what it is about: yes.
    fn is_named_by(&self, entry: &FeedEntry) -> bool {
        match (self, entry.kind) {
            (_, FeedKind::Unknown(_)) | (Self::Tokens, FeedKind::Tokens) => true,
            (Self::Tokens, _) | (_, FeedKind::Tokens | FeedKind::Prefixes) => false,
            // A secret that is unknown is unknown on every plan and under every account.
            (Self::Secret(_, owner), FeedKind::Plans) => owner.is_some(),
            (Self::Secret(digest, owner), FeedKind::Account) => {
                entry.digests.contains(digest)
                    || owner.is_some_and(|(_, account)| entry.account_id.is_none_or(|id| id == account))
            }
            (Self::Secret(digest, owner), FeedKind::Key | FeedKind::KeyRevoked) => {
                entry.digests.is_empty()
                    || entry.digests.contains(digest)
                    || owner.is_some_and(|(key, account)| {
                        entry.key_id == Some(key) || entry.account_id == Some(account)
                    })
            }
        }
    }
}

/// When an answer was read: the feed number of its snapshot, in which history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadAt {
    pub(crate) epoch: u64,
    pub(crate) number: FeedNumber,
}

/// The position and what hangs on it.
#[derive(Debug)]
pub(crate) struct Position {
    number: FeedNumber,
    tag: i64,
    /// Raised when history is thrown away: answers asked for before that are not usable after.
    epoch: u64,
    recent: VecDeque<FeedEntry>,
    pub(crate) revocations: Revocations,
    pub(crate) accounts: Accounts,
}

impl Position {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self {
            number: 0,
            tag: 0,
            epoch: 0,
            recent: VecDeque::new(),
            revocations: Revocations::default(),
            accounts,
        }
    }

    pub(crate) const fn number(&self) -> FeedNumber {
        self.number
    }

    pub(crate) const fn tag(&self) -> i64 {
        self.tag
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether an answer may be kept and given: nothing that was applied since it was read concerns it.
    pub(crate) fn is_usable(&self, read_at: ReadAt, target: &Target) -> bool {
        if read_at.epoch != self.epoch {
            return false;
        }
        if read_at.number >= self.number {
            return true;
        }
        let covered = self.recent.front().is_some_and(|oldest| oldest.number <= read_at.number + 1);
        let mut since = self.recent.iter().rev().take_while(|entry| entry.number > read_at.number);
        covered && !since.any(|entry| target.is_named_by(entry))
    }

    /// The moment up to which an answer that was usable just now is known to hold.
    pub(crate) fn holds_until(&self, read_at: ReadAt) -> ReadAt {
        ReadAt { number: read_at.number.max(self.number), ..read_at }
    }

    /// Whether `entry` is the next one, already applied, or beyond a gap.
    pub(crate) fn step_to(&self, entry: &FeedEntry) -> Step {
        match entry.number - self.number {
            ..=0 => Step::Applied,
            1 => Step::Next,
            _ => Step::Gap,
        }
    }

    /// Moves on to `entry` and remembers it.
    pub(crate) fn advance(&mut self, entry: &FeedEntry, now: Monotonic) {
        if let (FeedKind::KeyRevoked, Some(key)) = (entry.kind, entry.key_id) {
            self.revocations.remember(key, now);
        }
        if self.recent.len() == RECENT_ENTRIES {
            self.recent.pop_front();
        }
        self.recent.push_back(entry.clone());
        self.number = entry.number;
        self.tag = entry.tag;
    }

    /// Forgets what was read so far, in flight included. Budgets stay, and so do the revocations: after a
    /// restore they are what the database no longer knows.
    pub(crate) fn forget(&mut self, change: Change) {
        self.epoch += 1;
        self.accounts.forget_all(change);
    }

    /// Takes a position without having applied what leads to it.
    pub(crate) fn jump(&mut self, head: FeedHead) {
        self.recent.clear();
        self.number = head.number;
        self.tag = head.tag;
    }
}

/// Where an entry stands relative to the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// At or before it.
    Applied,
    /// Directly after it.
    Next,
    /// Further on: something between is missing.
    Gap,
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn entry(number: FeedNumber, kind: FeedKind) -> FeedEntry {
        FeedEntry { number, tag: number * 7, kind, account_id: None, key_id: None, digests: Vec::new() }
    }

    fn digest(seed: u8) -> Digest {
        Digest([seed; 32])
    }

    fn owner() -> (KeyId, AccountId) {
        let now = Timestamp::from_unix_ms(0);
        (KeyId::generate(now, &OsEntropy), AccountId::generate(now, &OsEntropy))
    }

    fn position_after(entries: &[FeedEntry]) -> Position {
        let mut position = Position::new(Accounts::new(10));
        for entry in entries {
            position.advance(entry, Monotonic(0));
        }
        position
    }

    fn read_at(number: FeedNumber) -> ReadAt {
        ReadAt { epoch: 0, number }
    }

    #[test]
    fn an_answer_read_at_or_after_the_position_is_usable() {
        let position = position_after(&[FeedEntry { digests: vec![digest(1)], ..entry(1, FeedKind::Key) }]);
        let target = Target::Secret(digest(1), None);
        assert!(!position.is_usable(read_at(0), &target));
        assert!(position.is_usable(read_at(1), &target));
        assert!(position.is_usable(read_at(2), &target));
    }

    #[test]
    fn an_older_answer_is_usable_while_nothing_since_names_it() {
        let (key, account) = owner();
        let (other_key, other_account) = owner();
        let known = Target::Secret(digest(1), Some((key, account)));
        let unknown = Target::Secret(digest(1), None);
        let cases = [
            // Entry, usable for the known secret, for an unknown one, for the tokens.
            (FeedEntry { digests: vec![digest(1)], ..entry(1, FeedKind::Key) }, false, false, true),
            (FeedEntry { digests: vec![digest(2)], ..entry(1, FeedKind::Key) }, true, true, true),
            (
                FeedEntry { digests: vec![digest(2)], key_id: Some(key), ..entry(1, FeedKind::Key) },
                false,
                true,
                true,
            ),
            (
                FeedEntry { digests: vec![digest(2)], account_id: Some(account), ..entry(1, FeedKind::Key) },
                false,
                true,
                true,
            ),
            (
                FeedEntry { digests: vec![digest(2)], key_id: Some(other_key), ..entry(1, FeedKind::Key) },
                true,
                true,
                true,
            ),
            // Does not say which secrets: may be this one.
            (FeedEntry { key_id: Some(other_key), ..entry(1, FeedKind::Key) }, false, false, true),
            (FeedEntry { account_id: Some(account), ..entry(1, FeedKind::Account) }, false, true, true),
            (FeedEntry { account_id: Some(other_account), ..entry(1, FeedKind::Account) }, true, true, true),
            (entry(1, FeedKind::Account), false, true, true),
            (entry(1, FeedKind::Plans), false, true, true),
            (entry(1, FeedKind::Tokens), true, true, false),
            (entry(1, FeedKind::Unknown(99)), false, false, false),
        ];
        for (entry, for_known, for_unknown, for_tokens) in cases {
            let position = position_after(std::slice::from_ref(&entry));
            assert_eq!(position.is_usable(read_at(0), &known), for_known, "known: {entry:?}");
            assert_eq!(position.is_usable(read_at(0), &unknown), for_unknown, "unknown: {entry:?}");
            assert_eq!(position.is_usable(read_at(0), &Target::Tokens), for_tokens, "tokens: {entry:?}");
        }
    }

    #[test]
    fn an_answer_older_than_what_is_remembered_is_not_usable() {
        let count = i64::try_from(RECENT_ENTRIES).unwrap() + 10;
        let entries: Vec<FeedEntry> = (1..=count).map(|number| entry(number, FeedKind::Tokens)).collect();
        let position = position_after(&entries);
        let target = Target::Secret(digest(1), None);
        assert!(position.is_usable(read_at(10), &target));
        assert!(!position.is_usable(read_at(9), &target));

        let mut jumped = Position::new(Accounts::new(10));
        jumped.jump(FeedHead { number: 5, tag: 1, oldest: 1 });
        assert!(!jumped.is_usable(read_at(4), &target));
        assert!(jumped.is_usable(read_at(5), &target));
    }

    #[test]
    fn an_answer_from_a_history_that_was_thrown_away_is_not_usable() {
        let mut position = position_after(&[entry(1, FeedKind::Tokens)]);
        position.forget(Change::Broad);
        assert!(!position.is_usable(read_at(9), &Target::Tokens));
        assert!(position.is_usable(ReadAt { epoch: 1, number: 9 }, &Target::Tokens));
    }
}
