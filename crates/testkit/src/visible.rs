//! What a test run says about the tests that it could not run: one line each, past the capture of output.

use std::collections::BTreeSet;
use std::io::Write as _;

use parking_lot::Mutex;

/// Set to `1` by `cargo xtask test`: what a test needs is there, so its absence is a failure.
pub const REQUIRE_VARIABLE: &str = "RNDRKIT_TEST_REQUIRE";

static SAID: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The value of an environment variable that says where a test server is. When there is none: one visible
/// line for each process that names what was not run.
///
/// # Panics
///
/// When the variable is missing although `RNDRKIT_TEST_REQUIRE=1` promises it.
#[must_use]
pub fn server_or_notice(what: &'static str, variable: &'static str) -> Option<String> {
    let value = environment(variable);
    if value.is_none() {
        let required = environment(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!required, "{variable} is not set, but {REQUIRE_VARIABLE}=1 says that it must be");
        if SAID.lock().insert(what) {
            say(&notice(what, variable));
        }
    }
    value
}

/// Says in one visible line that a program is missing and what was therefore not run.
///
/// # Panics
///
/// When `RNDRKIT_TEST_REQUIRE=1` promises that the program is there.
pub fn required_or_notice(what: &'static str, program: &'static str) {
    let required = environment(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
    assert!(!required, "{program} is missing, but {REQUIRE_VARIABLE}=1 says that it must be there");
    if SAID.lock().insert(what) {
        say(&format!("not run: {what} ({program} is not installed; cargo xtask test installs it)"));
    }
}

fn notice(what: &str, variable: &str) -> String {
    format!("not run: {what} ({variable} is not set; cargo xtask test sets it)")
}

/// Writes one line to the real standard error. The test harness captures what the print macros write, not this.
pub fn say(line: &str) {
    // A closed standard error is no reason to fail a test.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[expect(
    clippy::disallowed_methods,
    reason = "test servers are announced in the environment, not in settings"
)]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_announced_is_used() {
        // `CARGO_MANIFEST_DIR` is set for every test that cargo runs.
        assert_eq!(
            server_or_notice("nothing", "CARGO_MANIFEST_DIR").as_deref(),
            Some(env!("CARGO_MANIFEST_DIR"))
        );
    }

    #[test]
    fn the_notice_says_what_was_not_run_and_what_would_run_it() {
        assert_eq!(
            notice("browser tests", "SOME_URL"),
            "not run: browser tests (SOME_URL is not set; cargo xtask test sets it)"
        );
    }
}
