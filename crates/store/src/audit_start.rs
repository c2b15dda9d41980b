//! How a trail may begin: with its first event, or after what retention has dropped. One rule for the check and for
//! retention, which must not sign over what it did not drop.

use crate::audit_fault::AuditFault;
use crate::audit_signing::AuditSignature;

/// How a trail begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TrailStart {
    /// With the first event of all.
    #[default]
    First,
    /// After the last event that retention dropped.
    Checkpoint(AuditSignature),
}

/// The first event there is, and what is known of those before it.
pub(crate) struct Start<'a> {
    /// Its position.
    pub(crate) seq: i64,
    /// The hash of the one before.
    pub(crate) previous_hash: &'a [u8],
    /// The newest checkpoint.
    pub(crate) checkpoint: Option<&'a AuditSignature>,
    /// The newest head over an event before it that another key has signed than the checkpoint.
    pub(crate) signed_before: Option<i64>,
}

impl Start<'_> {
    /// Whether nothing is missing, or retention says that it was dropped.
    pub(crate) fn judge(&self) -> Result<TrailStart, AuditFault> {
        let seq = self.seq;
        let Some(checkpoint) = self.checkpoint else {
            // Retention always leaves a checkpoint; for what a version before checkpoints had dropped a migration
            // wrote one.
            return match seq {
                2.. => Err(AuditFault::Missing { from: 1, to: seq - 1 }),
                1 if self.previous_hash == [0; 32] => Ok(TrailStart::First),
                _ => Err(AuditFault::Unlinked { seq }),
            };
        };
        let dropped = checkpoint.seq();
        if seq <= dropped {
            return Err(AuditFault::Returned { seq, dropped });
        }
        if seq > dropped + 1 {
            return Err(AuditFault::Missing { from: dropped + 1, to: seq - 1 });
        }
        if self.previous_hash != checkpoint.place.hash {
            return Err(AuditFault::SignedOtherwise { seq: dropped });
        }
        // Whoever can write to the database can write a checkpoint too, unsigned or signed with a key of theirs.
        // Retention takes heads along when it drops what they are about, so one that is left was not its work.
        match self.signed_before {
            Some(seq) => Err(AuditFault::SignedAndGone { seq }),
            None => Ok(TrailStart::Checkpoint(checkpoint.clone())),
        }
    }
}
