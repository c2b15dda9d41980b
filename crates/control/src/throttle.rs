//! Slowing down password guessing: per account, per address, per network, and overall. Never a lockout.
//!
//! In memory, bounded; a restart forgets it. Attempts that are refused here cost nothing. Each node counts for
//! itself: against n nodes behind one load balancer a guesser has n times the attempts, which long passwords bear
//! well. All else about signing in, sessions and links, is in the database, and so the same on every node: there
//! is one primary, and no page is read from a replica.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Monotonic;

/// Failures before the delay begins; then 1 s, doubling.
const FREE_FAILURES: u32 = 5;
/// The longest delay between two attempts on one account.
const MAX_DELAY: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten after this long without another.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);
/// Attempts a minute from one address.
const PER_ADDRESS: u32 = 20;
/// Attempts a minute from one /24 (IPv4) or /64 (IPv6).
const PER_NETWORK: u32 = 100;
/// Attempts a minute on the whole node: what two hashing threads can do, with room.
const OVERALL: u32 = 1_200;
/// Failures a minute that leave a row in the audit log; the rest are in the log of the process alone. A year
/// of constant guessing then stays below ten gigabytes.
const RECORDED: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// Accounts and addresses remembered at once: a few megabytes.
const MAX_REMEMBERED: usize = 50_000;

/// Failures on one account.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Monotonic,
}

impl Failures {
    /// How long the next attempt must still wait.
    fn wait(self, now: Monotonic) -> Duration {
        let Some(doublings) = self.count.checked_sub(FREE_FAILURES) else { return Duration::ZERO };
        let delay = Duration::from_secs(1_u64 << doublings.min(20)).min(MAX_DELAY);
        delay.saturating_sub(now.since(self.last))
    }
}

/// A fixed window of a minute.
#[derive(Debug, Clone, Copy)]
struct Window {
    began: Monotonic,
    count: u32,
}

/// Who attempts: what failures are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    /// An account, as named by anybody.
    Account(Digest),
    /// An account, as named from one network where its password was right before.
    AccountFrom(Digest, IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    Network(IpAddr),
    Everybody,
    Recorded,
}

/// The memory of attempts.
#[derive(Debug)]
pub(crate) struct Throttle {
    failures: Cache<Counted, Failures>,
    /// Networks from which an account's password was right: an attacker elsewhere does not slow them.
    proven: Cache<(Digest, IpAddr), ()>,
    windows: Cache<Source, Arc<Mutex<Window>>>,
    counting: Mutex<()>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            failures: Cache::new(MAX_REMEMBERED),
            proven: Cache::new(MAX_REMEMBERED),
            windows: Cache::new(MAX_REMEMBERED),
            counting: Mutex::default(),
        }
    }
}

impl Throttle {
    /// Whether an attempt on `account` (digest of the typed address) may be looked at now; else how long
    /// to wait. The attempt counts as failed until [`Throttle::succeeded`] says otherwise, so that many at
    /// once cannot slip through together.
    pub(crate) fn begin(&self, account: Digest, ip: Option<IpAddr>, now: Monotonic) -> Result<(), Duration> {
        let counted = self.counted(account, ip);
        // Whoever was right from here before is not shut out by a crowd elsewhere.
        let everybody = matches!(counted, Counted::Account(_)).then_some(Source::Everybody);
        let sources = [ip.map(Source::Address), ip.map(|ip| Source::Network(network(ip))), everybody];
        for source in sources.into_iter().flatten() {
            self.count(source, now)?;
        }
        // Looked at and counted as one, or attempts that arrive together would count as one.
        let _one_at_a_time = self.counting.lock();
        let before = self.failures.get(&counted).filter(|failures| now.since(failures.last) < FORGET_AFTER);
        let wait = before.map_or(Duration::ZERO, |failures| failures.wait(now));
        if wait > Duration::ZERO {
            return Err(wait);
        }
        let count = before.map_or(0, |failures| failures.count).saturating_add(1);
        self.failures.insert(counted, Failures { count, last: now });
        Ok(())
    }

    /// Whether a failed attempt may leave a row in the audit log: strangers must not fill the disk.
    pub(crate) fn may_record(&self, now: Monotonic) -> bool {
        self.count(Source::Recorded, now).is_ok()
    }

    /// The password was right: this client's failures are forgotten, others' are not.
    pub(crate) fn succeeded(&self, account: Digest, ip: Option<IpAddr>) {
        let _one_at_a_time = self.counting.lock();
        let counted = self.counted(account, ip);
        if let Some(ip) = ip {
            self.proven.insert((account, network(ip)), ());
        }
        match (counted, self.failures.get(&counted)) {
            (Counted::AccountFrom(..), _) => {
                self.failures.remove(&counted);
            }
            // Take back this one attempt; what others did stays.
            (Counted::Account(_), Some(failures)) => {
                let count = failures.count.saturating_sub(1);
                self.failures.insert(counted, Failures { count, ..failures });
            }
            (Counted::Account(_), None) => {}
        }
    }

    fn counted(&self, account: Digest, ip: Option<IpAddr>) -> Counted {
        match ip.map(network) {
            Some(network) if self.proven.get(&(account, network)).is_some() => {
                Counted::AccountFrom(account, network)
            }
            _ => Counted::Account(account),
        }
    }

    fn count(&self, source: Source, now: Monotonic) -> Result<(), Duration> {
        let limit = match source {
            Source::Address(_) => PER_ADDRESS,
            Source::Network(_) => PER_NETWORK,
            Source::Everybody => OVERALL,
            Source::Recorded => RECORDED,
        };
        let fresh = || Arc::new(Mutex::new(Window { began: now, count: 0 }));
        let Ok(window) = self.windows.get_or_insert_with(&source, || Ok::<_, ()>(fresh())) else {
            return Ok(());
        };
        let mut window = window.lock();
        if now.since(window.began) >= MINUTE {
            *window = Window { began: now, count: 0 };
        }
        if window.count >= limit {
            return Err(MINUTE.saturating_sub(now.since(window.began)));
        }
        window.count += 1;
        Ok(())
    }
}

/// The /24 or /64 that an address lies in.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Monotonic = Monotonic(1_000_000_000_000);

    const fn at(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last))
    }

    fn ada() -> Digest {
        Digest::of("ada@example.com")
    }

    #[test]
    fn the_sixth_attempt_waits_a_second_and_each_further_one_twice_as_long() {
        let throttle = Throttle::default();
        for attempt in 0..5 {
            assert_eq!(throttle.begin(ada(), Some(at(attempt)), START), Ok(()));
        }
        let mut now = START;
        for delay in [1, 2, 4, 8] {
            assert_eq!(throttle.begin(ada(), Some(at(9)), now), Err(Duration::from_secs(delay)));
            now = now.plus(Duration::from_secs(delay));
            assert_eq!(throttle.begin(ada(), Some(at(9)), now), Ok(()));
        }
    }

    #[test]
    fn the_delay_never_grows_into_a_lockout() {
        let failures = Failures { count: 4_000_000, last: START };
        assert_eq!(failures.wait(START), MAX_DELAY);
    }

    #[test]
    fn an_attacker_elsewhere_does_not_slow_a_network_where_the_password_was_right() {
        let throttle = Throttle::default();
        throttle.begin(ada(), Some(at(1)), START).unwrap();
        throttle.succeeded(ada(), Some(at(1)));
        for _ in 0..5 {
            throttle.begin(ada(), Some(IpAddr::from([198, 51, 100, 7])), START).unwrap();
        }
        assert!(throttle.begin(ada(), Some(IpAddr::from([198, 51, 100, 7])), START).is_err());
        assert_eq!(throttle.begin(ada(), Some(at(1)), START), Ok(()));
    }

    #[test]
    fn one_address_has_twenty_attempts_a_minute_over_all_accounts() {
        let throttle = Throttle::default();
        for n in 0..20 {
            throttle.begin(Digest::of(&n.to_string()), Some(at(1)), START).unwrap();
        }
        assert!(throttle.begin(Digest::of("another"), Some(at(1)), START).is_err());
        assert!(throttle.begin(Digest::of("another"), Some(at(2)), START).is_ok());
        assert!(throttle.begin(Digest::of("one more"), Some(at(1)), START.plus(MINUTE)).is_ok());
    }

    #[test]
    fn a_crowd_elsewhere_does_not_shut_out_who_was_right_before() {
        let throttle = Throttle::default();
        throttle.begin(ada(), Some(at(1)), START).unwrap();
        throttle.succeeded(ada(), Some(at(1)));
        for n in 0..OVERALL {
            let elsewhere = IpAddr::from((u128::from(n) << 64).to_be_bytes());
            let _ = throttle.begin(Digest::of(&n.to_string()), Some(elsewhere), START);
        }
        assert!(throttle.begin(Digest::of("bob@example.com"), Some(at(200)), START).is_err());
        assert_eq!(throttle.begin(ada(), Some(at(1)), START), Ok(()));
    }

    #[test]
    fn guessing_fills_the_audit_log_only_so_fast() {
        let throttle = Throttle::default();
        let recorded = (0..1_000).filter(|_| throttle.may_record(START)).count();
        assert_eq!(recorded, 30);
        assert!(throttle.may_record(START.plus(MINUTE)));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let of = |n: u128| network(IpAddr::from((0x2001_0db8_u128 << 96 | n).to_be_bytes()));
        assert_eq!(of(1), of(u128::from(u64::MAX)));
        assert_ne!(of(1), of(1 << 64));
    }
}
