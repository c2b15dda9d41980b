//! Keys that were ended lately, remembered so that they can be ended again.
//!
//! A fail-over or a restore may bring back a database in which such a key is active. Ending a key twice is
//! harmless, so more may be remembered than is needed. Until it is ended again it is refused from here: no key
//! comes back to life.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rndrkit_domain::id::KeyId;
use rndrkit_domain::time::Monotonic;

/// How long a revocation is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);
/// How many at most, the newest: about 1.5 MB.
const MOST: usize = 65_536;

/// Keys ended within the last hour, in the order in which that was applied.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    ended: VecDeque<(Monotonic, KeyId)>,
    /// When each was ended last; only looked into.
    last: HashMap<KeyId, Monotonic>,
}

impl Revocations {
    pub(crate) fn remember(&mut self, key: KeyId, now: Monotonic) {
        self.forget_old(now);
        if self.ended.len() == MOST {
            self.forget_oldest();
        }
        self.ended.push_back((now, key));
        self.last.insert(key, now);
    }

    /// Whether the key was ended lately, whatever a database says that has come back since.
    pub(crate) fn contains(&self, key: &KeyId) -> bool {
        self.last.contains_key(key)
    }

    /// What was ended within the hour before `now`.
    pub(crate) fn since_an_hour(&mut self, now: Monotonic) -> Vec<KeyId> {
        self.forget_old(now);
        self.ended.iter().map(|(_, key)| *key).collect()
    }

    fn forget_old(&mut self, now: Monotonic) {
        while self.ended.front().is_some_and(|(at, _)| now.since(*at) > REMEMBERED_FOR) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((at, key)) = self.ended.pop_front()
            && self.last.get(&key) == Some(&at)
        {
            self.last.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    #[test]
    fn the_last_hours_revocations_are_remembered_and_no_more_than_fit() {
        let key = || KeyId::generate(Timestamp::from_unix_ms(0), &OsEntropy);
        let at = |seconds| Monotonic(0).plus(Duration::from_secs(seconds));
        let (first, second) = (key(), key());
        let mut revocations = Revocations::default();
        revocations.remember(first, at(0));
        revocations.remember(second, at(3_000));
        assert_eq!(revocations.since_an_hour(at(3_600)), [first, second]);
        assert_eq!(revocations.since_an_hour(at(3_601)), [second]);
        assert!(!revocations.contains(&first) && revocations.contains(&second));
        for _ in 0..MOST {
            revocations.remember(first, at(3_602));
        }
        let remembered = revocations.since_an_hour(at(3_602));
        assert_eq!(remembered.len(), MOST);
        assert!(!remembered.contains(&second));
        assert!(revocations.contains(&first) && !revocations.contains(&second));
    }
}
