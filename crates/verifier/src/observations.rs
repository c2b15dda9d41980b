//! What is noted of requests beside counting them, in memory until it is flushed: who presented a secret, and
//! refusals. The steady state is one look at a filter; bounded; what finds no room is dropped and counted.

mod flusher;
mod lately;

use std::collections::{HashMap, hash_map};
use std::fmt;
use std::net::IpAddr;

use metrics::Counter;
use parking_lot::Mutex;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::observation::{REFUSALS_KEPT, Refusal, Sighting};
use rndrkit_domain::time::Monotonic;

use crate::meters;
pub use flusher::ObservationFlusher;
use lately::{Lately, network_bits};

/// Parts of the buffer, each under a lock of its own. Only what is rare gets here, so that few suffice.
const PARTS: usize = 16;
/// Sightings that wait for a flush in one part; 8,192 in all, some 3 MB when clients say much about themselves.
const SIGHTINGS_OF_A_PART: usize = 512;
/// Refusals that wait for a flush in one part; 4,096 in all, some 4 MB, and three times that at the worst.
const REFUSALS_OF_A_PART: usize = 256;

/// A secret, and the network that it came from.
type Place = (Digest, u64);

/// Notes what a page is to tell of requests, until it is flushed.
pub struct Observations {
    lately: Lately,
    sightings: [Mutex<HashMap<Place, Sighting>>; PARTS],
    refusals: [Mutex<Refusals>; PARTS],
    dropped_sightings: Counter,
    dropped_refusals: Counter,
}

/// The first of each account since the last flush, up to as many as are kept of it: a flood costs no more than
/// that, however long it lasts.
#[derive(Default)]
struct Refusals {
    of_accounts: HashMap<AccountId, Vec<Refusal>>,
    count: usize,
}

impl Refusals {
    fn has_room_for(&self, account: &AccountId) -> bool {
        let of_account = self.of_accounts.get(account).map_or(0, Vec::len);
        self.count < REFUSALS_OF_A_PART && of_account < REFUSALS_KEPT
    }

    fn add(&mut self, refusal: Refusal) {
        self.of_accounts.entry(refusal.account_id).or_default().push(refusal);
        self.count += 1;
    }
}

impl Default for Observations {
    fn default() -> Self {
        Self {
            lately: Lately::default(),
            sightings: Default::default(),
            refusals: Default::default(),
            dropped_sightings: meters::observations_dropped("sighting"),
            dropped_refusals: meters::observations_dropped("refusal"),
        }
    }
}

impl fmt::Debug for Observations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observations").finish_non_exhaustive()
    }
}

impl Observations {
    /// Notes that somebody presented a secret, unless that was noted of this secret and network a moment ago. Only
    /// then `sighting` is asked for.
    #[inline]
    pub fn saw(
        &self,
        digest: &Digest,
        ip: Option<IpAddr>,
        now: Monotonic,
        sighting: impl FnOnce() -> Sighting,
    ) {
        let network = network_bits(ip);
        if !self.lately.noted(digest, network, now) {
            self.note((*digest, network), now, sighting());
        }
    }

    #[cold]
    fn note(&self, place: Place, now: Monotonic, sighting: Sighting) {
        if self.put(place, sighting) {
            self.lately.note(&place.0, place.1, now);
        } else {
            self.dropped_sightings.increment(1);
        }
    }

    /// Keeps a sighting that is newer than what is there. `false`: there is no room.
    fn put(&self, place: Place, sighting: Sighting) -> bool {
        let first = place.0.0.first().copied().unwrap_or_default();
        let Some(part) = self.sightings.get(usize::from(first) % PARTS) else { return false };
        let mut part = part.lock();
        let is_full = part.len() >= SIGHTINGS_OF_A_PART;
        match part.entry(place) {
            hash_map::Entry::Occupied(mut there) if there.get().at < sighting.at => {
                there.insert(sighting);
                true
            }
            hash_map::Entry::Occupied(_) => true,
            hash_map::Entry::Vacant(_) if is_full => false,
            hash_map::Entry::Vacant(free) => {
                free.insert(sighting);
                true
            }
        }
    }

    /// Keeps a refusal, if there is room for another of its account. Only then `refusal` is asked for.
    pub fn refused(&self, account: AccountId, refusal: impl FnOnce() -> Refusal) {
        let last = account.to_bytes().last().copied().unwrap_or_default();
        let Some(part) = self.refusals.get(usize::from(last) % PARTS) else { return };
        let mut part = part.lock();
        if part.has_room_for(&account) {
            part.add(refusal());
        } else {
            drop(part);
            self.dropped_refusals.increment(1);
        }
    }

    fn take_sightings(&self) -> Vec<Sighting> {
        self.sightings.iter().flat_map(|part| std::mem::take(&mut *part.lock()).into_values()).collect()
    }

    fn take_refusals(&self) -> Vec<Refusal> {
        let parts = self.refusals.iter().map(|part| std::mem::take(&mut *part.lock()));
        parts.flat_map(|part| part.of_accounts.into_values().flatten()).collect()
    }

    /// Takes back what could not be stored, as far as there is room beside what came since.
    fn bring_back(&self, sightings: &[Sighting], refusals: &[Refusal]) {
        for sighting in sightings {
            if !self.put((sighting.digest, network_bits(sighting.ip)), sighting.clone()) {
                self.dropped_sightings.increment(1);
            }
        }
        for refusal in refusals {
            self.refused(refusal.account_id, || refusal.clone());
        }
    }
}

#[cfg(test)]
mod tests;
