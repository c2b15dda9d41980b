//! `/activity`: what happened in the account, in sentences.

use askama::Template;

use super::Moment;
use super::activity_words::Part;
use super::frame::Frame;

/// `GET /activity`.
#[derive(Debug, Clone, Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    /// Frame.
    pub frame: Frame,
    /// The events, or that we cannot show them now.
    pub list: ActivityList,
    /// What one can filter by, and what was chosen.
    pub filter: FilterForm,
    /// Address of newer events.
    pub newer: Option<String>,
    /// Address of older events.
    pub older: Option<String>,
    /// Address of the same as a file for spreadsheets.
    pub csv: String,
    /// Address of the same as a file for programs.
    pub json: String,
    /// How many events a file has at most: `5,000`.
    pub file_events: String,
}

/// The events of a page.
#[derive(Debug, Clone)]
pub enum ActivityList {
    /// They could not be read; never drawn as an empty list. The address is this page's own.
    Unavailable(String),
    /// They are known.
    Known(Vec<ActivityRow>),
}

/// An event.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// What happened.
    pub what: Vec<Part>,
    /// When.
    pub at: Moment,
    /// From which address.
    pub address: Option<String>,
    /// With what: in words, and as it calls itself.
    pub client: Option<(String, String)>,
    /// In which request.
    pub request_id: Option<String>,
}

/// One of several to choose from.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The word in addresses; empty for all.
    pub value: String,
    /// In words.
    pub label: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// The form above the list.
#[derive(Debug, Clone, Default)]
pub struct FilterForm {
    /// What happened.
    pub kinds: Vec<Choice>,
    /// To which key.
    pub keys: Vec<Choice>,
    /// Who did it.
    pub people: Vec<Choice>,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// What is wrong with the days.
    pub problem: Option<String>,
    /// Whether anything is chosen.
    pub active: bool,
}
