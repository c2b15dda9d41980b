//! States of the pages of use, for the gallery.

use askama::Template as _;
use rndrkit_domain::time::Timestamp;
use rndrkit_server::dashboard::view::chart::{Bars, Slot};
use rndrkit_server::dashboard::view::frame::Place;
use rndrkit_server::dashboard::view::keys::LastUsed;
use rndrkit_server::dashboard::view::usage::{
    Answers, BucketRow, Counted, Figure, KeyFacts, KeyPage, KeyRefusal, Nothing, NothingNext, RangeLink,
    SeriesRow, UsageContent, UsagePage, UsageSection,
};
use rndrkit_server::dashboard::view::{Moment, words};

use super::rotation::rotated;
use super::{DAY_MS, NOW_MS, before, frame, now, sample};

const BARS: u64 = 30;
const NAMES: [&str; 6] = [
    "CI/CD Pipeline",
    "Deployment Script",
    "<b>Staging</b> & \"tests\"",
    "مفتاح النشر",
    "Contractor",
    "Other keys",
];

/// Some number that looks like traffic.
fn traffic(series: u64, bar: u64) -> u64 {
    (1_200 / (series + 1)) * (10 + (bar * 7 + series * 3) % 11) / 10
        * u64::from(!(bar + series).is_multiple_of(9))
}

fn turned_away(bar: u64) -> [u64; 2] {
    [if bar % 8 == 3 { 40 + bar } else { 0 }, if bar == 20 { 25 } else { 0 }]
}

fn bars(id: &'static str, title: &str, series: Vec<(Slot, Vec<u64>)>, limit: Option<u64>) -> Bars {
    let labels = |every: u64| {
        (0..BARS).map(move |bar| if bar % every == 4 { format!("{} Nov", bar + 1) } else { String::new() })
    };
    Bars {
        id,
        title: title.to_owned(),
        description: "The table below has the numbers.".to_owned(),
        labels: labels(5).collect(),
        few_labels: labels(10).collect(),
        series,
        limit,
    }
}

fn counted(keys: usize) -> Counted {
    let slots = |series: u64| (0..BARS).map(|bar| traffic(series, bar)).collect::<Vec<_>>();
    let by_key = (0..keys).map(|key| (Slot::Key(key), slots(key as u64))).collect();
    let (limited, refused) = (0..BARS).map(turned_away).map(|[limited, refused]| (limited, refused)).unzip();
    let away = vec![(Slot::Limited, limited), (Slot::Refused, refused)];
    let figure = |label, value: &str, meaning| Figure { label, value: value.to_owned(), meaning };
    let row = |bar: u64| {
        let start = Timestamp::from_unix_ms(NOW_MS - i64::try_from(BARS - bar).unwrap() * DAY_MS);
        let by_series = NAMES.iter().take(keys).map(|name| ((*name).to_owned(), "1,200".to_owned()));
        BucketRow {
            start: Moment {
                spoken: start.day_for_people(),
                exact: start.exact_for_people(),
                machine: start.to_string(),
            },
            running: bar + 1 == BARS,
            allowed: "4,310".to_owned(),
            by_series: if keys > 1 { by_series.collect() } else { Vec::new() },
            limited: turned_away(bar)[0].to_string(),
            refused: turned_away(bar)[1].to_string(),
        }
    };
    let series = NAMES.iter().take(keys).enumerate().map(|(place, name)| SeriesRow {
        slot: Slot::Key(place),
        name: (*name).to_owned(),
        address: (place < 5).then(|| "/settings/api-keys/key_1?range=30d".to_owned()),
        past: place == 4,
        allowed: "31,900".to_owned(),
        limited: "140".to_owned(),
        refused: "0".to_owned(),
    });
    Counted {
        figures: [
            figure("Requests", "81,204", "With a right and active key"),
            figure("Allowed", "80,966", "Let through"),
            figure("Limited", "213", "429: above the rate limit"),
            figure("Refused", "25", "403: plan or suspension"),
        ],
        summary: "81,204 requests in the last 30 days, 3% of what the plan allows. Busiest day: 12 Nov, with 4,310 requests.".to_owned(),
        limit: "The Agency plan allows 600 requests a minute, which is 864,000 a day. The limit is the account’s: all its keys share it.".to_owned(),
        running: "Times are UTC. The last bar, “now”, is today so far. Requests show within a minute.".to_owned(),
        allowed: Some(bars("allowed", "Allowed every day, by key", by_key, Some(4_000)).draw().unwrap()),
        limit_label: "Plan’s limit, 864,000 a day".to_owned(),
        turned_away: Some(bars("turned-away", "Limited and refused every day", away, None).draw().unwrap()),
        series: series.collect(),
        answers: if keys == 1 {
            Answers::NotSeen
        } else {
            Answers::Seen(vec![("2xx", "successful", "79,100".to_owned()), ("5xx", "the server was at fault", "12".to_owned())])
        },
        rows: (0..BARS).rev().map(row).collect(),
        unit: "Day",
        rows_by: "Day by day",
    }
}

fn section(one_key: bool, content: UsageContent) -> UsageSection {
    let range = |label, current| RangeLink { label, address: "/usage?range=30d".to_owned(), current };
    UsageSection {
        title: "Last 30 days",
        ranges: vec![range("24 hours", false), range("7 days", false), range("30 days", true)],
        csv: "/usage.csv?range=30d".to_owned(),
        one_key,
        content,
    }
}

fn nothing(next: NothingNext) -> UsageContent {
    UsageContent::Nothing(Nothing { sentence: "No requests in the last 30 days.".to_owned(), next })
}

fn key(active: bool, content: UsageContent) -> String {
    let key = KeyFacts {
        id: "key_1".to_owned(),
        name: "Production render farm in eu-central, used by the nightly jobs".to_owned(),
        environment: active.then(|| "production".to_owned()),
        mask: "rk_live_9fQz".to_owned(),
        active,
        status: if active { "Active" } else { "Deleted in the dashboard" }.to_owned(),
        created: words::day(before(12 * DAY_MS)),
        last_used: LastUsed::At(words::past(now(), before(DAY_MS))),
        end: (!active).then(|| ("Ended", words::past(now(), before(DAY_MS)))),
        may_rotate: active,
        old: if active { rotated(false).old } else { None },
    };
    let refusal = |status, why, advice, request: &str| KeyRefusal {
        request_id: "req_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned(),
        at: words::past(now(), before(DAY_MS)),
        status,
        why,
        advice,
        request: request.to_owned(),
        from: Some("192.0.2.7".to_owned()),
    };
    let rows = vec![
        refusal(
            429,
            "Rate limit spent",
            "Wait as long as Retry-After says, or spread the requests.",
            "POST /api/renders",
        ),
        refusal(403, "Plan without API access", "It needs a plan with API access.", ""),
    ];
    let refusals = Some(if active { rows } else { Vec::new() });
    let frame = frame(Place::Settings, "Agency");
    let page = KeyPage { frame, key, usage: section(true, content), refusals };
    page.render().unwrap()
}

/// Every state of both pages.
pub fn all() -> Vec<(&'static str, String)> {
    let account = |content| {
        let page = UsagePage { frame: frame(Place::Usage, "Agency"), usage: section(false, content) };
        page.render().unwrap()
    };
    let lacks = "The Starter plan does not include API access.".to_owned();
    vec![
        ("usage", account(UsageContent::Counted(Box::new(counted(6))))),
        ("usage-one-key", account(UsageContent::Counted(Box::new(counted(1))))),
        ("usage-nothing", account(nothing(NothingNext::Call(sample())))),
        ("usage-no-key", account(nothing(NothingNext::CreateKey))),
        ("usage-locked", account(nothing(NothingNext::Upgrade(lacks)))),
        ("usage-failed", account(UsageContent::Unavailable("/usage?range=30d".to_owned()))),
        ("key", key(true, UsageContent::Counted(Box::new(counted(1))))),
        ("key-past", key(false, nothing(NothingNext::Past))),
    ]
}
