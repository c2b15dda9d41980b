//! What was measured as tables of Markdown, and each target beside what was reached.

use crate::bench::rounds::{Row, Turn};
use crate::bench::statistics::Spread;
use crate::report::grouped;

/// One line of the table of targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// What was measured.
    pub(crate) what: String,
    /// What it was measured beside.
    pub(crate) beside: String,
    /// What came out.
    pub(crate) value: f64,
    /// The target, as it is written: `0.95`, or `≤ 1.05`.
    pub(crate) target: Target,
}

/// A ratio, or a number of bytes, that is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At least the first, better the second.
    AtLeast(f64, f64),
    /// At most the first, better the second.
    AtMost(f64, f64),
}

impl Verdict {
    pub(crate) fn new(what: &str, beside: &str, value: f64, target: Target) -> Self {
        Self { what: what.to_owned(), beside: beside.to_owned(), value, target }
    }

    /// `| what | beside | value | target | aim | reached |`.
    pub(crate) fn line(&self) -> String {
        let (sign, least, aim) = match self.target {
            Target::AtLeast(least, aim) => ("≥", least, aim),
            Target::AtMost(most, aim) => ("≤", most, aim),
        };
        let reaches = |bound: f64| match self.target {
            Target::AtLeast(..) => self.value >= bound,
            Target::AtMost(..) => self.value <= bound,
        };
        let word = if reaches(aim) {
            "aim"
        } else if reaches(least) {
            "target"
        } else {
            "missed"
        };
        let Self { what, beside, value, .. } = self;
        format!("| {what} | {beside} | {value:.2} | {sign} {least} | {sign} {aim} | {word} |")
    }
}

/// The head of the table of targets.
pub(crate) const VERDICTS_HEAD: &str =
    "| | beside | measured | target | aim | reached |\n|---|---|--:|--:|--:|---|\n";

/// The ratio of each turn to the base's turn in the same round.
pub(crate) fn ratio(row: &Row, base: &Row, number: fn(&Turn) -> f64) -> Spread {
    Spread::of(row.turns.iter().zip(&base.turns).map(|(one, base)| number(one) / number(base)))
}

/// A table of contestants; ratios to the one at `base`.
pub(crate) fn contestants(rows: &[Row], base: usize) -> String {
    let Some(base) = rows.get(base) else { return String::new() };
    let mut text = format!(
        "| | requests/s | × {0} | CPU ms for 1,000 | × {0} | user part | p50 µs | p99 µs | wrong answers |\n",
        base.name
    );
    text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        text += &contestant(row, base);
    }
    text
}

fn contestant(row: &Row, base: &Row) -> String {
    if row.bad() > 0.0 {
        return format!("| {} | void | | | | | | | {:.0} |\n", row.name, row.bad());
    }
    let median = |number: fn(&Turn) -> f64| Spread::of(row.turns.iter().map(number)).median;
    let rate = ratio(row, base, Turn::rate);
    let cpu = ratio(row, base, |turn| turn.cpu_ms);
    format!(
        "| {} | {} | {:.3} [{:.2}–{:.2}] | {:.2} | {:.2} | {:.0} % | {:.0} | {:.0} | 0 |\n",
        row.name,
        whole(median(Turn::rate)),
        rate.median,
        rate.low,
        rate.high,
        median(|turn| turn.cpu_ms),
        cpu.median,
        100.0 * median(|turn| turn.user),
        median(|turn| turn.sample.p50_us),
        median(|turn| turn.sample.p99_us),
    )
}

/// `12345.6` as `12,346`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small and positive")]
pub(crate) fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Sample;

    fn row(name: &str, rates: &[f64]) -> Row {
        let turn = |rate: &f64| Turn {
            sample: Sample { requests: *rate, seconds: 1.0, ..Sample::default() },
            cpu_ms: 1_000.0 / rate,
            user: 0.2,
        };
        Row { name: name.to_owned(), turns: rates.iter().map(turn).collect() }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (base, ours) = (row("base", &[100.0, 200.0, 50.0]), row("ours", &[110.0, 230.0, 60.0]));
        assert!((ratio(&ours, &base, Turn::rate).median - 1.15).abs() < 1e-9);
        let table = contestants(&[base, ours], 0);
        assert!(table.contains("| ours | 110 | 1.150 ["), "{table}");
    }

    #[test]
    fn one_wrong_answer_makes_a_row_void() {
        let base = row("base", &[1.0]);
        let mut wrong = row("ours", &[9.0]);
        wrong.turns[0].sample.bad = 1.0;
        assert!(contestant(&wrong, &base).starts_with("| ours | void |"));
    }

    #[test]
    fn a_verdict_says_what_was_reached() {
        let line = |value, target| Verdict::new("a", "b", value, target).line();
        assert!(line(0.96, Target::AtLeast(0.95, 1.1)).ends_with("| target |"));
        assert!(line(0.94, Target::AtLeast(0.95, 1.1)).ends_with("| missed |"));
        assert!(line(0.90, Target::AtMost(1.05, 0.9)).ends_with("| aim |"));
    }
}
