//! The check that nobody has changed the audit trail: the same over the database and over an export.
//!
//! Hashes show that events fit each other; signatures show that they are the events there were when they were
//! signed. It reads no database and no file: it is told the signatures, then each event in order, then the end.

use std::collections::BTreeSet;

use rndrkit_domain::time::Timestamp;

use crate::audit_chain::LinkedRow;
use crate::audit_signing::{AuditPublicKey, AuditSignature, SignatureKind};

/// What is wrong with a trail, and where. Positions are the events' `seq`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// An event was changed.
    #[error("event {seq} was changed: what it says does not give its hash")]
    Changed {
        /// Its position.
        seq: i64,
    },
    /// An event does not carry the hash of the one before.
    #[error("event {seq} does not fit the one before: one of the two was replaced")]
    Unlinked {
        /// Its position.
        seq: i64,
    },
    /// Events were removed.
    #[error("events {from} to {to} are missing")]
    Missing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// Events that retention had dropped are there.
    #[error("event {seq} is there although retention had dropped all up to {dropped}")]
    Returned {
        /// Its position.
        seq: i64,
        /// The last that was dropped.
        dropped: i64,
    },
    /// The newest event is not the one that the head names.
    #[error("event {seq}, the last one, is not the one that the head of the trail names")]
    HeadDiffers {
        /// Its position.
        seq: i64,
    },
    /// A signature is about an event after the last one.
    #[error(
        "the trail ends with event {last}, and a signature says that it had reached {signed}: its end was cut off"
    )]
    CutShort {
        /// The last event there is.
        last: i64,
        /// What was signed.
        signed: i64,
    },
    /// An event fits the chain, and is not the one that was signed.
    #[error(
        "event {seq} is not the one that was signed: it or one before it was changed and the hashes made anew"
    )]
    SignedOtherwise {
        /// Its position.
        seq: i64,
    },
    /// A signature is not what the key that it names has signed.
    #[error("the signature over event {seq} is wrong")]
    BadSignature {
        /// The event's position.
        seq: i64,
    },
    /// A signature that this process had made is gone.
    #[error("the signature that was made over event {seq} is gone")]
    SignatureGone {
        /// The event's position.
        seq: i64,
    },
    /// A signature is by a key that is not among those which are trusted.
    #[error("the signature over event {seq} is by another key: {public_key}")]
    UnknownKey {
        /// The event's position.
        seq: i64,
        /// Whose it is.
        public_key: AuditPublicKey,
    },
}

impl AuditFault {
    /// Where.
    #[must_use]
    pub const fn position(&self) -> i64 {
        match self {
            Self::Changed { seq }
            | Self::Unlinked { seq }
            | Self::Missing { from: seq, .. }
            | Self::Returned { seq, .. }
            | Self::HeadDiffers { seq }
            | Self::SignedOtherwise { seq }
            | Self::BadSignature { seq }
            | Self::SignatureGone { seq }
            | Self::UnknownKey { seq, .. } => *seq,
            Self::CutShort { last, .. } => *last + 1,
        }
    }
}

/// How a trail begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailStart {
    /// With the first event of all.
    First,
    /// After the last event that retention dropped.
    Checkpoint(AuditSignature),
    /// Later, and nothing says why: a version before checkpoints dropped the older ones, or somebody did.
    Unexplained {
        /// The first event there is.
        seq: i64,
    },
}

/// Result of checking a whole trail.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Signatures that were checked.
    pub signatures: u64,
    /// All keys that signed.
    pub keys: BTreeSet<AuditPublicKey>,
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
    /// What is wrong with a signature itself: the fault of a trail that has no other.
    about_signatures: Option<AuditFault>,
    report: ChainReport,
}

impl TrailCheck {
    /// Begins with all signatures. Only those by `trusted` count; when that is empty, whoever reads the report
    /// has to judge its keys.
    pub(crate) fn begin(signatures: Vec<AuditSignature>, trusted: &[AuditPublicKey]) -> Self {
        let report = ChainReport {
            events: 0,
            fault: None,
            oldest_at: None,
            start: TrailStart::First,
            newest_head: None,
            signatures: 0,
            keys: BTreeSet::new(),
        };
        let (mut heads, checkpoints): (Vec<_>, Vec<_>) =
            signatures.into_iter().partition(|signature| signature.place.kind == SignatureKind::Head);
        heads.sort_by_key(AuditSignature::seq);
        let checkpoint = checkpoints.into_iter().max_by_key(AuditSignature::seq);
        let mut check = Self {
            heads: Vec::new(),
            passed: 0,
            checkpoint: None,
            last: None,
            about_signatures: None,
            report,
        };
        for signature in heads.iter().chain(&checkpoint) {
            check.judge(signature, trusted);
        }
        // What nobody has signed says nothing about the events.
        heads.retain(AuditSignature::is_genuine);
        check.report.newest_head = heads.last().cloned();
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
        self.report.oldest_at = self.report.oldest_at.or(Some(Timestamp::from_unix_ms(row.at)));
        self.report.events += 1;
        self.last = Some((row.seq, row.hash));
    }

    fn begin_with(&mut self, first: &LinkedRow) {
        // A head over the last event that was dropped is worth a checkpoint.
        self.compare_heads(first.seq - 1, &first.previous_hash);
        let Some(checkpoint) = self.checkpoint.clone() else {
            if first.seq > 1 {
                self.report.start = TrailStart::Unexplained { seq: first.seq };
            } else if first.seq < 1 || first.previous_hash != [0; 32] {
                self.fail(AuditFault::Unlinked { seq: first.seq });
            }
            return;
        };
        let dropped = checkpoint.seq();
        if first.seq <= dropped {
            self.fail(AuditFault::Returned { seq: first.seq, dropped });
        } else if first.seq > dropped + 1 {
            self.fail(AuditFault::Missing { from: dropped + 1, to: first.seq - 1 });
        } else if first.previous_hash != checkpoint.place.hash {
            self.fail(AuditFault::SignedOtherwise { seq: dropped });
        }
        self.report.start = TrailStart::Checkpoint(checkpoint);
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
        // The newest event is never dropped, so a missing tail is a broken chain too.
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
        self.report.fault = self.report.fault.or(self.about_signatures);
        self.report
    }

    /// The end, after the first fault.
    pub(crate) fn stop(self) -> ChainReport {
        self.report
    }
}
