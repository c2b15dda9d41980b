//! `/explain`: why one request was refused, or why that cannot be told.

use askama::Template;

use super::frame::Frame;
use super::{Field, Moment};

/// The page.
#[derive(Debug, Clone, Template)]
#[template(path = "refusal.html")]
pub struct RefusalPage {
    /// Frame.
    pub frame: Frame,
    /// The request id as pasted.
    pub field: Field,
    /// What there is to say of it.
    pub answer: Answer,
    /// The last refusals, to choose from; none when they cannot be listed now.
    pub recent: Option<Vec<RecentRefusal>>,
}

/// What there is to say of a request id.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing was asked.
    Nothing,
    /// It is not known: why that can be, one paragraph each.
    Unknown(Vec<String>),
    /// It was refused.
    Refused(Box<Explained>),
}

/// A refused request, in words.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Its id.
    pub request_id: String,
    /// `429`: what it was answered, as far as the door lets us say it.
    pub status: u16,
    /// `rate_limited`.
    pub code: String,
    /// Why, in one sentence.
    pub sentence: String,
    /// The rule that it met.
    pub rule: String,
    /// The budget, when it was looked at.
    pub bucket: Option<Bucket>,
    /// What would have let it pass, or would now.
    pub ways: Vec<Way>,
    /// The plan at that moment.
    pub plan_then: String,
    /// Today's plan, when it is another one.
    pub plan_today: Option<String>,
    /// When.
    pub at: Moment,
    /// The key's id, which leads to its page.
    pub key_id: String,
    /// The key's name; none when it ended too long ago to be listed.
    pub key_name: Option<String>,
    /// `Through the gateway`.
    pub door: &'static str,
    /// `POST /api/renders`.
    pub request: Option<String>,
    /// The client's address.
    pub ip: Option<String>,
    /// What the client said it was.
    pub user_agent: Option<String>,
}

/// The budget before and after.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `0 of 100 requests`.
    pub before: String,
    /// `0 of 100 requests`.
    pub after: String,
    /// Whether the numbers are one server's share.
    pub shared: bool,
}

/// Something that lets a request pass.
#[derive(Debug, Clone)]
pub struct Way {
    /// In words.
    pub text: String,
    /// Where to do it: label and address.
    pub link: Option<(String, String)>,
}

/// One line of the list of refusals.
#[derive(Debug, Clone)]
pub struct RecentRefusal {
    /// Its id.
    pub request_id: String,
    /// `Rate limit spent`.
    pub what: &'static str,
    /// The key's name; none when the key cannot be found.
    pub key_name: Option<String>,
    /// `POST /api/renders`.
    pub request: Option<String>,
    /// When.
    pub at: Moment,
}
