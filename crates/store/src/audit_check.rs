//! The check that nobody has changed the audit trail: the same over the database and over an export.
//!
//! Hashes show that events fit each other; signatures show that they are the events there were when they were
//! signed. It reads no database and no file: it is told the signatures, then each event in order, then the end.

use std::collections::BTreeSet;

use rndrkit_domain::time::Timestamp;

use crate::audit_chain::LinkedRow;
use crate::audit_erased::Erasures;
use crate::audit_fault::AuditFault;
use crate::audit_signing::{AuditPublicKey, AuditSignature, SignatureKind};
use crate::audit_start::{Start, TrailStart};

/// Result of checking a whole trail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainReport {
    /// Events that were checked.
    pub events: u64,
    /// The first thing that is wrong; none when all fits.
    pub fault: Option<AuditFault>,
    /// When the oldest kept event happened.
    pub oldest_at: Option<Timestamp>,
    /// How it begins.
    pub start: TrailStart,
    /// The newest signed head.
    pub newest_head: Option<AuditSignature>,
    /// The latest time that a signed head bears; later than the newest head's when a clock was ahead.
    pub latest_head_at: Option<Timestamp>,
    /// Signatures that were checked.
    pub signatures: u64,
    /// All keys that signed.
    pub keys: BTreeSet<AuditPublicKey>,
    /// The first erased event for which nobody looked whether its account was deleted: too many were erased at once.
    pub unfollowed: Option<i64>,
}

impl ChainReport {
    /// Position of the first thing that is wrong.
    #[must_use]
    pub fn broken_at(&self) -> Option<i64> {
        self.fault.as_ref().map(AuditFault::position)
    }
}

/// A check under way.
pub(crate) struct TrailCheck {
    /// Heads in the order of their positions.
    heads: Vec<AuditSignature>,
    /// How many of them are behind.
    passed: usize,
    checkpoint: Option<AuditSignature>,
    last: Option<(i64, Vec<u8>)>,
    erasures: Erasures,
    /// What is wrong with a signature itself: the fault of a trail that has no other.
    about_signatures: Option<AuditFault>,
    report: ChainReport,
}

impl TrailCheck {
    /// Begins with all signatures. Only those by `trusted` count; when that is empty, whoever reads the report
    /// has to judge its keys.
    pub(crate) fn begin(signatures: Vec<AuditSignature>, trusted: &[AuditPublicKey]) -> Self {
        let report = ChainReport::default();
        let (mut heads, checkpoints): (Vec<_>, Vec<_>) =
            signatures.into_iter().partition(|signature| signature.place.kind == SignatureKind::Head);
        heads.sort_by_key(AuditSignature::seq);
        let checkpoint = checkpoints.into_iter().max_by_key(AuditSignature::seq);
        let mut check = Self {
            heads: Vec::new(),
            passed: 0,
            checkpoint: None,
            last: None,
            erasures: Erasures::new(),
            about_signatures: None,
            report,
        };
        for signature in heads.iter().chain(&checkpoint) {
            check.judge(signature, trusted);
        }
        // What nobody has signed says nothing about the events.
        heads.retain(AuditSignature::is_genuine);
        check.report.newest_head = heads.last().cloned();
        check.report.latest_head_at = heads.iter().map(AuditSignature::at).max();
        (check.heads, check.checkpoint) = (heads, checkpoint);
        check
    }

    fn judge(&mut self, signature: &AuditSignature, trusted: &[AuditPublicKey]) {
        let Some(public_key) = signature.public_key() else { return };
        let seq = signature.seq();
        self.report.signatures += 1;
        self.report.keys.insert(public_key);
        if !signature.is_genuine() {
            self.about_signatures.get_or_insert(AuditFault::BadSignature { seq });
        } else if !trusted.is_empty() && !trusted.contains(&public_key) {
            self.about_signatures.get_or_insert(AuditFault::UnknownKey { seq, public_key });
        }
    }

    fn fail(&mut self, fault: AuditFault) {
        self.report.fault.get_or_insert(fault);
    }

    /// Whether to go on: after the first fault nothing more is learnt.
    pub(crate) fn is_over(&self) -> bool {
        self.report.fault.is_some()
    }

    /// The next event.
    pub(crate) fn event(&mut self, row: LinkedRow) {
        if !row.is_whole() {
            self.fail(AuditFault::Changed { seq: row.seq });
        }
        match self.last.take() {
            None => self.begin_with(&row),
            Some((seq, _)) if row.seq > seq + 1 => {
                self.fail(AuditFault::Missing { from: seq + 1, to: row.seq - 1 });
            }
            Some((seq, hash)) if row.seq != seq + 1 || row.previous_hash != hash => {
                self.fail(AuditFault::Unlinked { seq: row.seq });
            }
            Some(_) => {}
        }
        self.compare_heads(row.seq, &row.hash);
        self.erasures.event(&row);
        self.report.oldest_at = self.report.oldest_at.or(Some(Timestamp::from_unix_ms(row.at)));
        self.report.events += 1;
        self.last = Some((row.seq, row.hash));
    }

    fn begin_with(&mut self, first: &LinkedRow) {
        self.compare_heads(first.seq - 1, &first.previous_hash);
        let signed_by = |one: &AuditSignature| one.public_key().filter(|_| one.is_genuine());
        let dropped_by = self.checkpoint.as_ref().and_then(signed_by);
        let mut before = self.heads.iter().take(self.passed).rev();
        let signed_before = before.find(|head| head.public_key() != dropped_by);
        let start = Start {
            seq: first.seq,
            previous_hash: &first.previous_hash,
            checkpoint: self.checkpoint.as_ref(),
            signed_before: signed_before.map(AuditSignature::seq),
        };
        match start.judge() {
            Ok(start) => self.report.start = start,
            Err(fault) => self.fail(fault),
        }
    }

    /// Compares all heads up to an event with it; those before it are about events that are gone.
    fn compare_heads(&mut self, seq: i64, hash: &[u8]) {
        while let Some(head) = self.heads.get(self.passed).filter(|head| head.seq() <= seq) {
            if head.seq() == seq && head.place.hash != hash {
                self.report.fault.get_or_insert(AuditFault::SignedOtherwise { seq });
            }
            self.passed += 1;
        }
    }

    /// The end, as the head of the trail says it.
    pub(crate) fn finish(mut self, (seq, hash): (i64, &[u8])) -> ChainReport {
        let dropped =
            self.checkpoint.as_ref().map(|checkpoint| (checkpoint.seq(), checkpoint.place.hash.to_vec()));
        // The newest event is never dropped, so a missing tail is a broken chain too, whatever a checkpoint says.
        if self.last.is_none() && seq > 0 {
            let from = dropped.as_ref().map_or(1, |(dropped, _)| seq.min(dropped + 1));
            self.fail(AuditFault::Missing { from, to: seq });
        }
        let (last, last_hash) = self.last.take().or(dropped).unwrap_or((0, vec![0; 32]));
        if last < seq {
            self.fail(AuditFault::Missing { from: last + 1, to: seq });
        } else if last != seq || last_hash != hash {
            self.fail(AuditFault::HeadDiffers { seq: last });
        }
        if let Some(beyond) = self.heads.last().filter(|head| head.seq() > last) {
            let signed = beyond.seq();
            self.fail(AuditFault::CutShort { last, signed });
        }
        if let Some(seq) = self.erasures.unexplained() {
            self.fail(AuditFault::Blanked { seq });
        }
        self.report.unfollowed = self.erasures.unfollowed();
        self.report.fault = self.report.fault.or(self.about_signatures);
        self.report
    }

    /// The end, after the first fault.
    pub(crate) fn stop(self) -> ChainReport {
        self.report
    }
}
