//! The whole audit trail as lines of JSON, and its check without a database. A reader of exports believes nothing:
//! the file may be cut, hostile, or written by hand.

use std::io::{self, BufRead, Read as _, Write};

use rndrkit_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit_chain::LinkedRow;
use crate::audit_check::{ChainReport, TrailCheck};
use crate::audit_signing::{AuditPublicKey, SignatureRow};
use crate::audit_trail::{self, MAX_SIGNATURES};
use crate::error::Error;
use crate::hex;
use crate::open::Store;

/// What a file of this form says in its first line.
const FORM: &str = "rndrkit audit export";
/// Its version.
const VERSION: u32 = 1;
/// The longest line. An event has a few hundred bytes; names, addresses and details are bounded where they come in.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// A line. Signatures come before events, so that one pass checks all.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    /// The first: what this is, and what the trail ends with.
    Trail {
        form: String,
        version: u32,
        at: String,
        seq: i64,
        #[serde(with = "hex::required")]
        hash: Vec<u8>,
    },
    Signature(SignatureRow),
    Event(Box<LinkedRow>),
    /// The last: without it the file was cut.
    End {
        events: u64,
        signatures: u64,
    },
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportSummary {
    /// Events.
    pub events: u64,
    /// Signed heads and checkpoints.
    pub signatures: u64,
}

/// Why an export was not written or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The file could not be written or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The first line does not say that it is an export.
    #[error("this is not an export of the audit trail")]
    NotAnExport,
    /// A later version wrote it.
    #[error("this export has version {found}, and this program reads version {VERSION}")]
    LaterVersion {
        /// Its version.
        found: u32,
    },
    /// A line does not read.
    #[error("line {number}: {what}")]
    BadLine {
        /// Which, from 1.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// The last line is missing.
    #[error(
        "the file ends after line {lines} without its last line: it was cut, or the export was not finished"
    )]
    Cut {
        /// How many lines there are.
        lines: u64,
    },
}

fn write_line(out: &mut (dyn Write + Send), line: &Line) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, line).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

impl Store {
    /// Writes the whole trail as it is now, oldest first, with all signatures.
    pub async fn export_audit(
        &self,
        at: Timestamp,
        out: &mut (dyn Write + Send),
    ) -> Result<ExportSummary, ExportError> {
        let tx = self.begin_long_reading().await?;
        let head = audit_trail::head(&tx).await?;
        let form = FORM.to_owned();
        let first =
            Line::Trail { form, version: VERSION, at: at.to_string(), seq: head.seq, hash: head.hash };
        write_line(out, &first)?;
        let mut summary = ExportSummary { events: 0, signatures: 0 };
        for signature in audit_trail::signatures(&tx).await? {
            write_line(out, &Line::Signature(SignatureRow::of(&signature)))?;
            summary.signatures += 1;
        }
        let mut after = i64::MIN;
        loop {
            let rows = audit_trail::batch(&tx, after).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { break };
            after = last;
            for row in rows {
                write_line(out, &Line::Event(Box::new(row)))?;
                summary.events += 1;
            }
        }
        tx.rollback().await?;
        write_line(out, &Line::End { events: summary.events, signatures: summary.signatures })?;
        out.flush()?;
        Ok(summary)
    }
}

/// Reads line by line, and never more than the longest line at once.
struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn bad(&self, what: impl Into<String>) -> ExportError {
        ExportError::BadLine { number: self.number, what: what.into() }
    }

    fn next(&mut self) -> Result<Option<Line>, ExportError> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(self.bad(format!("longer than {MAX_LINE_BYTES} bytes")));
        }
        let read = serde_json::from_slice(&line);
        match read {
            Ok(line) => Ok(Some(line)),
            Err(_) if self.number == 1 => Err(ExportError::NotAnExport),
            // A line without its end is where the file was cut.
            Err(_) if line.last() != Some(&b'\n') => Err(ExportError::Cut { lines: self.number - 1 }),
            Err(error) => Err(self.bad(error.to_string())),
        }
    }
}

/// Checks an export, as [`Store::verify_audit_trail`] checks a database. After the first fault of the trail the
/// rest of the file is not read.
pub fn check_audit_export(
    input: impl BufRead,
    trusted: &[AuditPublicKey],
) -> Result<ChainReport, ExportError> {
    let mut lines = Lines { input, number: 0 };
    let Some(Line::Trail { form, version, seq, hash, .. }) = lines.next()? else {
        return Err(ExportError::NotAnExport);
    };
    if form != FORM {
        return Err(ExportError::NotAnExport);
    }
    if version > VERSION {
        return Err(ExportError::LaterVersion { found: version });
    }
    let mut signatures = Vec::new();
    let mut line = lines.next()?;
    while let Some(Line::Signature(row)) = line {
        if signatures.len() >= MAX_SIGNATURES {
            return Err(lines.bad(format!("more than {MAX_SIGNATURES} signatures")));
        }
        let signature = row.into_signature();
        signatures.push(signature.ok_or_else(|| lines.bad("this signature has the wrong shape"))?);
        line = lines.next()?;
    }
    let signed = signatures.len() as u64;
    let mut check = TrailCheck::begin(signatures, trusted);
    let mut seen = 0;
    loop {
        match line {
            Some(Line::Event(row)) => {
                check.event(*row);
                seen += 1;
                if check.is_over() {
                    return Ok(check.stop());
                }
            }
            Some(Line::End { events, signatures }) => {
                if (events, signatures) != (seen, signed) {
                    return Err(lines.bad(format!(
                        "it says that there are {events} events and {signatures} signatures, and there are {seen} \
                         and {signed}"
                    )));
                }
                break;
            }
            Some(_) => return Err(lines.bad("this line does not belong here")),
            None => return Err(ExportError::Cut { lines: lines.number }),
        }
        line = lines.next()?;
    }
    if lines.next()?.is_some() {
        return Err(lines.bad("there is more after the last line"));
    }
    Ok(check.finish((seq, &hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        check_audit_export(text.as_bytes(), &[]).map(|report| format!("{report:?}")).unwrap_err().to_string()
    }

    fn first(version: u32) -> String {
        let hash = "00".repeat(32);
        format!(
            r#"{{"type":"trail","form":"{FORM}","version":{version},"at":"2026-01-01T00:00:00.000Z","seq":0,"hash":"{hash}"}}"#
        )
    }

    #[test]
    fn an_empty_trail_checks_out() {
        let text = format!("{}\n{{\"type\":\"end\",\"events\":0,\"signatures\":0}}\n", first(1));
        assert_eq!(check_audit_export(text.as_bytes(), &[]).unwrap().fault, None);
    }

    #[test]
    fn hostile_and_cut_files_are_named_as_such() {
        assert_eq!(check(""), "this is not an export of the audit trail");
        assert_eq!(check("\u{0}\u{1}"), "this is not an export of the audit trail");
        assert_eq!(
            check("{\"type\":\"end\",\"events\":0,\"signatures\":0}\n"),
            "this is not an export of the audit trail"
        );
        assert!(check(&first(2)).contains("version 2"));
        assert!(check(&format!("{}\n", first(1))).contains("ends after line 1"));
        assert!(check(&format!("{}\n{{\"type\":\"ev", first(1))).contains("ends after line 1"));
        assert!(check(&format!("{}\n{{}}\n", first(1))).starts_with("line 2: "));
        assert!(check(&format!("{}\n{}\n", first(1), first(1))).contains("does not belong here"));
        let endless = format!("{}\n{}", first(1), "x".repeat(200_000));
        assert!(check(&endless).contains("line 2: longer than 65536 bytes"));
        let counts = format!("{}\n{{\"type\":\"end\",\"events\":1,\"signatures\":0}}\n", first(1));
        assert!(check(&counts).contains("there are 0 and 0"));
        let deep = format!("{}\n{}\n", first(1), "[".repeat(60_000));
        assert!(check(&deep).starts_with("line 2: "));
    }
}
