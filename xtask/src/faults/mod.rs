//! `cargo xtask faults`: plants one fault at a time in a copy of the checkout, and says what of the simulation
//! of several nodes catches it.
//!
//! Each takes a build; all together are a matter of half an hour and no part of the tests. That every fault
//! can still be planted is.

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::table::{Edit, FAULTS, Fault, Plant};
use crate::processes::{Interrupt, cargo, run_by_line};
use crate::report::{Outcome, root, say};

/// Seeds tried for each fault, when not told.
pub(crate) const SEEDS: u64 = 1_500;
/// What of the checkout is copied.
const COPIED: [&str; 4] = ["Cargo.toml", "Cargo.lock", "crates", "xtask"];

/// Tests of the simulation that run seeds; what they find is told by its seed.
const SEEDED: [&str; 2] = ["no_seed_breaks_a_promise", "a_seed_repeats_its_run"];
const SIMULATION: [&str; 4] = ["-p", "rndrkit-cluster", "--test", "simulation"];
/// Asked about what the simulation cannot show: it stops a process, but not the timers of the look-ups that
/// the process has under way.
const CLOSER: [&str; 6] = ["-p", "rndrkit-cluster", "-p", "rndrkit-verifier", "--test", "it"];

/// What to try.
#[derive(Debug)]
pub(crate) struct Options {
    /// One fault by its name.
    pub(crate) only: Option<String>,
    /// Seeds for each.
    pub(crate) seeds: u64,
}

/// What a run of the simulation said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Findings {
    /// Tests that failed, those that run seeds aside.
    tests: Vec<String>,
    seed: Option<u64>,
    said: Option<String>,
    message_is_next: bool,
    ran: bool,
}

impl Findings {
    fn read(&mut self, line: &str) {
        if line.starts_with("---- no_seed") {
            // What a seed finds says more than what a schedule misses.
            self.said = None;
        }
        if std::mem::take(&mut self.message_is_next) && self.said.is_none() {
            self.said = Some(line.to_owned());
        }
        self.ran |= line.starts_with("test result: ");
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            if !SEEDED.contains(&name) {
                self.tests.push(name.to_owned());
            }
        } else if line.contains("panicked at ") {
            self.message_is_next = true;
        } else if let Some(seed) = line.strip_prefix("seed ").and_then(|rest| rest.split(':').next()) {
            self.seed = self.seed.or_else(|| seed.parse().ok());
        }
    }

    fn verdict(&self) -> Option<String> {
        let mut caught: Vec<String> = self.seed.iter().map(|seed| format!("seed {seed}")).collect();
        caught.extend(self.tests.iter().cloned());
        (!caught.is_empty()).then(|| caught.join(", "))
    }
}

/// Plants and tries; fails when a fault is caught by nothing.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let interrupt = Interrupt::install()?;
    let wanted = |fault: &&Fault| options.only.as_ref().is_none_or(|only| only == fault.name);
    let faults: Vec<&Fault> = FAULTS.iter().filter(wanted).collect();
    if faults.is_empty() {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        return Err(format!("no such fault; there are {}", names.join(", ")).into());
    }
    let scratch = root().join("target/faults/source");
    copy_checkout(&scratch)?;
    let mut missed = Vec::new();
    for fault in faults {
        let findings = try_fault(&scratch, fault, options.seeds, &interrupt)?;
        if let Some(verdict) = findings.verdict() {
            let said = findings.said.unwrap_or_default();
            say(&format!("{}: caught by {verdict}\n           {said}", fault.name));
        } else {
            let why = if findings.ran { "NOT CAUGHT" } else { "DOES NOT BUILD" };
            say(&format!("{}: {why}", fault.name));
            missed.push(fault.name);
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not caught: {}", missed.join(", ")).into()) }
}

fn try_fault(scratch: &Path, fault: &Fault, seeds: u64, interrupt: &Interrupt) -> Outcome<Findings> {
    let edits: &[Edit] = match &fault.plant {
        Plant::Code(edits) => edits,
        Plant::World => &[],
    };
    let mut originals = Vec::new();
    for edit in edits {
        let path = scratch.join(edit.file);
        let text = fs::read_to_string(&path)?;
        fs::write(&path, edit.apply(&text)?)?;
        originals.push((path, text));
    }
    let planted = matches!(fault.plant, Plant::World).then_some(fault.name);
    let findings = match simulate(&SIMULATION, scratch, planted, seeds, interrupt) {
        Ok(found) if found.ran && found.verdict().is_none() => {
            say(&format!("{}: not seen by the simulation; asking the tests of the parts", fault.name));
            simulate(&CLOSER, scratch, planted, seeds, interrupt)
        }
        tried => tried,
    };
    // In reverse, so that the first text of a file that was edited twice is what stays.
    for (path, text) in originals.into_iter().rev() {
        fs::write(path, text)?;
    }
    findings
}

fn simulate(
    tests: &[&str],
    scratch: &Path,
    planted: Option<&str>,
    seeds: u64,
    interrupt: &Interrupt,
) -> Outcome<Findings> {
    let mut command = cargo();
    command
        .current_dir(scratch)
        .args(["test", "--release", "--quiet", "--no-fail-fast"])
        .args(tests)
        .args(["--", "--format", "pretty"])
        .env("CARGO_TARGET_DIR", root().join("target/faults/target"))
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        // Half the time of a build, and the seeds that are needed are few.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("RUSTFLAGS", "-Awarnings")
        .env("RUST_BACKTRACE", "0")
        .env("RNDRKIT_TEST_SEEDS", seeds.to_string());
    if let Some(name) = planted {
        command.env("RNDRKIT_TEST_FAULT", name);
    }
    let findings = Arc::new(Mutex::new(Findings::default()));
    let reader = Arc::clone(&findings);
    // A failure is what is hoped for.
    run_by_line(&mut command, interrupt, move |line| {
        reader.lock().unwrap_or_else(PoisonError::into_inner).read(line);
    })?;
    let findings = findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(findings)
}

impl Edit {
    fn apply(&self, text: &str) -> Outcome<String> {
        match text.matches(self.find).count() {
            1 => Ok(text.replacen(self.find, self.replace, 1)),
            count => Err(format!("{} has {count} times, and not once:\n{}", self.file, self.find).into()),
        }
    }
}

fn copy_checkout(scratch: &Path) -> Outcome<()> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    fs::create_dir_all(scratch)?;
    COPIED.iter().try_for_each(|name| copy(&root().join(name), &scratch.join(name)))
}

fn copy(from: &Path, to: &PathBuf) -> Outcome<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_can_still_be_planted() {
        let names: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len(), "a name is there twice");
        let world = fs::read_to_string(root().join("crates/cluster/tests/simulation/planted.rs")).unwrap();
        for fault in FAULTS {
            match fault.plant {
                Plant::World => {
                    assert!(world.contains(&format!("(\"{}\"", fault.name)), "{} is unknown", fault.name);
                }
                Plant::Code(edits) => {
                    for edit in edits {
                        let text = fs::read_to_string(root().join(edit.file)).unwrap();
                        edit.apply(&text).unwrap_or_else(|error| panic!("{}: {error}", fault.name));
                    }
                }
            }
        }
    }

    #[test]
    fn what_caught_a_fault_is_read_from_the_output() {
        let mut findings = Findings::default();
        for line in [
            "test directed::a_rule ... FAILED",
            "test no_seed_breaks_a_promise ... FAILED",
            "test directed::another_rule ... ok",
            "thread 'x' (12) panicked at crates/x.rs:1:2:",
            "answered valid",
            "seed 17: see above",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            findings.read(line);
        }
        assert_eq!(findings.verdict().as_deref(), Some("seed 17, directed::a_rule"));
        assert_eq!(findings.said.as_deref(), Some("answered valid"));
        assert!(findings.ran);
        assert_eq!(Findings::default().verdict(), None);
    }
}
