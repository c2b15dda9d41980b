//! The table of nodes as the simulated database keeps it.

use rndrkit_domain::node::{Beat, BeatAnswer, BeatMark, Incarnation, NodeRow, Registration, Roster};
use rndrkit_domain::time::Timestamp;

use crate::database::State;

impl State {
    pub(crate) fn register(&mut self, registration: Registration, now: Timestamp) {
        self.longest_trust = self.longest_trust.max(registration.trust);
        let Registration { incarnation, name, beat, trust, version } = registration;
        let row = NodeRow { incarnation, name, beat, applied: 0, trust, version, seen_at: now };
        self.nodes.insert(incarnation, row);
    }

    /// Whether the row was there, with a beat that its owner knows of.
    pub(crate) fn beat(&mut self, beat: &Beat, now: Timestamp) -> bool {
        let known = [beat.confirmed, beat.attempted];
        let Some(row) = self.nodes.get_mut(&beat.incarnation).filter(|row| known.contains(&row.beat)) else {
            return false;
        };
        row.beat = beat.next;
        row.applied = beat.applied;
        row.seen_at = now;
        true
    }

    pub(crate) fn reap(&mut self, node: Incarnation, beat: BeatMark) -> bool {
        let is_so = self.nodes.get(&node).is_some_and(|row| row.beat == beat);
        if is_so {
            self.nodes.remove(&node);
        }
        is_so
    }

    pub(crate) fn answer(&self, now: Timestamp) -> BeatAnswer {
        BeatAnswer { head: self.head(), database_time: now, roster: self.roster() }
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster {
            nodes: self.nodes.values().cloned().collect(),
            longest_trust: self.longest_trust,
            timeline: self.timeline,
        }
    }
}
