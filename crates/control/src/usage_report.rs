//! Use as people look at it: the last day, week or month in even stretches, by key, beside the plan's limit; and
//! the rows behind it, to be taken away.

use std::collections::HashMap;
use std::time::Duration;

use rndrkit_domain::account::Account;
use rndrkit_domain::id::{AccountId, KeyId};
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::observation::Refusal;
use rndrkit_domain::plan::Plan;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{KeyUsage, UsageCounts, UsagePeriod, UsageSum};

use crate::{Context, Control, Error};

/// Series that a report tells apart: more cannot be told apart in a chart either.
const MAX_SERIES: usize = 6;
/// Rows of one download: what six keys do by the hour in a week and a half of always being used.
const MAX_ROWS: u32 = 10_000;
/// Refusals that a key's page lists: enough to see what goes wrong.
const KEY_REFUSALS: u32 = 20;
const HOUR: Duration = UsagePeriod::Hour.length();
const DAY: Duration = UsagePeriod::Day.length();

/// How far back a report goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsageRange {
    /// 24 hours, hour by hour.
    Day,
    /// 7 days, in quarters of a day.
    Week,
    /// 30 days, day by day.
    Month,
}

impl UsageRange {
    /// Every range, shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The range of a word in an address, if it is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.word() == word)
    }

    /// The word in addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// How use is counted in it: hours are kept for 14 days, days for longer.
    #[must_use]
    pub const fn period(self) -> UsagePeriod {
        match self {
            Self::Day | Self::Week => UsagePeriod::Hour,
            Self::Month => UsagePeriod::Day,
        }
    }

    /// Length of one bucket of the report: one or several periods.
    #[must_use]
    pub fn bucket(self) -> Duration {
        match self {
            Self::Day => HOUR,
            Self::Week => HOUR * 6,
            Self::Month => DAY,
        }
    }

    /// How many buckets there are; the last is the one that is running.
    #[must_use]
    pub const fn buckets(self) -> u32 {
        match self {
            Self::Day => 24,
            Self::Week => 28,
            Self::Month => 30,
        }
    }

    /// From the start of the first bucket to the end of the one that is running at `now`.
    #[must_use]
    pub fn span(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let running = now.floor_to(self.bucket());
        (running.minus(self.bucket() * (self.buckets() - 1)), running.plus(self.bucket()))
    }
}

/// Whose requests a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageOf {
    /// This key's; past keys are named as well.
    Key(Box<ApiKey>),
    /// Those of all keys that are not named, together.
    OtherKeys,
}

/// One series of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSeries {
    /// Whose.
    pub of: UsageOf,
    /// Bucket by bucket.
    pub counts: Vec<UsageCounts>,
}

impl UsageSeries {
    /// All buckets together.
    #[must_use]
    pub fn total(&self) -> UsageCounts {
        sum(&self.counts)
    }
}

/// What an account, or one key of it, did in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The account.
    pub account: Account,
    /// Its plan now.
    pub plan: Plan,
    /// How far back.
    pub range: UsageRange,
    /// When it was asked for.
    pub now: Timestamp,
    /// Starts of the buckets, the running one last.
    pub starts: Vec<Timestamp>,
    /// Busiest first; others together last.
    pub series: Vec<UsageSeries>,
    /// The hour (or day, in a month) with the most requests, and how many.
    pub busiest: Option<(Timestamp, u64)>,
}

impl UsageReport {
    /// All series together, bucket by bucket.
    #[must_use]
    pub fn by_bucket(&self) -> Vec<UsageCounts> {
        let of = |bucket| self.series.iter().filter_map(move |series| series.counts.get(bucket));
        (0..self.starts.len()).map(|bucket| sum(of(bucket))).collect()
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> UsageCounts {
        sum(&self.by_bucket())
    }

    /// How many requests the plan lets through in one bucket, at its steady rate.
    #[must_use]
    pub fn bucket_limit(&self) -> u64 {
        self.limit_of(self.range.bucket())
    }

    /// How many it would have let through from the start of the range until now.
    #[must_use]
    pub fn range_limit(&self) -> u64 {
        self.starts.first().map_or(0, |first| self.limit_of(self.now.since(*first)))
    }

    fn limit_of(&self, duration: Duration) -> u64 {
        u64::from(self.plan.rate_limit.per_minute.get()).saturating_mul(duration.as_secs()) / 60
    }
}

/// Rows to take away: what is stored, with the names of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRows {
    /// Oldest first.
    pub rows: Vec<KeyUsage>,
    /// Names of the keys that still have one.
    pub names: HashMap<KeyId, String>,
    /// Set when there were more rows: how many are here.
    pub cut_at: Option<u32>,
}

impl Control {
    /// What an account's keys did in a range: up to six series, all that is beyond them in the last.
    pub async fn usage_report(
        &self,
        context: &Context,
        account_id: AccountId,
        range: UsageRange,
    ) -> Result<UsageReport, Error> {
        let view = self.get_account(context, account_id).await?;
        context.require_reader_of(account_id)?;
        let (now, period) = (self.now(), range.period());
        let span = range.span(now);
        let probe = u32::try_from(MAX_SERIES + 1).unwrap_or(u32::MAX);
        let mut named = self.store().list_busiest_keys(account_id, period, span, probe).await?;
        if named.len() > MAX_SERIES {
            named.truncate(MAX_SERIES - 1);
        }
        let keys = self.store().find_keys(account_id, &named).await?;
        // A key that is in no list any more is counted with the others.
        let keys: Vec<ApiKey> =
            named.iter().filter_map(|id| keys.iter().find(|key| key.id == *id).cloned()).collect();
        let named: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        let sums = self.store().sum_usage(account_id, period, span, &named).await?;
        let mut report = Self::empty_report(view.account, view.plan, range, now);
        report.busiest = busiest(&sums);
        let owners = keys.into_iter().map(|key| (Some(key.id), UsageOf::Key(Box::new(key))));
        for (id, of) in owners.chain([(None, UsageOf::OtherKeys)]) {
            let own: Vec<&UsageSum> = sums.iter().filter(|sum| sum.key_id == id).collect();
            if id.is_some() || !own.is_empty() {
                report.series.push(UsageSeries { of, counts: in_buckets(&report.starts, range, &own) });
            }
        }
        Ok(report)
    }

    /// What one key did in a range. Somebody else's key is not found; a past one is.
    pub async fn key_usage_report(
        &self,
        context: &Context,
        id: KeyId,
        range: UsageRange,
    ) -> Result<UsageReport, Error> {
        let key = self.get_key(context, id).await?;
        let view = self.get_account(context, key.account_id).await?;
        context.require_reader_of(key.account_id)?;
        let now = self.now();
        let rows = self.store().list_key_usage(id, range.period(), range.span(now), MAX_ROWS).await?;
        let sums: Vec<UsageSum> = rows
            .into_iter()
            .map(|row| UsageSum { key_id: Some(id), starts_at: row.starts_at, counts: row.counts })
            .collect();
        let mut report = Self::empty_report(view.account, view.plan, range, now);
        report.busiest = busiest(&sums);
        let counts = in_buckets(&report.starts, range, &sums.iter().collect::<Vec<_>>());
        report.series.push(UsageSeries { of: UsageOf::Key(Box::new(key)), counts });
        Ok(report)
    }

    /// The last refused requests of one key, newest first.
    pub async fn key_refusals(&self, context: &Context, id: KeyId) -> Result<Vec<Refusal>, Error> {
        let key = self.get_key(context, id).await?;
        context.require_reader_of(key.account_id)?;
        Ok(self.store().list_refusals(key.account_id, Some(id), KEY_REFUSALS).await?)
    }

    /// The rows behind a report, of an account or of one key of it.
    pub async fn usage_rows(
        &self,
        context: &Context,
        account_id: AccountId,
        key_id: Option<KeyId>,
        range: UsageRange,
    ) -> Result<UsageRows, Error> {
        context.require_reader_of(account_id)?;
        let (span, period) = (range.span(self.now()), range.period());
        let mut rows = match key_id {
            None => self.store().list_usage(account_id, period, span, MAX_ROWS + 1).await?,
            Some(id) => {
                let key = self.get_key(context, id).await?;
                if key.account_id != account_id {
                    return Err(Error::NotFound);
                }
                self.store().list_key_usage(id, period, span, MAX_ROWS + 1).await?
            }
        };
        let cut_at = (rows.len() > MAX_ROWS as usize).then_some(MAX_ROWS);
        rows.truncate(MAX_ROWS as usize);
        let mut ids: Vec<KeyId> = rows.iter().map(|row| row.key_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let keys = self.store().find_keys(account_id, &ids).await?;
        let names = keys.into_iter().map(|key| (key.id, key.name.to_string())).collect();
        Ok(UsageRows { rows, names, cut_at })
    }

    fn empty_report(account: Account, plan: Plan, range: UsageRange, now: Timestamp) -> UsageReport {
        let (first, _) = range.span(now);
        let starts = (0..range.buckets()).map(|number| first.plus(range.bucket() * number)).collect();
        UsageReport { account, plan, range, now, starts, series: Vec::new(), busiest: None }
    }
}

fn sum<'a>(counts: impl IntoIterator<Item = &'a UsageCounts>) -> UsageCounts {
    counts.into_iter().fold(UsageCounts::default(), |sum, counts| sum.plus(*counts))
}

fn in_buckets(starts: &[Timestamp], range: UsageRange, sums: &[&UsageSum]) -> Vec<UsageCounts> {
    let of =
        |start: Timestamp| sums.iter().filter(move |sum| sum.starts_at.floor_to(range.bucket()) == start);
    starts.iter().map(|start| sum(of(*start).map(|one| &one.counts))).collect()
}

/// The earliest of the busiest stretches, with all that its keys asked.
fn busiest(sums: &[UsageSum]) -> Option<(Timestamp, u64)> {
    let mut stretches: Vec<(Timestamp, u64)> = Vec::new();
    for sum in sums {
        let requests = sum.counts.requests();
        match stretches.last_mut() {
            Some((start, total)) if *start == sum.starts_at => *total = total.saturating_add(requests),
            _ => stretches.push((sum.starts_at, requests)),
        }
    }
    stretches
        .into_iter()
        .filter(|(_, total)| *total > 0)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn allowed(number: u64) -> UsageCounts {
        UsageCounts { allowed: number, ..UsageCounts::default() }
    }

    #[test]
    fn a_range_ends_with_the_bucket_that_is_running_and_has_its_full_length() {
        let now = at("2026-11-23T14:05:07Z");
        for (range, from, to) in [
            (UsageRange::Day, "2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z"),
            (UsageRange::Week, "2026-11-16T18:00:00Z", "2026-11-23T18:00:00Z"),
            (UsageRange::Month, "2026-10-25T00:00:00Z", "2026-11-24T00:00:00Z"),
        ] {
            assert_eq!(range.span(now), (at(from), at(to)), "{range:?}");
            assert_eq!(UsageRange::parse(range.word()), Some(range));
        }
        assert_eq!(UsageRange::parse("1y"), None);
    }

    #[test]
    fn hours_are_added_up_into_the_bucket_they_lie_in() {
        let hour =
            |text: &str, number| UsageSum { key_id: None, starts_at: at(text), counts: allowed(number) };
        let sums = [
            hour("2026-11-23T06:00:00Z", 3),
            hour("2026-11-23T11:00:00Z", 4),
            hour("2026-11-23T12:00:00Z", 9),
        ];
        let starts = [at("2026-11-23T00:00:00Z"), at("2026-11-23T06:00:00Z"), at("2026-11-23T12:00:00Z")];
        let sums: Vec<&UsageSum> = sums.iter().collect();
        assert_eq!(in_buckets(&starts, UsageRange::Week, &sums), [allowed(0), allowed(7), allowed(9)]);
    }

    #[test]
    fn the_busiest_stretch_counts_all_keys_and_is_the_earliest_of_equals() {
        let sum =
            |text: &str, number| UsageSum { key_id: None, starts_at: at(text), counts: allowed(number) };
        let (nine, ten, eleven) = ("2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z");
        let sums = [sum(nine, 5), sum(ten, 4), sum(ten, 2), sum(eleven, 6)];
        assert_eq!(busiest(&sums), Some((at(ten), 6)));
        assert_eq!(busiest(&[sum(nine, 0)]), None);
    }
}
