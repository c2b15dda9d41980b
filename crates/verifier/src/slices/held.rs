//! Slices that a node holds of one account's budget, and how much is asked of them.

use rndrkit_domain::time::Monotonic;

/// Slices held at once; more are merged, with the earlier lapse.
const MAX_SLICES: usize = 4;

/// Requests drawn and not spent.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    amount: u32,
    lapses_ns: u64,
}

/// Slices in order of lapse.
#[derive(Debug, Default)]
pub(super) struct Slices {
    slices: [Slice; MAX_SLICES],
}

impl Slices {
    pub(super) fn held(&self) -> u32 {
        self.slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.amount))
    }

    /// Takes all or none. Returns when the first of what was taken would have lapsed.
    pub(super) fn spend(&mut self, cost: u32) -> Option<Monotonic> {
        if self.held() < cost {
            return None;
        }
        let mut left = cost;
        let mut first = u64::MAX;
        for slice in self.slices.iter_mut().filter(|slice| slice.amount > 0) {
            let taken = left.min(slice.amount);
            if taken > 0 {
                first = first.min(slice.lapses_ns);
            }
            slice.amount -= taken;
            left -= taken;
        }
        Some(Monotonic(first))
    }

    pub(super) fn add(&mut self, amount: u32, lapses: Monotonic) {
        if amount == 0 {
            return;
        }
        self.slices.sort_unstable_by_key(|slice| if slice.amount == 0 { u64::MAX } else { slice.lapses_ns });
        let new = Slice { amount, lapses_ns: lapses.0 };
        match self.slices.iter_mut().find(|slice| slice.amount == 0) {
            Some(free) => *free = new,
            None => {
                if let Some(last) = self.slices.last_mut() {
                    last.amount = last.amount.saturating_add(amount);
                    last.lapses_ns = last.lapses_ns.min(lapses.0);
                }
            }
        }
    }

    /// What is held: amounts and when they lapse.
    #[cfg(any(test, feature = "inspect"))]
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, Monotonic)> {
        let live = self.slices.iter().filter(|slice| slice.amount > 0);
        live.map(|slice| (slice.amount, Monotonic(slice.lapses_ns)))
    }

    /// Drops what has lapsed; how much that was.
    pub(super) fn lapse(&mut self, now: Monotonic) -> u32 {
        let mut lapsed = 0_u32;
        for slice in self.slices.iter_mut().filter(|slice| slice.amount > 0 && slice.lapses_ns <= now.0) {
            lapsed = lapsed.saturating_add(slice.amount);
            slice.amount = 0;
        }
        lapsed
    }
}

/// What was asked for lately: a sliding count over half of a slice's life.
#[derive(Debug, Default)]
pub(super) struct Demand {
    began_ns: u64,
    current: u32,
    previous: u32,
}

impl Demand {
    fn turn(&mut self, now: Monotonic, length_ns: u64) {
        let since_ns = now.0.saturating_sub(self.began_ns);
        if since_ns < length_ns {
            return;
        }
        if since_ns < 2 * length_ns {
            self.previous = self.current;
            self.began_ns += length_ns;
        } else {
            self.previous = 0;
            self.began_ns = now.0;
        }
        self.current = 0;
    }

    pub(super) fn note(&mut self, now: Monotonic, length_ns: u64, cost: u32) {
        self.turn(now, length_ns);
        self.current = self.current.saturating_add(cost);
    }

    pub(super) fn lately(&mut self, now: Monotonic, length_ns: u64) -> u32 {
        self.turn(now, length_ns);
        let rest_ns = length_ns.saturating_sub(now.0.saturating_sub(self.began_ns));
        let of_previous = u64::from(self.previous) * rest_ns / length_ns;
        self.current.saturating_add(u32::try_from(of_previous).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(1_000_000_000).plus(Duration::from_millis(ms))
    }

    #[test]
    fn what_lapses_first_is_spent_first_and_all_or_none() {
        let mut slices = Slices::default();
        slices.add(2, at(10));
        slices.add(3, at(20));
        assert_eq!(slices.spend(6), None);
        assert_eq!(slices.spend(1), Some(at(10)));
        assert_eq!(slices.spend(2), Some(at(10)));
        assert_eq!(slices.spend(1), Some(at(20)));
        assert_eq!((slices.held(), slices.lapse(at(19)), slices.lapse(at(20))), (1, 0, 1));
        assert_eq!(slices.held(), 0);
    }

    #[test]
    fn more_slices_than_there_is_room_for_are_merged_and_lapse_early_rather_than_late() {
        let mut slices = Slices::default();
        (1..=10).for_each(|number| slices.add(1, at(number)));
        assert_eq!(slices.held(), 10);
        assert_eq!(slices.lapse(at(4)), 10, "the last six lapse with the fourth");
        slices.add(0, at(50));
        assert_eq!(slices.live().count(), 0);
    }

    #[test]
    fn demand_is_what_came_in_the_last_stretch() {
        let mut demand = Demand::default();
        let length_ns = 100_000_000;
        (0..10).for_each(|step| demand.note(at(step * 10), length_ns, 2));
        assert_eq!(demand.lately(at(90), length_ns), 20);
        // Half of the stretch before counts for half.
        assert_eq!(demand.lately(at(150), length_ns), 10);
        assert_eq!(demand.lately(at(250), length_ns), 0);
    }
}
