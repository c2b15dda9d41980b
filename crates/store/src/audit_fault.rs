//! What the check of the audit trail can find wrong, each in the words that a person reads.

use crate::audit_signing::AuditPublicKey;

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
    /// An event lost who did it and from where, and its account was not deleted after it.
    #[error(
        "event {seq} lost who did it and from where, which only the deletion of its account does, and no later event \
         says that it was deleted"
    )]
    Blanked {
        /// Its position.
        seq: i64,
    },
    /// An event tells of the deletion of an account that lives.
    #[error("event {seq} says that its account was deleted, and the account lives")]
    NotDeleted {
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
    /// An event that was signed is gone from before the first one, and its key has not signed for dropping it.
    #[error("event {seq} was signed and is gone, and no checkpoint by the same key says that it was dropped")]
    SignedAndGone {
        /// Its position.
        seq: i64,
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
            | Self::Blanked { seq }
            | Self::NotDeleted { seq }
            | Self::Unlinked { seq }
            | Self::Missing { from: seq, .. }
            | Self::SignedAndGone { seq }
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
