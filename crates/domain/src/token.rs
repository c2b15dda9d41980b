//! Tokens of the operator API and what they may do.

use crate::id::TokenId;
use crate::text::Name;
use crate::time::Timestamp;

/// What a token may do. Each wider scope includes `verify`; `admin` includes `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    Admin,
    /// Every `GET`, and verify.
    Read,
    /// Verify only.
    Verify,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Admin, Self::Read, Self::Verify];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Read => "read",
            Self::Verify => "verify",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether a token of this scope may do what `needed` allows.
    #[must_use]
    pub const fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Admin, _) | (Self::Read, Self::Read | Self::Verify) | (Self::Verify, Self::Verify) => true,
            (Self::Read | Self::Verify, _) => false,
        }
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// What its maker calls it.
    pub name: Name,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}
