//! Applying the feed: what an entry names is forgotten before the position says that it was applied.

use std::sync::atomic::{AtomicI64, Ordering};

use rndrkit_domain::feed::{FeedEntry, FeedHead, FeedKind, FeedNumber};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key_text::Digest;
use tokio::sync::Notify;

use crate::position::{Position, Step};
use crate::verifier::Verifier;
use crate::watch::Change;

/// The applied position, for those who read it or wait for it without the lock.
#[derive(Default)]
pub(crate) struct Applied {
    number: AtomicI64,
    moved: Notify,
}

impl Applied {
    fn get(&self) -> FeedNumber {
        self.number.load(Ordering::Acquire)
    }

    fn set(&self, number: FeedNumber) {
        self.number.store(number, Ordering::Release);
        self.moved.notify_waiters();
    }

    async fn reached(&self, number: FeedNumber) {
        loop {
            // Made before the position is read: it is then woken by every move after that.
            let moved = self.moved.notified();
            if self.get() >= number {
                return;
            }
            moved.await;
        }
    }
}

impl Verifier {
    /// Applies entries of the feed, in order. Those that were applied before are passed over; after a gap,
    /// everything is forgotten first. Prefixes are not read: whoever follows the feed calls
    /// [`Self::follow`].
    pub fn apply(&self, entries: &[FeedEntry]) {
        let now = self.clock().monotonic();
        let mut position = self.position().lock();
        for entry in entries {
            match position.step_to(entry) {
                Step::Applied => continue,
                Step::Next => {}
                Step::Gap => {
                    tracing::warn!(
                        number = entry.number,
                        "entries of the feed are missing; all is read again"
                    );
                    // A revocation may be among them.
                    self.forget(&mut position, Change::Named);
                    position.jump(FeedHead { number: entry.number - 1, tag: 0, oldest: entry.number });
                }
            }
            self.obey(&mut position, entry);
            position.advance(entry, now);
        }
        self.applied_cell().set(position.number());
        drop(position);
        self.show_sizes();
    }

    /// The position up to which the feed has been applied.
    pub fn applied(&self) -> FeedNumber {
        self.applied_cell().get()
    }

    /// Waits until the feed has been applied up to `number`. The caller bounds the wait.
    pub async fn wait_applied(&self, number: FeedNumber) {
        self.applied_cell().reached(number).await;
    }

    /// Keys whose end was applied here within the last hour, oldest first: to be ended again should the
    /// database turn out to have lost that. What a reset forgets is not among what these are taken from.
    pub fn remembered_revocations(&self) -> Vec<KeyId> {
        let now = self.clock().monotonic();
        self.position().lock().revocations.since_an_hour(now)
    }

    /// Forgets everything (budgets excepted) and starts anew at `head`. The prefixes in force stay; whoever
    /// may have missed an entry calls [`Self::start_at`].
    pub fn reset(&self, head: FeedHead) {
        let mut position = self.position().lock();
        // What is passed over may hold a revocation.
        self.forget(&mut position, Change::Named);
        position.jump(head);
        self.applied_cell().set(position.number());
        drop(position);
        self.show_sizes();
    }

    /// Forgets everything (budgets excepted) and stays at the position.
    pub fn drop_everything(&self) {
        // Nothing is passed over: what was revoked up to here has been cut.
        self.forget(&mut self.position().lock(), Change::Broad);
        self.show_sizes();
    }

    fn forget(&self, position: &mut Position, change: Change) {
        self.good().clear();
        self.refused().clear();
        self.tokens().forget();
        // Last, because it wakes long connections: they must find nothing of what was.
        position.forget(change);
    }

    fn obey(&self, position: &mut Position, entry: &FeedEntry) {
        match entry.kind {
            FeedKind::Key | FeedKind::KeyRevoked => self.obey_key(position, entry),
            FeedKind::Account => {
                entry.digests.iter().for_each(|digest| self.discard(digest));
                match entry.account_id {
                    Some(id) => position.accounts.get(&id).into_iter().for_each(|account| {
                        account.outdate(Change::Named);
                    }),
                    None => position.accounts.outdate_all(Change::Named),
                }
            }
            FeedKind::Plans => position.accounts.outdate_all(Change::Broad),
            FeedKind::Tokens => self.tokens().forget(),
            // Read again by `follow`, before the entry came here.
            FeedKind::Prefixes => {}
            FeedKind::Unknown(kind) => {
                tracing::warn!(
                    kind,
                    "an entry of the feed is of a kind this version does not know; all is read again"
                );
                // By hand, it names nobody; of a newer version, it may be a revocation of a new kind.
                let by_hand = entry.kind == FeedKind::ANYTHING;
                self.forget(position, if by_hand { Change::Broad } else { Change::Named });
            }
        }
    }

    fn obey_key(&self, position: &Position, entry: &FeedEntry) {
        entry.digests.iter().for_each(|digest| self.discard(digest));
        let account = entry.account_id.and_then(|id| position.accounts.get(&id));
        match (account, entry.account_id) {
            // It does not say which secrets: all of the account, and none that is remembered as unknown.
            (Some(account), _) if entry.digests.is_empty() => account.outdate(Change::Named),
            (Some(account), _) => account.announce(Change::Named),
            (None, Some(_)) => {}
            (None, None) if entry.digests.is_empty() => position.accounts.outdate_all(Change::Named),
            (None, None) => position.accounts.announce_all(Change::Named),
        }
        if entry.digests.is_empty() {
            self.refused().clear();
        }
    }

    /// Takes a secret out of both caches. From when this returns, nobody decides by what was held of it.
    pub(crate) fn discard(&self, digest: &Digest) {
        self.refused().remove(digest);
        self.good().remove(digest);
    }
}
