//! What a node notes about the others: who has fallen silent, and whether all know how long to wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use rndrkit_domain::node::{BeatMark, Incarnation, NodeRow, Roster, longest_wait};
use rndrkit_domain::time::Monotonic;

/// Since when each other node's beat is unchanged, by this node's own clock.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    seen: BTreeMap<Incarnation, Seen>,
}

#[derive(Debug)]
struct Seen {
    name: String,
    beat: BeatMark,
    since: Monotonic,
    wait: Duration,
}

impl Silence {
    /// A list that had been read by `now`. Counting from then and not from when it was asked for: the beat may
    /// have been sent in between.
    pub(crate) fn note(&mut self, nodes: &[NodeRow], own: Option<Incarnation>, now: Monotonic) {
        let others = || nodes.iter().filter(|node| Some(node.incarnation) != own);
        self.seen.retain(|incarnation, seen| {
            let stays = others().any(|node| node.incarnation == *incarnation);
            if !stays {
                tracing::info!(node = seen.name, %incarnation, "a node has left");
            }
            stays
        });
        for node in others() {
            let known = self.seen.get(&node.incarnation);
            if known.is_none() {
                tracing::info!(node = node.name, incarnation = %node.incarnation, "a node is there");
            }
            if known.is_none_or(|seen| seen.beat != node.beat) {
                let seen = Seen {
                    name: node.name.clone(),
                    beat: node.beat,
                    since: now,
                    wait: longest_wait(node.trust),
                };
                self.seen.insert(node.incarnation, seen);
            }
        }
    }

    /// When the next one has been silent for so long that it can believe nothing any more.
    pub(crate) fn next_due(&self) -> Option<Monotonic> {
        self.seen.values().map(Seen::due).min()
    }

    /// One that has, with the beat that it was last seen with.
    pub(crate) fn due(&self, now: Monotonic) -> Option<(Incarnation, BeatMark)> {
        let (incarnation, seen) = self.seen.iter().find(|(_, seen)| seen.due() <= now)?;
        Some((*incarnation, seen.beat))
    }

    /// It is off the list, or has beaten: if it is there, it is counted anew.
    pub(crate) fn forget(&mut self, node: Incarnation) {
        self.seen.remove(&node);
    }
}

impl Seen {
    fn due(&self) -> Monotonic {
        self.since.plus(self.wait)
    }
}

/// Beats of another after which it has been told: the first may have been under way when this node joined.
const BEATS_TO_KNOW: u8 = 2;

/// Others that may not know yet how long this node's trust is, and so how long to wait for it.
///
/// They learn it with the answers to their beats. Until then this node must not believe for longer than they
/// would wait: should they lose the database, they wait for as long as they last knew.
#[derive(Debug, Default)]
pub(crate) struct Unaware {
    nodes: BTreeMap<Incarnation, (BeatMark, u8, Duration)>,
}

impl Unaware {
    /// After joining with `trust`: those on the list whose own trust is shorter. A longer one of their own
    /// they know to wait for.
    pub(crate) fn after_joining(roster: &Roster, own: Incarnation, trust: Duration) -> Self {
        let shorter = |node: &&NodeRow| node.incarnation != own && node.trust < trust;
        let nodes = roster.nodes.iter().filter(shorter);
        Self { nodes: nodes.map(|node| (node.incarnation, (node.beat, 0, node.trust))).collect() }
    }

    /// A later list: who is gone or has beaten often enough knows.
    pub(crate) fn note(&mut self, roster: &Roster) {
        if self.nodes.is_empty() {
            return;
        }
        self.nodes.retain(|incarnation, (beat, beaten, _)| {
            let Some(row) = roster.nodes.iter().find(|node| node.incarnation == *incarnation) else {
                return false;
            };
            if row.beat != *beat {
                *beat = row.beat;
                *beaten += 1;
            }
            *beaten < BEATS_TO_KNOW
        });
    }

    /// How long this node may believe what it holds, if `trust` is what it is set to.
    pub(crate) fn bounded(&self, trust: Duration) -> Duration {
        self.nodes.values().map(|(_, _, theirs)| *theirs).fold(trust, Duration::min)
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::node::Timeline;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    const SHORT: Duration = Duration::from_secs(5);
    const LONG: Duration = Duration::from_secs(30);

    fn row(trust: Duration) -> NodeRow {
        NodeRow {
            incarnation: Incarnation::generate(&OsEntropy),
            name: String::from("other"),
            beat: BeatMark::generate(&OsEntropy),
            applied: 0,
            trust,
            version: String::new(),
            seen_at: Timestamp::from_unix_ms(0),
        }
    }

    fn beaten(row: &NodeRow) -> NodeRow {
        NodeRow { beat: BeatMark::generate(&OsEntropy), ..row.clone() }
    }

    fn roster(nodes: &[&NodeRow]) -> Roster {
        Roster {
            nodes: nodes.iter().map(|row| (*row).clone()).collect(),
            longest_trust: LONG,
            timeline: Timeline { system: 1, number: 1 },
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn who_is_silent_for_the_longest_wait_of_its_own_trust_is_due() {
        let (short, long) = (row(SHORT), row(LONG));
        let mut silence = Silence::default();
        silence.note(&[short.clone(), long.clone()], None, at(0));
        silence.note(&[short.clone(), long.clone()], None, at(6));
        assert_eq!(silence.due(at(6)), None);
        assert_eq!(silence.next_due(), Some(at(7)));
        assert_eq!(silence.due(at(7)), Some((short.incarnation, short.beat)));
        silence.forget(short.incarnation);
        assert_eq!(silence.due(at(37)), None);
        assert_eq!(silence.due(at(38)), Some((long.incarnation, long.beat)));
    }

    #[test]
    fn a_beat_begins_the_silence_anew_and_the_own_row_has_none() {
        let (own, other) = (row(SHORT), row(SHORT));
        let mut silence = Silence::default();
        silence.note(&[own.clone(), other.clone()], Some(own.incarnation), at(0));
        let other = beaten(&other);
        silence.note(&[own.clone(), other.clone()], Some(own.incarnation), at(5));
        assert_eq!(silence.due(at(11)), None);
        assert_eq!(silence.due(at(12)), Some((other.incarnation, other.beat)));
        silence.note(std::slice::from_ref(&own), Some(own.incarnation), at(12));
        assert_eq!(silence.due(at(100)), None);
    }

    #[test]
    fn a_longer_trust_is_used_only_once_all_others_know_of_it() {
        let (own, first, second) = (row(LONG), row(SHORT), row(SHORT));
        let mut unaware = Unaware::after_joining(&roster(&[&own, &first, &second]), own.incarnation, LONG);
        assert_eq!(unaware.bounded(LONG), SHORT);
        let first = beaten(&first);
        unaware.note(&roster(&[&own, &first, &second]));
        let first = beaten(&first);
        unaware.note(&roster(&[&own, &first, &second]));
        assert_eq!(unaware.bounded(LONG), SHORT, "the second has not beaten");
        unaware.note(&roster(&[&own, &first]));
        assert_eq!(unaware.bounded(LONG), LONG, "the second is gone");
    }

    #[test]
    fn one_beat_of_another_may_have_been_under_way() {
        let (own, other) = (row(LONG), row(SHORT));
        let mut unaware = Unaware::after_joining(&roster(&[&own, &other]), own.incarnation, LONG);
        let other = beaten(&other);
        unaware.note(&roster(&[&own, &other]));
        unaware.note(&roster(&[&own, &other]));
        assert_eq!(unaware.bounded(LONG), SHORT);
        unaware.note(&roster(&[&own, &beaten(&other)]));
        assert_eq!(unaware.bounded(LONG), LONG);
    }

    #[test]
    fn a_trust_that_is_not_the_longest_needs_nobody_to_know() {
        let (own, other) = (row(SHORT), row(LONG));
        let unaware = Unaware::after_joining(&roster(&[&own, &other]), own.incarnation, SHORT);
        assert_eq!(unaware.bounded(SHORT), SHORT);
    }
}
