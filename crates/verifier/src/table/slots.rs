//! Where the keys of one part of the table are: one after the other, and apart from them places with open
//! addressing and linear probing, each of a byte of the digest and the number of a key. A search touches one line
//! of places and then the one key that is meant.
//!
//! Room for as many keys as are expected is taken with the first, and is no memory until it is used; so a part
//! never moves its keys under its lock. Nothing is left behind where a key was: places after it move up. Keys go by
//! second chance: a hand passes over them and takes the first that was not used since it last came by.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;

use crate::entry::KeyEntry;

/// Room beyond what is expected, for parts get uneven shares.
const MORE_KEYS: usize = 8;
/// No row.
const NO_ROW: u32 = u32::MAX;

/// A key in its slot.
struct Slot {
    digest: Digest,
    entry: KeyEntry,
    /// Where its use is counted, if that is still the same secret's.
    row: u32,
    used_lately: bool,
}

impl Slot {
    fn left(self) -> Left {
        Left { digest: self.digest, row: self.row }
    }
}

/// What is left of a key that was taken out.
pub(super) struct Left {
    pub(super) digest: Digest,
    /// Where its use was counted, if that is still the same secret's.
    pub(super) row: u32,
}

/// Where a slot is found: its number plus one, and above that the tag of its key. Zero when it is empty, which a
/// page of memory is that was never written.
type Place = u32;

const EMPTY: Place = 0;
const TAG_SHIFT: u32 = 24;
/// Keys that one part can hold at most: with 64 parts a thousand million, far beyond any memory.
const MAX_SLOTS: usize = (1 << TAG_SHIFT) - 1;

fn place_of(tag: u8, number: usize) -> Place {
    // Never cut off: there are at most MAX_SLOTS.
    u32::from(tag) << TAG_SHIFT | u32::try_from(number + 1).unwrap_or(0)
}

fn tag_of(place: Place) -> u8 {
    (place >> TAG_SHIFT) as u8
}

/// Which slot a place that is not empty names.
fn number_of(place: Place) -> usize {
    ((place & ((1 << TAG_SHIFT) - 1)) as usize).wrapping_sub(1)
}

/// The keys, and their places.
pub(super) struct Slots {
    places: Box<[Place]>,
    keys: Vec<Slot>,
    hand: usize,
    /// Keys that are expected at most; beyond this it grows in small steps.
    expected: usize,
}

/// What is looked for, and where the search begins.
#[derive(Clone, Copy)]
struct Probe {
    tag: u8,
    home: usize,
}

impl Slots {
    pub(super) fn new(expected: usize) -> Self {
        Self { places: Box::default(), keys: Vec::new(), hand: 0, expected }
    }

    fn probe(&self, digest: &Digest) -> Probe {
        // The table has chosen the part by the bytes between these.
        let [a, b, c, d, _, _, _, _, tag, ..] = digest.0;
        let home = (u64::from(u32::from_le_bytes([a, b, c, d])) * self.places.len() as u64) >> 32;
        Probe { tag, home: home as usize }
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 < self.places.len() { at + 1 } else { 0 }
    }

    /// The number of the slot that this secret's key is in.
    #[inline]
    pub(super) fn find(&self, digest: &Digest) -> Option<usize> {
        let Probe { tag, home } = self.probe(digest);
        let mut at = home;
        // Some place is empty, so it ends.
        loop {
            let here = *self.places.get(at)?;
            if here == EMPTY {
                return None;
            }
            let number = number_of(here);
            if tag_of(here) == tag && self.keys.get(number).is_some_and(|slot| slot.digest == *digest) {
                return Some(number);
            }
            at = self.next(at);
        }
    }

    /// The place that names a slot.
    fn find_place(&self, number: usize, digest: &Digest) -> Option<usize> {
        let Probe { tag, home } = self.probe(digest);
        let sought = place_of(tag, number);
        let mut at = home;
        loop {
            match *self.places.get(at)? {
                EMPTY => return None,
                here if here == sought => return Some(at),
                _ => at = self.next(at),
            }
        }
    }

    #[inline]
    pub(super) fn entry(&self, number: usize) -> Option<&KeyEntry> {
        self.keys.get(number).map(|slot| &slot.entry)
    }

    pub(super) fn row(&self, number: usize) -> Option<u32> {
        self.keys.get(number).map(|slot| slot.row)
    }

    pub(super) fn set_row(&mut self, number: usize, row: u32) {
        if let Some(slot) = self.keys.get_mut(number) {
            slot.row = row;
        }
    }

    /// Marks a key as used; says whose it is, and where its use is counted.
    #[inline]
    pub(super) fn touch(&mut self, number: usize) -> Option<((KeyId, AccountId), u32)> {
        let slot = self.keys.get_mut(number)?;
        slot.used_lately = true;
        Some((slot.entry.owner(), slot.row))
    }

    /// Puts a key in whose secret is not here. `false`: no part can hold as many.
    pub(super) fn insert(&mut self, digest: Digest, entry: KeyEntry) -> bool {
        if self.keys.len() >= MAX_SLOTS {
            return false;
        }
        self.make_room();
        self.place(self.keys.len(), &digest);
        self.keys.push(Slot { digest, entry, row: NO_ROW, used_lately: false });
        true
    }

    /// Writes down where a slot is.
    fn place(&mut self, number: usize, digest: &Digest) {
        let Probe { tag, home } = self.probe(digest);
        let mut at = home;
        while self.places.get(at).is_some_and(|place| *place != EMPTY) {
            at = self.next(at);
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = place_of(tag, number);
        }
    }

    /// Makes room for all that are expected at once, and beyond that for an eighth more at a time, so that a full
    /// table is not half empty. A third of the places at least stays empty.
    fn make_room(&mut self) {
        if self.keys.len() == self.keys.capacity() {
            let more = (self.keys.len() / 8).max(MORE_KEYS);
            let expected = self.expected + self.expected / 16 + MORE_KEYS;
            self.keys.reserve_exact(more.max(expected.saturating_sub(self.keys.len())));
        }
        let places = self.keys.capacity() + self.keys.capacity() / 2 + 1;
        if self.places.len() < places {
            self.places = vec![EMPTY; places].into();
            let keys = std::mem::take(&mut self.keys);
            keys.iter().enumerate().for_each(|(number, slot)| self.place(number, &slot.digest));
            self.keys = keys;
        }
    }

    pub(super) fn remove(&mut self, digest: &Digest) -> Option<Left> {
        self.find(digest).and_then(|number| self.take_out(number))
    }

    /// Takes out what is in a slot. The last key moves there.
    fn take_out(&mut self, number: usize) -> Option<Left> {
        let place = self.find_place(number, &self.keys.get(number)?.digest)?;
        self.empty(place);
        let last = self.keys.len().wrapping_sub(1);
        if number != last
            && let Some(moving) = self.keys.last().map(|slot| slot.digest)
        {
            let to = place_of(self.probe(&moving).tag, number);
            let place = self.find_place(last, &moving).and_then(|place| self.places.get_mut(place));
            if let Some(place) = place {
                *place = to;
            }
        }
        Some(self.keys.swap_remove(number).left())
    }

    /// Empties a place, and moves up what was put further on for its sake.
    fn empty(&mut self, place: usize) {
        let mut gap = place;
        let mut next = self.next(place);
        while let Some(here) = self.places.get(next).copied().filter(|here| *here != EMPTY) {
            let home = self.keys.get(number_of(here)).map_or(next, |slot| self.probe(&slot.digest).home);
            // How far each is from the home of the one that may move, round the end.
            let from_home = |place: usize| (place + self.places.len() - home) % self.places.len();
            if from_home(gap) < from_home(next) {
                self.places.swap(gap, next);
                gap = next;
            }
            next = self.next(next);
        }
        if let Some(place) = self.places.get_mut(gap) {
            *place = EMPTY;
        }
    }

    /// Takes out one key, if there is any: the first that the hand finds unused since it was last here.
    pub(super) fn evict(&mut self) -> Option<Left> {
        // Once round takes the marks away, the second time round at the latest finds one without.
        for _ in 0..2 * self.keys.len() {
            let number = if self.hand < self.keys.len() { self.hand } else { 0 };
            // On past the one that moves up, too: it is among the newest.
            self.hand = number + 1;
            match self.keys.get_mut(number) {
                Some(slot) if slot.used_lately => slot.used_lately = false,
                _ => return self.take_out(number),
            }
        }
        None
    }

    /// Takes all keys out.
    pub(super) fn clear(&mut self) -> Vec<Left> {
        let cleared = std::mem::replace(self, Self::new(self.expected));
        cleared.keys.into_iter().map(Slot::left).collect()
    }

    #[cfg(any(test, feature = "inspect"))]
    pub(super) fn entries(&self) -> Vec<(Digest, KeyEntry)> {
        self.keys.iter().map(|slot| (slot.digest, slot.entry.clone())).collect()
    }
}
