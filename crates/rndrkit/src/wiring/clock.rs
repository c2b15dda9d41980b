//! What time it is for whatever several nodes write down: by the database's clock as this node estimates it, and
//! by the machine's own while the database has not said what time it is (on `SQLite` always).
//!
//! A node whose own clock is a year ahead would otherwise prune what all the others still need.

use std::sync::{Arc, OnceLock, Weak};

use rndrkit_domain::time::{Clock, Monotonic, Timestamp};
use rndrkit_verifier::Verifier;

/// The clock that records, ends and prunings go by.
pub(super) struct CommonClock {
    machine: Arc<dyn Clock>,
    verifier: OnceLock<Weak<Verifier>>,
}

impl CommonClock {
    pub(super) fn new(machine: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { machine, verifier: OnceLock::new() })
    }

    /// From now on by what this verifier hears from the database.
    pub(super) fn follow(&self, verifier: &Arc<Verifier>) {
        // Once; the verifier is made once.
        let _ = self.verifier.set(Arc::downgrade(verifier));
    }
}

impl Clock for CommonClock {
    fn now(&self) -> Timestamp {
        let verifier = self.verifier.get().and_then(Weak::upgrade);
        verifier.map_or_else(|| self.machine.now(), |verifier| verifier.wall())
    }

    fn monotonic(&self) -> Monotonic {
        self.machine.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rndrkit_domain::key_text::{Digest, KeyPrefix};
    use rndrkit_domain::time::ManualClock;
    use rndrkit_verifier::{BoxFuture, KeySource, Loaded, LoadedTokens, SourceError, VerifierOptions};

    use super::*;

    struct NoKeys;

    impl KeySource for NoKeys {
        fn load(&self, _: Digest) -> BoxFuture<'_, Result<Loaded, SourceError>> {
            Box::pin(async { Ok(Loaded { head: 0, found: None }) })
        }

        fn load_tokens(&self) -> BoxFuture<'_, Result<LoadedTokens, SourceError>> {
            Box::pin(async { Ok(LoadedTokens { head: 0, tokens: Vec::new() }) })
        }

        fn load_prefixes(&self) -> BoxFuture<'_, Result<Vec<KeyPrefix>, SourceError>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    #[test]
    fn a_machine_whose_clock_is_a_year_ahead_goes_by_the_databases() {
        let right = Timestamp::from_unix_ms(1_800_000_000_000);
        let machine = Arc::new(ManualClock::at(right.plus(Duration::from_secs(365 * 86_400))));
        let common = CommonClock::new(machine.clone());
        let verifier = Verifier::new(VerifierOptions::default(), machine.clone(), Arc::new(NoKeys));
        common.follow(&verifier);
        assert_eq!(common.now(), machine.now(), "nothing better is known");
        verifier.set_wall(machine.monotonic(), right);
        assert_eq!(common.now(), right);
        machine.advance(Duration::from_secs(5));
        assert_eq!(common.now(), right.plus(Duration::from_secs(5)));
        assert_eq!(common.monotonic(), machine.monotonic());
    }
}
