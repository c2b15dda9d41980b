//! The secret text of an API key: `<prefix>` + 26 random base62 characters + 6 characters of CRC-32.
//!
//! The checksum covers prefix and body; it finds typing errors before any look-up and is no security
//! control. What is stored is the SHA-256 of the whole text ([`Digest`]) and a [`Mask`]; the text itself
//! lives only in a [`Secret`], which does not print and is wiped when dropped.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use crate::random::Entropy;

/// Digits of base62, in order of value.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random characters of a secret: 26 × log2(62) = 154.8 bits.
pub const BODY_CHARS: usize = 26;
/// Checksum characters: 62^6 > 2^32.
pub const CHECKSUM_CHARS: usize = 6;
/// Body characters that the mask shows.
pub const MASK_CHARS: usize = 4;
/// The longest text that is looked at; longer credentials are refused unread.
pub const MAX_CREDENTIAL_BYTES: usize = 512;

/// What all secrets of an installation begin with, such as `rk_live_`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyPrefix(String);

/// A prefix that does not follow the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key prefix is 2 to 10 characters a-z and 0-9 that begin with a letter, optionally `_` and 1 to 8 more, and a final `_`"
)]
pub struct InvalidPrefix;

impl KeyPrefix {
    /// The longest prefix: ten characters, `_`, eight characters, `_`.
    pub const MAX_BYTES: usize = 20;

    /// Checks against `^[a-z][a-z0-9]{1,9}(_[a-z0-9]{1,8})?_$`.
    pub fn parse(text: &str) -> Result<Self, InvalidPrefix> {
        let lower = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let body = text.strip_suffix('_').ok_or(InvalidPrefix)?;
        let (first, second) = match body.split_once('_') {
            Some((first, second)) => (first, Some(second)),
            None => (body, None),
        };
        let first_ok = (2..=10).contains(&first.len())
            && first.starts_with(|c: char| c.is_ascii_lowercase())
            && lower(first);
        let second_ok = second.is_none_or(|part| (1..=8).contains(&part.len()) && lower(part));
        if first_ok && second_ok { Ok(Self(text.to_owned())) } else { Err(InvalidPrefix) }
    }

    /// The prefix, final `_` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a secret: what is stored, and what look-ups use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of any text (secrets, sessions, links and tokens are all stored this way).
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// Digest of any bytes. A text as short as a secret is one block, which is padded here and handed to the
    /// compression function: a fifth less time than through the buffer of a hasher.
    #[must_use]
    pub fn of_bytes(text: &[u8]) -> Self {
        one_block(text).unwrap_or_else(|| Self(Sha256::digest(text).into()))
    }
}

/// Bytes of a block of SHA-256 (FIPS 180-4, section 5.2.1).
const BLOCK_BYTES: usize = 64;
/// A secret that begins with `rk_live_`.
const DEFAULT_SECRET_BYTES: usize = 8 + BODY_CHARS + CHECKSUM_CHARS;
/// What SHA-256 begins with (FIPS 180-4, section 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 of a text that fits one block together with the padding (FIPS 180-4, section 5.1.1): a one, zeros,
/// and the length in bits as eight bytes.
fn one_block(text: &[u8]) -> Option<Digest> {
    let mut blocks = [[0_u8; BLOCK_BYTES]];
    let [block] = &mut blocks;
    let (body, length) = block.split_last_chunk_mut::<8>()?;
    match (text.first_chunk::<DEFAULT_SECRET_BYTES>(), body.split_first_chunk_mut::<DEFAULT_SECRET_BYTES>()) {
        // Of a length that the compiler knows: a few moves in place of a call.
        (Some(secret), Some((place, rest))) if text.len() == DEFAULT_SECRET_BYTES => {
            *place = *secret;
            *rest.first_mut()? = 0x80;
        }
        _ => {
            // Nothing of a longer text is left for the mark of its end.
            *body.get_mut(text.len())? = 0x80;
            body.get_mut(..text.len())?.copy_from_slice(text);
        }
    }
    *length = (u64::try_from(text.len()).ok()? * 8).to_be_bytes();
    let mut state = SHA256_START;
    compress256(&mut state, &blocks);
    let mut digest = [0_u8; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Some(Digest(digest))
}

impl fmt::Debug for Digest {
    /// The first four bytes: enough to correlate, useless to an attacker.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…")
    }
}

/// The part of a secret that may be shown: prefix and the first four characters. Pages add the dots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mask(String);

impl Mask {
    /// From storage.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The mask, without dots.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The plain text of a secret. Does not print, is wiped when dropped.
pub struct Secret(String);

impl Secret {
    /// The text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Wraps a text that is to be treated as a secret (tokens, links).
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// What is stored in its place.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A new secret with what is stored of it.
#[derive(Debug)]
pub struct Minted {
    /// Shown once, then gone.
    pub secret: Secret,
    /// Stored.
    pub digest: Digest,
    /// Stored and shown.
    pub mask: Mask,
}

/// Makes a new secret.
pub fn mint(prefix: &KeyPrefix, entropy: &dyn Entropy) -> Minted {
    let mut text = String::with_capacity(KeyPrefix::MAX_BYTES + BODY_CHARS + CHECKSUM_CHARS);
    text.push_str(prefix.as_str());
    push_random_base62(&mut text, BODY_CHARS, entropy);
    let checksum = checksum(&text);
    text.extend(checksum.map(char::from));
    let mask = Mask(text.chars().take(prefix.as_str().len() + MASK_CHARS).collect());
    let secret = Secret(text);
    Minted { digest: secret.digest(), secret, mask }
}

/// Appends `count` random base62 characters, each equally likely (rejection sampling).
pub fn push_random_base62(text: &mut String, count: usize, entropy: &dyn Entropy) {
    let mut pool = [0_u8; 64];
    let mut missing = count;
    while missing > 0 {
        entropy.fill(&mut pool);
        // 248 is the largest multiple of 62 in a byte; taking the rest modulo 62 would favour low digits.
        for digit in pool.iter().filter(|byte| **byte < 248).take(missing).filter_map(|b| digit(*b)) {
            text.push(digit);
            missing -= 1;
        }
    }
    pool.zeroize();
}

fn digit(byte: u8) -> Option<char> {
    ALPHABET.get(usize::from(byte % 62)).map(|b| char::from(*b))
}

/// CRC-32 (IEEE) of the text in base62, six characters, most significant first.
fn checksum(text: &str) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut characters = [b'0'; CHECKSUM_CHARS];
    for character in characters.iter_mut().rev() {
        *character = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    characters
}

/// Why a text cannot be a secret of this installation. All of these are one `invalid_key` to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// None of the installation's prefixes.
    #[error("another prefix")]
    Prefix,
    /// Not 32 characters after the prefix.
    #[error("wrong length")]
    Length,
    /// A character outside base62.
    #[error("a character outside base62")]
    Alphabet,
    /// A typing error, or a key of another product with the same prefix.
    #[error("wrong checksum")]
    Checksum,
}

/// The longest secret.
pub const MAX_SECRET_BYTES: usize = KeyPrefix::MAX_BYTES + BODY_CHARS + CHECKSUM_CHARS;

/// Reads a text that a caller sent: prefix, length, alphabet, checksum. Returns its digest.
///
/// `prefixes` are all that this installation has ever used: a new prefix revokes nothing. The work does
/// not depend on which key it is; allocates nothing.
pub fn parse(text: &[u8], prefixes: &[KeyPrefix]) -> Result<Digest, InvalidSecret> {
    check(text, prefixes).map(|()| Digest::of_bytes(text))
}

/// As [`parse`], for whoever has the digest.
pub fn check(text: &[u8], prefixes: &[KeyPrefix]) -> Result<(), InvalidSecret> {
    // Prefixes may begin with one another only when one ends where the other has `_`; the longest wins.
    let prefix = prefixes
        .iter()
        .filter(|prefix| text.starts_with(prefix.as_str().as_bytes()))
        .max_by_key(|prefix| prefix.as_str().len())
        .ok_or(InvalidSecret::Prefix)?;
    let body = text.get(prefix.as_str().len()..).unwrap_or_default();
    if body.len() != BODY_CHARS + CHECKSUM_CHARS {
        return Err(InvalidSecret::Length);
    }
    if !body.iter().all(u8::is_ascii_alphanumeric) {
        return Err(InvalidSecret::Alphabet);
    }
    let (checked, given) = text.split_at(text.len() - CHECKSUM_CHARS);
    let checked = std::str::from_utf8(checked).map_err(|_| InvalidSecret::Alphabet)?;
    if checksum(checked).as_slice() != given {
        return Err(InvalidSecret::Checksum);
    }
    Ok(())
}

/// Whether a text begins like a secret of this installation (to tell our Bearer from the upstream's).
#[must_use]
pub fn has_known_prefix(text: &[u8], prefixes: &[KeyPrefix]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::OsEntropy;

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::parse(text).unwrap()
    }

    /// Joined from parts, so that no scanner takes the source for a leaked key.
    fn sample(prefix: &str, checksum: &str) -> String {
        format!("{prefix}{}{}{checksum}", "0123456789ABC", "DEFGHIJKLMNOP")
    }

    #[test]
    fn the_checksum_matches_the_published_vectors() {
        let live = sample("rk_live_", "38xYhd");
        let test = sample("rk_test_", "3uQ5EO");
        let prefixes = [prefix("rk_live_"), prefix("rk_test_")];
        assert_eq!(parse(live.as_bytes(), &prefixes), Ok(Digest::of(&live)));
        assert_eq!(parse(test.as_bytes(), &prefixes), Ok(Digest::of(&test)));
        let crossed = sample("rk_test_", "38xYhd");
        assert_eq!(parse(crossed.as_bytes(), &prefixes), Err(InvalidSecret::Checksum));
        // GitHub's checksum covers the random characters alone; same CRC, digits and padding.
        assert_eq!(&checksum(concat!("zQWBuTSOoRi4A9sp", "HcVY5ncnsDkxkJ")), b"0mLq17");
    }

    #[test]
    fn the_digest_of_one_block_is_that_of_the_whole_hash_at_every_length() {
        let text = [b'k'; 130];
        for length in 0..text.len() {
            let whole = Digest(Sha256::digest(&text[..length]).into());
            assert_eq!(Digest::of_bytes(&text[..length]), whole, "{length} bytes");
            assert_eq!(one_block(&text[..length]).is_some(), length < 56, "{length} bytes");
        }
        // FIPS 180-2, appendix B.1.
        assert_eq!(Digest::of("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_minted_secret_has_the_specified_shape_and_reads_back() {
        let minted = mint(&prefix("rk_live_"), &OsEntropy);
        let text = minted.secret.reveal();
        assert_eq!(text.len(), "rk_live_".len() + 32);
        assert_eq!(parse(text.as_bytes(), &[prefix("rk_live_")]), Ok(minted.digest));
        assert_eq!(minted.mask.as_str(), &text[.."rk_live_".len() + 4]);
        assert_eq!(format!("{:?}", minted.secret), "Secret(…)");
    }

    #[test]
    fn every_base62_digit_is_minted_about_equally_often() {
        let mut text = String::new();
        push_random_base62(&mut text, 62_000, &OsEntropy);
        for digit in ALPHABET {
            let count = text.bytes().filter(|b| b == digit).count();
            // Mean 1,000, standard deviation about 31: seven deviations either side.
            assert!((780..1_220).contains(&count), "{} appears {count} times", char::from(*digit));
        }
    }

    #[test]
    fn prefixes_follow_their_rule() {
        for good in ["rk_live_", "ab_", "acme_", "a1b2c3d4e5_12345678_"] {
            assert!(KeyPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "_", "a_", "rk_live", "Rk_live_", "1k_live_", "rk__", "rk_a_b_", "rk-live_", "abcdefghijk_"]
        {
            assert!(KeyPrefix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_kind_of_bad_text_has_its_reason() {
        let known = [prefix("rk_live_")];
        let good = sample("rk_live_", "38xYhd");
        assert_eq!(parse(b"", &known), Err(InvalidSecret::Prefix));
        assert_eq!(parse(b"sk_live_abc", &known), Err(InvalidSecret::Prefix));
        assert_eq!(parse(good.trim_end_matches('d').as_bytes(), &known), Err(InvalidSecret::Length));
        assert_eq!(parse(format!("{good}x").as_bytes(), &known), Err(InvalidSecret::Length));
        assert_eq!(parse(good.replace('F', "\n").as_bytes(), &known), Err(InvalidSecret::Alphabet));
        assert_eq!(parse(good.replace('F', "G").as_bytes(), &known), Err(InvalidSecret::Checksum));
    }

    proptest! {
        #[test]
        fn parsing_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes, &[prefix("rk_live_"), prefix("rk_")]);
        }

        #[test]
        fn changing_one_character_of_a_secret_is_noticed(position in 0_usize..40, replacement in "[0-9A-Za-z]") {
            let minted = mint(&prefix("rk_live_"), &OsEntropy);
            let mut text = minted.secret.reveal().to_owned();
            prop_assume!(text[position..=position] != replacement);
            text.replace_range(position..=position, &replacement);
            // CRC-32 finds every error burst of up to 32 bits, so a changed character never passes.
            prop_assert!(parse(text.as_bytes(), &[prefix("rk_live_")]).is_err());
        }
    }
}
