//! Single-use links: how people get in without a password, and how passwords are set.

use std::time::Duration;

/// What a link is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Makes the first account of an installation. Replaced at each start.
    FirstAccount,
    /// Lets a person set a password and join an existing account.
    Invite,
    /// Lets a user set a new password.
    PasswordReset,
    /// Opens an account's dashboard once.
    SignIn,
}

impl LinkKind {
    const ALL: [Self; 4] = [Self::FirstAccount, Self::Invite, Self::PasswordReset, Self::SignIn];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstAccount => "first_account",
            Self::Invite => "invite",
            Self::PasswordReset => "password_reset",
            Self::SignIn => "sign_in",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// How long a link of this kind works unless its maker says otherwise.
    #[must_use]
    pub const fn default_lifetime(self) -> Duration {
        match self {
            Self::FirstAccount | Self::PasswordReset => Duration::from_secs(3_600),
            Self::Invite => Duration::from_secs(7 * 86_400),
            Self::SignIn => Duration::from_secs(600),
        }
    }
}
