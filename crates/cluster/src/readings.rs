//! The list of nodes, read once for all who wait at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rndrkit_domain::node::Roster;
use rndrkit_verifier::SourceError;
use tokio::sync::{Mutex, Notify};

use crate::line::Registry;
use crate::shared::Shared;

/// How long one reading may take before somebody else tries.
const READ_DEADLINE: Duration = Duration::from_secs(1);

/// Issued to who wants a reading that begins later than now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// One attempt to read the list.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The newest ticket that had been issued when it began.
    covers: Ticket,
    /// None: it failed.
    pub(crate) roster: Option<Roster>,
}

impl Reading {
    /// Whether it began after `ticket` was issued.
    pub(crate) fn covers(&self, ticket: Ticket) -> bool {
        self.covers >= ticket
    }
}

/// The newest reading, for all who wait. Wakes them in the order in which they came: tokio's channel for this
/// wakes in one that nobody chose, so that no simulation could repeat a run.
struct Latest {
    /// With a count of those before it.
    reading: parking_lot::Mutex<(u64, Arc<Reading>)>,
    changed: Notify,
}

impl Latest {
    fn get(&self) -> (u64, Arc<Reading>) {
        let reading = self.reading.lock();
        (reading.0, Arc::clone(&reading.1))
    }

    fn replace(&self, reading: Reading) {
        let mut latest = self.reading.lock();
        *latest = (latest.0 + 1, Arc::new(reading));
        drop(latest);
        self.changed.notify_waiters();
    }
}

/// The readings as one who waits sees them.
pub(crate) struct Updates<'a> {
    latest: &'a Latest,
    seen: u64,
}

impl Updates<'_> {
    /// The newest.
    pub(crate) fn take(&mut self) -> Arc<Reading> {
        let (count, reading) = self.latest.get();
        self.seen = count;
        reading
    }

    /// Resolves when there is a newer one than was taken last.
    pub(crate) async fn changed(&self) {
        loop {
            // Made before the count is read: it is then woken by every reading after that.
            let changed = self.latest.changed.notified();
            if self.latest.get().0 != self.seen {
                return;
            }
            changed.await;
        }
    }
}

/// Reads the list for everybody: one at a time, and whoever waited for his turn takes what was begun meanwhile.
pub(crate) struct Readings {
    registry: Arc<dyn Registry>,
    shared: Arc<Shared>,
    issued: AtomicU64,
    turn: Mutex<()>,
    /// Held by the one who listens for confirmations on behalf of all.
    ear: Mutex<()>,
    latest: Latest,
}

impl Readings {
    pub(crate) fn new(registry: Arc<dyn Registry>, shared: Arc<Shared>) -> Self {
        let none = Reading { covers: Ticket(0), roster: None };
        Self {
            registry,
            shared,
            issued: AtomicU64::new(0),
            turn: Mutex::new(()),
            ear: Mutex::new(()),
            latest: Latest { reading: parking_lot::Mutex::new((0, Arc::new(none))), changed: Notify::new() },
        }
    }

    pub(crate) fn issue(&self) -> Ticket {
        Ticket(self.issued.fetch_add(1, Ordering::AcqRel) + 1)
    }

    pub(crate) const fn subscribe(&self) -> Updates<'_> {
        Updates { latest: &self.latest, seen: 0 }
    }

    /// Sees to it that there is a reading that covers `ticket`.
    pub(crate) async fn read(&self, ticket: Ticket) {
        let _turn = self.turn.lock().await;
        if self.latest.get().1.covers(ticket) {
            return;
        }
        let covers = Ticket(self.issued.load(Ordering::Acquire));
        let read = tokio::select! {
            biased;
            read = self.registry.roster() => read,
            () = self.shared.machine.rest.rest(READ_DEADLINE) => {
                Err(SourceError::new("the list of nodes could not be read in time"))
            }
        };
        let roster = match read {
            Ok(roster) => {
                self.shared.observe(&roster);
                Some(roster)
            }
            Err(error) => {
                tracing::debug!(cause = error.cause(), "the list of nodes could not be read; trying again");
                None
            }
        };
        self.latest.replace(Reading { covers, roster });
    }

    /// Reads again after `pause`, or as soon as a node may have confirmed something. Whoever only paused is
    /// content with what others read meanwhile.
    pub(crate) async fn read_after(&self, pause: Duration) {
        let mut ticket = self.issue();
        tokio::select! {
            biased;
            () = self.heard() => ticket = self.issue(),
            () = self.shared.machine.rest.rest(pause) => {}
        }
        self.read(ticket).await;
    }

    async fn heard(&self) {
        let _ear = self.ear.lock().await;
        tokio::select! {
            biased;
            () = self.shared.stirred() => {}
            () = self.registry.confirmed() => {}
        }
    }
}
