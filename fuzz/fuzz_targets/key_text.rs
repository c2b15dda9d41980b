//! Any bytes through the reader of key texts: it never panics, accepts only the exact shape, and what it
//! accepts stops being accepted when any one character changes.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rndrkit_domain::key_text::{self, BODY_CHARS, CHECKSUM_CHARS, Digest, KeyPrefix};
use rndrkit_domain::random::Entropy;

/// One begins with the other, which is where choosing the longest matters.
const PREFIXES: [&str; 3] = ["rk_live_", "rk_", "acme_1_"];

fuzz_target!(|bytes: &[u8]| {
    let prefixes = prefixes();
    if let Ok(digest) = key_text::parse(bytes, &prefixes) {
        check_accepted(bytes, digest, &prefixes);
    }
    check_prefix_rule(bytes);
});

// Random changes never meet a 32-bit checksum, so half of the inputs are made with a right one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(2) {
        return size;
    }
    let prefixes = prefixes();
    let prefix = &prefixes[seed as usize / 2 % prefixes.len()];
    let minted = key_text::mint(prefix, &FromInput(data[..size].to_vec()));
    let text = minted.secret.reveal().as_bytes();
    if text.len() > max_size {
        return size;
    }
    data[..text.len()].copy_from_slice(text);
    text.len()
});

fn prefixes() -> Vec<KeyPrefix> {
    PREFIXES.iter().map(|text| KeyPrefix::parse(text).unwrap()).collect()
}

fn check_accepted(bytes: &[u8], digest: Digest, prefixes: &[KeyPrefix]) {
    let text = std::str::from_utf8(bytes).expect("an accepted key is text");
    assert_eq!(digest, Digest::of(text));
    assert!(key_text::has_known_prefix(bytes, prefixes));
    let body = PREFIXES.iter().filter_map(|prefix| text.strip_prefix(prefix)).map(str::len).min();
    assert_eq!(body, Some(BODY_CHARS + CHECKSUM_CHARS));
    for position in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        for replacement in [bytes[position] ^ 1, bytes[position] ^ 0x20, b'0', b'z', 0, 0xff] {
            changed[position] = replacement;
            assert_eq!(key_text::parse(&changed, prefixes).is_ok(), replacement == bytes[position]);
        }
        assert!(key_text::parse(&bytes[..position], prefixes).is_err(), "accepted when cut short");
    }
    let longer = [bytes, b"0"].concat();
    assert!(key_text::parse(&longer, prefixes).is_err(), "accepted with a character too many");
}

/// A prefix that is accepted is one that its own keys are read back with.
fn check_prefix_rule(bytes: &[u8]) {
    let Some(prefix) = std::str::from_utf8(bytes).ok().and_then(|text| KeyPrefix::parse(text).ok()) else {
        return;
    };
    assert!(prefix.as_str().len() <= KeyPrefix::MAX_BYTES);
    let minted = key_text::mint(&prefix, &FromInput(bytes.to_vec()));
    assert_eq!(key_text::parse(minted.secret.reveal().as_bytes(), &[prefix]), Ok(minted.digest));
}

/// The input as a source of randomness. Every fourth byte is a counter instead, because minting draws again
/// for as long as it draws bytes that would favour some digits.
struct FromInput(Vec<u8>);

impl Entropy for FromInput {
    fn fill(&self, buffer: &mut [u8]) {
        for (index, byte) in buffer.iter_mut().enumerate() {
            let given = self.0.get(index).copied().unwrap_or(0);
            *byte = if index % 4 == 0 { index as u8 } else { given };
        }
    }
}
