//! `rndrkit token …`: definitions.

use clap::{Args, Subcommand, ValueEnum};

use super::PageArgs;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and show its text, this once
    Create(CreateTokenArgs),
    /// List tokens, newest first
    List(PageArgs),
    /// End a token: when this answers, it is refused everywhere
    Delete {
        /// Token id
        #[arg(value_name = "TOKEN_ID")]
        token: String,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeWord {
    /// Everything
    Admin,
    /// Every look, and verify
    Read,
    /// Verify only
    Verify,
}

impl ScopeWord {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Read => "read",
            Self::Verify => "verify",
        }
    }
}

/// `token create`.
#[derive(Debug, Args)]
pub struct CreateTokenArgs {
    /// What the token is for
    #[arg(long)]
    pub name: String,
    /// What it may do
    #[arg(long, value_enum)]
    pub scope: ScopeWord,
    /// When it ends by itself, such as 2030-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
}
