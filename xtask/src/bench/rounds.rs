//! Contestants in turns: A B C A B C. What else the machine does then hits all of them alike, and each round gives
//! one ratio of its own.

use std::fmt::Write as _;
use std::path::Path;

use crate::bench::load::{self, Load, Sample};
use crate::bench::pinned::{TICKS_PER_SECOND, cpu_ticks};
use crate::processes::Interrupt;
use crate::report::{Outcome, say};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Seconds of each contestant in each round.
    pub(crate) seconds: f64,
}

/// One who is measured.
#[derive(Debug, Clone)]
pub(crate) struct Contestant<'a> {
    /// What the table calls it.
    pub(crate) name: &'a str,
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    /// Processes whose CPU time counts, with all that they started.
    pub(crate) counted: Vec<u32>,
}

/// One contestant in one round.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Turn {
    pub(crate) sample: Sample,
    /// Milliseconds of CPU time, in user space and in the kernel, for a thousand requests.
    pub(crate) cpu_ms: f64,
    /// The part of it in user space.
    pub(crate) user: f64,
}

impl Turn {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sample.requests / self.sample.seconds
    }
}

/// All turns of one contestant, by round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) turns: Vec<Turn>,
}

impl Row {
    /// Answers that were not what they should be: with any, the row says nothing.
    pub(crate) fn bad(&self) -> f64 {
        self.turns.iter().map(|turn| turn.sample.bad).sum()
    }
}

/// Measures them all.
pub(crate) fn measure(
    helper: &Path,
    keys: &Path,
    contestants: &[Contestant<'_>],
    effort: Effort,
    interrupt: &Interrupt,
) -> Outcome<Vec<Row>> {
    let mut rows: Vec<Row> =
        contestants.iter().map(|one| Row { name: one.name.to_owned(), turns: Vec::new() }).collect();
    for one in contestants {
        turn(helper, keys, one, 1.0)?;
    }
    for round in 1..=effort.rounds {
        let mut line = format!("round {round} of {}:", effort.rounds);
        for (one, row) in contestants.iter().zip(&mut rows) {
            interrupt.check()?;
            let turn = turn(helper, keys, one, effort.seconds)?;
            write!(line, " {} {:.0}/s", one.name, turn.rate())?;
            row.turns.push(turn);
        }
        say(&line);
    }
    Ok(rows)
}

fn turn(helper: &Path, keys: &Path, one: &Contestant<'_>, seconds: f64) -> Outcome<Turn> {
    let more = vec!["--seconds".to_owned(), seconds.to_string()];
    let before = cpu_ticks(&one.counted);
    let sample = load::run(helper, &Load { port: one.port, path: one.path, keys, more })?;
    let after = cpu_ticks(&one.counted);
    let (user, system) = (after.user.saturating_sub(before.user), after.system.saturating_sub(before.system));
    let milliseconds = ticks_to_ms(user + system);
    let user = ticks_to_ms(user) / milliseconds.max(1.0);
    Ok(Turn { sample, cpu_ms: milliseconds / (sample.requests / 1_000.0).max(1e-9), user })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 ticks")]
fn ticks_to_ms(ticks: u64) -> f64 {
    ticks as f64 * 1_000.0 / TICKS_PER_SECOND as f64
}
