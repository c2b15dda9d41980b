//! The parts of the measurement. Each sets up what it needs, measures, and returns a table with its verdicts.

mod cold;
mod doors;
mod in_process;
mod start;

use std::path::Path;

use crate::bench::installation::{Built, Installation, Wish};
use crate::bench::peers::Peers;
use crate::bench::rounds::Effort;
use crate::bench::tables::Verdict;
use crate::processes::Interrupt;
use crate::report::{Outcome, say};

/// What every part is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) built: &'a Built,
    /// A folder that goes with the measurement.
    pub(crate) folder: &'a Path,
    pub(crate) effort: Effort,
    /// Few keys and short rounds: to see that everything runs.
    pub(crate) quick: bool,
    pub(crate) interrupt: &'a Interrupt,
}

/// What came out of one part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// A table, or what a program printed.
    pub(crate) text: String,
    pub(crate) verdicts: Vec<Verdict>,
}

/// A part, by its name on the command line and in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    ForwardAuth,
    Verification,
    Memory,
    Flood,
    Start,
    Cold,
    Dashboard,
}

impl Part {
    /// In the order in which they are measured.
    pub(crate) const ALL: [Self; 8] = [
        Self::Gateway,
        Self::ForwardAuth,
        Self::Verification,
        Self::Memory,
        Self::Flood,
        Self::Start,
        Self::Cold,
        Self::Dashboard,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ForwardAuth => "forward-auth",
            Self::Verification => "verification",
            Self::Memory => "memory",
            Self::Flood => "flood",
            Self::Start => "start",
            Self::Cold => "cold",
            Self::Dashboard => "dashboard",
        }
    }

    pub(crate) fn measure(self, setting: &Setting<'_>) -> Outcome<Measured> {
        say(&format!("measuring: {}", self.name()));
        match self {
            Self::Gateway => doors::gateway(setting),
            Self::ForwardAuth => doors::forward_auth(setting),
            Self::Verification => in_process::verification(setting),
            Self::Memory => in_process::memory(setting),
            Self::Flood => in_process::flood(setting),
            Self::Start => start::measure(setting),
            Self::Cold => cold::measure(setting),
            Self::Dashboard => in_process::dashboard(setting),
        }
    }
}

impl<'a> Setting<'a> {
    fn peers(&self) -> Peers<'a> {
        Peers { folder: self.folder, helper: &self.built.helper, interrupt: self.interrupt }
    }

    /// An installation with this many keys, in a folder of its own.
    fn installation(&self, name: &str, keys: u32, upstream: u16, settings: &str) -> Outcome<Installation> {
        let wish = Wish { keys, upstream, settings: settings.to_owned() };
        Installation::make(&self.folder.join(name), self.built, &wish, self.interrupt)
    }

    /// A million, or few when quick.
    fn many_keys(&self) -> u32 {
        if self.quick { 20_000 } else { 1_000_000 }
    }
}
