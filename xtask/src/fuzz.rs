//! Builds and runs the fuzz target on the stable toolchain: the compiler flags that cargo-fuzz would give,
//! without the sanitizers that need a nightly compiler (our code has no `unsafe` for them to watch).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::processes::{Group, Interrupt, cargo};
use crate::report::{Outcome, grouped, now, root, say, seconds};

const TARGET: &str = "key_text";
/// Just above the longest credential that is looked at (512 bytes), so that the limit is crossed too.
const MAX_INPUT_BYTES: u32 = 600;
/// One input that takes longer than this is a finding; normal ones take microseconds.
const INPUT_TIMEOUT_SECONDS: u32 = 10;
/// Coverage counters in every basic block and the operands of comparisons: what libFuzzer steers by.
const COVERAGE_FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 \
    --cfg fuzzing";

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    /// After this time.
    Time(Duration),
    /// After so many inputs.
    Runs(u64),
}

impl Budget {
    fn argument(self) -> String {
        match self {
            Self::Time(time) => format!("-max_total_time={}", time.as_secs()),
            Self::Runs(runs) => format!("-runs={runs}"),
        }
    }
}

/// Builds, runs, and says what came of it. Findings are kept in `target/fuzz/artifacts`.
pub(crate) fn run(budget: Budget, interrupt: &Interrupt) -> Outcome<()> {
    let folder = root().join("target/fuzz");
    say("building the fuzz target");
    let program = build(&folder, interrupt)?;
    let found = folder.join("corpus").join(TARGET);
    let artifacts = folder.join("artifacts").join(TARGET);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&artifacts)?;
    let log = folder.join("log");
    say(&format!("fuzzing {TARGET}; details in target/fuzz/log"));
    let started = now();
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .arg(budget.argument())
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_SECONDS}"))
        .arg("-dict=fuzz/key_text.dict")
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        // New inputs go to the first folder; the committed ones are only read.
        .arg(found)
        .arg(format!("fuzz/corpus/{TARGET}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    let status = Group::spawn(&mut command)?.wait(interrupt)?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let runs = executed(&text).ok_or("the fuzzer did not say how many inputs it ran; see target/fuzz/log")?;
    if !status.success() {
        let end: Vec<&str> = text.lines().rev().take(40).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        return Err(format!("{}\nthe fuzzer found an input that fails; see above", end.join("\n")).into());
    }
    say(&format!(
        "fuzzed {TARGET}: {} runs in {}, no failure",
        grouped(runs),
        seconds(now().duration_since(started))
    ));
    Ok(())
}

fn build(folder: &Path, interrupt: &Interrupt) -> Outcome<PathBuf> {
    let host = host_triple()?;
    let mut command = cargo();
    command
        .current_dir(root().join("fuzz"))
        .args(["build", "--release", "--quiet"])
        // Naming the target keeps the flags away from build scripts and macros, which run on this machine.
        .arg(format!("--target={host}"))
        .arg(format!("--target-dir={}", folder.display()))
        .env("RUSTFLAGS", COVERAGE_FLAGS);
    if !Group::spawn(&mut command)?.wait(interrupt)?.success() {
        return Err("the fuzz target does not build".into());
    }
    Ok(folder.join(host).join("release").join(TARGET))
}

fn host_triple() -> Outcome<String> {
    let said = Command::new("rustc").arg("-vV").output()?.stdout;
    let said = String::from_utf8(said)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not name its host".into())
}

/// The number in `stat::number_of_executed_units: 10000000`.
fn executed(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_runs_is_read_from_the_log() {
        assert_eq!(executed("Done 12 runs\nstat::number_of_executed_units: 12\nstat::x: 3"), Some(12));
        assert_eq!(executed("no figures"), None);
    }
}
