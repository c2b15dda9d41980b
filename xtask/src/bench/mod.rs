//! `cargo xtask bench`: the product beside what people use instead, in alternation on one machine, and the document
//! that says what came out.

pub(crate) mod build;
mod document;
pub(crate) mod installation;
pub(crate) mod load;
mod parts;
pub(crate) mod peers;
pub(crate) mod pinned;
mod rounds;
mod statistics;
mod tables;

use std::path::PathBuf;

use document::Document;
pub(crate) use parts::Part;
use parts::{Measured, Setting};
use rounds::Effort;
use tables::VERDICTS_HEAD;

use crate::processes::Interrupt;
use crate::report::{Outcome, say};
use crate::tools::{self, Install};

/// The profile that packages are built with: one unit, optimised over all crates.
const PROFILE: &str = "dist";
/// What a run takes when nobody says otherwise.
const USUAL: Effort = Effort { rounds: 11, seconds: 2.0 };
/// Enough to see that everything works, and no more.
const QUICK: Effort = Effort { rounds: 2, seconds: 1.0 };

/// What the command line asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// What to measure; all of it when empty.
    pub(crate) parts: Vec<Part>,
    pub(crate) rounds: Option<usize>,
    pub(crate) seconds: Option<f64>,
    /// Small and short, without a document.
    pub(crate) quick: bool,
    /// Print what was measured as JSON too.
    pub(crate) json: bool,
    /// A folder with both programs, instead of building them.
    pub(crate) programs: Option<PathBuf>,
}

impl Options {
    /// Reads the words after `bench`.
    pub(crate) fn read(arguments: &[&str]) -> Outcome<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().copied().ok_or_else(|| format!("{argument} needs a value"));
            match *argument {
                "all" => options.parts.clear(),
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--seconds" => options.seconds = Some(value()?.parse()?),
                "--programs" => options.programs = Some(value()?.into()),
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                name => options.parts.push(
                    Part::ALL
                        .into_iter()
                        .find(|part| part.name() == name)
                        .ok_or_else(|| format!("bench does not know {name}; see cargo xtask help"))?,
                ),
            }
        }
        Ok(options)
    }

    fn effort(&self) -> Effort {
        let usual = if self.quick { QUICK } else { USUAL };
        Effort {
            rounds: self.rounds.unwrap_or(usual.rounds).max(1),
            seconds: self.seconds.unwrap_or(usual.seconds),
        }
    }

    /// The line that asks for the same again.
    fn command(&self) -> String {
        let parts: Vec<&str> = self.parts.iter().map(|part| part.name()).collect();
        let parts = if parts.is_empty() { "all".to_owned() } else { parts.join(" ") };
        let Effort { rounds, seconds } = self.effort();
        format!("cargo xtask bench {parts} --rounds {rounds} --seconds {seconds}")
    }
}

/// Builds, measures, prints, and writes the document.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let interrupt = Interrupt::install()?;
    let needed =
        [tools::NGINX, tools::NGINX_LUA, tools::LUA_REDIS, tools::LUA_SHA, tools::REDIS, tools::TASKSET];
    tools::require(&needed, Install::WhenAllowed)?;
    let built = build::build(PROFILE, options.programs.as_deref())?;
    let parts = if options.parts.is_empty() { Part::ALL.to_vec() } else { options.parts.clone() };
    let mut document = if options.quick { None } else { Some(Document::read()?) };
    let mut verdicts = Vec::new();
    for part in parts {
        // One folder a part: a million keys take half a gigabyte.
        let folder = tempfile::Builder::new().prefix("rndrkit-bench-").tempdir()?;
        let effort = options.effort();
        let setting = Setting {
            built: &built,
            folder: folder.path(),
            effort,
            quick: options.quick,
            interrupt: &interrupt,
        };
        let Measured { text, verdicts: judged } = part.measure(&setting)?;
        println!("\n{text}");
        if let Some(document) = &mut document {
            document.replace(part.name(), &text)?;
            document.judge(&judged)?;
            document.replace("machine", &document::machine(&options.command()))?;
            // What was measured before an interrupt is kept.
            document.write()?;
        }
        verdicts.extend(judged);
    }
    print!("{VERDICTS_HEAD}");
    for verdict in &verdicts {
        println!("{}", verdict.line());
    }
    if options.json {
        let values = verdicts.iter().map(|verdict| {
            serde_json::json!({ "what": verdict.what, "beside": verdict.beside, "value": verdict.value })
        });
        println!("{}", values.collect::<serde_json::Value>());
    }
    say("measured");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_the_line_that_measures_the_same_again() {
        let options = Options::read(&["gateway", "cold", "--rounds", "3"]).unwrap();
        assert_eq!(options.command(), "cargo xtask bench gateway cold --rounds 3 --seconds 2");
        assert_eq!(Options::default().command(), "cargo xtask bench all --rounds 11 --seconds 2");
        assert!(Options::read(&["gate"]).is_err());
    }
}
