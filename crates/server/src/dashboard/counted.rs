//! A report of use in words, charts and tables, and as rows to take away.

use std::fmt::Write as _;

use rndrkit_control::{UsageOf, UsageRange, UsageReport, UsageRows, UsageSeries};
use rndrkit_domain::key::KeyStatus;
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::usage::{AnswerCounts, UsageCounts};

use super::view::Moment;
use super::view::chart::{Bars, DrawError, Slot};
use super::view::usage::{Answers, BucketRow, Counted, Figure, SeriesRow};
use super::view::words::{self, grouped};

/// Bars that keep clear of the label below the last one, where there is room for many labels and for few.
const CLEAR_OF_LAST: [usize; 2] = [2, 4];

/// Columns of the rows to take away.
const COLUMNS: [&str; 11] = [
    "start_utc",
    "length",
    "key_id",
    "key_name",
    "allowed",
    "limited",
    "refused",
    "answered_2xx",
    "answered_3xx",
    "answered_4xx",
    "answered_5xx",
];

/// `7 days`.
pub(super) const fn label(range: UsageRange) -> &'static str {
    match range {
        UsageRange::Day => "24 hours",
        UsageRange::Week => "7 days",
        UsageRange::Month => "30 days",
    }
}

/// `Last 7 days`.
pub(super) const fn title(range: UsageRange) -> &'static str {
    match range {
        UsageRange::Day => "Last 24 hours",
        UsageRange::Week => "Last 7 days",
        UsageRange::Month => "Last 30 days",
    }
}

/// `last 7 days`.
pub(super) fn span_in_words(range: UsageRange) -> String {
    format!("last {}", label(range))
}

/// Whether nothing was counted.
pub(super) fn is_nothing(report: &UsageReport) -> bool {
    report.total().requests() == 0
}

/// The report as it is shown.
pub(super) fn shown(report: &UsageReport, one_key: bool) -> Result<Counted, DrawError> {
    let (total, buckets) = (report.total(), report.by_bucket());
    let summary = summary(report, one_key);
    let bars = |id, title: String, series: Vec<(Slot, Vec<u64>)>, limit| Bars {
        id,
        title,
        description: format!("{summary} The table below has the numbers."),
        labels: labels(report, false),
        few_labels: labels(report, true),
        series,
        limit,
    };
    let limit = report.plan.api_access.then(|| report.bucket_limit());
    let by_key: Vec<(Slot, Vec<u64>)> = report
        .series
        .iter()
        .enumerate()
        .map(|(place, series)| (Slot::Key(place), of(&series.counts, |counts| counts.allowed)))
        .collect();
    let split = if report.series.len() > 1 { ", by key" } else { "" };
    let allowed = bars("allowed", format!("Allowed {}{split}", every(report.range)), by_key, limit);
    let turned_away = vec![
        (Slot::Limited, of(&buckets, |counts| counts.limited)),
        (Slot::Refused, of(&buckets, |counts| counts.refused)),
    ];
    let refused =
        bars("turned-away", format!("Limited and refused {}", every(report.range)), turned_away, None);
    Ok(Counted {
        figures: figures(total),
        allowed: (total.allowed > 0).then(|| allowed.draw()).transpose()?,
        turned_away: (total.limited + total.refused > 0).then(|| refused.draw()).transpose()?,
        limit: limit_in_words(report, total.limited > 0),
        limit_label: format!("Plan’s limit, {} {}", grouped(report.bucket_limit()), per(report.range)),
        running: running(report),
        series: report.series.iter().enumerate().map(|(place, one)| series_row(report, place, one)).collect(),
        answers: answers(total.answers),
        rows: bucket_rows(report, &buckets),
        unit: match report.range {
            UsageRange::Day => "Hour",
            UsageRange::Week => "6 hours from",
            UsageRange::Month => "Day",
        },
        rows_by: if report.range == UsageRange::Month { "Day by day" } else { "Hour by hour" },
        summary,
    })
}

fn of(counts: &[UsageCounts], which: impl Fn(&UsageCounts) -> u64) -> Vec<u64> {
    counts.iter().map(which).collect()
}

fn figures(total: UsageCounts) -> [Figure; 4] {
    let figure = |label, number, meaning| Figure { label, value: grouped(number), meaning };
    [
        figure("Requests", total.requests(), "With a right and active key"),
        figure("Allowed", total.allowed, "Let through"),
        figure("Limited", total.limited, "429: above the rate limit"),
        figure("Refused", total.refused, "403: plan or suspension"),
    ]
}

/// The charts in words.
fn summary(report: &UsageReport, one_key: bool) -> String {
    let total = report.total();
    let mut text =
        format!("{} in the {}", words::count(total.requests(), "request"), span_in_words(report.range));
    if let Some(share) = share(total.allowed, report.range_limit()).filter(|_| report.plan.api_access) {
        let whose = if one_key { "what the plan allows all keys together" } else { "what the plan allows" };
        let _infallible = write!(text, ", {share} of {whose}");
    }
    let _infallible = match (total.limited, total.refused) {
        (0, 0) => write!(text, "; none was limited or refused."),
        (limited, 0) => write!(text, "; {} limited.", were(limited)),
        (0, refused) => write!(text, "; {} refused.", were(refused)),
        (limited, refused) => write!(text, "; {} limited and {} refused.", were(limited), grouped(refused)),
    };
    if let Some((start, number)) = report.busiest {
        let (unit, when) = match report.range {
            UsageRange::Month => ("day", start.day_for_people()),
            _ => ("hour", format!("{}, {}", start.day_for_people(), hours(start, 1))),
        };
        let number = words::count(number, "request");
        let _infallible = write!(text, " Busiest {unit}: {when}, with {number}.");
    }
    text
}

fn were(number: u64) -> String {
    if number == 1 { "1 was".to_owned() } else { format!("{} were", grouped(number)) }
}

/// A part in whole percent; none of nothing.
fn share(part: u64, whole: u64) -> Option<String> {
    let percent = part.saturating_mul(100).checked_div(whole)?;
    Some(if percent == 0 { "less than 1%".to_owned() } else { format!("{}%", grouped(percent)) })
}

fn limit_in_words(report: &UsageReport, was_limited: bool) -> String {
    let plan = &report.plan;
    if !plan.api_access {
        return format!(
            "The {} plan does not include API access: requests get 403 until it does.",
            plan.name
        );
    }
    let rate = words::count(plan.rate_limit.per_minute.get().into(), "request");
    let mut text = format!(
        "The {} plan allows {rate} a minute, which is {} {}. The limit is the account’s: all its keys share it.",
        plan.name,
        grouped(report.bucket_limit()),
        per(report.range)
    );
    if was_limited {
        text.push_str(
            " It holds at every moment: a burst can be limited in a time that stays below it as a whole.",
        );
    }
    text
}

const fn per(range: UsageRange) -> &'static str {
    match range {
        UsageRange::Day => "an hour",
        UsageRange::Week => "in 6 hours",
        UsageRange::Month => "a day",
    }
}

const fn every(range: UsageRange) -> &'static str {
    match range {
        UsageRange::Day => "every hour",
        UsageRange::Week => "every 6 hours",
        UsageRange::Month => "every day",
    }
}

/// `14:00–15:00 UTC`.
fn hours(start: Timestamp, length: u32) -> String {
    let end = start.plus(std::time::Duration::from_secs(3_600) * length);
    format!("{}–{} UTC", start.time_for_people(), end.time_for_people())
}

fn running(report: &UsageReport) -> String {
    let last = report.starts.last().copied().unwrap_or(report.now);
    let what = match report.range {
        UsageRange::Day => format!("the hour that is running ({})", hours(last, 1)),
        UsageRange::Week => format!("the 6 hours that are running ({})", hours(last, 6)),
        UsageRange::Month => format!("today ({})", last.day_for_people()),
    };
    format!("Times are UTC. The last bar, “now”, is {what} so far. Requests show within a minute.")
}

/// What stands below the bars: round times, and `now` below the last.
fn labels(report: &UsageReport, few: bool) -> Vec<String> {
    let last = report.starts.len().saturating_sub(1);
    let [clear_many, clear_few] = CLEAR_OF_LAST;
    let clear = if few { clear_few } else { clear_many };
    let label = |(index, start): (usize, &Timestamp)| {
        let from_end = last - index.min(last);
        let (hour, day) = (start.unix_ms() / 3_600_000 % 24, start.unix_ms() / 86_400_000);
        let round = match report.range {
            UsageRange::Day => hour % (if few { 8 } else { 3 }) == 0,
            UsageRange::Week => hour == 0 && day % (if few { 3 } else { 1 }) == 0,
            UsageRange::Month => from_end.is_multiple_of(if few { 10 } else { 5 }),
        };
        match from_end {
            0 => "now".to_owned(),
            near if near < clear || !round => String::new(),
            _ if report.range == UsageRange::Day => start.time_for_people(),
            _ => start.day_for_people(),
        }
    };
    report.starts.iter().enumerate().map(label).collect()
}

fn name(series: &UsageSeries) -> String {
    match &series.of {
        UsageOf::Key(key) => key.name.to_string(),
        UsageOf::OtherKeys => "Other keys".to_owned(),
    }
}

fn series_row(report: &UsageReport, place: usize, series: &UsageSeries) -> SeriesRow {
    let total = series.total();
    let (address, past) = match &series.of {
        UsageOf::Key(key) => {
            let address = format!("/settings/api-keys/{}?range={}", key.id, report.range.word());
            (Some(address), key.status(report.now) != KeyStatus::Active)
        }
        UsageOf::OtherKeys => (None, false),
    };
    SeriesRow {
        slot: Slot::Key(place),
        name: name(series),
        address,
        past,
        allowed: grouped(total.allowed),
        limited: grouped(total.limited),
        refused: grouped(total.refused),
    }
}

fn answers(counts: AnswerCounts) -> Answers {
    if counts.total() == 0 {
        return Answers::NotSeen;
    }
    Answers::Seen(vec![
        ("2xx", "successful", grouped(counts.successful)),
        ("3xx", "sent elsewhere", grouped(counts.redirection)),
        ("4xx", "the request was at fault", grouped(counts.client_error)),
        ("5xx", "the server was at fault", grouped(counts.server_error)),
    ])
}

fn bucket_rows(report: &UsageReport, buckets: &[UsageCounts]) -> Vec<BucketRow> {
    let names: Vec<String> = report.series.iter().map(name).collect();
    let row = |(index, (start, counts)): (usize, (&Timestamp, &UsageCounts))| {
        let by_series = report.series.iter().zip(&names).map(|(series, name)| {
            let allowed = series.counts.get(index).map_or(0, |counts| counts.allowed);
            (name.clone(), grouped(allowed))
        });
        let spoken = match report.range {
            UsageRange::Month => start.day_for_people(),
            _ => format!("{}, {}", start.day_for_people(), start.time_for_people()),
        };
        BucketRow {
            start: Moment { spoken, exact: start.exact_for_people(), machine: start.to_string() },
            running: index + 1 == report.starts.len(),
            allowed: grouped(counts.allowed),
            by_series: if names.len() > 1 { by_series.collect() } else { Vec::new() },
            limited: grouped(counts.limited),
            refused: grouped(counts.refused),
        }
    };
    let mut rows: Vec<BucketRow> = report.starts.iter().zip(buckets).enumerate().map(row).collect();
    rows.reverse();
    rows
}

/// Rows for other programs: a head, what is stored, and, when there was more, a last row that says so.
pub(super) fn rows_to_take_away(range: UsageRange, rows: &UsageRows) -> Vec<Vec<String>> {
    let mut table = vec![COLUMNS.map(ToOwned::to_owned).to_vec()];
    for row in &rows.rows {
        let (counts, answers) = (row.counts, row.counts.answers);
        let numbers = [
            counts.allowed,
            counts.limited,
            counts.refused,
            answers.successful,
            answers.redirection,
            answers.client_error,
            answers.server_error,
        ];
        let name = rows.names.get(&row.key_id).cloned().unwrap_or_default();
        let mut cells =
            vec![row.starts_at.to_string(), range.period().as_str().to_owned(), row.key_id.to_string(), name];
        cells.extend(numbers.map(|number| number.to_string()));
        table.push(cells);
    }
    if let Some(cut_at) = rows.cut_at {
        let note =
            format!("Cut off after {} rows. Ask for one key, or for a shorter time.", grouped(cut_at.into()));
        table.push(vec![note]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_in_whole_percent_and_never_hides_a_little() {
        assert_eq!(share(1, 1_000).unwrap(), "less than 1%");
        assert_eq!(share(20, 1_000).unwrap(), "2%");
        assert_eq!(share(2_500, 1_000).unwrap(), "250%");
        assert_eq!(share(1, 0), None);
    }
}
