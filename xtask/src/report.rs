//! What every task prints and how it fails: one line for each stage with the time since the start.

use std::error::Error;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Tasks fail with a sentence for the person who ran them.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

static START: OnceLock<Instant> = OnceLock::new();

/// The machine's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a task runner measures real time; no test moves it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Prints a line with the seconds since the first one.
pub(crate) fn say(line: &str) {
    let elapsed = now().duration_since(*START.get_or_init(now));
    println!("[{:>6.1} s] {line}", elapsed.as_secs_f64());
}

/// `61 s`, `1.5 s`: a duration in a sentence.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(super::grouped(0), "0");
        assert_eq!(super::grouped(999), "999");
        assert_eq!(super::grouped(10_000_000), "10,000,000");
    }
}
