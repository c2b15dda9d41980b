//! Signatures over the audit trail, with a key that is not in the database: whoever can write to the database can
//! make a new chain of hashes, but not the signature that an earlier one got.

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rndrkit_domain::time::Timestamp;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};

use crate::hex;

/// In front of every signed text, so that a signature of ours is one over nothing else.
const PURPOSE: &str = "rndrkit audit signature 1";

/// What a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureKind {
    /// The event with which the trail ended at that time.
    Head,
    /// The last event that retention has dropped.
    Checkpoint,
}

impl SignatureKind {
    /// The word in the database and in exports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Checkpoint => "checkpoint",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Head, Self::Checkpoint].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The public half of a signing key, in 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPublicKey([u8; 32]);

impl fmt::Display for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 hexadecimal digits")]
pub struct NotAKey;

impl FromStr for AuditPublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        hex::decode_exactly(text).map(Self).ok_or(NotAKey)
    }
}

/// Signs heads and checkpoints.
pub struct AuditSigner {
    pair: Ed25519KeyPair,
    public: AuditPublicKey,
}

impl fmt::Debug for AuditSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSigner").field("public", &self.public).finish_non_exhaustive()
    }
}

impl AuditSigner {
    /// Reads a key: 64 hexadecimal digits, which are the seed of an Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let seed: [u8; 32] = hex::decode_exactly(text).ok_or(NotAKey)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NotAKey)?;
        let public = pair.public_key().as_ref().try_into().map(AuditPublicKey).map_err(|_| NotAKey)?;
        Ok(Self { pair, public })
    }

    /// The text of a key with this seed.
    #[must_use]
    pub fn text_of(seed: &[u8; 32]) -> String {
        hex::encode(seed)
    }

    /// What its signatures are checked with.
    #[must_use]
    pub const fn public_key(&self) -> AuditPublicKey {
        self.public
    }

    pub(crate) fn sign(&self, place: &SignedPlace) -> (AuditPublicKey, [u8; 64]) {
        let mut signature = [0; 64];
        // Always 64 bytes; were they not, the signature would not check out.
        let made = self.pair.sign(&place.text());
        if made.as_ref().len() == signature.len() {
            signature.copy_from_slice(made.as_ref());
        }
        (self.public, signature)
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignedPlace {
    pub(crate) kind: SignatureKind,
    pub(crate) seq: i64,
    pub(crate) hash: [u8; 32],
    pub(crate) at: Timestamp,
}

impl SignedPlace {
    /// Each field with its length before it, as 8 bytes with the lowest first, like the numbers themselves.
    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let (seq, at) = (self.seq.to_le_bytes(), self.at.unix_ms().to_le_bytes());
        let fields: [&[u8]; 5] = [PURPOSE.as_bytes(), self.kind.as_str().as_bytes(), &seq, &self.hash, &at];
        for field in fields {
            text.extend((field.len() as u64).to_le_bytes());
            text.extend(field);
        }
        text
    }
}

/// A head, or a checkpoint with or without a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSignature {
    pub(crate) place: SignedPlace,
    pub(crate) by: Option<(AuditPublicKey, [u8; 64])>,
}

impl AuditSignature {
    /// Position of the event.
    #[must_use]
    pub const fn seq(&self) -> i64 {
        self.place.seq
    }

    /// The event's hash, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(&self.place.hash)
    }

    /// When it was made.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.place.at
    }

    /// The signature itself, in hexadecimal digits; none of an unsigned checkpoint.
    #[must_use]
    pub fn signature(&self) -> Option<String> {
        self.by.map(|(_, signature)| hex::encode(&signature))
    }

    /// Whose it says it is.
    #[must_use]
    pub fn public_key(&self) -> Option<AuditPublicKey> {
        self.by.map(|(public_key, _)| public_key)
    }

    /// Whether somebody has signed it, and it is what they signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.by.is_some() && self.is_genuine()
    }

    /// Whether it is what the holder of the key that it names has signed; also of an unsigned checkpoint, which
    /// claims nothing.
    pub(crate) fn is_genuine(&self) -> bool {
        self.by.is_none_or(|(public_key, signature)| {
            UnparsedPublicKey::new(&ED25519, public_key.0).verify(&self.place.text(), &signature).is_ok()
        })
    }
}

/// A row of the table, a line of an export.
#[derive(Debug, Clone, FromQueryResult, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureRow {
    pub(crate) kind: String,
    pub(crate) seq: i64,
    #[serde(with = "hex::required")]
    pub(crate) hash: Vec<u8>,
    #[serde(rename = "at_ms")]
    pub(crate) at: i64,
    #[serde(with = "hex::optional")]
    pub(crate) public_key: Option<Vec<u8>>,
    #[serde(with = "hex::optional")]
    pub(crate) signature: Option<Vec<u8>>,
}

/// The columns of a [`SignatureRow`].
macro_rules! signature_columns {
    () => {
        "kind, seq, hash, at, public_key, signature"
    };
}
pub(crate) use signature_columns;

impl SignatureRow {
    /// None when a field has the wrong shape.
    pub(crate) fn into_signature(self) -> Option<AuditSignature> {
        let place = SignedPlace {
            kind: SignatureKind::parse(&self.kind)?,
            seq: self.seq,
            hash: self.hash.try_into().ok()?,
            at: Timestamp::from_unix_ms(self.at),
        };
        let by = match (self.public_key, self.signature) {
            (Some(key), Some(signature)) => {
                Some((AuditPublicKey(key.try_into().ok()?), signature.try_into().ok()?))
            }
            (None, None) if place.kind == SignatureKind::Checkpoint => None,
            _ => return None,
        };
        Some(AuditSignature { place, by })
    }

    pub(crate) fn of(signature: &AuditSignature) -> Self {
        Self {
            kind: signature.place.kind.as_str().to_owned(),
            seq: signature.place.seq,
            hash: signature.place.hash.to_vec(),
            at: signature.place.at.unix_ms(),
            public_key: signature.by.map(|(key, _)| key.0.to_vec()),
            signature: signature.by.map(|(_, signature)| signature.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> SignedPlace {
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        SignedPlace { kind: SignatureKind::Head, seq: 7, hash: [3; 32], at }
    }

    #[test]
    fn a_signature_is_one_over_every_field_and_over_nothing_else() {
        let signer = AuditSigner::parse(&"07".repeat(32)).unwrap();
        let genuine = AuditSignature { place: place(), by: Some(signer.sign(&place())) };
        assert!(genuine.is_genuine());
        for other in [
            SignedPlace { kind: SignatureKind::Checkpoint, ..place() },
            SignedPlace { seq: 8, ..place() },
            SignedPlace { hash: [4; 32], ..place() },
            SignedPlace { at: Timestamp::from_unix_ms(1), ..place() },
        ] {
            assert!(!AuditSignature { place: other, ..genuine.clone() }.is_genuine(), "{other:?}");
        }
        let (_, signature) = signer.sign(&place());
        let stranger = AuditSigner::parse(&"08".repeat(32)).unwrap().public_key();
        assert!(!AuditSignature { place: place(), by: Some((stranger, signature)) }.is_genuine());
    }

    #[test]
    fn the_signed_text_is_what_the_documents_say() {
        let text = place().text();
        assert_eq!(text.len(), 5 * 8 + 25 + 4 + 8 + 32 + 8);
        assert_eq!(text[..8], 25_u64.to_le_bytes());
        assert_eq!(&text[8..33], PURPOSE.as_bytes());
    }

    #[test]
    fn a_key_reads_back_and_prints_only_its_public_half() {
        let text = AuditSigner::text_of(&[0xab; 32]);
        let signer = AuditSigner::parse(&text).unwrap();
        assert_eq!(signer.public_key().to_string().parse(), Ok(signer.public_key()));
        assert!(!format!("{signer:?}").contains(&text));
        for bad in ["", "xyz", &"0".repeat(63), &"g".repeat(64)] {
            assert!(AuditSigner::parse(bad).is_err(), "{bad}");
        }
    }
}
