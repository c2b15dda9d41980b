//! One run of the load generator, and what it says.

use std::path::Path;

use crate::bench::pinned::Core;
use crate::report::Outcome;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) keys: &'a Path,
    /// `--seconds 3`, `--requests 1000`, and whatever else the generator takes.
    pub(crate) more: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sample {
    /// Answers of any kind.
    pub(crate) requests: f64,
    /// Wrong answers, and connections that the server closed. Anything but zero makes the measurement void.
    pub(crate) bad: f64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Runs it to its end.
pub(crate) fn run(helper: &Path, load: &Load<'_>) -> Outcome<Sample> {
    let mut command = Core::Load.command(helper);
    command.args(["load", "--port", &load.port.to_string(), "--path", load.path, "--keys"]).arg(load.keys);
    let output = command.args(&load.more).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    read(&said)
}

fn read(line: &str) -> Outcome<Sample> {
    let said: serde_json::Value = serde_json::from_str(line)?;
    let number = |name: &str| -> Outcome<f64> {
        said.get(name)
            .and_then(serde_json::Value::as_f64)
            .ok_or_else(|| format!("the load says no {name}").into())
    };
    Ok(Sample {
        requests: number("requests")?,
        bad: number("bad")? + number("errors")?,
        seconds: number("seconds")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn closed_connections_count_as_bad_answers() {
        let line = r#"{"requests":10,"bad":3,"errors":2,"seconds":1.5,"p50_us":4,"p99_us":9}"#;
        let sample = super::read(line).unwrap();
        assert_eq!((sample.requests, sample.bad, sample.p99_us), (10.0, 5.0, 9.0));
        assert!(super::read("{}").is_err());
    }
}
