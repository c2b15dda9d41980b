//! Dates, counts and lists in the words of the pages.

use std::time::Duration;

use rndrkit_control::Confirmation;
pub use rndrkit_domain::number::grouped;
use rndrkit_domain::time::Timestamp;

use super::Moment;

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 3_600;
const DAY_SECONDS: u64 = 86_400;
/// From this age on a date says more than a number of days.
const RELATIVE_DAYS: u64 = 30;

/// `1 key`, `2 keys`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(number)) }
}

/// `Agency`, `Agency and Agency+`, `Pro, Agency and Agency+`; joined by `conjunction`.
#[must_use]
pub fn list(items: &[&str], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [before @ .., last] => format!("{} {conjunction} {last}", before.join(", ")),
    }
}

/// A past moment, seen from `now`.
#[must_use]
pub fn past(now: Timestamp, then: Timestamp) -> Moment {
    moment(then, ago(now, then))
}

/// A moment by its day.
#[must_use]
pub fn day(then: Timestamp) -> Moment {
    moment(then, then.date_for_people())
}

/// A moment exactly as it is, for what ends soon.
#[must_use]
pub fn clock(then: Timestamp) -> Moment {
    moment(then, then.exact_for_people())
}

/// `Expires today`, `Expires in 12 days`, `Expires 23 Nov 2027`.
#[must_use]
pub fn expiry(now: Timestamp, end: Timestamp) -> Moment {
    // To the nearest day: a key made for 12 days says so, though a second of them is over.
    let left = end.since(now).as_secs() + DAY_SECONDS / 2;
    let spoken = match left / DAY_SECONDS {
        0 => "Expires within a day".to_owned(),
        days if days < RELATIVE_DAYS => format!("Expires in {}", count(days, "day")),
        _ => format!("Expires {}", end.date_for_people()),
    };
    moment(end, spoken)
}

/// A moment to come: `today at 14:05 UTC`, `tomorrow at 14:05 UTC`, `30 Nov 2026, 14:05 UTC`.
#[must_use]
pub fn future(now: Timestamp, then: Timestamp) -> Moment {
    let day = Duration::from_secs(DAY_SECONDS);
    let days = then.floor_to(day).since(now.floor_to(day)).as_secs() / DAY_SECONDS;
    let exact = then.exact_for_people();
    let spoken = match (days, exact.rsplit_once(", ")) {
        (0, Some((_, clock))) => format!("today at {clock}"),
        (1, Some((_, clock))) => format!("tomorrow at {clock}"),
        _ => exact,
    };
    moment(then, spoken)
}

/// A length of time that is over, rounded down: `less than a minute`, `90 minutes`, `24 hours`, `7 days`.
#[must_use]
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..MINUTE_SECONDS => "less than a minute".to_owned(),
        _ if seconds < 2 * HOUR_SECONDS => count(seconds / MINUTE_SECONDS, "minute"),
        _ if seconds < 3 * DAY_SECONDS => count(seconds / HOUR_SECONDS, "hour"),
        _ => count(seconds / DAY_SECONDS, "day"),
    }
}

/// A length of time that has to pass, rounded up in the same units.
#[must_use]
pub fn length_up(duration: Duration) -> String {
    let unit = match duration.as_secs() {
        seconds if seconds < 2 * HOUR_SECONDS => MINUTE_SECONDS,
        seconds if seconds < 3 * DAY_SECONDS => HOUR_SECONDS,
        _ => DAY_SECONDS,
    };
    let seconds = duration.as_millis().div_ceil(1_000).div_ceil(u128::from(unit)) * u128::from(unit);
    length(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
}

/// A length of time that somebody has to wait: `30 seconds`, `2 minutes`.
#[must_use]
pub fn wait(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    if seconds < MINUTE_SECONDS * 2 {
        count(seconds, "second")
    } else {
        count(seconds.div_ceil(MINUTE_SECONDS), "minute")
    }
}

/// That a deleted key is refused, and by whom: `Refused on all 3 servers, 14 ms.`
#[must_use]
pub fn refused(who: &Confirmation) -> String {
    servers("Refused", "accept it", who)
}

/// That a change holds, and where: `In force on all 3 servers, 14 ms.`
#[must_use]
pub fn in_force(who: &Confirmation) -> String {
    servers("In force", "act on what was before", who)
}

fn servers(done: &str, undone: &str, who: &Confirmation) -> String {
    let took = took(who.took);
    let silent = who.nodes_expired;
    if silent > 0 {
        let confirmed = match who.nodes_confirmed {
            0 => "No server confirmed".to_owned(),
            some => format!("{} confirmed", count(some.into(), "server")),
        };
        return format!("{confirmed}; {silent} did not answer and cannot {undone} any more; {took}.");
    }
    match who.nodes_confirmed {
        0 | 1 => format!("{done} on the server, {took}."),
        2 => format!("{done} on both servers, {took}."),
        all => format!("{done} on all {} servers, {took}.", grouped(all.into())),
    }
}

/// A short length of time, measured: `14 ms`, `7.0 s`.
fn took(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "less than 1 ms".to_owned(),
        ms @ 1..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

fn moment(then: Timestamp, spoken: String) -> Moment {
    Moment { spoken, exact: then.exact_for_people(), machine: then.to_string() }
}

fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..MINUTE_SECONDS => "Just now".to_owned(),
        MINUTE_SECONDS..HOUR_SECONDS => format!("{} ago", count(seconds / MINUTE_SECONDS, "minute")),
        HOUR_SECONDS..DAY_SECONDS => format!("{} ago", count(seconds / HOUR_SECONDS, "hour")),
        _ if seconds / DAY_SECONDS < RELATIVE_DAYS => format!("{} ago", count(seconds / DAY_SECONDS, "day")),
        _ => then.date_for_people(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago_after(seconds: u64) -> String {
        let then = Timestamp::from_unix_ms(1_700_000_000_000);
        past(then.plus(Duration::from_secs(seconds)), then).spoken
    }

    #[test]
    fn a_past_moment_is_said_as_people_say_it() {
        assert_eq!(ago_after(0), "Just now");
        assert_eq!(ago_after(60), "1 minute ago");
        assert_eq!(ago_after(3 * 3_600 + 59), "3 hours ago");
        assert_eq!(ago_after(29 * 86_400), "29 days ago");
        assert_eq!(ago_after(30 * 86_400), "14 Nov 2023");
    }

    #[test]
    fn a_moment_that_lies_ahead_by_a_skewed_clock_is_just_now() {
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        assert_eq!(past(now, now.plus(Duration::from_secs(90))).spoken, "Just now");
    }

    #[test]
    fn numbers_and_lists_read_as_prose() {
        assert_eq!(count(1, "key"), "1 key");
        assert_eq!(count(3_000, "request"), "3,000 requests");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(list(&["Agency", "Agency+"], "and"), "Agency and Agency+");
        assert_eq!(list(&["A", "B", "C"], "or"), "A, B or C");
        assert_eq!(list(&[], "or"), "");
    }

    #[test]
    fn an_expiry_says_how_long_is_left() {
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let in_days = |days: u64| expiry(now, now.plus(Duration::from_secs(days * 86_400 + 60))).spoken;
        assert_eq!(in_days(0), "Expires within a day");
        assert_eq!(in_days(1), "Expires in 1 day");
        assert_eq!(in_days(12), "Expires in 12 days");
        assert_eq!(in_days(31), "Expires 15 Dec 2023");
        let just_made = expiry(now, now.plus(Duration::from_secs(12 * 86_400 - 1)));
        assert_eq!(just_made.spoken, "Expires in 12 days");
    }

    #[test]
    fn who_refuses_a_deleted_key_is_said_in_plain_words() {
        let who = |nodes_confirmed, nodes_expired, ms| {
            let took = Duration::from_millis(ms);
            refused(&Confirmation { nodes_confirmed, nodes_expired, took })
        };
        assert_eq!(who(1, 0, 0), "Refused on the server, less than 1 ms.");
        assert_eq!(who(2, 0, 9), "Refused on both servers, 9 ms.");
        assert_eq!(who(3, 0, 14), "Refused on all 3 servers, 14 ms.");
        let silent = "2 servers confirmed; 1 did not answer and cannot accept it any more; 7.0 s.";
        assert_eq!(who(2, 1, 7_003), silent);
        assert_eq!(who(0, 1, 7_003), silent.replace("2 servers", "No server"));
        let changed = Confirmation { nodes_confirmed: 3, nodes_expired: 0, took: Duration::from_millis(5) };
        assert_eq!(in_force(&changed), "In force on all 3 servers, 5 ms.");
    }

    #[test]
    fn a_moment_to_come_is_said_by_the_day() {
        let now: Timestamp = "2026-11-23T14:05:00Z".parse().unwrap();
        let at = |text: &str| future(now, text.parse().unwrap()).spoken;
        assert_eq!(at("2026-11-23T15:05:00Z"), "today at 15:05 UTC");
        assert_eq!(at("2026-11-24T00:00:00Z"), "tomorrow at 00:00 UTC");
        assert_eq!(at("2026-11-30T14:05:00Z"), "30 Nov 2026, 14:05 UTC");
    }

    #[test]
    fn what_is_over_is_rounded_down_and_what_has_to_pass_is_rounded_up() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let second = Duration::from_secs(1);
        assert_eq!(length(Duration::ZERO), "less than a minute");
        assert_eq!(length(minutes(1)), "1 minute");
        assert_eq!(length(minutes(24 * 60)), "24 hours");
        assert_eq!(length(minutes(24 * 60).saturating_sub(second)), "23 hours");
        assert_eq!(length(minutes(7 * 24 * 60)), "7 days");
        assert_eq!(length_up(minutes(24 * 60)), "24 hours");
        assert_eq!(length_up(minutes(24 * 60) + second), "25 hours");
        assert_eq!(length_up(minutes(14 * 24 * 60) + second), "15 days");
        assert_eq!(length_up(minutes(119) + second), "2 hours");
    }

    #[test]
    fn a_wait_is_rounded_up_to_what_people_can_count() {
        assert_eq!(wait(Duration::from_millis(10)), "1 second");
        assert_eq!(wait(Duration::from_secs(90)), "90 seconds");
        assert_eq!(wait(Duration::from_secs(121)), "3 minutes");
    }
}
