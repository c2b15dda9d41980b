//! The section *Notifications* of the settings.

/// The section.
#[derive(Debug, Clone)]
pub struct NotificationsSection {
    /// What is chosen; none when it could not be read.
    pub choices: Option<Choices>,
    /// Whether the form has just been sent.
    pub saved: bool,
}

/// What an account is told by e-mail.
#[derive(Debug, Clone)]
pub struct Choices {
    /// One row for each kind.
    pub rows: Vec<ChoiceRow>,
    /// `ada@example.com and bob@example.com`.
    pub recipients: String,
    /// Whether this installation sends mail at all.
    pub sends_mail: bool,
}

/// A kind of news.
#[derive(Debug, Clone)]
pub struct ChoiceRow {
    /// Its word in the form.
    pub word: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What it tells.
    pub hint: &'static str,
    /// Whether it is wanted.
    pub on: bool,
}
