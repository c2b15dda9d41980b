//! The command line: definitions only. What the commands do is in `commands`.

#![expect(clippy::doc_markdown, reason = "doc comments are the help, which is shown as it is written")]

mod accounts;
mod keys;
mod setting_flags;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rndrkit_domain::key_text::Secret;
use rndrkit_store::AuditPublicKey;

use crate::config::Hidden;

pub use accounts::{
    AccountCommand, CreateAccountArgs, LinkArgs, LinkKind, ListAccountsArgs, SetPlanArgs, UsageArgs,
    UsagePeriod,
};
pub use keys::{CreateKeyArgs, KeyCommand, LabelKeyArgs, ListKeysArgs, RotateKeyArgs, Stray, VerifyArgs};
pub use setting_flags::SettingFlags;
pub use tokens::{CreateTokenArgs, ScopeWord, TokenCommand};

/// What follows the list of commands in the help.
const AFTER_HELP: &str = "\
Without a command, rndrkit serves. Settings come from the defaults, a configuration file, the environment \
(RNDRKIT_…) and flags; `rndrkit config show --defaults` prints and explains them all.

Exit codes: 0 done or valid, 1 a definite no, 2 wrong usage or settings, 3 unknown (unreachable, failing or \
too slow).";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "rndrkit",
    version,
    about = "Gives a software product its API keys: dashboard, gateway and operator API in one program",
    after_help = AFTER_HELP,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml if it is there]
    #[arg(long, value_name = "FILE", global = true, display_order = 900)]
    pub config: Option<PathBuf>,
    /// What to do; nothing means to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the dashboard, the gateway and the operator API
    Serve(SettingFlags),
    /// Show a key's whole life on this machine, then stay up to be looked at
    Demo(DemoArgs),
    /// Customers: their plans, their use, and links for their people
    Account {
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
        /// What to do.
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// API keys: create, list, rotate, delete, verify
    Key {
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Tokens of the operator API
    Token {
        /// Which server.
        #[command(flatten)]
        server: ServerArgs,
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// The settings that hold, and where each came from
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring the database's schema up to date, without serving
    Migrate(LocalArgs),
    /// Copy the SQLite database to a new file, also while the server runs
    Backup(BackupArgs),
    /// The audit trail: write all of it to a file that can be checked anywhere
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Move a stopped SQLite installation to an empty PostgreSQL database, for several nodes
    Move(MoveArgs),
    /// Check settings, data folder, database, ports and disk; works with the server down
    Doctor(DoctorArgs),
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print them; secrets stay hidden
    Show(ShowArgs),
}

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Write all events and signatures to a new file; `doctor --audit-export` checks it
    Export(ExportArgs),
}

/// `audit export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write; it must not exist yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Output and settings.
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Print the commented defaults file instead
    #[arg(long, conflicts_with = "json")]
    pub defaults: bool,
    /// Output and settings.
    #[command(flatten)]
    pub local: LocalArgs,
}

/// Commands that work on this machine, without a server.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Settings.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// File to write; it must not exist yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Output and settings.
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Make every node read all again, after changes by hand in SQL
    #[arg(long)]
    pub flush: bool,
    /// Send a test mail to this address
    #[arg(long, value_name = "ADDRESS")]
    pub mail_to: Option<String>,
    /// Check this export of the audit trail, and nothing else: no settings, no database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["flush", "mail_to"])]
    pub audit_export: Option<PathBuf>,
    /// Key that has signed the audit trail, 64 hexadecimal digits; may be given several times. Without a signature the
    /// check fails then
    #[arg(long, value_name = "KEY")]
    pub audit_public_key: Vec<AuditPublicKey>,
    /// Output and settings.
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Address of the PostgreSQL database [default: RNDRKIT_MOVE_TO]
    #[arg(long, value_name = "URL", conflicts_with = "to_file", value_parser = hide)]
    pub to: Option<Hidden>,
    /// File that holds the address, for one with a password
    #[arg(long, value_name = "FILE")]
    pub to_file: Option<PathBuf>,
    /// Output and settings.
    #[command(flatten)]
    pub local: LocalArgs,
}

/// It may hold a password: from here on it does not print.
#[expect(clippy::unnecessary_wraps, reason = "parsers of values may fail")]
fn hide(text: &str) -> Result<Hidden, std::convert::Infallible> {
    Ok(Hidden::new(Secret::from_text(text.to_owned())))
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stop at the end instead of staying up
    #[arg(long)]
    pub exit: bool,
    /// Print each step as a line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Commands that ask a running server's operator API.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Operator API of the server [default: internal_listen of the settings]
    #[arg(long, value_name = "URL", global = true, help_heading = "Server")]
    pub url: Option<String>,
    /// File that holds the token, used when RNDRKIT_TOKEN is not set [default: the data folder's]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Print the API's JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which part of a list.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Rows at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: Option<u32>,
    /// Cursor that the page before ended with
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}
