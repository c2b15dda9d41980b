//! `cargo xtask test`: every test with everything that the tests need, and the totals at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fuzz;
use crate::processes::{Interrupt, cargo, run_by_line};
use crate::report::{Outcome, now, root, say, seconds};
use crate::servers::Servers;
use crate::tools::{self, Install};

/// How long the fuzzer runs as a part of the tests.
const FUZZ_TIME: Duration = Duration::from_secs(60);

/// What the command line asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Whether missing programs may be installed.
    pub(crate) install: Install,
    /// Leave the fuzzer out.
    pub(crate) quick: bool,
    /// Handed on to `cargo test`.
    pub(crate) cargo_arguments: Vec<String>,
}

impl Options {
    fn fuzzes(&self) -> bool {
        !self.quick && self.cargo_arguments.is_empty()
    }

    fn tools(&self) -> Vec<tools::Tool> {
        let mut needed = vec![tools::POSTGRES, tools::CHROMIUM, tools::CHROMEDRIVER, tools::SYSTEMD];
        needed.extend([tools::NGINX, tools::CADDY]);
        needed.push(tools::AIOSMTPD);
        needed.extend([tools::EXPRESS, tools::FASTAPI, tools::UVICORN, tools::HTTPX, tools::GO]);
        if self.fuzzes() {
            needed.push(tools::CPP_COMPILER);
        }
        needed
    }
}

/// What the test programs said about themselves.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Totals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: Vec<String>,
}

impl Totals {
    fn read(&mut self, line: &str) {
        if let Some(summary) = line.strip_prefix("test result: ") {
            self.programs += 1;
            for part in summary.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (Some(number), Some(word)) = (words.next(), words.next()) else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                match word {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }

    fn summary(&self) -> String {
        format!(
            "{} passed, {} failed, {} ignored in {} test programs",
            self.passed, self.failed, self.ignored, self.programs
        )
    }
}

/// Installs, starts, tests, fuzzes, stops.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let interrupt = Interrupt::install()?;
    say("looking for the programs that the tests need");
    tools::require(&options.tools(), options.install)?;
    interrupt.check()?;
    let servers = Servers::start(&interrupt)?;
    let started = now();
    say("cargo test");
    let tested = cargo_test(options, &servers, &interrupt);
    drop(servers);
    say("stopped PostgreSQL and chromedriver");
    let (succeeded, totals) = tested?;
    let took = seconds(now().duration_since(started));
    if succeeded && options.fuzzes() {
        fuzz::run(fuzz::Budget::Time(FUZZ_TIME), &interrupt)?;
    } else if succeeded {
        say("left out: the fuzzer (cargo xtask fuzz runs it)");
    }
    for name in &totals.failures {
        say(&format!("failed: {name}"));
    }
    say(&format!("tests: {} ({took} with building)", totals.summary()));
    if succeeded { Ok(()) } else { Err("cargo test failed; see above".into()) }
}

fn cargo_test(options: &Options, servers: &Servers, interrupt: &Interrupt) -> Outcome<(bool, Totals)> {
    let mut command = cargo();
    command.current_dir(root()).args(["test", "--no-fail-fast"]);
    let names_a_package = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    if !options.cargo_arguments.iter().any(names_a_package) {
        command.arg("--workspace");
    }
    command
        .args(&options.cargo_arguments)
        .env("RNDRKIT_TEST_POSTGRES_URL", &servers.postgres_url)
        .env("RNDRKIT_TEST_WEBDRIVER_URL", &servers.webdriver_url)
        .env("RNDRKIT_TEST_REQUIRE", "1");
    let totals = Arc::new(Mutex::new(Totals::default()));
    let reader = Arc::clone(&totals);
    let status = run_by_line(&mut command, interrupt, move |line| {
        println!("{line}");
        reader.lock().unwrap_or_else(PoisonError::into_inner).read(line);
    })?;
    let totals = totals.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((status.success(), totals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_test_programs() {
        let mut totals = Totals::default();
        for line in [
            "running 2 tests",
            "test a::passes ... ok",
            "test a::does_not ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.21s",
            "test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            totals.read(line);
        }
        assert_eq!(totals.summary(), "41 passed, 1 failed, 2 ignored in 2 test programs");
        assert_eq!(totals.failures, ["a::does_not"]);
    }

    #[test]
    fn a_filter_or_quick_leaves_the_fuzzer_and_its_compiler_out() {
        let needs_compiler = |options: &Options| options.tools().iter().any(|tool| tool.package == "g++");
        let all = Options::default();
        assert!(all.fuzzes() && needs_compiler(&all));
        let quick = Options { quick: true, ..Options::default() };
        let filtered = Options { cargo_arguments: vec!["keys".to_owned()], ..Options::default() };
        for options in [quick, filtered] {
            assert!(!options.fuzzes() && !needs_compiler(&options));
        }
    }
}
