//! Medians and quartiles of a few numbers.

/// The middle of some numbers, with its quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of numbers in any order; not a number of none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { low: at(&sorted, 1), median: at(&sorted, 2), high: at(&sorted, 3) }
    }
}

/// The number after so many quarters, between two of them in proportion.
fn at(sorted: &[f64], quarters: usize) -> f64 {
    let steps = sorted.len().saturating_sub(1) * quarters;
    let (below, rest) = (steps / 4, steps % 4);
    let first = sorted.get(below).copied().unwrap_or(f64::NAN);
    let second = sorted.get(below + 1).copied().unwrap_or(first);
    let share = [0.0, 0.25, 0.5, 0.75].get(rest).copied().unwrap_or(0.0);
    first + (second - first) * share
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quartiles_lie_where_a_quarter_of_the_numbers_is_below() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
        assert_eq!(Spread::of([1.0, 3.0]), Spread { low: 1.5, median: 2.0, high: 2.5 });
        assert!(Spread::of([]).median.is_nan());
    }
}
