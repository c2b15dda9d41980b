//! Reading counted use.

use std::time::Duration;

use rndrkit_domain::id::AccountId;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::DailyUsage;

use crate::error::InvalidField;
use crate::{Context, Control, Error};

const DAY: Duration = Duration::from_secs(86_400);
/// Days that one question may span: a year and a day.
const MAX_DAYS: u64 = 366;
/// Days that are answered when `from` is not given.
const DEFAULT_DAYS: u32 = 30;

impl Control {
    /// Use of an account's keys by day, both days included. Days are UTC, `2026-11-23`; `to` defaults to
    /// today and `from` to 30 days up to `to`.
    pub async fn daily_usage(
        &self,
        context: &Context,
        account_id: AccountId,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Vec<DailyUsage>, Error> {
        context.require_reader_of(account_id)?;
        let (from, to) = span(self.now(), from, to)?;
        // The store's end is the first day that is left out.
        Ok(self.store().daily_usage(account_id, from, to.plus(DAY)).await?)
    }
}

fn span(now: Timestamp, from: Option<&str>, to: Option<&str>) -> Result<(Timestamp, Timestamp), Error> {
    let mut errors = Vec::new();
    let mut read = |field, text: Option<&str>| {
        let day = text.map(parse_day);
        if day == Some(None) {
            errors.push(InvalidField { field, detail: "Use a day such as 2026-11-23.".to_owned() });
        }
        day.flatten()
    };
    let (from, to) = (read("from", from), read("to", to));
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let to = to.unwrap_or_else(|| now.floor_to(DAY));
    let from = from.unwrap_or_else(|| to.minus(DAY * (DEFAULT_DAYS - 1)));
    if from > to {
        return Err(Error::invalid("from", "Use a day that is not after `to`."));
    }
    if to.since(from).as_secs() / DAY.as_secs() >= MAX_DAYS {
        return Err(Error::invalid("from", "Ask for at most 366 days at once."));
    }
    Ok((from, to))
}

fn parse_day(text: &str) -> Option<Timestamp> {
    let shaped = text.len() == "2026-11-23".len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if shaped { format!("{text}T00:00:00Z").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T14:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_question_without_days_covers_the_last_thirty() {
        let (from, to) = span(now(), None, None).unwrap();
        assert_eq!((from.date(), to.date()), ("2026-10-25".to_owned(), "2026-11-23".to_owned()));
    }

    #[test]
    fn bad_days_and_endless_spans_are_refused_together() {
        assert!(matches!(span(now(), Some("x"), Some("2026-13-01")), Err(Error::Invalid(e)) if e.len() == 2));
        assert!(span(now(), Some("2026-11-24"), Some("2026-11-23")).is_err());
        assert!(span(now(), Some("2025-01-01"), Some("2026-11-23")).is_err());
    }
}
