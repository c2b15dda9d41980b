//! Pages that stand in for one that could not be shown.

use askama::Template;

use super::frame::Gate;

/// Any error page: what happened, what it means, what to do now.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Frame.
    pub gate: Gate,
    /// What happened.
    pub title: String,
    /// What it means, and what to do; one paragraph each.
    pub paragraphs: Vec<String>,
    /// Ways on, the likeliest first: label and address.
    pub actions: Vec<(String, String)>,
    /// The request, to name in a report.
    pub request_id: Option<String>,
}
