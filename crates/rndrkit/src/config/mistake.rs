//! What is wrong with the settings: all of it, in one report that says what to write instead.

use std::fmt;

use super::written::{Origin, Written};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was written; none when nothing was written.
    pub origin: Option<Origin>,
    /// The setting, such as `plans[2].burst`; empty when a file as a whole is wrong.
    pub key: String,
    /// What was written; none when nothing was, or when it may be a secret.
    pub value: Option<String>,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl Mistake {
    pub(super) fn new(key: impl Into<String>, written: &Written, allowed: impl Into<String>) -> Self {
        Self {
            origin: Some(written.origin.clone()),
            key: key.into(),
            value: Some(written.for_report()),
            allowed: allowed.into(),
        }
    }

    pub(super) fn without_value(
        key: impl Into<String>,
        origin: Option<Origin>,
        allowed: impl Into<String>,
    ) -> Self {
        Self { origin, key: key.into(), value: None, allowed: allowed.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.allowed)
    }
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// In the order of the report.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, mistake: Mistake) {
        // A cross-check may find again what the setting's own check has reported.
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// File by line, then environment, then flags, then what is missing: the order in which one mends them.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|mistake| mistake.origin.as_ref().map_or((4, 0), Origin::rank));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("One setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
