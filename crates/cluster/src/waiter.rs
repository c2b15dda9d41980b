//! Waiting until no node can act any more on what was before a change.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::node::{Incarnation, Roster};
use rndrkit_domain::time::Monotonic;

use crate::handle::MemberHandle;
use crate::line::Registry;
use crate::readings::{Reading, Readings, Ticket};
use crate::shared::Shared;

/// Pauses between two looks at the list: at first as long as nodes take to confirm, later only in case that a
/// word of theirs was lost.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(30),
];
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Waits for changes to be in force on all nodes.
pub struct Waiter {
    shared: Arc<Shared>,
    readings: Readings,
}

/// A change is in force: no node acts any more on what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Nodes that have applied it.
    pub nodes_confirmed: u32,
    /// Nodes that did not say so and can believe nothing older any more.
    pub nodes_expired: u32,
    /// How long that took.
    pub took: Duration,
}

/// Whether the change is in force everywhere is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The list of nodes could not be read, and this process was not sure of its own place on it: so it does not
    /// know how long to wait for the others.
    #[error("the list of nodes could not be read, and how long the others may be trusted is not known")]
    NodesUnknown,
}

impl Waiter {
    /// A waiter of the process that `handle`'s member belongs to. One for all changes: they share what they
    /// read.
    pub fn new(handle: &MemberHandle, registry: Arc<dyn Registry>) -> Self {
        let shared = Arc::clone(&handle.shared);
        Self { readings: Readings::new(registry, Arc::clone(&shared)), shared }
    }

    /// Waits until change `number` is in force on all nodes. To be called once the commit is known, at once;
    /// for repeated calls that change nothing too. Ends by itself after the longest wait at the latest,
    /// without any database. Drive it to its end even if whoever asked has gone.
    pub async fn confirm(&self, number: FeedNumber) -> Result<Confirmed, WaitError> {
        // Before anything else: from here on the longest wait counts.
        let mut wait = Wait::new(number, self.readings.issue(), &self.shared);
        self.shared.nudge();
        let mut updates = self.readings.subscribe();
        let mut pauses = PAUSES.into_iter();
        let mut look = pin!(Some(self.look(wait.ticket, None)));
        loop {
            wait.take(&updates.take());
            if wait.is_settled() && wait.is_listed(&self.shared) {
                // The list has nothing more to say. Dropped and not only left alone: it may be its turn to read
                // by now, for which everybody else is waiting.
                look.set(None);
            }
            let applied = self.shared.applied() >= number;
            let until = match wait.outlook(&self.shared) {
                Outlook::Over => break,
                Outlook::Unknown => return Err(WaitError::NodesUnknown),
                Outlook::NotBefore(until) => until,
            };
            tokio::select! {
                biased;
                () = self.shared.machine.rest_until(until) => {}
                () = self.shared.wait_applied(number), if !applied => {}
                () = updates.changed() => {}
                () = end_of(look.as_mut()) => {
                    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                    look.set(Some(self.look(wait.ticket, Some(pause))));
                }
            }
        }
        Ok(self.conclude(&wait))
    }

    async fn look(&self, first: Ticket, pause: Option<Duration>) {
        match pause {
            None => self.readings.read(first).await,
            Some(pause) => self.readings.read_after(pause).await,
        }
    }

    fn conclude(&self, wait: &Wait) -> Confirmed {
        let confirmed = wait.count(Word::Confirmed);
        let silent = wait.count(Word::None);
        let (nodes_confirmed, nodes_expired) = if wait.nodes.is_some() {
            (confirmed, wait.count(Word::Gone) + silent)
        } else {
            let own = usize::from(self.shared.applied() >= wait.number);
            (own, self.shared.nodes_last_seen().unwrap_or(1).saturating_sub(own))
        };
        let took = self.shared.now().since(wait.began);
        if silent > 0 || wait.nodes.is_none() {
            tracing::warn!(
                number = wait.number,
                nodes = ?wait.silent(),
                "a change waited the longest time: what did not confirm it can believe nothing older any more"
            );
        }
        let waited_out = if wait.nodes.is_some() { silent } else { nodes_expired };
        self.shared.meters.waited_out.increment(u64::try_from(waited_out).unwrap_or(u64::MAX));
        self.shared.meters.confirm_seconds.record(took);
        let small = |nodes| u32::try_from(nodes).unwrap_or(u32::MAX);
        Confirmed { nodes_confirmed: small(nodes_confirmed), nodes_expired: small(nodes_expired), took }
    }
}

/// Resolves when what is there does; never when nothing is.
async fn end_of(pending: Pin<&mut Option<impl Future<Output = ()>>>) {
    match pending.as_pin_mut() {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// What a node that was on the list has said about the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nothing.
    None,
    /// It has applied it.
    Confirmed,
    /// It is off the list: it left, or was silent so long that others took it off.
    Gone,
}

/// How a wait stands.
enum Outlook {
    /// The change is in force everywhere.
    Over,
    /// It is not over before this moment, but for what the nodes say meanwhile.
    NotBefore(Monotonic),
    /// It cannot be known how long to wait.
    Unknown,
}

/// One wait for one change.
struct Wait {
    number: FeedNumber,
    began: Monotonic,
    /// Readings that cover it began after the commit.
    ticket: Ticket,
    /// Which run of this process was on the list when the wait began.
    own: Option<Incarnation>,
    /// Whether its beat was worth something then, so that nobody can have taken it off the list before the commit.
    /// Who joins while it is there believes for no longer than it knows of.
    was_trusted: bool,
    /// The nodes of the first reading, and no later ones: who joined after the commit has read a head that is
    /// not older.
    nodes: Option<BTreeMap<Incarnation, (String, Word)>>,
}

impl Wait {
    fn new(number: FeedNumber, ticket: Ticket, shared: &Shared) -> Self {
        let (own, was_trusted) = (shared.incarnation(), shared.verifier.is_trusted());
        Self { number, began: shared.now(), ticket, own, was_trusted, nodes: None }
    }

    fn take(&mut self, reading: &Reading) {
        let Some(roster) = reading.roster.as_ref().filter(|_| reading.covers(self.ticket)) else { return };
        let nodes = self.nodes.get_or_insert_with(|| all_of(roster));
        for (incarnation, (_, word)) in nodes.iter_mut().filter(|(_, (_, word))| *word == Word::None) {
            match roster.nodes.iter().find(|node| node.incarnation == *incarnation) {
                Some(node) if node.applied >= self.number => *word = Word::Confirmed,
                // That its beat has not changed for long is not enough to let it go. One may be under way that was
                // sent before the commit and is not stored yet, and would give trust again. Taking the row off the
                // list settles that, for then the beat finds nothing; the member does it when it is time.
                Some(_) => {}
                None => *word = Word::Gone,
            }
        }
    }

    /// Nobody on the list is waited for any more.
    fn is_settled(&self) -> bool {
        self.nodes.is_some() && self.count(Word::None) == 0
    }

    fn outlook(&self, shared: &Shared) -> Outlook {
        let now = shared.now();
        let Some(longest_wait) = shared.longest_wait() else {
            let end = self.began.plus(shared.own_longest_wait());
            return if now < end { Outlook::NotBefore(end) } else { Outlook::Unknown };
        };
        let mut end = self.began.plus(longest_wait);
        if self.is_settled() && self.is_in_force_here(shared) {
            // In a history that is new to this process there may be nodes that the list has lost.
            end = end.min(shared.wary_until().unwrap_or(end));
        }
        if now < end {
            Outlook::NotBefore(end)
        } else if self.nodes.is_none() && !self.was_trusted {
            // A node that joined while this one was off the list may believe for longer than was heard of here.
            Outlook::Unknown
        } else {
            Outlook::Over
        }
    }

    /// The own node counts only once its own verifier has applied the change. That alone could be said of another
    /// history, so its row has to be on the list as well.
    fn is_in_force_here(&self, shared: &Shared) -> bool {
        self.is_listed(shared) && shared.applied() >= self.number
    }

    /// Whether the own node was on the list, or has found out that it was not and believes nothing any more.
    fn is_listed(&self, shared: &Shared) -> bool {
        let named = |own| self.nodes.as_ref().is_some_and(|nodes| nodes.contains_key(own));
        self.own.as_ref().is_none_or(|own| named(own) || shared.incarnation() != Some(*own))
    }

    fn count(&self, wanted: Word) -> usize {
        self.nodes.iter().flatten().filter(|(_, (_, word))| *word == wanted).count()
    }

    /// Names of those who said nothing.
    fn silent(&self) -> Vec<&str> {
        let nodes = self.nodes.iter().flatten();
        nodes.filter(|(_, (_, word))| *word == Word::None).map(|(_, (name, _))| name.as_str()).collect()
    }
}

fn all_of(roster: &Roster) -> BTreeMap<Incarnation, (String, Word)> {
    roster.nodes.iter().map(|node| (node.incarnation, (node.name.clone(), Word::None))).collect()
}
