//! What a member and those who ask it share: who is there, which history, how long to wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::node::{Incarnation, Roster, Timeline, longest_wait};
use rndrkit_domain::time::Monotonic;
use rndrkit_verifier::{Lost, Verifier};
use tokio::sync::Notify;

use crate::handle::{LostHistory, MemberStatus};
use crate::machine::Machine;
use crate::meters::Meters;

/// Keys kept at most for one who asks late about lost histories; the oldest go first. As many as a verifier
/// remembers.
const MOST_REVOKED: usize = 65_536;

/// Shared by a member, its handles and its waiters.
pub(crate) struct Shared {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) machine: Machine,
    pub(crate) meters: Meters,
    /// This node's own term, for as long as nothing longer is known of.
    own_trust: Duration,
    nudged: Notify,
    stirred: Notify,
    known: Mutex<Known>,
    lost: Mutex<Option<LostHistory>>,
    lost_again: Notify,
}

#[derive(Default)]
struct Known {
    incarnation: Option<Incarnation>,
    roster: Option<Roster>,
    /// The database's history, and when this process first heard of it.
    timeline: Option<(Timeline, Monotonic)>,
    /// When this process last found that changes were gone.
    lost_at: Option<Monotonic>,
    /// Never falls: a database that was restored may have forgotten that it was raised.
    longest_trust: Duration,
    trust_until: Option<Monotonic>,
    /// When the question was sent that trust rests on.
    trust_from: Option<Monotonic>,
    last_beat: Option<Monotonic>,
}

impl Known {
    /// Until when a node that the list does not show may still believe what it holds.
    fn wary_until(&self) -> Option<Monotonic> {
        let begun = self.timeline.map(|(_, since)| since).max(self.lost_at)?;
        Some(begun.plus(longest_wait(self.longest_trust)))
    }
}

impl Shared {
    pub(crate) fn new(verifier: Arc<Verifier>, machine: Machine, own_trust: Duration) -> Self {
        Self {
            verifier,
            machine,
            meters: Meters::new(),
            own_trust,
            nudged: Notify::new(),
            stirred: Notify::new(),
            known: Mutex::default(),
            lost: Mutex::default(),
            lost_again: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.machine.clock.monotonic()
    }

    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    pub(crate) fn applied(&self) -> FeedNumber {
        self.verifier.applied()
    }

    pub(crate) async fn wait_applied(&self, number: FeedNumber) {
        self.verifier.wait_applied(number).await;
    }

    /// Which run of this process is on the list now.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.known.lock().incarnation
    }

    /// Joined, or (`None`) on the list no more; believed before that is nothing.
    pub(crate) fn stand_as(&self, incarnation: Option<Incarnation>) {
        self.untrust();
        self.known.lock().incarnation = incarnation;
    }

    pub(crate) fn set_beat(&self, sent: Monotonic) {
        self.known.lock().last_beat = Some(sent);
    }

    /// Believes until then what the question asked that was sent at `sent`.
    pub(crate) fn set_trust(&self, sent: Monotonic, until: Monotonic) {
        let mut known = self.known.lock();
        known.trust_until = known.trust_until.max(Some(until));
        known.trust_from = known.trust_from.max(Some(sent));
        drop(known);
        self.verifier.set_trust(until);
    }

    /// Believes nothing.
    pub(crate) fn untrust(&self) {
        self.verifier.untrust();
        self.known.lock().trust_until = None;
    }

    /// Says how old the question is that trust rests on, or rested on last.
    pub(crate) fn show_trust_age(&self) {
        let from = self.known.lock().trust_from;
        if let Some(from) = from {
            self.meters.show_trust_age(self.now().since(from));
        }
    }

    /// The list of nodes is not what it was.
    pub(crate) fn stir(&self) {
        self.stirred.notify_one();
    }

    pub(crate) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    /// A list of nodes that was read by now, by whomever in this process.
    pub(crate) fn observe(&self, roster: &Roster) {
        let now = self.now();
        let mut known = self.known.lock();
        if known.timeline.is_none_or(|(timeline, _)| timeline != roster.timeline) {
            if known.timeline.is_some() {
                tracing::warn!(
                    system = roster.timeline.system,
                    timeline = roster.timeline.number,
                    "the database is on another timeline: changes wait the longest time for a while"
                );
            }
            known.timeline = Some((roster.timeline, now));
        }
        known.longest_trust = known.longest_trust.max(roster.longest_trust());
        known.roster = Some(roster.clone());
        drop(known);
        self.meters.show_nodes(roster.nodes.len());
    }

    /// How many nodes there were when the list was last read.
    pub(crate) fn nodes_last_seen(&self) -> Option<usize> {
        self.known.lock().roster.as_ref().map(|roster| roster.nodes.len())
    }

    /// How long a change waits at most; none while no list of nodes has been read.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        let known = self.known.lock();
        known.roster.as_ref().map(|_| longest_wait(known.longest_trust))
    }

    /// How long a change waits for nodes that are set up like this one.
    pub(crate) fn own_longest_wait(&self) -> Duration {
        longest_wait(self.own_trust)
    }

    /// Until when changes wait whatever the list says.
    pub(crate) fn wary_until(&self) -> Option<Monotonic> {
        self.known.lock().wary_until()
    }

    pub(crate) fn status(&self) -> MemberStatus {
        let now = self.now();
        let known = self.known.lock();
        MemberStatus {
            incarnation: known.incarnation,
            nodes: known.roster.as_ref().map(|roster| roster.nodes.clone()).unwrap_or_default(),
            trust_left: known.trust_until.map_or(Duration::ZERO, |until| until.since(now)),
            last_beat: known.last_beat.map(|sent| now.since(sent)),
            longest_wait: longest_wait(known.longest_trust.max(self.own_trust)),
            wary_for: known.wary_until().map_or(Duration::ZERO, |until| until.since(now)),
        }
    }

    /// Changes that were applied here are gone.
    pub(crate) fn lose_history(&self, lost: Lost, revoked: Vec<KeyId>) {
        self.known.lock().lost_at = Some(self.now());
        let mut waiting = self.lost.lock();
        let mut all = waiting.take().map(|earlier| earlier.revoked).unwrap_or_default();
        let again: HashSet<&KeyId> = revoked.iter().collect();
        all.retain(|key| !again.contains(key));
        all.extend(revoked);
        all.drain(..all.len().saturating_sub(MOST_REVOKED));
        *waiting = Some(LostHistory { lost, revoked: all });
        drop(waiting);
        self.lost_again.notify_one();
    }

    pub(crate) async fn lost_history(&self) -> LostHistory {
        loop {
            let lost = self.lost.lock().take();
            if let Some(lost) = lost {
                return lost;
            }
            self.lost_again.notified().await;
        }
    }
}
