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

/// Spreadsheets run what begins like a formula; behind an apostrophe it is text.
pub(crate) fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_made_text() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(cell), format!("'{cell}"));
        }
        for cell in ["", "CI/CD", "1-2", "a=b", "'=1"] {
            assert_eq!(harmless(cell), cell);
        }
    }
}
