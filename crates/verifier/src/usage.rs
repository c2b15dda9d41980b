//! Counted use, in memory until it is flushed: requests per key and minute, and when each secret was last
//! presented. The rows are in the table of keys, under the lock that a verification holds anyway; what is here
//! is one row, and the way of all of them to the store. Bounded; what finds no room is dropped and counted.

use std::sync::Arc;

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{AnswerCounts, LastUse, StatusClass, UsageCounts, UsageDelta, UsagePeriod};

use crate::table::KeyTable;

/// Rows (one secret in one minute) that wait for a flush: as many keys as fit the default cache, and room
/// for a turn of the minute. Full they take 30 MB, and three times that at the worst: a flush under way holds as
/// many again, and each part makes room ahead.
pub(crate) const MAX_ROWS: usize = 262_144;

/// What became of a request that presented an active, unexpired secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Let through.
    Allowed,
    /// Refused for want of budget.
    Limited,
    /// Refused for another reason.
    Refused,
    /// Looked at without spending: moves the last use, counts nothing.
    Looked,
}

/// Whose secret was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) digest: Digest,
    pub(crate) key_id: KeyId,
    pub(crate) account_id: AccountId,
}

/// Before every moment: no last use.
const NEVER_MS: i64 = i64::MIN;

/// What one secret did in one minute.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) digest: Digest,
    pub(crate) key_id: KeyId,
    pub(crate) account_id: AccountId,
    /// Start of the minute, in milliseconds.
    minute_ms: i64,
    /// When the secret was last presented, in milliseconds; an answer that comes later moves nothing.
    last_used_ms: i64,
    // A key that did four thousand million requests in a minute would be one too few.
    allowed: u32,
    limited: u32,
    refused: u32,
    /// In the order of [`StatusClass::ALL`].
    answers: [u32; 4],
}

fn minute_ms(at: Timestamp) -> i64 {
    at.floor_to(UsagePeriod::Minute.length()).unix_ms()
}

fn add(count: &mut u32, more: u32) {
    *count = count.saturating_add(more);
}

impl Row {
    pub(crate) fn new(digest: Digest, (key_id, account_id): (KeyId, AccountId), at: Timestamp) -> Self {
        Self {
            digest,
            key_id,
            account_id,
            minute_ms: minute_ms(at),
            last_used_ms: NEVER_MS,
            allowed: 0,
            limited: 0,
            refused: 0,
            answers: [0; 4],
        }
    }

    /// Whether a use of this secret at that time belongs here.
    #[inline]
    pub(crate) fn is_of(&self, digest: &Digest, at: Timestamp) -> bool {
        let into_minute = at.unix_ms().wrapping_sub(self.minute_ms);
        (0..60_000).contains(&into_minute) && self.digest == *digest
    }

    #[inline]
    pub(crate) fn count(&mut self, what: Use, at: Timestamp) {
        match what {
            Use::Allowed => add(&mut self.allowed, 1),
            Use::Limited => add(&mut self.limited, 1),
            Use::Refused => add(&mut self.refused, 1),
            Use::Looked => {}
        }
        self.last_used_ms = self.last_used_ms.max(at.unix_ms());
    }

    pub(crate) fn answered(&mut self, class: StatusClass) {
        let place = StatusClass::ALL.iter().position(|one| *one == class);
        if let Some(count) = place.and_then(|place| self.answers.get_mut(place)) {
            add(count, 1);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        add(&mut self.allowed, other.allowed);
        add(&mut self.limited, other.limited);
        add(&mut self.refused, other.refused);
        self.answers.iter_mut().zip(other.answers).for_each(|(count, more)| add(count, more));
        self.last_used_ms = self.last_used_ms.max(other.last_used_ms);
    }

    pub(crate) fn start(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.minute_ms)
    }

    /// Requests in it.
    pub(crate) fn requests(&self) -> u64 {
        [self.allowed, self.limited, self.refused].into_iter().map(u64::from).sum()
    }

    fn counts(&self) -> UsageCounts {
        let [successful, redirection, client_error, server_error] = self.answers.map(u64::from);
        UsageCounts {
            allowed: self.allowed.into(),
            limited: self.limited.into(),
            refused: self.refused.into(),
            answers: AnswerCounts { successful, redirection, client_error, server_error },
        }
    }
}

/// Counts use in memory until it is flushed.
pub struct UsageBuffer {
    table: Arc<KeyTable>,
}

impl UsageBuffer {
    pub(crate) const fn new(table: Arc<KeyTable>) -> Self {
        Self { table }
    }

    /// Rows waiting now.
    pub fn waiting(&self) -> usize {
        self.table.rows()
    }

    /// Takes everything out. What the batch is not [`Batch::done`] with comes back.
    pub(crate) fn drain(self: &Arc<Self>) -> Batch {
        let mut rows = self.table.drain();
        rows.sort_unstable_by_key(|row| (row.digest, row.minute_ms));
        // A secret has several of one minute when an earlier minute came back in between.
        rows.dedup_by(|later, first| {
            let same = later.digest == first.digest && later.minute_ms == first.minute_ms;
            if same {
                first.merge(later);
            }
            same
        });
        Batch { buffer: Arc::clone(self), rows }
    }
}

/// Use on its way to the store, in order of digest and minute. Dropped without [`Self::done`], it goes back
/// into the buffer.
pub(crate) struct Batch {
    buffer: Arc<UsageBuffer>,
    rows: Vec<Row>,
}

impl Batch {
    /// Takes so many rows at most out of it, as a batch of their own. `None` when there are none.
    pub(crate) fn take(&mut self, rows: usize) -> Option<Self> {
        let rest = self.rows.len().saturating_sub(rows);
        let rows = self.rows.split_off(rest);
        (!rows.is_empty()).then(|| Self { buffer: Arc::clone(&self.buffer), rows })
    }

    /// What to add per key and minute, in order of key and minute.
    pub(crate) fn deltas(&self) -> Vec<UsageDelta> {
        let delta = |row: &Row| UsageDelta {
            key_id: row.key_id,
            account_id: row.account_id,
            minute: row.start(),
            counts: row.counts(),
        };
        let mut deltas: Vec<UsageDelta> = self.rows.iter().map(delta).collect();
        deltas.retain(|delta| delta.counts != UsageCounts::default());
        deltas.sort_unstable_by_key(|delta| (delta.key_id, delta.minute));
        // The two secrets of a rotation count as one key.
        deltas.dedup_by(|later, first| {
            let same = (later.key_id, later.minute) == (first.key_id, first.minute);
            if same {
                first.counts = first.counts.plus(later.counts);
            }
            same
        });
        deltas
    }

    /// When each secret was last presented, in order of digest.
    pub(crate) fn last_uses(&self) -> Vec<LastUse> {
        let presented = self.rows.iter().filter(|row| row.last_used_ms != NEVER_MS);
        let mut latest: Vec<LastUse> = Vec::new();
        for row in presented {
            let at = Timestamp::from_unix_ms(row.last_used_ms);
            match latest.last_mut() {
                Some(last) if last.digest == row.digest => last.at = last.at.max(at),
                _ => latest.push(LastUse { digest: row.digest, key_id: row.key_id, at }),
            }
        }
        latest
    }

    /// It is stored.
    pub(crate) fn done(mut self) {
        self.rows.clear();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for row in self.rows.drain(..) {
            self.buffer.table.bring_back(&row);
        }
    }
}

#[cfg(test)]
mod tests;
