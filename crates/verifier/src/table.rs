//! The good keys in memory, and what they were used for since the last flush: a bounded table in parts, each
//! under a lock of its own.
//!
//! A verification takes one of these locks once, and under it finds the key, decides and counts. So whoever
//! takes a key out of the table (a change, an eviction) knows that nobody decides by it afterwards, and neither
//! keys nor counts need counters that cores would fight for. Unknown secrets never come here: a flood of them
//! pushes nothing out. Under the lock of a part an account's locks may be taken, never the other way round, and
//! never the position's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Counter;
use parking_lot::{Mutex, MutexGuard};
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::StatusClass;

use crate::entry::KeyEntry;
use crate::meters::{Meters, usage_dropped};
use crate::usage::{Owner, Row, Use};

mod slots;

use slots::{Left, Slots};

/// Keys for which a part is made, until there are [`MAX_PARTS`]: few enough that one more line of memory for
/// each part does not matter.
const KEYS_PER_PART: usize = 256;
/// Parts at most: several for each core, of which a part is locked for a tenth of a microsecond in the several
/// that a request takes; and so few that their heads stay in the nearest memory of the processor.
const MAX_PARTS: usize = 64;

/// What the table counts for the metrics.
pub(crate) struct TableMeters {
    pub(crate) evictions: Counter,
    pub(crate) hits: Counter,
    pub(crate) dropped: Counter,
}

impl TableMeters {
    pub(crate) fn of(meters: &Meters) -> Self {
        let (evictions, hits) = (meters.evictions.clone(), meters.hits.clone());
        Self { evictions, hits, dropped: usage_dropped() }
    }
}

/// A part on cache lines of its own, so that taking its lock disturbs nobody at the next.
#[repr(align(64))]
struct Locked(Mutex<Part>);

/// Some of the keys, and use.
struct Part {
    slots: Slots,
    rows: Vec<Row>,
    /// The newest row of each secret whose slot does not say where it is: the key has left, or has come back.
    /// Never more than there are rows.
    apart: BTreeMap<Digest, u32>,
    /// Finds since the last flush.
    hits: u32,
}

impl Part {
    fn new(keys: usize) -> Self {
        Self { slots: Slots::new(keys), rows: Vec::new(), apart: BTreeMap::new(), hits: 0 }
    }

    /// The row of that number, if it is still this secret's in the minute of `at`.
    #[inline]
    fn row_of(&mut self, number: u32, digest: &Digest, at: Timestamp) -> Option<&mut Row> {
        self.rows.get_mut(number as usize).filter(|row| row.is_of(digest, at))
    }

    /// Remembers where the use of a secret is counted: at its slot, else apart.
    fn point(&mut self, place: Option<usize>, digest: &Digest, row: u32) {
        match place {
            Some(place) => {
                self.slots.set_row(place, row);
                self.apart.remove(digest);
            }
            None => {
                self.apart.insert(*digest, row);
            }
        }
    }

    /// Remembers where the use of a key is counted that left its slot.
    fn set_apart(&mut self, left: &Left) {
        let row = self.rows.get(left.row as usize);
        if row.is_some_and(|row| row.digest == left.digest) {
            self.apart.insert(left.digest, left.row);
        }
    }
}

/// Good keys, bounded; those that were not used lately go first.
pub(crate) struct KeyTable {
    parts: Box<[Locked]>,
    capacity: usize,
    held: AtomicUsize,
    /// Rows of use that wait for a flush, and how many there may be.
    rows: AtomicUsize,
    max_rows: usize,
    meters: TableMeters,
}

impl KeyTable {
    pub(crate) fn new(capacity: usize, max_rows: usize, meters: TableMeters) -> Self {
        let capacity = capacity.max(1);
        let parts = capacity.div_ceil(KEYS_PER_PART).next_power_of_two().min(MAX_PARTS);
        let most = capacity.div_ceil(parts);
        let part = || Locked(Mutex::new(Part::new(most)));
        Self {
            parts: std::iter::repeat_with(part).take(parts).collect(),
            capacity,
            held: AtomicUsize::new(0),
            rows: AtomicUsize::new(0),
            max_rows,
            meters,
        }
    }

    /// The part in which a secret is, if it is. There is always one; the type does not know that.
    #[inline]
    fn part(&self, digest: &Digest) -> Option<MutexGuard<'_, Part>> {
        // The upper half chooses the part, the lower half the place in it.
        let chosen = (spread(digest) >> 32) as usize & (self.parts.len() - 1);
        self.parts.get(chosen).map(|part| part.0.lock())
    }

    /// The key of this secret, locked.
    #[inline]
    pub(crate) fn find(&self, digest: &Digest) -> Option<Found<'_>> {
        let part = self.part(digest)?;
        let at = part.slots.find(digest)?;
        Some(Found { table: self, part, at })
    }

    /// A copy of what is known about this secret.
    #[cfg(test)]
    pub(crate) fn get(&self, digest: &Digest) -> Option<KeyEntry> {
        self.find(digest)?.entry().cloned()
    }

    /// Puts a key in; one that was there under the same secret goes. One caller at a time, so that the bound
    /// holds: all come with the position's lock.
    pub(crate) fn insert(&self, digest: Digest, entry: &KeyEntry) {
        self.remove(&digest);
        if self.held.load(Ordering::Relaxed) >= self.capacity {
            self.evict(&digest);
        }
        if let Some(mut part) = self.part(&digest) {
            part.slots.insert(digest, entry.clone());
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a key out. From when this returns, nobody decides by it.
    pub(crate) fn remove(&self, digest: &Digest) -> bool {
        let removed = self.part(digest).is_some_and(|mut part| {
            let left = part.slots.remove(digest);
            left.as_ref().inspect(|left| part.set_apart(left)).is_some()
        });
        if removed {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// Makes room for one: in the part of the newcomer, or in the first after it that has anything.
    fn evict(&self, newcomer: &Digest) {
        let first = (spread(newcomer) >> 32) as usize & (self.parts.len() - 1);
        let (before, after) = self.parts.split_at(first.min(self.parts.len()));
        let evicted = after.iter().chain(before).any(|part| {
            let mut part = part.0.lock();
            let left = part.slots.evict();
            left.as_ref().inspect(|left| part.set_apart(left)).is_some()
        });
        if evicted {
            self.held.fetch_sub(1, Ordering::Relaxed);
            self.meters.evictions.increment(1);
        }
    }

    /// Takes all keys out. What they were used for stays.
    pub(crate) fn clear(&self) {
        for part in &self.parts {
            let mut part = part.0.lock();
            let left = part.slots.clear();
            self.held.fetch_sub(left.len(), Ordering::Relaxed);
            for left in &left {
                part.set_apart(left);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Copies of all that is held.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn entries(&self) -> Vec<(Digest, KeyEntry)> {
        self.parts.iter().flat_map(|part| part.0.lock().slots.entries()).collect()
    }
}

/// A digest is spread evenly already: its first bytes do for a hash.
fn spread(digest: &Digest) -> u64 {
    digest.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Use, from the table's side.
impl KeyTable {
    /// Counts a request of a key that may not be in the table any more.
    pub(crate) fn count(&self, digest: &Digest, entry: &KeyEntry, at: Timestamp, what: Use) {
        if let Some(mut part) = self.part(digest) {
            let place = part.slots.find(digest);
            self.row(&mut part, place, digest, entry.owner(), at, |row| row.count(what, at));
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, owner: &Owner, at: Timestamp, class: StatusClass) {
        if let Some(mut part) = self.part(&owner.digest) {
            let place = part.slots.find(&owner.digest);
            let whose = (owner.key_id, owner.account_id);
            self.row(&mut part, place, &owner.digest, whose, at, |row| row.answered(class));
        }
    }

    /// Brings back what could not be stored.
    pub(crate) fn bring_back(&self, back: &Row) {
        let Some(mut part) = self.part(&back.digest) else { return };
        let place = part.slots.find(&back.digest);
        self.row(&mut part, place, &back.digest, (back.key_id, back.account_id), back.start(), |row| {
            row.merge(back);
        });
    }

    /// The row of a secret in the minute of `at`, found by its place in the table, or made.
    #[inline]
    fn row(
        &self,
        part: &mut Part,
        place: Option<usize>,
        digest: &Digest,
        whose: (KeyId, AccountId),
        at: Timestamp,
        write: impl Fn(&mut Row),
    ) {
        let known = place.and_then(|place| part.slots.row(place));
        if let Some(row) = known.and_then(|row| part.row_of(row, digest, at)) {
            write(row);
            return;
        }
        let apart = part.apart.get(digest).copied();
        if let Some(number) = apart
            && let Some(row) = part.row_of(number, digest, at)
        {
            write(row);
            part.point(place, digest, number);
            return;
        }
        let mut row = Row::new(*digest, whose, at);
        write(&mut row);
        if self.rows.fetch_add(1, Ordering::Relaxed) >= self.max_rows {
            self.rows.fetch_sub(1, Ordering::Relaxed);
            // An answer alone, or a last use alone, is lost as well, and is never no loss.
            self.meters.dropped.increment(row.requests().max(1));
            return;
        }
        // There are never that many: `max_rows` is far below.
        part.point(place, digest, u32::try_from(part.rows.len()).unwrap_or(u32::MAX));
        part.rows.push(row);
    }

    /// Rows that wait for a flush.
    pub(crate) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Takes all rows out, in no order. Room for as many is made here and not where requests are counted.
    pub(crate) fn drain(&self) -> Vec<Row> {
        let mut all = Vec::with_capacity(self.rows());
        for part in &self.parts {
            let room = Vec::with_capacity(part.0.lock().rows.len());
            let (rows, apart, hits) = {
                let mut part = part.0.lock();
                let rows = std::mem::replace(&mut part.rows, room);
                (rows, std::mem::take(&mut part.apart), std::mem::take(&mut part.hits))
            };
            drop(apart);
            self.rows.fetch_sub(rows.len(), Ordering::Relaxed);
            self.meters.hits.increment(u64::from(hits));
            all.extend(rows);
        }
        all
    }
}

/// A key that is in the table, and stays there until this is dropped.
pub(crate) struct Found<'a> {
    table: &'a KeyTable,
    part: MutexGuard<'a, Part>,
    at: usize,
}

impl Found<'_> {
    pub(crate) fn entry(&self) -> Option<&KeyEntry> {
        self.part.slots.entry(self.at)
    }

    /// Notes that it was of use, so that it stays a little longer; and counts the request, if it counts.
    #[inline]
    pub(crate) fn used(mut self, digest: &Digest, counted: Option<(Timestamp, Use)>) {
        let part = &mut *self.part;
        part.hits = part.hits.saturating_add(1);
        let Some((whose, row)) = part.slots.touch(self.at) else { return };
        let Some((at, what)) = counted else { return };
        match part.row_of(row, digest, at) {
            Some(row) => row.count(what, at),
            None => self.table.row(part, Some(self.at), digest, whose, at, |row| row.count(what, at)),
        }
    }
}

#[cfg(test)]
mod tests;
