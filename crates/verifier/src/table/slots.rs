//! Where the keys of one part of the table are: open addressing with linear probing, a byte of each digest
//! apart from the rest, so that a search touches one line of those and then the one key that is meant.
//!
//! Nothing is left behind where a key was: those after it move up. Keys go by second chance: a hand passes over
//! them and takes the first that was not used since it last came by.

use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key_text::Digest;

use crate::entry::KeyEntry;

/// Places that the first key makes.
const FIRST_PLACES: usize = 8;
/// No row.
const NO_ROW: u32 = u32::MAX;
/// Nothing is in this place. Every other tag is the tag of a key.
const EMPTY: u8 = 0;

/// A key in its place.
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

/// The places.
pub(super) struct Slots {
    tags: Box<[u8]>,
    places: Box<[Option<Slot>]>,
    len: usize,
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
        Self { tags: Box::default(), places: Box::default(), len: 0, hand: 0, expected }
    }

    fn probe(&self, digest: &Digest) -> Probe {
        // The table has chosen the part by the bytes between these.
        let [a, b, c, d, _, _, _, _, tag, ..] = digest.0;
        let home = (u64::from(u32::from_le_bytes([a, b, c, d])) * self.tags.len() as u64) >> 32;
        Probe { tag: tag | 1, home: home as usize }
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 < self.tags.len() { at + 1 } else { 0 }
    }

    #[inline]
    pub(super) fn find(&self, digest: &Digest) -> Option<usize> {
        let Probe { tag, home } = self.probe(digest);
        let mut at = home;
        // Some place is empty, so it ends.
        loop {
            let here = *self.tags.get(at)?;
            if here == tag && self.slot(at).is_some_and(|slot| slot.digest == *digest) {
                return Some(at);
            }
            if here == EMPTY {
                return None;
            }
            at = self.next(at);
        }
    }

    #[inline]
    fn slot(&self, at: usize) -> Option<&Slot> {
        self.places.get(at)?.as_ref()
    }

    #[inline]
    fn slot_mut(&mut self, at: usize) -> Option<&mut Slot> {
        self.places.get_mut(at)?.as_mut()
    }

    #[inline]
    pub(super) fn entry(&self, at: usize) -> Option<&KeyEntry> {
        self.slot(at).map(|slot| &slot.entry)
    }

    pub(super) fn row(&self, at: usize) -> Option<u32> {
        self.slot(at).map(|slot| slot.row)
    }

    pub(super) fn set_row(&mut self, at: usize, row: u32) {
        if let Some(slot) = self.slot_mut(at) {
            slot.row = row;
        }
    }

    /// Marks a key as used; says whose it is, and where its use is counted.
    #[inline]
    pub(super) fn touch(&mut self, at: usize) -> Option<((KeyId, AccountId), u32)> {
        let slot = self.slot_mut(at)?;
        slot.used_lately = true;
        Some((slot.entry.owner(), slot.row))
    }

    /// Puts a key in whose secret is not here.
    pub(super) fn insert(&mut self, digest: Digest, entry: KeyEntry) {
        self.make_room();
        self.place(Slot { digest, entry, row: NO_ROW, used_lately: false });
    }

    fn place(&mut self, slot: Slot) {
        let Probe { tag, home } = self.probe(&slot.digest);
        let mut at = home;
        while self.tags.get(at).is_some_and(|tag| *tag != EMPTY) {
            at = self.next(at);
        }
        if let (Some(to_tag), Some(to)) = (self.tags.get_mut(at), self.places.get_mut(at)) {
            *to_tag = tag;
            *to = Some(slot);
            self.len += 1;
        }
    }

    /// Grows when seven of eight places are taken: by half while fewer keys are here than expected, and then
    /// by an eighth, so that a full table is not half empty.
    fn make_room(&mut self) {
        if (self.len + 1) * 8 <= self.tags.len() * 7 {
            return;
        }
        let full = self.expected + self.expected / 4 + FIRST_PLACES;
        let before = self.tags.len();
        let after =
            if before < full { (before + before / 2 + FIRST_PLACES).min(full) } else { before + before / 8 };
        let old = std::mem::take(&mut self.places);
        self.tags = vec![EMPTY; after].into();
        self.places = std::iter::repeat_with(|| None).take(after).collect();
        self.len = 0;
        self.hand = 0;
        old.into_iter().flatten().for_each(|slot| self.place(slot));
    }

    pub(super) fn remove(&mut self, digest: &Digest) -> Option<Left> {
        self.find(digest).and_then(|at| self.take_out(at))
    }

    /// Takes out what is in a place, and moves up what was put further on for its sake.
    fn take_out(&mut self, at: usize) -> Option<Left> {
        let left = self.places.get_mut(at).and_then(Option::take)?.left();
        self.len -= 1;
        let mut hole = at;
        let mut next = self.next(at);
        while let Some(home) = self.slot(next).map(|slot| self.probe(&slot.digest).home) {
            // How far each is from the home of the one that may move, round the end.
            let from_home = |place: usize| (place + self.tags.len() - home) % self.tags.len();
            if from_home(hole) < from_home(next) {
                self.places.swap(hole, next);
                self.tags.swap(hole, next);
                hole = next;
            }
            next = self.next(next);
        }
        if let Some(tag) = self.tags.get_mut(hole) {
            *tag = EMPTY;
        }
        Some(left)
    }

    /// Takes out one key, if there is any: the first that the hand finds unused since it was last here.
    pub(super) fn evict(&mut self) -> Option<Left> {
        if self.len == 0 {
            return None;
        }
        // Once round takes the marks away, the second time round at the latest finds one without.
        for _ in 0..2 * self.tags.len() {
            let at = self.hand;
            match self.slot_mut(at) {
                Some(slot) if slot.used_lately => slot.used_lately = false,
                // The hand stays: what moves up into this place has not been looked at.
                Some(_) => return self.take_out(at),
                None => {}
            }
            self.hand = self.next(at);
        }
        None
    }

    /// Takes all keys out.
    pub(super) fn clear(&mut self) -> Vec<Left> {
        let cleared = std::mem::replace(self, Self::new(self.expected));
        cleared.places.into_iter().flatten().map(Slot::left).collect()
    }

    #[cfg(any(test, feature = "inspect"))]
    pub(super) fn entries(&self) -> Vec<(Digest, KeyEntry)> {
        self.places.iter().flatten().map(|slot| (slot.digest, slot.entry.clone())).collect()
    }
}
