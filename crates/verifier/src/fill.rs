//! Look-ups: one per secret however many wait, a bounded number at once, and none that lands after an
//! entry of the feed that concerns it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::decision::Denial;
use rndrkit_domain::key_text::Digest;
use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::entry::{Held, KeyEntry, Refused};
use crate::position::{Position, ReadAt, Target};
use crate::source::{KeyFacts, Loaded};
use crate::verifier::Verifier;

/// How long a look-up waits for its turn: long enough for a burst, short enough that a flood turns into
/// "unavailable" and not into a queue.
const TURN_DEADLINE: Duration = Duration::from_millis(250);
/// How long a look-up may take once it runs, reading again included.
const LOAD_DEADLINE: Duration = Duration::from_secs(2);
/// Reads before giving up, when changes keep overtaking them.
const LOAD_ATTEMPTS: u32 = 8;
/// Look-ups waiting or running. Each costs a task; beyond this, saying "unavailable" at once is kinder.
const MAX_FLIGHTS: usize = 4_096;
/// Of these, and of the turns, one in so many is kept for addresses that have caused no failure lately: whoever
/// floods must not use up what a good key needs that nobody has seen before.
const KEPT_FREE: usize = 4;
/// How long a refused secret is answered from memory.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// A budget that begins within this time of the process's start may have been spent before it.
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// What came of a look-up.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// An answer, and the moment up to which it is known to hold.
    Found { held: Held, holds: ReadAt },
    /// The address that started it has caused too many failures.
    Throttled,
    /// We do not know.
    Failed,
}

impl Outcome {
    /// What the answer is about.
    pub(crate) fn target(digest: Digest, held: &Held) -> Target {
        match held {
            Held::Good(entry) | Held::Revoked(entry) => {
                Target::Secret(digest, Some((entry.key_id, entry.account.id)))
            }
            Held::Unknown => Target::Secret(digest, None),
        }
    }
}

/// One look-up that others wait for.
#[derive(Default)]
struct Flight {
    outcome: OnceLock<Outcome>,
    landed: Notify,
}

impl Flight {
    async fn outcome(&self) -> Outcome {
        loop {
            // Made before the outcome is looked at: it is then woken by a landing after that.
            let landed = self.landed.notified();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            landed.await;
        }
    }
}

/// Look-ups in flight.
pub(crate) struct Flights {
    by_digest: Mutex<HashMap<Digest, Arc<Flight>>>,
    turns: Semaphore,
    /// For look-ups that addresses with failures cause; each takes a turn beside.
    suspect_turns: Semaphore,
    /// For look-ups that can wait: see [`Verifier::recheck_in_turn`].
    pub(crate) patient: Semaphore,
}

impl Flights {
    pub(crate) fn new(at_once: usize) -> Self {
        let turns = at_once.clamp(1, Semaphore::MAX_PERMITS);
        let patient = Semaphore::new(turns.div_ceil(2));
        let suspect_turns = Semaphore::new(turns - turns / KEPT_FREE);
        Self { by_digest: Mutex::default(), turns: Semaphore::new(turns), suspect_turns, patient }
    }

    /// Waits for a turn. `None`: none came free in time.
    async fn turn(&self, suspect: bool) -> Option<Turn<'_>> {
        let taken = async {
            let among_suspects = if suspect { Some(self.suspect_turns.acquire().await?) } else { None };
            Ok::<_, AcquireError>(Turn {
                _among_suspects: among_suspects,
                _among_all: self.turns.acquire().await?,
            })
        };
        timeout(TURN_DEADLINE, taken).await.ok()?.ok()
    }
}

/// A look-up's turn, until dropped.
struct Turn<'a> {
    _among_all: SemaphorePermit<'a>,
    _among_suspects: Option<SemaphorePermit<'a>>,
}

/// Ends a look-up for all who wait when its task ends, however it ends.
struct Landing {
    verifier: Arc<Verifier>,
    digest: Digest,
    flight: Arc<Flight>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        // Whoever comes from now on looks in the cache or asks anew.
        self.verifier.flights().by_digest.lock().remove(&self.digest);
        // Set already, unless the task died.
        let _ = self.flight.outcome.set(Outcome::Failed);
        self.flight.landed.notify_waiters();
    }
}

impl Verifier {
    /// Looks a secret up, or waits for whoever is doing so already. `None`: ask again, for the look-up
    /// was refused to somebody else.
    pub(crate) async fn look_up(
        &self,
        digest: Digest,
        client: Option<IpAddr>,
    ) -> Result<Option<(Held, ReadAt)>, Denial> {
        let (flight, started) = self.join(digest, client).ok_or(Denial::Unavailable)?;
        match flight.outcome().await {
            Outcome::Found { held, holds } => Ok(Some((held, holds))),
            Outcome::Throttled if started => Err(Denial::TooManyFailures),
            Outcome::Throttled => Ok(None),
            Outcome::Failed => Err(Denial::Unavailable),
        }
    }

    /// The look-up of this secret, and whether it began here. It runs in a task of its own, so that a client
    /// that goes away cancels it for nobody.
    fn join(&self, digest: Digest, client: Option<IpAddr>) -> Option<(Arc<Flight>, bool)> {
        let verifier = self.shared()?;
        let suspect = self.failures().suspects(client, self.clock().monotonic());
        let room = if suspect { MAX_FLIGHTS - MAX_FLIGHTS / KEPT_FREE } else { MAX_FLIGHTS };
        let flight = {
            let mut flights = self.flights().by_digest.lock();
            let full = flights.len() >= room;
            match flights.entry(digest) {
                Entry::Occupied(flight) => return Some((Arc::clone(flight.get()), false)),
                Entry::Vacant(_) if full => return None,
                Entry::Vacant(vacant) => Arc::clone(vacant.insert(Arc::default())),
            }
        };
        // Made here and not in the task: a runtime that is shutting down drops tasks before they begin.
        let landing = Landing { verifier, digest, flight: Arc::clone(&flight) };
        tokio::spawn(async move {
            let outcome = landing.verifier.fill(digest, client, suspect).await;
            let _ = landing.flight.outcome.set(outcome);
        });
        Some((flight, true))
    }

    async fn fill(&self, digest: Digest, client: Option<IpAddr>, suspect: bool) -> Outcome {
        let Some(_turn) = self.flights().turn(suspect).await else { return Outcome::Failed };
        // Asked again, because others may have failed while this one waited.
        let Some(running) = self.failures().begin(client, self.clock().monotonic()) else {
            return Outcome::Throttled;
        };
        self.meters().lookups_running.increment(1.0);
        let outcome = timeout(LOAD_DEADLINE, self.load(digest)).await.unwrap_or_else(|_| {
            self.meters().store_errors.increment(1);
            Outcome::Failed
        });
        self.meters().lookups_running.decrement(1.0);
        if matches!(outcome, Outcome::Found { held: Held::Unknown, .. }) {
            running.failed(self.clock().monotonic());
        }
        outcome
    }

    /// Reads until the answer is not overtaken by a change.
    async fn load(&self, digest: Digest) -> Outcome {
        for _ in 0..LOAD_ATTEMPTS {
            let epoch = self.position().lock().epoch();
            match self.source().load(digest).await {
                Err(error) => {
                    self.report(&error);
                    return Outcome::Failed;
                }
                Ok(loaded) => {
                    if let Some(outcome) = self.land(digest, epoch, loaded) {
                        return outcome;
                    }
                }
            }
        }
        Outcome::Failed
    }

    /// Puts an answer where the next request finds it. `None`: it was overtaken, read again.
    fn land(&self, digest: Digest, epoch: u64, loaded: Loaded) -> Option<Outcome> {
        let mut position = self.position().lock();
        let read_at = ReadAt { epoch, number: loaded.head };
        let owner = loaded.found.as_ref().map(|facts| (facts.key_id, facts.account.id));
        if !position.is_usable(read_at, &Target::Secret(digest, owner)) {
            return None;
        }
        let Some(held) = self.hold(&mut position, digest, read_at, loaded.found) else {
            tracing::warn!("too many accounts in use at once; raise cache_keys");
            return Some(Outcome::Failed);
        };
        let holds = position.holds_until(read_at);
        drop(position);
        self.show_sizes();
        Some(Outcome::Found { held, holds })
    }

    /// `None`: there is no room for another account.
    fn hold(
        &self,
        position: &mut Position,
        digest: Digest,
        read_at: ReadAt,
        found: Option<KeyFacts>,
    ) -> Option<Held> {
        let now = self.clock().monotonic();
        let held = match found {
            None => Held::Unknown,
            Some(facts) => {
                let (account, is_new) = position.accounts.intern(&facts.account, read_at.number, now)?;
                if is_new && self.pool().is_none() && now.since(self.started()) < RESTART_WINDOW {
                    self.meters().budget_restarts.increment(1);
                }
                let entry = Arc::new(KeyEntry::new(&facts, account));
                // The database may have lost the revocation; this node has not.
                let is_revoked = facts.revoked || position.revocations.contains(&facts.key_id);
                if is_revoked { Held::Revoked(entry) } else { Held::Good(entry) }
            }
        };
        // Removed before anything is inserted, so that what leaves the cache by itself is an eviction.
        self.discard(&digest);
        match &held {
            Held::Good(entry) => self.good().insert(digest, entry),
            Held::Revoked(_) | Held::Unknown => {
                let refused = Refused { held: held.clone(), until: now.plus(REFUSED_FOR) };
                self.refused().insert(digest, refused);
            }
        }
        Some(held)
    }
}
