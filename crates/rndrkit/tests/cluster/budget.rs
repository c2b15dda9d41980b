//! The exact rule of a budget, for requests whose moment is only known to lie in a span: over every interval,
//! what certainly happened in it is at most burst + rate × its length.

use crate::history::Micros;

/// The most, over all intervals, of (requests that began and ended in it) − rate × its length. A bucket of
/// that burst, or more, was kept. Ends are taken in order, and a tree holds for each beginning how many
/// requests began no earlier and have ended: n log n in all.
pub fn worst_excess(requests: &[(Micros, Micros)], per_second: f64) -> f64 {
    let mut beginnings: Vec<Micros> = requests.iter().map(|request| request.0).collect();
    beginnings.sort_unstable();
    let mut by_end: Vec<(Micros, Micros)> = requests.to_vec();
    by_end.sort_unstable_by_key(|request| request.1);
    let cost = |micros: Micros| per_second * seconds(micros);
    let mut tree = Tree::over(&beginnings.iter().map(|begun| cost(*begun)).collect::<Vec<_>>());
    let mut worst = 0.0_f64;
    for (begun, ended) in by_end {
        // It counts for every interval that begins no later than it does.
        let count = beginnings.partition_point(|other| *other <= begun);
        tree.add_to_first(count);
        let not_later = beginnings.partition_point(|other| *other <= ended);
        worst = worst.max(tree.most_of_first(not_later) - cost(ended));
    }
    worst
}

#[allow(clippy::cast_precision_loss)]
fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

/// Values of which a leading part is raised by one at a time, and the largest is asked for.
struct Tree {
    /// Leaves, rounded up to a power of two.
    size: usize,
    /// The largest below each knot, with what was added to the knot itself.
    most: Vec<f64>,
    added: Vec<f64>,
}

impl Tree {
    fn over(values: &[f64]) -> Self {
        let size = values.len().next_power_of_two();
        let mut most = vec![f64::NEG_INFINITY; 2 * size];
        most[size..size + values.len()].copy_from_slice(values);
        for knot in (1..size).rev() {
            most[knot] = most[2 * knot].max(most[2 * knot + 1]);
        }
        Self { size, most, added: vec![0.0; 2 * size] }
    }

    fn most_of_first(&self, count: usize) -> f64 {
        self.look(1, 0, self.size, count)
    }

    fn look(&self, knot: usize, from: usize, to: usize, count: usize) -> f64 {
        if count <= from {
            return f64::NEG_INFINITY;
        }
        if to <= count {
            return self.most[knot];
        }
        let middle = usize::midpoint(from, to);
        let below = self.look(2 * knot, from, middle, count).max(self.look(2 * knot + 1, middle, to, count));
        below + self.added[knot]
    }

    fn add_to_first(&mut self, count: usize) {
        self.add(1, 0, self.size, count);
    }

    fn add(&mut self, knot: usize, from: usize, to: usize, count: usize) {
        if count <= from {
            return;
        }
        if to <= count {
            self.most[knot] += 1.0;
            self.added[knot] += 1.0;
            return;
        }
        let middle = usize::midpoint(from, to);
        self.add(2 * knot, from, middle, count);
        self.add(2 * knot + 1, middle, to, count);
        self.most[knot] = self.most[2 * knot].max(self.most[2 * knot + 1]) + self.added[knot];
    }
}
