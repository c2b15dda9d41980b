//! The floor: a table that can do nothing but be looked at. See the head of the bench.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sha2::block_api::compress256;

use crate::made_up::SECRET_BYTES;

/// The state that SHA-256 begins with (FIPS 180-4, section 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// One key in one cache line.
#[derive(Default)]
#[repr(align(64))]
struct Line {
    digest: [AtomicU64; 4],
    /// 0 = nothing is here.
    key: AtomicU32,
    account: AtomicU32,
    last_used: AtomicU32,
}

/// One account in one cache line.
#[derive(Default)]
#[repr(align(64))]
struct Account {
    full_at: AtomicU64,
    used: AtomicU64,
}

/// The table.
pub(crate) struct Floor {
    lines: Vec<Line>,
    accounts: Vec<Account>,
}

impl Floor {
    /// Half full.
    pub(crate) fn new(secrets: &[[u8; SECRET_BYTES]], keys_per_account: usize) -> Self {
        let lines = (secrets.len() * 3 / 2).next_power_of_two();
        let floor = Self {
            lines: std::iter::repeat_with(Line::default).take(lines).collect(),
            accounts: std::iter::repeat_with(Account::default)
                .take(secrets.len().div_ceil(keys_per_account))
                .collect(),
        };
        for (index, secret) in secrets.iter().enumerate() {
            floor.insert(secret, index, index / keys_per_account);
        }
        floor
    }

    fn insert(&self, secret: &[u8; SECRET_BYTES], index: usize, account: usize) {
        let words = digest(secret);
        let mut at = self.home(&words);
        while self.lines[at].key.load(Ordering::Relaxed) != 0 {
            at = (at + 1) % self.lines.len();
        }
        let line = &self.lines[at];
        line.digest.iter().zip(words).for_each(|(cell, word)| cell.store(word, Ordering::Relaxed));
        line.account.store(account as u32, Ordering::Relaxed);
        line.key.store(index as u32 + 1, Ordering::Release);
    }

    fn home(&self, words: &[u64; 4]) -> usize {
        words[0] as usize & (self.lines.len() - 1)
    }

    /// Whether the secret is known and its account has budget left.
    pub(crate) fn verify(&self, secret: &[u8; SECRET_BYTES], now: u64) -> bool {
        let is_shaped = secret.starts_with(b"rk_live_")
            && secret[8..].iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric());
        if !is_shaped {
            return false;
        }
        let words = digest(secret);
        let mut at = self.home(&words);
        let line = loop {
            let line = &self.lines[at];
            if line.key.load(Ordering::Acquire) == 0 {
                return false;
            }
            let differs = line
                .digest
                .iter()
                .zip(words)
                .fold(0, |differs, (cell, word)| differs | (cell.load(Ordering::Relaxed) ^ word));
            if differs == 0 {
                break line;
            }
            at = (at + 1) & (self.lines.len() - 1);
        };
        let account = &self.accounts[line.account.load(Ordering::Relaxed) as usize];
        if !take(&account.full_at, now) {
            return false;
        }
        account.used.fetch_add(1, Ordering::Relaxed);
        let second = (now >> 30) as u32;
        if line.last_used.load(Ordering::Relaxed) != second {
            line.last_used.store(second, Ordering::Relaxed);
        }
        true
    }
}

/// One request of a bucket that never empties.
fn take(full_at: &AtomicU64, now: u64) -> bool {
    let mut seen = full_at.load(Ordering::Relaxed);
    loop {
        let next = seen.max(now) + 1;
        if next > now + (1 << 40) {
            return false;
        }
        match full_at.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(other) => seen = other,
        }
    }
}

/// SHA-256 of exactly one block, padded in place.
fn digest(secret: &[u8; SECRET_BYTES]) -> [u64; 4] {
    let mut block = [0_u8; 64];
    block[..SECRET_BYTES].copy_from_slice(secret);
    block[SECRET_BYTES] = 0x80;
    block[62..].copy_from_slice(&(SECRET_BYTES as u16 * 8).to_be_bytes());
    let mut state = SHA256_START;
    compress256(&mut state, &[block]);
    std::array::from_fn(|word| u64::from(state[2 * word]) << 32 | u64::from(state[2 * word + 1]))
}
