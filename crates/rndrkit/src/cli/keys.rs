//! `rndrkit key …`: definitions. No argument takes a secret: command lines are seen by every user of a machine.

use clap::{Args, Subcommand};

use super::PageArgs;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and show its secret, this once
    Create(CreateKeyArgs),
    /// List an account's keys, newest first
    List(ListKeysArgs),
    /// Change a key's name, or where it is used
    Label(LabelKeyArgs),
    /// Give a key another secret and show it, this once
    Rotate(RotateKeyArgs),
    /// Revoke a key: when this answers, it is refused everywhere
    Delete {
        /// Key id
        #[arg(value_name = "KEY_ID")]
        key: String,
    },
    /// Decide on a secret read from standard input
    Verify(VerifyArgs),
}

/// `key create`.
#[derive(Debug, Args)]
pub struct CreateKeyArgs {
    /// Account id, or the account's e-mail address
    #[arg(long, value_name = "ACCOUNT")]
    pub account: String,
    /// What the key is for, such as "CI/CD Pipeline"
    #[arg(long)]
    pub name: String,
    /// Where it is used, such as production, staging or CI/CD
    #[arg(long, value_name = "ENVIRONMENT")]
    pub environment: Option<String>,
    /// When it ends by itself, such as 2030-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
}

/// `key rotate`.
#[derive(Debug, Args)]
pub struct RotateKeyArgs {
    /// Key id
    #[arg(value_name = "KEY_ID")]
    pub key: String,
    /// How long the old secret works on: a number of seconds, or one with m, h or d, such as 0, 30m, 1h or 7d
    /// [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub overlap: Option<u64>,
}

/// `key list`.
#[derive(Debug, Args)]
pub struct ListKeysArgs {
    /// Account id, or the account's e-mail address
    #[arg(long, value_name = "ACCOUNT")]
    pub account: String,
    /// Which part.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `key label`.
#[derive(Debug, Args)]
pub struct LabelKeyArgs {
    /// Key id
    #[arg(value_name = "KEY_ID")]
    pub key: String,
    /// What the key is for
    #[arg(long, required_unless_present_any = ["environment", "no_environment"])]
    pub name: Option<String>,
    /// Where it is used, such as production, staging or CI/CD
    #[arg(long, value_name = "ENVIRONMENT")]
    pub environment: Option<String>,
    /// Take the environment away
    #[arg(long, conflicts_with = "environment")]
    pub no_environment: bool,
}

/// `key verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Requests to spend; 0 looks without spending [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub cost: Option<u32>,
    /// Arguments where none belongs: probably the secret.
    #[arg(hide = true, value_parser = forget)]
    pub strays: Vec<Stray>,
}

/// Reads `90`, `90s`, `30m`, `1h` or `7d` as seconds. How many there may be is the server's to say.
fn seconds(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => (text.get(..at).unwrap_or_default(), unit),
        _ => (text, 's'),
    };
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err("use a number of seconds, or one with m, h or d, such as 1h"),
    };
    let number: u64 =
        number.parse().map_err(|_| "use a number of seconds, or one with m, h or d, such as 1h")?;
    Ok(number.saturating_mul(each))
}

/// An argument that was given and is not kept. Refused by the command itself, because the parser's own refusal
/// would repeat it.
#[derive(Debug, Clone, Copy)]
pub struct Stray;

#[expect(clippy::unnecessary_wraps, reason = "parsers of values may fail")]
fn forget(_argument: &str) -> Result<Stray, std::convert::Infallible> {
    Ok(Stray)
}
