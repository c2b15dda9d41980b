//! Tables for spreadsheets and scripts (RFC 4180).

use std::borrow::Cow;

use axum::body::Bytes;

/// What such a file is called on the wire.
pub(crate) const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// Rows as text: a table, or a part of one. Its first row is the head; the last may be a remark of one cell.
pub(crate) fn table(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Bytes, csv::Error> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| harmless(cell).into_owned()))?;
    }
    let text = writer.into_inner().map_err(|cause| csv::Error::from(cause.into_error()))?;
    Ok(text.into())
}

/// What a formula begins with, also as wide letters.
const BEGINS_FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What, at the start of a cell, may stand before a formula.
const BLANK: [char; 3] = ['\t', '\r', '\n'];
/// What begins a new cell where a spreadsheet reads this table by other separators than ours. Some take quotes for
/// letters then, so a cell of ours may be several of theirs.
const BEGINS_CELL: [char; 4] = [';', '\t', '\r', '\n'];

/// Spreadsheets run what begins like a formula; behind an apostrophe it is text.
pub(crate) fn harmless(cell: &str) -> Cow<'_, str> {
    if !cell.starts_with(BLANK) && !cell.contains(BEGINS_FORMULA) {
        return Cow::Borrowed(cell);
    }
    let mut text = String::with_capacity(cell.len() + 8);
    if cell.starts_with(BLANK) {
        text.push('\'');
    }
    let mut begins = true;
    for letter in cell.chars() {
        if begins && BEGINS_FORMULA.contains(&letter) {
            text.push('\'');
        }
        text.push(letter);
        // Quotes around a cell are taken off before it is read.
        begins = BEGINS_CELL.contains(&letter) || (begins && letter == '"');
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_made_text() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\t1", "\r1", "\n1"] {
            assert_eq!(harmless(cell), format!("'{cell}"));
        }
        for cell in ["", "CI/CD", "1-2", "a=b", "'=1", "a; b-c; d", "x;y"] {
            assert_eq!(harmless(cell), cell);
        }
    }

    #[test]
    fn what_is_a_cell_of_its_own_where_other_separators_hold_is_made_text_too() {
        for mark in [";", "\t", "\r", "\n", ";\t", ";\"", "\r\n"] {
            for formula in ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "＋1"] {
                assert_eq!(harmless(&format!("x{mark}{formula};y")), format!("x{mark}'{formula};y"));
            }
        }
        assert_eq!(harmless("\t=1"), "'\t'=1");
        assert_eq!(harmless("=1;=2;=3"), "'=1;'=2;'=3");
        let row = ["Key;=1".to_owned(), "a,b;=1".to_owned(), "x;\"=1\"".to_owned()];
        assert_eq!(table([row.to_vec()]).unwrap(), "Key;'=1,\"a,b;'=1\",\"x;\"\"'=1\"\"\"\n");
    }
}
