//! `cargo xtask instructions`: how many instructions something takes, counted by valgrind's callgrind. Noise does
//! not move these numbers, so they show what a change did where times cannot.
//!
//! Only user space is counted, and valgrind knows no SHA instructions: SHA-256 runs in software below it, so
//! compare these numbers with each other and with nothing else.

pub(crate) mod door;
pub(crate) mod verification;

use std::path::Path;

use crate::report::Outcome;

/// The argument by which callgrind is told where to write.
fn out_file(path: &Path) -> String {
    format!("--callgrind-out-file={}", path.display())
}

/// The sum of all instructions in a file of callgrind's.
fn total(file: &Path) -> Outcome<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("no total in {}", file.display()).into())
}
