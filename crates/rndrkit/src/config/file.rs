//! Reads a TOML configuration file into values with their lines. Knows no setting.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::mistake::{Mistake, Mistakes};
use super::written::{Origin, Value, Written};

/// The most bytes of a configuration file or of a secret's file: far beyond any real one.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A text file as a whole, refused when it is longer than any file of ours is.
pub(super) fn read_text(path: &Path) -> Result<String, std::io::Error> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "longer than 1 MiB"));
    }
    Ok(text)
}

/// The top-level values of a file. What cannot be read is reported, and the rest is read all the same.
pub(super) fn parse(
    text: &str,
    origin: &dyn Fn(usize) -> Origin,
    mistakes: &mut Mistakes,
) -> BTreeMap<String, Written> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let reader = FileReader { lines: line_starts(text), origin };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        // The error's own text quotes the line, where a secret may stand: the message alone does not.
        let what = format!("not TOML: {}", error.message());
        mistakes.push(Mistake::without_value("", Some((reader.origin)(reader.line(at))), what));
    }
    reader.table(table.get_ref())
}

/// Origins in the file named `path`.
pub(super) fn origins_of(path: &Path) -> impl Fn(usize) -> Origin + use<> {
    let path: Arc<str> = path.display().to_string().into();
    move |line| Origin::File { path: path.clone(), line }
}

struct FileReader<'a> {
    lines: Vec<usize>,
    origin: &'a dyn Fn(usize) -> Origin,
}

impl FileReader<'_> {
    /// The line, from 1, that a byte of the file lies in.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn table(&self, table: &DeTable<'_>) -> BTreeMap<String, Written> {
        table.iter().map(|(key, value)| (key.get_ref().to_string(), self.entry(key, value))).collect()
    }

    /// A value that stands at its key: for a table, that is where its header or first key is.
    fn entry(&self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Written {
        Written { value: self.value(value.get_ref()), origin: (self.origin)(self.line(key.span().start)) }
    }

    fn item(&self, value: &Spanned<DeValue<'_>>) -> Written {
        Written { value: self.value(value.get_ref()), origin: (self.origin)(self.line(value.span().start)) }
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => Value::Plain(decimal(number)),
            DeValue::Float(number) => Value::Plain(number.as_str().to_owned()),
            DeValue::Boolean(yes) => Value::Plain(yes.to_string()),
            DeValue::Datetime(moment) => Value::Plain(moment.to_string()),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.item(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }
}

/// Decimal digits where the number fits; else as written, which no setting accepts.
fn decimal(number: &DeInteger<'_>) -> String {
    let digits = number.as_str();
    i128::from_str_radix(digits, number.radix()).map_or_else(|_| digits.to_owned(), |value| value.to_string())
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line_and_broken_lines_do_not_hide_the_others() {
        let text = "a = 1\nb = = 2\n\n[[c]]\nd = 'x'\n[[c]]\ne = [1,\n 2]\n";
        let mut mistakes = Mistakes::default();
        let read = parse(text, &origins_of(Path::new("f.toml")), &mut mistakes);
        assert!(mistakes.iter().all(|mistake| mistake.origin.as_ref().unwrap().to_string() == "f.toml:2"));
        assert!(!mistakes.is_empty());
        assert_eq!(read["a"].origin.to_string(), "f.toml:1");
        let Value::List(tables) = &read["c"].value else { panic!("{read:?}") };
        assert_eq!(tables[1].origin.to_string(), "f.toml:6");
        let Value::Table(second) = &tables[1].value else { panic!("{read:?}") };
        assert_eq!(second["e"].origin.to_string(), "f.toml:7");
        assert_eq!(second["e"].for_report(), "[1, 2]");
    }

    #[test]
    fn numbers_in_any_notation_become_decimal() {
        let mut mistakes = Mistakes::default();
        let read = parse("a = 200_000\nb = 0x10\nc = 1.5", &origins_of(Path::new("f")), &mut mistakes);
        assert_eq!((read["a"].scalar(), read["b"].scalar()), (Some("200000"), Some("16")));
        assert_eq!(read["c"].scalar(), Some("1.5"));
    }
}
