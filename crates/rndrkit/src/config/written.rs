//! What somebody wrote for a setting, and where. Knows nothing about what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults file.
    Default,
    /// A line of a configuration file.
    File {
        /// As the user named it.
        path: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// A file that a `…_file` setting names.
    SecretFile {
        /// As the user named it.
        path: String,
        /// Where it is named.
        named_by: Box<Self>,
    },
}

impl Origin {
    /// Sources in the order in which they are laid over each other, and the line within a file.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Default => (0, 0),
            Self::File { line, .. } => (1, *line),
            Self::Environment(_) => (2, 0),
            Self::Flag(_) => (3, 0),
            Self::SecretFile { named_by, .. } => named_by.rank(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::SecretFile { path, named_by } => write!(f, "{named_by} → {path}"),
        }
    }
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A number, a date or a boolean, as text: the environment and flags have nothing else.
    Plain(String),
    /// A list.
    List(Vec<Written>),
    /// A table.
    Table(BTreeMap<String, Written>),
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Written {
    pub(super) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { value: Value::Text(text.into()), origin }
    }

    /// The text of a scalar.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Plain(text) => Some(text),
            Value::List(_) | Value::Table(_) => None,
        }
    }

    /// For reports: texts in quotes, lists and tables by kind, user names in addresses left out.
    pub(super) fn for_report(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("{:?}", shorten(&without_user(text))),
            Value::Plain(text) => shorten(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Self::for_report).collect();
                format!("[{}]", shorten(&items.join(", ")))
            }
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// The most characters of a wrong value that a report repeats.
const REPORTED_CHARS: usize = 120;

fn shorten(text: &str) -> String {
    if text.chars().count() <= REPORTED_CHARS {
        return text.to_owned();
    }
    text.chars().take(REPORTED_CHARS).chain(['…']).collect()
}

/// `http://user:password@host` without what stands before the `@`: a password may be there.
fn without_user(text: &str) -> String {
    match (text.split_once("://"), text.rfind('@')) {
        (Some((scheme, _)), Some(at)) => {
            let rest = text.get(at..).unwrap_or_default();
            format!("{scheme}://…{rest}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_repeats_no_password_of_an_address_and_no_endless_text() {
        let address = Written::text("http://ada:hunter2@example.com/x", Origin::Default);
        assert_eq!(address.for_report(), "\"http://…@example.com/x\"");
        let long = Written::text("x".repeat(5_000), Origin::Default);
        assert_eq!(long.for_report().chars().count(), REPORTED_CHARS + 3);
    }
}
