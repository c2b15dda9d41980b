//! Reading counted use.

use std::time::Duration;

use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{KeyUsage, UsagePeriod};

use crate::error::InvalidField;
use crate::{Context, Control, Error};

const DAY: Duration = UsagePeriod::Day.length();
/// Days that one question may span: a year and a day.
const MAX_DAYS: u32 = 366;
/// The most counts that one question is answered with, a key's stretch being one: what an account of five keys
/// does by the minute in a day, or by the day in five years. More would be cut off without a word.
const MAX_COUNTS: u32 = 10_000;

/// Which counts are wanted, as texts that nobody has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageQuery<'a> {
    /// The first stretch: the one that begins this UTC day, or that this RFC 3339 moment lies in.
    pub from: Option<&'a str>,
    /// The last stretch, likewise; by default the one that is running.
    pub to: Option<&'a str>,
    /// `day` (the default), `hour` or `minute`.
    pub period: Option<&'a str>,
}

impl Control {
    /// Use of an account's keys by day, both days included. Days are UTC, `2026-11-23`; `to` defaults to
    /// today and `from` to 30 days up to `to`.
    pub async fn daily_usage(
        &self,
        context: &Context,
        account_id: AccountId,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Vec<KeyUsage>, Error> {
        context.require_reader_of(account_id)?;
        let mut reading = Reading::default();
        let asked = (reading.day("from", from), reading.day("to", to));
        let span = span(self.now(), UsagePeriod::Day, reading.done(asked)?)?;
        self.counts(account_id, UsagePeriod::Day, span).await
    }

    /// Use of an account's keys by day, hour or minute, for its operator. Without `from`, the last 30 days, 24
    /// hours or 60 minutes.
    pub async fn account_usage(
        &self,
        context: &Context,
        account_id: AccountId,
        query: UsageQuery<'_>,
    ) -> Result<Vec<KeyUsage>, Error> {
        // Also says whether the account is there.
        self.get_account(context, account_id).await?;
        let mut reading = Reading::default();
        let asked = (
            reading.period(query.period),
            reading.place("from", query.from, Side::First),
            reading.place("to", query.to, Side::Last),
        );
        let (period, from, to) = reading.done(asked)?;
        self.counts(account_id, period, span(self.now(), period, (from, to))?).await
    }

    async fn counts(
        &self,
        account_id: AccountId,
        period: UsagePeriod,
        span: (Timestamp, Timestamp),
    ) -> Result<Vec<KeyUsage>, Error> {
        let counts = self.store().list_usage(account_id, period, span, MAX_COUNTS + 1).await?;
        if counts.len() > MAX_COUNTS as usize {
            let detail = "There are more than 10,000 counts in that time. Ask for a shorter one.";
            return Err(Error::invalid("from", detail));
        }
        Ok(counts)
    }
}

/// Which end of the time a text stands for: a day is its first moment, or its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Last,
}

/// Reads texts and collects all that are not acceptable.
#[derive(Debug, Default)]
struct Reading {
    errors: Vec<InvalidField>,
}

impl Reading {
    fn day(&mut self, field: &'static str, text: Option<&str>) -> Option<Timestamp> {
        self.read(field, text, parse_day, "Use a day such as 2026-11-23.")
    }

    fn place(&mut self, field: &'static str, text: Option<&str>, side: Side) -> Option<Timestamp> {
        let parse = |text: &str| match (parse_day(text), side) {
            (None, _) => text.parse().ok(),
            (Some(day), Side::First) => Some(day),
            (Some(day), Side::Last) => Some(day.plus(DAY).minus(Duration::from_millis(1))),
        };
        self.read(
            field,
            text,
            parse,
            "Use a day such as 2026-11-23, or a moment such as 2026-11-23T14:00:00Z.",
        )
    }

    fn period(&mut self, text: Option<&str>) -> UsagePeriod {
        let parse = |text: &str| UsagePeriod::ALL.into_iter().find(|period| period.as_str() == text);
        self.read("period", text, parse, "Use day, hour or minute.").unwrap_or(UsagePeriod::Day)
    }

    fn read<T>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Option<T>,
        detail: &str,
    ) -> Option<T> {
        let text = text?;
        let read = parse(text);
        if read.is_none() {
            self.errors.push(InvalidField { field, detail: detail.to_owned() });
        }
        read
    }

    fn done<T>(self, value: T) -> Result<T, Error> {
        if self.errors.is_empty() { Ok(value) } else { Err(Error::Invalid(self.errors)) }
    }
}

/// Stretches that are answered when `from` is not given.
const fn stretches_by_default(period: UsagePeriod) -> u32 {
    match period {
        UsagePeriod::Minute => 60,
        UsagePeriod::Hour => 24,
        UsagePeriod::Day => 30,
    }
}

/// From the start of the first stretch to the end of the last.
fn span(
    now: Timestamp,
    period: UsagePeriod,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> Result<(Timestamp, Timestamp), Error> {
    let length = period.length();
    let last = to.unwrap_or(now).floor_to(length);
    let from = from.map_or_else(
        || last.minus(length * (stretches_by_default(period) - 1)),
        |from| from.floor_to(length),
    );
    if from > last {
        return Err(Error::invalid("from", "Use a time that is not after `to`."));
    }
    let end = last.plus(length);
    if end.since(from) > DAY * MAX_DAYS {
        return Err(Error::invalid("from", "Ask for at most 366 days at once."));
    }
    Ok((from, end))
}

fn parse_day(text: &str) -> Option<Timestamp> {
    let shaped = text.len() == "2026-11-23".len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if shaped { format!("{text}T00:00:00Z").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-11-23T14:05:07Z")
    }

    fn place(text: &str, side: Side) -> Option<Timestamp> {
        let mut reading = Reading::default();
        let place = reading.place("from", Some(text), side);
        assert_eq!(place.is_none(), reading.done(()).is_err(), "{text}");
        place
    }

    #[test]
    fn a_question_without_times_covers_the_last_thirty_days_a_day_or_an_hour() {
        for (period, from, to) in [
            (UsagePeriod::Day, "2026-10-25T00:00:00Z", "2026-11-24T00:00:00Z"),
            (UsagePeriod::Hour, "2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z"),
            (UsagePeriod::Minute, "2026-11-23T13:06:00Z", "2026-11-23T14:06:00Z"),
        ] {
            assert_eq!(span(now(), period, (None, None)).unwrap(), (at(from), at(to)), "{period:?}");
        }
    }

    #[test]
    fn both_stretches_that_were_named_are_included() {
        let day = at("2026-11-20T00:00:00Z");
        let (from, to) = span(now(), UsagePeriod::Day, (Some(day), Some(day))).unwrap();
        assert_eq!((from, to), (day, day.plus(DAY)));
        let whole = (place("2026-11-20", Side::First), place("2026-11-20", Side::Last));
        assert_eq!(span(now(), UsagePeriod::Minute, whole).unwrap(), (day, day.plus(DAY)));
        let moment = Some(at("2026-11-20T10:59:30Z"));
        let hour = span(now(), UsagePeriod::Hour, (moment, moment)).unwrap();
        assert_eq!(hour, (at("2026-11-20T10:00:00Z"), at("2026-11-20T11:00:00Z")));
    }

    #[test]
    fn bad_times_and_periods_are_refused_together() {
        let mut reading = Reading::default();
        reading.day("from", Some("x"));
        reading.day("to", Some("2026-13-01"));
        reading.period(Some("week"));
        assert!(matches!(reading.done(()), Err(Error::Invalid(errors)) if errors.len() == 3));
        for bad in ["", "yesterday", "2026-11-23T14:00", "1969-12-31", "2026-11-23T14:00:00 01:00"] {
            assert_eq!(place(bad, Side::First), None, "{bad}");
        }
        assert_eq!(place("2026-11-23T14:00:00+01:00", Side::First), Some(at("2026-11-23T13:00:00Z")));
    }

    #[test]
    fn times_in_the_wrong_order_and_endless_ones_are_refused() {
        let days = |from: &str, to: &str| {
            let asked = (place(from, Side::First), place(to, Side::Last));
            span(now(), UsagePeriod::Day, asked)
        };
        assert!(days("2026-11-24", "2026-11-23").is_err());
        assert!(days("2025-11-23", "2026-11-23").is_ok(), "a year and a day");
        assert!(days("2025-11-22", "2026-11-23").is_err());
        assert!(days("2030-01-01", "2030-01-02").is_ok(), "what is not yet is empty");
        assert!(span(now(), UsagePeriod::Day, (place("2026-11-24", Side::First), None)).is_err());
    }
}
