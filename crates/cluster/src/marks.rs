//! Which beats of this node may be the one that is stored.

use std::collections::VecDeque;

use rndrkit_domain::node::BeatMark;

/// Beats without an answer that are kept in mind; with more, the node joins anew.
const MOST: usize = 8;

/// The beats that may be the stored one: the last that was answered, and those that were sent since.
///
/// Every beat is a new mark, the repeated one too: a mark that came twice would look like silence to the others
/// although the node took new trust from it.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The oldest: the answered one, as long as it may be the stored one.
    first: BeatMark,
    /// Sent since, oldest first.
    since: VecDeque<BeatMark>,
}

impl Marks {
    pub(crate) fn new(first: BeatMark) -> Self {
        Self { first, since: VecDeque::new() }
    }

    /// The two to name in the next beat: the oldest, and the one that was sent last.
    pub(crate) fn candidates(&self) -> (BeatMark, BeatMark) {
        (self.first, self.since.back().copied().unwrap_or(self.first))
    }

    /// `next` is about to be sent.
    pub(crate) fn send(&mut self, next: BeatMark) {
        if self.since.len() == MOST {
            self.since.pop_front();
        }
        self.since.push_back(next);
    }

    /// `next` was answered: it is the stored one.
    pub(crate) fn answered(&mut self, next: BeatMark) {
        *self = Self::new(next);
    }

    /// The beat `next` found neither of the two that it named, so it was not stored either. Whether another
    /// may still be the stored one.
    pub(crate) fn refused(&mut self, named: (BeatMark, BeatMark), next: BeatMark) -> bool {
        self.since.retain(|mark| *mark != named.0 && *mark != named.1 && *mark != next);
        let oldest = self.since.pop_front();
        if let Some(oldest) = oldest {
            self.first = oldest;
        }
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn marks<const N: usize>() -> [BeatMark; N] {
        std::array::from_fn(|_| BeatMark::generate(&OsEntropy))
    }

    #[test]
    fn the_answered_beat_and_the_last_sent_are_named() {
        let [first, second, third] = marks();
        let mut marks = Marks::new(first);
        assert_eq!(marks.candidates(), (first, first));
        marks.send(second);
        marks.send(third);
        assert_eq!(marks.candidates(), (first, third));
        marks.answered(third);
        assert_eq!(marks.candidates(), (third, third));
    }

    #[test]
    fn a_beat_whose_answer_was_lost_before_another_lost_one_is_found_in_the_end() {
        let [first, second, third, fourth, fifth] = marks();
        let mut marks = Marks::new(first);
        marks.send(second);
        marks.send(third);
        // Stored is the second. The fourth names the first and the third.
        marks.send(fourth);
        assert!(marks.refused((first, third), fourth));
        assert_eq!(marks.candidates(), (second, second));
        marks.send(fifth);
        assert!(!marks.refused((second, second), fifth));
    }

    #[test]
    fn beats_without_an_answer_do_not_pile_up() {
        let [first] = marks();
        let mut kept = Marks::new(first);
        for mark in marks::<20>() {
            kept.send(mark);
        }
        assert_eq!(kept.since.len(), MOST);
        assert_eq!(kept.candidates().0, first);
    }
}
