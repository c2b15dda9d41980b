//! What commands read and print: JSON as the API gives it, or text for people. A closed pipe is nobody's mistake.

use std::io::{Read, Write};

use serde::Serialize;

use super::Failure;

/// What a command reads and where it prints.
pub struct Console<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Whether to print JSON.
    pub json: bool,
}

impl std::fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("json", &self.json).finish_non_exhaustive()
    }
}

impl<'a> Console<'a> {
    /// Prints for people until a command line asks for JSON.
    pub fn new(input: &'a mut dyn Read, out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { input, out, err, json: false }
    }

    /// One line for people.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.out, "{}", text.as_ref());
    }

    /// A document for programs.
    pub(super) fn document(&mut self, document: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(document) {
            self.line(text);
        }
    }

    /// The document with `--json`, else what `people` prints.
    pub(super) fn either<T: Serialize>(&mut self, document: &T, people: impl FnOnce(&mut Self, &T)) {
        if self.json { self.document(document) } else { people(self, document) }
    }

    /// Pairs of a name and a value, values aligned. Values that are not there are left out.
    pub(super) fn facts(&mut self, facts: &[(&str, Option<String>)]) {
        let given = facts.iter().filter(|(_, value)| value.is_some());
        let width = given.map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in facts {
            if let Some(value) = value {
                self.line(format!("{name:<width$}  {}", printable(value)));
            }
        }
    }

    /// Rows under headings, columns aligned.
    pub(super) fn table<const N: usize>(&mut self, headings: [&str; N], rows: &[[String; N]]) {
        let rows: Vec<[String; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
        let mut widths = headings.map(|heading| heading.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut print = |cells: [&str; N]| {
            let line: Vec<String> =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            self.line(line.join("  ").trim_end());
        };
        print(headings);
        for row in &rows {
            print(row.each_ref().map(String::as_str));
        }
    }

    /// Why a command did not do what it was asked.
    pub(super) fn failure(&mut self, failure: &Failure) {
        if self.json
            && let Some(json) = &failure.json
        {
            self.document(json);
        }
        let _ = writeln!(self.err, "{}", failure.text);
    }
}

/// Without control characters: names come from people, and a terminal obeys what it is shown.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A value, or a dash.
pub(super) fn or_dash(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: impl FnOnce(&mut Console<'_>)) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        print(&mut Console::new(&mut std::io::empty(), &mut out, &mut err));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_lines_end_where_the_text_ends() {
        let rows = [["key_1".to_owned(), "Ünïcode".to_owned()], ["key_long".to_owned(), "B".to_owned()]];
        let text = printed(|console| console.table(["ID", "NAME"], &rows));
        assert_eq!(text, "ID        NAME\nkey_1     Ünïcode\nkey_long  B\n");
    }

    #[test]
    fn a_name_cannot_give_orders_to_the_terminal() {
        let text = printed(|console| console.facts(&[("Name", Some("\u{1b}[2Jgone\r\n".to_owned()))]));
        assert_eq!(text, "Name  \u{fffd}[2Jgone\u{fffd}\u{fffd}\n");
    }
}
