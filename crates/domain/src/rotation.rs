//! Rotation: how long the old secret may work on, and the rule by which it is safe to end it earlier.
//!
//! The rule is one that people can check by the figures that stand beside it.

use std::time::Duration;

use crate::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long the old secret works on when nobody says.
pub const DEFAULT_OVERLAP: Duration = DAY;
/// How long it may work on at most: longer than this, a rotation is a second key.
pub const MAX_OVERLAP: Duration = DAY.saturating_mul(7);
/// What the dashboard offers.
pub const OVERLAP_CHOICES: [Duration; 4] = [Duration::ZERO, HOUR, DAY, MAX_OVERLAP];

/// Name of the detail of a rotation's event that says when the old secret ends, if not at once.
pub const WORKS_UNTIL: &str = "works_until";

/// An old secret must have been unused for this long: a nightly job has run in it.
pub const LEAST_QUIET: Duration = DAY;
/// Pauses that ended longer ago than this say nothing about how the secret is used today.
pub const PAUSES_WITHIN: Duration = DAY.saturating_mul(7);
/// And for so many times its longest pause: a job that comes more seldom has run in it too.
pub const PAUSES: u32 = 2;
/// How far back the use of an old secret must be known for the rule to hold, and a day. What an early end would break is
/// a job that comes again within the overlap. Its last run is at most [`PAUSES_WITHIN`] ago, or its pause does not count;
/// the pause is then at most that and [`MAX_OVERLAP`] long, and began so much earlier.
pub const USE_LOOKED_BACK: Duration =
    PAUSES_WITHIN.saturating_mul(2).saturating_add(MAX_OVERLAP).saturating_add(DAY);

/// A stretch of time in which a secret was in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First use.
    pub first_at: Timestamp,
    /// Last use.
    pub last_at: Timestamp,
    /// The longest time between two uses that follow each other.
    pub longest_pause: Duration,
}

/// What is known about the use of a rotated key's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses<'a> {
    /// When the old secret was made.
    pub old_made_at: Timestamp,
    /// When it was last used.
    pub old_last_at: Option<Timestamp>,
    /// When it was in use, the oldest first.
    pub old_stretches: &'a [Stretch],
    /// When the new one was last used.
    pub new_last_at: Option<Timestamp>,
}

/// Whether the old secret may be ended without harm, and the figures behind that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// How long the old secret has not been used; since it was made, if never.
    pub quiet_for: Duration,
    /// How long it must not have been used.
    pub needed: Duration,
    /// Its longest pause that ended within the last seven days; none when it had none.
    pub longest_pause: Option<Duration>,
    /// Whether the new secret was used since the old one last was.
    pub new_is_used: bool,
}

impl Advice {
    /// Whether the old secret was unused for long enough.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet_for >= self.needed
    }

    /// Whether it may be ended without harm.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.is_quiet() && self.new_is_used
    }
}

impl Uses<'_> {
    /// Applies the rule at `now`.
    #[must_use]
    pub fn advice(&self, now: Timestamp) -> Advice {
        let longest_pause = longest_pause(self.old_stretches, now.minus(PAUSES_WITHIN));
        let by_pauses = longest_pause.unwrap_or_default().saturating_mul(PAUSES);
        Advice {
            quiet_for: now.since(self.old_last_at.unwrap_or(self.old_made_at)),
            needed: by_pauses.max(LEAST_QUIET),
            longest_pause,
            new_is_used: self.new_last_at > self.old_last_at,
        }
    }
}

/// The longest pause that ended at `since` or later. The pause that goes on now is not one: it has no end yet.
fn longest_pause(stretches: &[Stretch], since: Timestamp) -> Option<Duration> {
    let within =
        stretches.iter().filter(|stretch| stretch.last_at >= since).map(|stretch| stretch.longest_pause);
    let between = stretches.windows(2).filter_map(|pair| match pair {
        [before, after] if after.first_at >= since => Some(after.first_at.since(before.last_at)),
        _ => None,
    });
    within.chain(between).max().filter(|pause| !pause.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_HOURS: u64 = 1_000;

    fn hours(hours: u64) -> Duration {
        HOUR * u32::try_from(hours).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(0).plus(hours(NOW_HOURS))
    }

    fn ago(hours_ago: u64) -> Timestamp {
        now().minus(hours(hours_ago))
    }

    /// In use from so many hours ago to so many, with a longest pause of so many minutes.
    fn stretch(first: u64, last: u64, pause_minutes: u64) -> Stretch {
        let longest_pause = Duration::from_secs(pause_minutes * 60);
        Stretch { first_at: ago(first), last_at: ago(last), longest_pause }
    }

    fn used(old: Option<u64>, old_stretches: &[Stretch], new: Option<u64>) -> Uses<'_> {
        Uses { old_made_at: ago(900), old_last_at: old.map(ago), old_stretches, new_last_at: new.map(ago) }
    }

    #[test]
    fn an_old_secret_is_safe_to_end_from_24_hours_without_use_on() {
        let busy = [stretch(30, 24, 5)];
        assert!(used(Some(24), &busy, Some(1)).advice(now()).is_safe());
        let just_before = now().minus(Duration::from_millis(1));
        let advice = used(Some(24), &busy, Some(1)).advice(just_before);
        assert!(!advice.is_safe() && !advice.is_quiet() && advice.new_is_used);
        assert_eq!(advice.needed, LEAST_QUIET);
        assert_eq!(advice.quiet_for, LEAST_QUIET.saturating_sub(Duration::from_millis(1)));
    }

    #[test]
    fn it_must_also_be_unused_for_twice_its_longest_pause() {
        // Exactly half of the 24 hours changes nothing; a minute more counts twice.
        let nightly = |pause_minutes| [stretch(60, 24, pause_minutes)];
        assert!(used(Some(24), &nightly(12 * 60), Some(1)).advice(now()).is_safe());
        let advice = used(Some(24), &nightly(12 * 60 + 1), Some(1)).advice(now());
        assert!(!advice.is_safe());
        assert_eq!(advice.needed, LEAST_QUIET + Duration::from_secs(120));
        assert_eq!(advice.longest_pause, Some(hours(12) + Duration::from_secs(60)));
        let daily = [stretch(73, 73, 0), stretch(49, 49, 0)];
        assert!(used(Some(49), &daily, Some(1)).advice(now()).is_safe(), "49 hours are more than twice 24");
        let daily = [stretch(71, 71, 0), stretch(47, 47, 0)];
        assert!(!used(Some(47), &daily, Some(1)).advice(now()).is_safe());
    }

    #[test]
    fn a_pause_lies_between_stretches_as_well_as_in_them() {
        let stretches = [stretch(100, 99, 10), stretch(80, 79, 30), stretch(70, 69, 20)];
        assert_eq!(longest_pause(&stretches, ago(168)), Some(hours(19)));
        assert_eq!(longest_pause(&stretches[1..], ago(168)), Some(hours(9)));
        assert_eq!(longest_pause(&stretches[2..], ago(168)), Some(Duration::from_secs(1_200)));
    }

    #[test]
    fn only_pauses_that_ended_within_seven_days_count() {
        // A weekly job whose last run is within the seven days: its pause ended then, however early it began.
        let weekly = [stretch(300, 300, 0), stretch(132, 132, 0)];
        let advice = used(Some(132), &weekly, Some(1)).advice(now());
        assert_eq!((advice.longest_pause, advice.needed), (Some(hours(168)), hours(336)));
        assert!(!advice.is_safe());
        // On the very edge, and beyond it.
        let edge = [stretch(200, 200, 0), stretch(168, 168, 0)];
        assert_eq!(longest_pause(&edge, ago(168)), Some(hours(32)));
        let beyond = [stretch(201, 201, 0), stretch(169, 169, 90)];
        assert_eq!(longest_pause(&beyond, ago(168)), None);
        let advice = used(Some(169), &beyond, Some(1)).advice(now());
        assert_eq!((advice.needed, advice.is_safe()), (LEAST_QUIET, true));
    }

    #[test]
    fn the_pause_that_goes_on_now_does_not_count_as_one() {
        let once = [stretch(30, 30, 0)];
        let advice = used(Some(30), &once, Some(1)).advice(now());
        assert_eq!((advice.longest_pause, advice.quiet_for, advice.is_safe()), (None, hours(30), true));
    }

    #[test]
    fn the_new_secret_must_have_been_used_since_the_old_one_last_was() {
        let busy = [stretch(60, 50, 5)];
        let is_safe = |new| used(Some(50), &busy, new).advice(now()).is_safe();
        assert!(!is_safe(None), "nobody has the new secret yet");
        assert!(!is_safe(Some(51)), "tried once, and then they went back to the old one");
        assert!(!is_safe(Some(50)), "at the same moment, nobody knows which was last");
        assert!(is_safe(Some(49)));
        assert!(is_safe(Some(0)));
    }

    #[test]
    fn a_secret_that_was_never_used_is_quiet_since_it_was_made() {
        let never = |made: u64, new| {
            let uses = Uses { old_made_at: ago(made), ..used(None, &[], new) };
            uses.advice(now())
        };
        assert!(never(24, Some(1)).is_safe());
        assert!(!never(23, Some(1)).is_safe());
        assert!(!never(900, None).is_safe(), "neither is used: nothing says that the new one has arrived");
        assert_eq!(never(23, None).longest_pause, None);
    }

    #[test]
    fn clocks_that_disagree_end_in_waiting_and_not_in_harm() {
        let ahead = Uses { old_last_at: Some(now().plus(HOUR)), ..used(None, &[], Some(0)) };
        let advice = ahead.advice(now());
        assert_eq!((advice.quiet_for, advice.is_safe()), (Duration::ZERO, false));
        let backwards = [stretch(10, 20, 0), stretch(30, 25, 0)];
        assert_eq!(longest_pause(&backwards, ago(168)), None);
    }

    #[test]
    fn the_choices_are_within_what_a_rotation_may_have() {
        assert!(OVERLAP_CHOICES.iter().all(|choice| *choice <= MAX_OVERLAP));
        assert!(OVERLAP_CHOICES.contains(&DEFAULT_OVERLAP));
        assert_eq!((DEFAULT_OVERLAP.as_secs(), MAX_OVERLAP.as_secs()), (86_400, 604_800));
    }
}
