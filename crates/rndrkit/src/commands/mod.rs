//! What the commands do. Each gives back an [`Exit`]; only `main` ends the process.

mod accounts;
mod audit;
mod backup;
mod config_show;
mod console;
mod doctor;
mod keys;
mod local;
mod migrate;
mod moving;
mod server;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;

use std::process::ExitCode;

use crate::cli::{AuditCommand, Cli, Command, ConfigCommand, SettingFlags};
use crate::config::{self, DataFolderError, Environment, Mistakes, Sources};

pub use console::Console;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or valid.
    Done,
    /// A definite no.
    No,
    /// Wrong usage, or wrong settings.
    Usage,
    /// Nobody knows: unreachable, failing, or too slow.
    Unknown,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unknown => 3,
        })
    }
}

/// Why a command did not do what it was asked. The text goes to standard error.
#[derive(Debug)]
pub struct Failure {
    /// How it ended.
    pub exit: Exit,
    /// For people.
    pub text: String,
    /// The API's own words, for `--json`.
    pub json: Option<serde_json::Value>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), json: None }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(Exit::Usage, mistakes.to_string())
    }
}

impl From<rndrkit_client::Error> for Failure {
    fn from(error: rndrkit_client::Error) -> Self {
        let exit = match &error {
            error if error.is_unknown() => Exit::Unknown,
            rndrkit_client::Error::Usage(_) => Exit::Usage,
            _ => Exit::No,
        };
        let text = error.to_string();
        let json = match error {
            rndrkit_client::Error::Problem(problem) => serde_json::to_value(problem).ok(),
            _ => None,
        };
        Self { exit, text, json }
    }
}

impl From<DataFolderError> for Failure {
    fn from(error: DataFolderError) -> Self {
        Self::new(Exit::No, error.to_string())
    }
}

impl From<rndrkit_store::Error> for Failure {
    /// What this version must not touch is a definite no; a database that does not answer is not known.
    fn from(error: rndrkit_store::Error) -> Self {
        let exit = match &error {
            rndrkit_store::Error::NewerSchema { .. } | rndrkit_store::Error::Backup(_) => Exit::No,
            _ => Exit::Unknown,
        };
        Self::new(exit, error.to_string())
    }
}

/// Where a command reads its settings from.
fn sources(
    cli_config: Option<std::path::PathBuf>,
    environment: &Environment,
    flags: SettingFlags,
) -> Sources {
    Sources { config_flag: cli_config, flags: flags.0, ..Sources::new(environment.clone()) }
}

/// Runs a command.
pub async fn run(cli: Cli, environment: &Environment, console: &mut Console<'_>) -> Exit {
    let result = dispatch(cli, environment, console).await;
    result.unwrap_or_else(|failure| {
        console.failure(&failure);
        failure.exit
    })
}

async fn serve(sources: &Sources) -> Result<Exit, Failure> {
    Ok(crate::serve::run(&config::load(sources)?.settings).await)
}

async fn dispatch(cli: Cli, environment: &Environment, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let config = cli.config;
    match cli.command {
        Some(Command::Account { server, command }) => {
            console.json = server.json;
            let client = server::connect(server, config, environment)?;
            accounts::run(&client, command, console).await
        }
        Some(Command::Key { server, command }) => {
            console.json = server.json;
            keys::refuse_secret_argument(&command)?;
            let client = server::connect(server, config, environment)?;
            keys::run(&client, command, console).await
        }
        Some(Command::Token { server, command }) => {
            console.json = server.json;
            let client = server::connect(server, config, environment)?;
            tokens::run(&client, command, console).await
        }
        Some(Command::Config { command: ConfigCommand::Show(show) }) => {
            console.json = show.local.json;
            config_show::run(show.defaults, &sources(config, environment, show.local.flags), console)
        }
        Some(Command::Migrate(local)) => {
            console.json = local.json;
            migrate::run(&sources(config, environment, local.flags), console).await
        }
        Some(Command::Backup(backup)) => {
            console.json = backup.local.json;
            backup::run(&backup.file, &sources(config, environment, backup.local.flags), console).await
        }
        Some(Command::Audit { command: AuditCommand::Export(export) }) => {
            console.json = export.local.json;
            audit::export(&export.file, &sources(config, environment, export.local.flags), console).await
        }
        Some(Command::Move(args)) => {
            console.json = args.local.json;
            let sources = sources(config, environment, args.local.flags.clone());
            moving::run(args, environment, &sources, console).await
        }
        Some(Command::Doctor(doctor)) => {
            console.json = doctor.local.json;
            if let Some(file) = &doctor.audit_export {
                return doctor::run_on_export(file, &doctor.audit_public_key, console);
            }
            let extra = doctor::Extra {
                flush: doctor.flush,
                mail_to: doctor.mail_to,
                audit_public_keys: doctor.audit_public_key,
            };
            Ok(doctor::run(&sources(config, environment, doctor.local.flags), &extra, console).await)
        }
        Some(Command::Serve(flags)) => serve(&sources(config, environment, flags)).await,
        None => serve(&sources(config, environment, SettingFlags::default())).await,
        Some(Command::Demo(args)) => {
            console.json = args.json;
            crate::demo::run(&args, console).await
        }
    }
}
