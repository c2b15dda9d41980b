//! Instructions of one verification in the process, compared with the number that the repository keeps. What a
//! change adds to every request is seen here before any clock can show it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{out_file, total};
use crate::processes::{cargo, run_quietly};
use crate::report::{Outcome, grouped, root, say};
use crate::tools::{self, Install};

/// Where the number is kept.
const KEPT: &str = "crates/verifier/instructions.txt";
/// Verifications of the two runs; the difference leaves start and look-ups out.
const RUNS: [u64; 2] = [10_000, 30_000];
/// How far a count may be from what is kept, in percent. Another compiler moves it by a few.
const TOLERANCE: u64 = 5;

/// Instructions of one verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// All of them.
    all: u64,
    /// Without SHA-256, which valgrind runs in software: the part that our code decides.
    beside_sha256: u64,
}

/// Counts, and compares with what is kept, or keeps it.
pub(crate) fn run(write: bool) -> Outcome<()> {
    tools::require(&[tools::VALGRIND], Install::WhenAllowed)?;
    say("building the example one_verification");
    let count = count(&build()?)?;
    println!(
        "{} instructions a verification, {} of them beside SHA-256",
        grouped(count.all),
        grouped(count.beside_sha256)
    );
    let file = root().join(KEPT);
    if write {
        fs::write(&file, count.written()?)?;
        return Ok(());
    }
    let kept = Count::read(&fs::read_to_string(&file)?).ok_or_else(|| format!("{KEPT} has another form"))?;
    count.compare(kept)
}

fn build() -> Outcome<PathBuf> {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--release", "-p", "rndrkit-verifier"]);
    run_quietly(command.args(["--example", "one_verification"]))?;
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    Ok(metadata.target_directory.join("release/examples/one_verification").into_std_path_buf())
}

fn count(program: &Path) -> Outcome<Count> {
    let folder = tempfile::Builder::new().prefix("rndrkit-count-").tempdir()?;
    let file = folder.path().join("callgrind");
    let mut measured = Vec::new();
    for calls in RUNS {
        say(&format!("{} verifications below valgrind", grouped(calls)));
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind"]).arg(out_file(&file)).arg(program);
        run_quietly(command.arg(calls.to_string()))?;
        measured.push((calls, total(&file)?, sha256(&file)?));
    }
    let [(few, small, small_sha256), (many, large, large_sha256)] = measured[..] else {
        return Err("there are two runs".into());
    };
    let (calls, all, sha256) = (many - few, large - small, large_sha256 - small_sha256);
    Ok(Count { all: all / calls, beside_sha256: (all - sha256) / calls })
}

/// What functions of SHA-256 took by themselves; they call nothing.
fn sha256(file: &Path) -> Outcome<u64> {
    let output = Command::new("callgrind_annotate")
        .args(["--auto=no", "--inclusive=no", "--threshold=100"])
        .arg(file)
        .output()?;
    let sum = sum_of_sha256(&String::from_utf8_lossy(&output.stdout));
    if sum == 0 { Err("no function of SHA-256 in the profile".into()) } else { Ok(sum) }
}

/// Of lines such as `33,770,580 ( 3.85%)  ???:sha2::sha256::compress256 [/a/program]`.
fn sum_of_sha256(profile: &str) -> u64 {
    let lines = profile.lines().filter(|line| line.contains("sha2::sha256::"));
    let number = |line: &str| line.split_whitespace().next()?.replace(',', "").parse::<u64>().ok();
    lines.filter_map(number).sum()
}

impl Count {
    fn written(self) -> Outcome<String> {
        let mut text = String::from(
            "# Instructions of one verification of a known key (cargo xtask instructions; --write replaces this file).\n",
        );
        writeln!(text, "all {}", self.all)?;
        writeln!(text, "beside_sha256 {}", self.beside_sha256)?;
        Ok(text)
    }

    fn read(text: &str) -> Option<Self> {
        let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(Self { all: number("all ")?, beside_sha256: number("beside_sha256 ")? })
    }

    fn compare(self, kept: Self) -> Outcome<()> {
        for (what, now, before) in
            [("all", self.all, kept.all), ("beside SHA-256", self.beside_sha256, kept.beside_sha256)]
        {
            let allowed = before * TOLERANCE / 100;
            if now > before + allowed {
                return Err(
                    format!("{what}: {now} instructions, and {KEPT} allows {}", before + allowed).into()
                );
            }
            if now + allowed < before {
                say(&format!(
                    "{what}: fewer than {before}: keep the gain with cargo xtask instructions --write"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT_COUNT: Count = Count { all: 4_000, beside_sha256: 400 };

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(Count::read(&KEPT_COUNT.written().unwrap()), Some(KEPT_COUNT));
        assert_eq!(Count::read("all 4"), None);
    }

    #[test]
    fn more_than_the_tolerance_is_refused_in_either_number() {
        let near = Count { all: 4_199, beside_sha256: 419 };
        assert!(near.compare(KEPT_COUNT).is_ok());
        assert!(Count { beside_sha256: 421, ..near }.compare(KEPT_COUNT).is_err());
        assert!(Count { all: 4_201, ..near }.compare(KEPT_COUNT).is_err());
        assert!(Count { all: 3_000, beside_sha256: 300 }.compare(KEPT_COUNT).is_ok());
    }

    #[test]
    fn functions_of_sha_256_are_summed() {
        let profile =
            "1,000 (10.0%)  ???:sha2::sha256::a [x]\n 20 ( 1.0%)  ???:sha2::sha256::b [x]\n7 (1%) ???:c\n";
        assert_eq!(sum_of_sha256(profile), 1_020);
    }
}
