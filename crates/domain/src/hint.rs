//! Help in place: what about a key or an account deserves a look, and the one thing to do about it.
//!
//! Rules over facts and nothing else. None of them changes anything: a key is never ended because of a hint.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::time::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);
/// A key that was never used for this long after it was made was probably never put anywhere.
pub const NEVER_USED_AFTER: Duration = Duration::from_secs(7 * 86_400);
/// A key that was not used for this long may be one that nothing needs.
pub const UNUSED_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// A key that was not used for this long can hardly do anything any more but leak.
pub const LONG_UNUSED_AFTER: Duration = Duration::from_secs(90 * 86_400);
/// Networks (/24, /48) from which one key may be used within [`NETWORKS_WITHIN`] without a word: home, office, a phone.
pub const USUAL_NETWORKS: usize = 3;
/// The stretch of time in which networks are counted.
pub const NETWORKS_WITHIN: Duration = Duration::from_secs(3_600);
/// How far back networks are looked at: what happened overnight is still seen in the morning.
pub const NETWORKS_LOOKED_BACK: Duration = DAY;
/// How far back the use of the limit is looked at.
pub const LIMIT_LOOKED_BACK: Duration = Duration::from_secs(3_600);
/// The part of the limit from which on it is said that it is near.
const NEAR_LIMIT_PERCENT: u64 = 80;

/// The one thing to do about a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Look at what the key does.
    LookAtKey,
    /// Delete the key.
    DeleteKey,
    /// Give the key a new secret.
    RotateKey,
    /// See how the account's requests are spread.
    SeeUsage,
    /// Choose a plan with a higher limit.
    Upgrade,
}

/// What is known about an active key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// When it was last presented.
    pub last_used_at: Option<Timestamp>,
    /// When its newest secret was made: with the key, or by the last rotation.
    pub secret_created_at: Timestamp,
    /// The most networks that it was used from within an hour lately; none when that is not known now.
    pub networks: Option<usize>,
}

/// What about a key deserves a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyHint {
    /// It was used from unusually many networks within an hour: somebody else may have it.
    ManyNetworks {
        /// How many.
        networks: usize,
    },
    /// It was not used for very long.
    LongUnused {
        /// Whole days since the last use.
        days: u64,
    },
    /// It was not used for long.
    Unused {
        /// Whole days since the last use.
        days: u64,
    },
    /// Its secret was never used.
    NeverUsed {
        /// Whole days since the secret was made.
        days: u64,
    },
    /// Its secret is old.
    RotationDue {
        /// Whole days since the secret was made.
        days: u64,
    },
}

impl KeyHint {
    /// What to do about it.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            // Only its owner can tell a leak from a fleet of machines; the way to both answers leads over the key.
            Self::ManyNetworks { .. } => Action::LookAtKey,
            Self::LongUnused { .. } | Self::Unused { .. } | Self::NeverUsed { .. } => Action::DeleteKey,
            Self::RotationDue { .. } => Action::RotateKey,
        }
    }

    /// Whether it should catch the eye.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::ManyNetworks { .. } | Self::LongUnused { .. })
    }
}

/// What deserves a look about a key at `now`, most urgent first. Without `rotate_after` no secret is ever too old.
#[must_use]
pub fn of_key(facts: &KeyFacts, rotate_after: Option<Duration>, now: Timestamp) -> Vec<KeyHint> {
    let networks = facts.networks.filter(|networks| *networks > USUAL_NETWORKS);
    let age = now.since(facts.secret_created_at);
    let due = rotate_after.filter(|limit| age >= *limit).map(|_| KeyHint::RotationDue { days: days(age) });
    let hints = [networks.map(|networks| KeyHint::ManyNetworks { networks }), idle(facts, now), due];
    hints.into_iter().flatten().collect()
}

/// How long it was not used. A secret that was only just made has its time to be put in place.
fn idle(facts: &KeyFacts, now: Timestamp) -> Option<KeyHint> {
    let secret_age = now.since(facts.secret_created_at);
    let Some(last_used_at) = facts.last_used_at else {
        return (secret_age >= NEVER_USED_AFTER).then(|| KeyHint::NeverUsed { days: days(secret_age) });
    };
    let unused = now.since(last_used_at);
    match unused.min(secret_age) {
        idle if idle >= LONG_UNUSED_AFTER => Some(KeyHint::LongUnused { days: days(unused) }),
        idle if idle >= UNUSED_AFTER => Some(KeyHint::Unused { days: days(unused) }),
        _ => None,
    }
}

const fn days(duration: Duration) -> u64 {
    duration.as_secs() / DAY.as_secs()
}

/// The most different networks within an hour, of what was seen: start of a slot and network, in order of time.
#[must_use]
pub fn most_networks<'a>(seen: impl IntoIterator<Item = (Timestamp, &'a str)>) -> usize {
    let mut window: VecDeque<(Timestamp, &str)> = VecDeque::new();
    let mut counted: HashMap<&str, usize> = HashMap::new();
    let mut most = 0;
    for (at, network) in seen {
        while let Some((_, left)) = window.pop_front_if(|(then, _)| at.since(*then) >= NETWORKS_WITHIN) {
            if let Some(times) = counted.get_mut(left) {
                *times -= 1;
                if *times == 0 {
                    counted.remove(left);
                }
            }
        }
        window.push_back((at, network));
        *counted.entry(network).or_default() += 1;
        most = most.max(counted.len());
    }
    most
}

/// How an account used its limit within [`LIMIT_LOOKED_BACK`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitFacts {
    /// Requests a minute that the plan gives.
    pub per_minute: u32,
    /// Requests let through in the busiest minute, over all keys.
    pub busiest_minute: u64,
    /// Requests refused because the budget was spent.
    pub limited: u64,
    /// Whether another plan has a higher limit.
    pub can_grow: bool,
}

/// What about an account's use of its limit deserves a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitHint {
    /// Requests were refused because the budget was spent, or a minute took all that the plan gives.
    Reached {
        /// Requests that were refused; none when the burst covered what went beyond.
        limited: u64,
        /// Whether another plan has a higher limit.
        can_grow: bool,
    },
    /// A minute took most of it.
    Near {
        /// Part of the limit that the busiest minute took.
        percent: u64,
    },
}

impl LimitHint {
    /// What to do about it.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Reached { can_grow: true, .. } => Action::Upgrade,
            Self::Reached { .. } | Self::Near { .. } => Action::SeeUsage,
        }
    }
}

/// What deserves a look about an account's use of its limit.
#[must_use]
pub fn of_limit(facts: &LimitFacts) -> Option<LimitHint> {
    let percent = facts.busiest_minute.saturating_mul(100) / u64::from(facts.per_minute.max(1));
    if facts.limited > 0 || percent >= 100 {
        Some(LimitHint::Reached { limited: facts.limited, can_grow: facts.can_grow })
    } else {
        (percent >= NEAR_LIMIT_PERCENT).then_some(LimitHint::Near { percent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATE_AFTER: Option<Duration> = Some(Duration::from_secs(180 * 86_400));
    const MS: Duration = Duration::from_millis(1);

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }

    fn ago(duration: Duration) -> Timestamp {
        now().minus(duration)
    }

    /// A key in good order, used a minute ago.
    fn good() -> KeyFacts {
        KeyFacts {
            last_used_at: Some(ago(Duration::from_secs(60))),
            secret_created_at: ago(DAY * 100),
            networks: Some(1),
        }
    }

    fn hints(facts: KeyFacts) -> Vec<KeyHint> {
        of_key(&facts, ROTATE_AFTER, now())
    }

    #[test]
    fn a_key_in_good_order_has_no_hint() {
        assert_eq!(hints(good()), []);
        assert_eq!(hints(KeyFacts { networks: None, ..good() }), [], "what is not known is no alarm");
        let ahead =
            KeyFacts { last_used_at: Some(now().plus(DAY)), secret_created_at: now().plus(DAY), ..good() };
        assert_eq!(hints(ahead), [], "a clock that is behind makes nothing old");
    }

    #[test]
    fn a_key_that_was_never_used_is_named_after_seven_days() {
        let never = |age| hints(KeyFacts { last_used_at: None, secret_created_at: ago(age), ..good() });
        assert_eq!(never(Duration::ZERO), []);
        assert_eq!(never(NEVER_USED_AFTER.saturating_sub(MS)), []);
        assert_eq!(never(NEVER_USED_AFTER), [KeyHint::NeverUsed { days: 7 }]);
        assert_eq!(never(DAY * 100), [KeyHint::NeverUsed { days: 100 }], "never used stays never used");
    }

    #[test]
    fn an_unused_key_is_named_after_thirty_days_and_more_strongly_after_ninety() {
        let unused = |age| hints(KeyFacts { last_used_at: Some(ago(age)), ..good() });
        assert_eq!(unused(UNUSED_AFTER.saturating_sub(MS)), []);
        assert_eq!(unused(UNUSED_AFTER), [KeyHint::Unused { days: 30 }]);
        assert_eq!(unused(LONG_UNUSED_AFTER.saturating_sub(MS)), [KeyHint::Unused { days: 89 }]);
        assert_eq!(unused(LONG_UNUSED_AFTER), [KeyHint::LongUnused { days: 90 }]);
    }

    #[test]
    fn a_new_secret_has_its_time_to_be_put_in_place() {
        let rotated = |age| KeyFacts { secret_created_at: ago(age), ..good() };
        let never = |age| KeyFacts { last_used_at: None, ..rotated(age) };
        let unused = |age| KeyFacts { last_used_at: Some(ago(DAY * 200)), ..rotated(age) };
        assert_eq!(hints(never(DAY)), []);
        assert_eq!(hints(unused(UNUSED_AFTER.saturating_sub(MS))), []);
        assert_eq!(hints(unused(UNUSED_AFTER)), [KeyHint::Unused { days: 200 }]);
        assert_eq!(hints(unused(LONG_UNUSED_AFTER)), [KeyHint::LongUnused { days: 200 }]);
    }

    #[test]
    fn rotation_is_due_by_the_age_of_the_newest_secret_and_never_when_so_set() {
        let aged = |age| KeyFacts { secret_created_at: ago(age), ..good() };
        assert_eq!(hints(aged((DAY * 180).saturating_sub(MS))), []);
        assert_eq!(hints(aged(DAY * 180)), [KeyHint::RotationDue { days: 180 }]);
        assert_eq!(of_key(&aged(DAY * 1_000), None, now()), []);
        assert_eq!(of_key(&aged(DAY), Some(DAY), now()), [KeyHint::RotationDue { days: 1 }]);
    }

    #[test]
    fn more_than_three_networks_are_too_many() {
        let from = |networks| hints(KeyFacts { networks: Some(networks), ..good() });
        assert_eq!(from(3), []);
        assert_eq!(from(4), [KeyHint::ManyNetworks { networks: 4 }]);
    }

    #[test]
    fn the_most_urgent_comes_first_and_each_has_one_action() {
        let everything = KeyFacts {
            last_used_at: Some(ago(DAY * 95)),
            secret_created_at: ago(DAY * 400),
            networks: Some(5),
        };
        let all = hints(everything);
        let expected = [
            KeyHint::ManyNetworks { networks: 5 },
            KeyHint::LongUnused { days: 95 },
            KeyHint::RotationDue { days: 400 },
        ];
        assert_eq!(all, expected);
        let actions: Vec<Action> = all.iter().map(|hint| hint.action()).collect();
        assert_eq!(actions, [Action::LookAtKey, Action::DeleteKey, Action::RotateKey]);
        assert_eq!(all.iter().map(|hint| hint.is_urgent()).collect::<Vec<_>>(), [true, true, false]);
        for quiet in [KeyHint::Unused { days: 30 }, KeyHint::NeverUsed { days: 7 }] {
            assert_eq!((quiet.action(), quiet.is_urgent()), (Action::DeleteKey, false));
        }
    }

    fn seen(list: &[(u64, &'static str)]) -> usize {
        let minutes = |minutes: u64| ago(DAY).plus(Duration::from_secs(minutes * 60));
        most_networks(list.iter().map(|(at, network)| (minutes(*at), *network)))
    }

    #[test]
    fn networks_are_counted_once_each_and_only_within_an_hour() {
        assert_eq!(seen(&[]), 0);
        assert_eq!(seen(&[(0, "a"), (0, "b"), (10, "a"), (50, "c")]), 3);
        assert_eq!(seen(&[(0, "a"), (20, "b"), (60, "c"), (80, "d")]), 2, "an hour later is another hour");
        assert_eq!(seen(&[(0, "a"), (50, "b"), (100, "a"), (150, "b")]), 2);
        assert_eq!(
            seen(&[(0, "a"), (10, "a"), (60, "b"), (60, "c"), (60, "d")]),
            4,
            "the later a still counts"
        );
        assert_eq!(seen(&[(0, "a"), (0, "b"), (0, "c"), (0, "d"), (600, "a")]), 4, "the busiest hour counts");
    }

    fn limit(busiest_minute: u64, limited: u64) -> Option<LimitHint> {
        of_limit(&LimitFacts { per_minute: 600, busiest_minute, limited, can_grow: true })
    }

    #[test]
    fn eighty_and_a_hundred_percent_of_the_limit_are_said() {
        assert_eq!(limit(0, 0), None);
        assert_eq!(limit(479, 0), None);
        assert_eq!(limit(480, 0), Some(LimitHint::Near { percent: 80 }));
        assert_eq!(limit(599, 0), Some(LimitHint::Near { percent: 99 }));
        assert_eq!(limit(600, 0), Some(LimitHint::Reached { limited: 0, can_grow: true }));
        assert_eq!(limit(3, 1), Some(LimitHint::Reached { limited: 1, can_grow: true }));
        assert_eq!(limit(u64::MAX, 0), Some(LimitHint::Reached { limited: 0, can_grow: true }));
    }

    #[test]
    fn a_bigger_plan_is_offered_where_there_is_one() {
        let reached = |can_grow| LimitHint::Reached { limited: 1, can_grow }.action();
        assert_eq!((reached(true), reached(false)), (Action::Upgrade, Action::SeeUsage));
        assert_eq!(LimitHint::Near { percent: 80 }.action(), Action::SeeUsage);
    }
}
