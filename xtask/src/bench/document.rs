//! `docs/benchmarks.md`: written by people, but for the parts between two marks, which a measurement replaces.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::bench::tables::{VERDICTS_HEAD, Verdict};
use crate::report::{Outcome, root};

const PATH: &str = "docs/benchmarks.md";

/// The document while it is being changed.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
}

impl Document {
    pub(crate) fn read() -> Outcome<Self> {
        Ok(Self { text: fs::read_to_string(path())? })
    }

    pub(crate) fn write(&self) -> Outcome<()> {
        Ok(fs::write(path(), &self.text)?)
    }

    /// Replaces what stands between `<!-- name -->` and `<!-- /name -->`.
    pub(crate) fn replace(&mut self, name: &str, content: &str) -> Outcome<()> {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let missing = || format!("{PATH} has no {start}");
        let (before, rest) = self.text.split_once(&start).ok_or_else(missing)?;
        let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
        self.text = format!("{before}{start}{}\n{end}{after}", content.trim_end());
        Ok(())
    }

    /// Puts these lines into the table of targets in place of those about the same things.
    pub(crate) fn judge(&mut self, verdicts: &[Verdict]) -> Outcome<()> {
        let before = self.between("targets").unwrap_or_default();
        let mut lines: Vec<String> =
            before.lines().skip(2).filter(|line| line.starts_with('|')).map(str::to_owned).collect();
        for verdict in verdicts {
            let line = verdict.line();
            match lines.iter_mut().find(|old| subject(old) == subject(&line)) {
                Some(old) => *old = line,
                None => lines.push(line),
            }
        }
        self.replace("targets", &format!("{VERDICTS_HEAD}{}", lines.join("\n")))
    }

    fn between(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("<!-- {name} -->\n"))?;
        Some(rest.split_once(&format!("<!-- /{name} -->"))?.0.to_owned())
    }
}

/// The first two cells of a line.
fn subject(line: &str) -> Vec<&str> {
    line.split('|').skip(1).take(2).map(str::trim).collect()
}

fn path() -> PathBuf {
    root().join(PATH)
}

/// What the measuring machine is, as a list.
pub(crate) fn machine(command: &str) -> String {
    let mut text = String::new();
    let mut item = |name: &str, value: &str| {
        let _ = writeln!(text, "- {name}: {}", value.trim());
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
    item("processor", &format!("{cores} × {}", model.map_or("unknown", |(_, name)| name.trim())));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    item(
        "memory",
        memory.lines().next().and_then(|line| line.strip_prefix("MemTotal:")).unwrap_or("unknown"),
    );
    item("system", &format!("{}, Linux {}", distribution(), said("uname", &["-r"])));
    item("compiler", &said("rustc", &["--version"]));
    let nginx = said("nginx", &["-v"]);
    let redis = said("redis-server", &["--version"]);
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("none");
    item("beside", &format!("{}, Redis {redis}", nginx.trim_start_matches("nginx version: ")));
    item("commit", &said("git", &["rev-parse", "--short=12", "HEAD"]));
    item("day", &said("date", &["-u", "+%Y-%m-%d"]));
    item("command", &format!("`{command}`"));
    text
}

fn distribution() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

/// What a program says about itself on either output; nginx uses the second.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).current_dir(root()).output() else {
        return "none".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tables::Target;

    fn document() -> Document {
        Document {
            text: "a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- targets -->\n<!-- /targets -->\n".to_owned(),
        }
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let mut document = document();
        document.replace("x", "new\n").unwrap();
        assert!(document.text.starts_with("a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"), "{}", document.text);
        assert!(document.replace("absent", "").is_err());
    }

    #[test]
    fn a_verdict_takes_the_place_of_the_one_before_about_the_same() {
        let mut document = document();
        let verdict = |what, value| Verdict::new(what, "base", value, Target::AtLeast(1.0, 2.0));
        document.judge(&[verdict("a", 0.5), verdict("b", 1.5)]).unwrap();
        document.judge(&[verdict("a", 2.5)]).unwrap();
        let lines = document.between("targets").unwrap();
        assert!(lines.contains("| a | base | 2.50 |") && lines.contains("| b | base | 1.50 |"), "{lines}");
        assert_eq!(lines.lines().count(), 4, "{lines}");
    }
}
