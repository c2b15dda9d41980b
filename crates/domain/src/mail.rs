//! Mail that waits to be sent. What it says is put into words when it is sent.

use std::fmt;

use crate::audit::StoredEvent;
use crate::id::{AccountId, EventId, UserId};
use crate::notification::NotificationKind;
use crate::text::Email;
use crate::time::Timestamp;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// News that the account wants to hear.
    News(NotificationKind),
    /// The link that confirms a new address. Always sent, as all that follows.
    EmailConfirmation,
    /// To an address that somebody else asked for: it is in use.
    EmailInUse,
    /// To the address so far: another one was asked for.
    EmailChangeAsked,
    /// To the address so far: it is another one now.
    EmailChanged,
    /// The password is another one now.
    PasswordChanged,
}

impl MailKind {
    /// What nobody switches off: it guards the way in.
    const ALWAYS_SENT: [Self; 5] = [
        Self::EmailConfirmation,
        Self::EmailInUse,
        Self::EmailChangeAsked,
        Self::EmailChanged,
        Self::PasswordChanged,
    ];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::News(kind) => kind.as_str(),
            Self::EmailConfirmation => "email_confirmation",
            Self::EmailInUse => "email_in_use",
            Self::EmailChangeAsked => "email_change_asked",
            Self::EmailChanged => "email_changed",
            Self::PasswordChanged => "password_changed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let own = Self::ALWAYS_SENT.into_iter().find(|kind| kind.as_str() == text);
        own.or_else(|| NotificationKind::parse(text).map(Self::News))
    }
}

/// Mail that tells of no event of the audit trail.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMail {
    /// What it is about.
    pub kind: MailKind,
    /// The event that it belongs to; with the recipient it makes the mail's id.
    pub event_id: EventId,
    /// Whose account.
    pub account_id: AccountId,
    /// To whom; none when it goes to nobody who signs in.
    pub user_id: Option<UserId>,
    /// Where to.
    pub recipient: Email,
    /// What it says, such as a link. Wiped once it is sent or given up.
    pub payload: String,
}

impl fmt::Debug for NewMail {
    /// Without the payload: a link opens something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMail")
            .field("kind", &self.kind)
            .field("event_id", &self.event_id)
            .finish_non_exhaustive()
    }
}

/// A mail that somebody has taken upon themselves to send.
#[derive(Debug, Clone, PartialEq)]
pub struct DueMail {
    /// Id: the same for every attempt.
    pub id: String,
    /// What it is about; none when this version does not know the word.
    pub kind: Option<MailKind>,
    /// The account's name.
    pub account_name: String,
    /// Where to, as stored.
    pub recipient: String,
    /// When it was written down.
    pub created_at: Timestamp,
    /// Attempts, this one included.
    pub attempts: u32,
    /// What it says.
    pub content: MailContent,
}

/// What a mail says.
#[derive(Clone, PartialEq)]
pub enum MailContent {
    /// An event, and the key that it is about.
    Event(Box<StoredEvent>, Option<NamedKey>),
    /// A week.
    Week(WeeklySummary),
    /// A link to follow.
    Link {
        /// Its address.
        url: String,
        /// When it stops working. After that there is no use in the mail.
        works_until: Timestamp,
    },
    /// Nothing but what its kind says.
    Plain,
    /// What it was to tell is gone.
    Gone,
    /// Written by a newer version, or damaged; why. That version may run beside this one, or come back.
    Unreadable(String),
}

impl fmt::Debug for MailContent {
    /// Without what opens something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event(..) => "Event",
            Self::Week(_) => "Week",
            Self::Link { .. } => "Link",
            Self::Plain => "Plain",
            Self::Gone => "Gone",
            Self::Unreadable(_) => "Unreadable",
        })
    }
}

/// A key as mail names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// What its owner calls it.
    pub name: String,
    /// Prefix and four characters.
    pub mask: String,
}

/// What an account's keys did in a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeeklySummary {
    /// The first moment of the week.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
    /// The active keys, busiest first; at most as many as a mail shows.
    pub keys: Vec<KeyWeek>,
    /// Active keys beyond those.
    pub more_keys: u32,
}

/// What one key did in a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWeek {
    /// The key.
    pub key: NamedKey,
    /// Requests let through.
    pub allowed: u64,
    /// Requests refused because the budget was spent.
    pub limited: u64,
    /// Requests refused for another reason.
    pub refused: u64,
}

/// What waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailBacklog {
    /// Mails neither sent nor given up.
    pub waiting: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_what_opens_something_is_not_printed() {
        for kind in NotificationKind::ALL.map(MailKind::News).into_iter().chain(MailKind::ALWAYS_SENT) {
            assert_eq!(MailKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(MailKind::parse("?"), None);
        let url = "https://keys.example/confirm-email#secret".to_owned();
        let link = MailContent::Link { url, works_until: Timestamp::from_unix_ms(0) };
        assert!(!format!("{link:?}").contains("secret"));
    }
}
