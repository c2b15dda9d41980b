//! Counted use: the page of an account, the page of a key, and what both share.

use askama::Template;

use super::Moment;
use super::chart::{Drawing, Slot};
use super::frame::Frame;
use super::keys::{LastUsed, Sample};
use super::rotation::OldSecret;

/// `GET /usage`.
#[derive(Debug, Clone, Template)]
#[template(path = "usage.html")]
pub struct UsagePage {
    /// Frame.
    pub frame: Frame,
    /// What was counted.
    pub usage: UsageSection,
}

/// `GET /settings/api-keys/{id}`.
#[derive(Debug, Clone, Template)]
#[template(path = "key.html")]
pub struct KeyPage {
    /// Frame.
    pub frame: Frame,
    /// The key.
    pub key: KeyFacts,
    /// What was counted.
    pub usage: UsageSection,
    /// Its last refused requests; none when they cannot be read now.
    pub refusals: Option<Vec<KeyRefusal>>,
}

/// A request that was refused.
#[derive(Debug, Clone)]
pub struct KeyRefusal {
    /// Its id.
    pub request_id: String,
    /// When.
    pub at: Moment,
    /// `429`.
    pub status: u16,
    /// Why.
    pub why: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// `GET /api/renders`, as far as it is known.
    pub request: String,
    /// From which address, if that is known.
    pub from: Option<String>,
}

/// A key, active or past.
#[derive(Debug, Clone)]
pub struct KeyFacts {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it is used.
    pub environment: Option<String>,
    /// Prefix and four characters.
    pub mask: String,
    /// Whether it works; a past key is not deleted again.
    pub active: bool,
    /// `Active`, or who ended it and why.
    pub status: String,
    /// When it was made.
    pub created: Moment,
    /// When it was last used.
    pub last_used: LastUsed,
    /// When it ends by itself, or ended.
    pub end: Option<(&'static str, Moment)>,
    /// Whether it may get a new secret now.
    pub may_rotate: bool,
    /// Its old secret, while that works.
    pub old: Option<OldSecret>,
}

/// A range of time, with links to the others, and what was counted in it.
#[derive(Debug, Clone)]
pub struct UsageSection {
    /// `Last 7 days`.
    pub title: &'static str,
    /// The ranges there are.
    pub ranges: Vec<RangeLink>,
    /// Where the rows behind it can be taken away.
    pub csv: String,
    /// Whether it is about one key.
    pub one_key: bool,
    /// What was counted, or why nothing is shown.
    pub content: UsageContent,
}

/// A way to another range.
#[derive(Debug, Clone)]
pub struct RangeLink {
    /// `7 days`.
    pub label: &'static str,
    /// Where.
    pub address: String,
    /// Whether it is this one.
    pub current: bool,
}

/// What a section shows.
#[derive(Debug, Clone)]
pub enum UsageContent {
    /// It could not be read; never drawn as "no requests". With the address to try again.
    Unavailable(String),
    /// Nothing was asked in this range.
    Nothing(Nothing),
    /// Something was.
    Counted(Box<Counted>),
}

/// Why there is nothing, and what to do.
#[derive(Debug, Clone)]
pub struct Nothing {
    /// `No requests in the last 7 days.`
    pub sentence: String,
    /// What follows from it.
    pub next: NothingNext,
}

/// What to do where nothing was asked.
#[derive(Debug, Clone)]
pub enum NothingNext {
    /// The plan has no API access; with what it lacks, in a sentence.
    Upgrade(String),
    /// There is no key.
    CreateKey,
    /// There is a key: how to call with it.
    Call(Sample),
    /// The key works no more.
    Past,
}

/// What was counted.
#[derive(Debug, Clone)]
pub struct Counted {
    /// All, allowed, limited, refused; exact.
    pub figures: [Figure; 4],
    /// The charts in a sentence or two.
    pub summary: String,
    /// What the plan lets through, and whose limit that is.
    pub limit: String,
    /// Which bar is not over yet.
    pub running: String,
    /// Requests that were allowed.
    pub allowed: Option<Drawing>,
    /// `Plan's limit, 36,000 an hour`.
    pub limit_label: String,
    /// Requests that were limited or refused.
    pub turned_away: Option<Drawing>,
    /// What the chart stacks, from the bottom.
    pub series: Vec<SeriesRow>,
    /// What those that were allowed were answered.
    pub answers: Answers,
    /// Bucket by bucket, latest first.
    pub rows: Vec<BucketRow>,
    /// What a row of that table is: `Hour`.
    pub unit: &'static str,
    /// What a row to take away is: `Hour by hour`.
    pub rows_by: &'static str,
}

impl Counted {
    /// Whether the table has a column for each key.
    #[must_use]
    pub fn has_columns(&self) -> bool {
        self.series.len() > 1
    }
}

/// A number of the head.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it counts.
    pub label: &'static str,
    /// The number.
    pub value: String,
    /// What it means.
    pub meaning: &'static str,
}

/// One series, as legend and as row.
#[derive(Debug, Clone)]
pub struct SeriesRow {
    /// Its look.
    pub slot: Slot,
    /// The key's name, or `Other keys`.
    pub name: String,
    /// The key's page.
    pub address: Option<String>,
    /// Whether the key works no more.
    pub past: bool,
    /// Let through.
    pub allowed: String,
    /// Refused because the budget was spent.
    pub limited: String,
    /// Refused for another reason.
    pub refused: String,
}

/// Answers by class.
#[derive(Debug, Clone)]
pub enum Answers {
    /// None passed through the gateway.
    NotSeen,
    /// Class, words, and number.
    Seen(Vec<(&'static str, &'static str, String)>),
}

/// One stretch of time.
#[derive(Debug, Clone)]
pub struct BucketRow {
    /// When it began.
    pub start: Moment,
    /// Whether it is not over.
    pub running: bool,
    /// Let through.
    pub allowed: String,
    /// Let through, series by series, with the series' name.
    pub by_series: Vec<(String, String)>,
    /// Refused because the budget was spent.
    pub limited: String,
    /// Refused for another reason.
    pub refused: String,
}
