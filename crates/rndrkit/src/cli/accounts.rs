//! `rndrkit account …`: definitions.

use clap::{Args, Subcommand, ValueEnum};

use super::PageArgs;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account
    Create(CreateAccountArgs),
    /// List accounts, newest first
    List(ListAccountsArgs),
    /// Show one account
    Show {
        /// Account id, or the account's e-mail address
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Move an account to another plan; holds everywhere when it answers
    SetPlan(SetPlanArgs),
    /// Stop an account: its keys are refused until it is resumed
    Suspend {
        /// Account id, or the account's e-mail address
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Let a suspended account go on
    Resume {
        /// Account id, or the account's e-mail address
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Show what an account's keys did
    Usage(UsageArgs),
    /// Make a link for a person of an account; it works once
    Link(LinkArgs),
}

/// `account create`.
#[derive(Debug, Args)]
pub struct CreateAccountArgs {
    /// Contact address; unique
    #[arg(long)]
    pub email: String,
    /// Display name [default: the first part of the address]
    #[arg(long)]
    pub name: Option<String>,
    /// Plan id [default: default_plan]
    #[arg(long)]
    pub plan: Option<String>,
    /// Your own id for the account; unique
    #[arg(long, value_name = "ID")]
    pub external_id: Option<String>,
}

/// `account list`.
#[derive(Debug, Args)]
pub struct ListAccountsArgs {
    /// Only the one with this address
    #[arg(long)]
    pub email: Option<String>,
    /// Only the one with this id of yours
    #[arg(long, value_name = "ID")]
    pub external_id: Option<String>,
    /// Which part.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `account set-plan`.
#[derive(Debug, Args)]
pub struct SetPlanArgs {
    /// Account id, or the account's e-mail address
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Plan id
    #[arg(value_name = "PLAN")]
    pub plan: String,
}

/// Length of the stretches of time that use is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UsagePeriod {
    /// Kept as long as usage_retention_days says
    Day,
    /// Kept 14 days
    Hour,
    /// Kept 48 hours
    Minute,
}

impl UsagePeriod {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
        }
    }
}

/// `account usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Account id, or the account's e-mail address
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// First day (2026-11-23) or moment (2026-11-23T14:00:00Z), in UTC [default: 30 days, 24 hours or 60 minutes back]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Last one, included [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// One line for each [default: day]
    #[arg(long, value_enum)]
    pub period: Option<UsagePeriod>,
}

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LinkKind {
    /// Lets a new person join the account (7 days)
    Invite,
    /// Lets a person set a new password (1 hour)
    PasswordReset,
    /// Opens the account's dashboard (10 minutes)
    SignIn,
}

impl LinkKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::PasswordReset => "password_reset",
            Self::SignIn => "sign_in",
        }
    }
}

/// `account link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Account id, or the account's e-mail address
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// What it does
    #[arg(long, value_enum, default_value_t = LinkKind::Invite)]
    pub kind: LinkKind,
    /// With password_reset, whose password: for accounts that several people share [default: the account's address]
    #[arg(long)]
    pub email: Option<String>,
    /// How long it works [default: by kind]
    #[arg(long, value_name = "SECONDS")]
    pub expires_in_seconds: Option<u64>,
    /// Page to open afterwards, such as /settings#api-keys
    #[arg(long, value_name = "PATH")]
    pub return_to: Option<String>,
}
