//! What the pages show: one plain struct per page, filled by handlers, drawn by a template.
//!
//! Nothing here asks the control plane anything, so every state of every page can be drawn from fixtures.

pub mod account;
pub mod activity;
pub mod activity_words;
pub mod billing;
pub mod chart;
pub mod errors;
pub mod frame;
pub mod gate;
pub mod hints;
pub mod keys;
pub mod notifications;
pub mod overview;
pub mod refusal;
pub mod rotation;
pub mod settings;
pub mod usage;
pub mod words;

// A sign-in from a new place is told by the same words.
pub use rndrkit_domain::browser as browser_words;

/// A text field of a form, as typed, with what is wrong about it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// What was typed; passwords are never given back.
    pub value: String,
    /// What to do about it.
    pub problem: Option<String>,
}

impl Field {
    /// A field that holds `value` and has no fault.
    #[must_use]
    pub fn holding(value: impl Into<String>) -> Self {
        Self { value: value.into(), problem: None }
    }
}

/// A moment: as people say it, exactly, and for programs.
#[derive(Debug, Clone)]
pub struct Moment {
    /// `3 minutes ago`.
    pub spoken: String,
    /// `23 Nov 2026, 14:05 UTC`.
    pub exact: String,
    /// RFC 3339.
    pub machine: String,
}
