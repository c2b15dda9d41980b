//! Typed ids: `acc_`, `key_`, `usr_`, `tok_`, `evt_`, `req_` and 26 lower-case base-32 characters.
//!
//! An id is a ULID (48 bits of milliseconds, 80 random bits), so ids made later sort later and
//! indexes stay dense. Outside this module an id is opaque.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use crate::random::Entropy;
use crate::time::Timestamp;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id that begins with {expected_prefix}")]
pub struct InvalidId {
    /// The prefix that the id should have had, such as `acc_`.
    pub expected_prefix: &'static str,
}

fn parse(prefix: &'static str, text: &str) -> Result<Ulid, InvalidId> {
    let invalid = InvalidId { expected_prefix: prefix };
    let body = text.strip_prefix(prefix).ok_or(invalid)?;
    let ulid = Ulid::from_string(body).map_err(|_| invalid)?;
    // The alphabet accepts several spellings of one value; exactly one of them is the id.
    if ulid.to_string().to_ascii_lowercase() == body { Ok(ulid) } else { Err(invalid) }
}

fn generate(now: Timestamp, entropy: &dyn Entropy) -> Ulid {
    let mut random = [0_u8; 16];
    entropy.fill(&mut random);
    let milliseconds = u64::try_from(now.unix_ms()).unwrap_or(0);
    Ulid::from_parts(milliseconds, u128::from_le_bytes(random))
}

/// Bytes of an id's text: a prefix of four, and 26 characters.
const ID_BYTES: usize = 30;

/// The text of an id, without a place of its own on the heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdText([u8; ID_BYTES]);

impl IdText {
    fn new(prefix: &'static str, ulid: Ulid) -> Self {
        let mut text = [0_u8; ID_BYTES];
        // Written where it stays: every forwarded request carries three of these texts.
        if let Some((start, characters)) = text.split_last_chunk_mut::<{ ulid::ULID_LEN }>() {
            start.copy_from_slice(prefix.as_bytes());
            ulid.array_to_str(characters).make_ascii_lowercase();
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Prefixes and digits of base 32 are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // Bytes and not a number: a number of this size is aligned to 16, and wastes that in all that holds it.
        pub struct $name([u8; 16]);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new id.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(generate(now, entropy).to_bytes())
            }

            /// The 16 bytes behind the id, for compact keys in memory.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            /// The id as people and programs see it.
            #[must_use]
            pub fn text(self) -> IdText {
                IdText::new(Self::PREFIX, Ulid::from_bytes(self.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(Self::PREFIX, text).map(|ulid| Self(ulid.to_bytes()))
            }
        }
    };
}

typed_id!(
    /// A customer: owns keys, has one plan.
    AccountId, "acc_");
typed_id!(
    /// An API key record. Kept for ever, never reused.
    KeyId, "key_");
typed_id!(
    /// A person who signs in.
    UserId, "usr_");
typed_id!(
    /// An operator API token.
    TokenId, "tok_");
typed_id!(
    /// An audit event.
    EventId, "evt_");
typed_id!(
    /// One request, as named in answers and logs.
    RequestId, "req_");

impl RequestId {
    /// When it was made, by the clock of the node that made it.
    #[must_use]
    pub fn made_at(self) -> Timestamp {
        let milliseconds = Ulid::from_bytes(self.0).timestamp_ms();
        Timestamp::from_unix_ms(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsEntropy;

    #[test]
    fn an_id_is_its_prefix_and_26_lower_case_characters_and_reads_back() {
        let id = AccountId::generate(Timestamp::from_unix_ms(1_700_000_000_000), &OsEntropy);
        let text = id.to_string();
        assert_eq!(text.len(), 4 + 26);
        assert_eq!(text, text.to_ascii_lowercase());
        assert_eq!(text.parse(), Ok(id));
        assert_eq!((id.text().as_str(), id.text().as_bytes()), (text.as_str(), text.as_bytes()));
    }

    #[test]
    fn other_kinds_and_other_spellings_of_an_id_are_refused() {
        let id = KeyId::generate(Timestamp::from_unix_ms(0), &OsEntropy).to_string();
        assert!(id.parse::<AccountId>().is_err());
        assert!(format!("key_{}", id[4..].to_ascii_uppercase()).parse::<KeyId>().is_err());
        assert!("key_".parse::<KeyId>().is_err());
        assert!(format!("{id}0").parse::<KeyId>().is_err());
    }

    #[test]
    fn the_name_of_a_request_tells_when_it_was_made() {
        let made = Timestamp::from_unix_ms(1_700_000_000_123);
        assert_eq!(RequestId::generate(made, &OsEntropy).made_at(), made);
    }
}
