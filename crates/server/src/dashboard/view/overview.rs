//! `/`: where the account stands, and how to make the first call.

use askama::Template;

use super::frame::Frame;
use super::hints::HintLine;
use super::keys::Sample;

/// What deserves a look.
#[derive(Debug, Clone)]
pub enum Attention {
    /// There is nothing to look at, or the page says what is the matter elsewhere.
    Hidden,
    /// It could not be found out.
    Unknown,
    /// All is well.
    Nothing,
    /// These do.
    Some {
        /// The first ones, about the account and then about its keys.
        hints: Vec<HintLine>,
        /// How many there are beside these.
        more: usize,
    },
}

/// The page.
#[derive(Debug, Clone, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    /// Frame.
    pub frame: Frame,
    /// Whether the plan has API access.
    pub api_access: bool,
    /// Active keys; none when they cannot be counted now.
    pub active_keys: u64,
    /// The most that the plan allows.
    pub key_limit: u64,
    /// `600 requests a minute`.
    pub rate: String,
    /// `100 at once`.
    pub burst: String,
    /// What deserves a look.
    pub attention: Attention,
    /// `Agency and Agency+ plans`; empty when no plan has API access.
    pub plans_with_access: String,
    /// What to try.
    pub sample: Sample,
}
