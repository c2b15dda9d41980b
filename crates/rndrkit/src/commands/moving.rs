//! `rndrkit move`: takes an installation from SQLite to PostgreSQL, so that several nodes can serve it.

use std::io::IsTerminal as _;
use std::path::Path;

use rndrkit_domain::key_text::Secret;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_store::{Change, MoveError, MoveReport, move_to_postgres};
use serde_json::json;

use super::console::Console;
use super::{Exit, Failure};
use crate::cli::MoveArgs;
use crate::config::{self, DataFolder, DataFolderError, Database, Environment, Hidden, Sources, Storage};

/// Where the address is looked for when no flag gives it.
const VARIABLE: &str = "RNDRKIT_MOVE_TO";

pub(super) async fn run(
    args: MoveArgs,
    environment: &Environment,
    sources: &Sources,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    if args.to.as_ref().is_some_and(|url| has_password(url.reveal())) {
        let hint =
            "The address with its password can be seen in this machine's list of processes while this runs;";
        let _ = writeln!(console.err, "{hint} --to-file or {VARIABLE} keeps it to yourself.");
    }
    let target = target(args, environment)?;
    let storage = config::load(sources)?.settings.storage;
    let Database::Sqlite { path } = &storage.database else {
        let text = "the settings' database is PostgreSQL already; give the settings of the SQLite installation, \
                    such as --data-dir";
        return Err(Failure::new(Exit::Usage, text));
    };
    if !path.exists() {
        return Err(Failure::new(Exit::No, format!("there is no database in {} to move", path.display())));
    }
    let _folder = hold(&storage, path)?;
    let report = move_with_progress(&storage.database.url(), target.reveal(), console).await?;
    let token = DataFolder::read_operator_token(&storage.data_dir)?;
    let token = token.map(|token| std::path::absolute(&token.path).unwrap_or(token.path));
    if console.json {
        console.document(&document(&report, token.as_deref()));
    } else {
        say(console, &report, path, token.as_deref());
    }
    Ok(Exit::Done)
}

/// The address, hidden. What is wrong with it is said without repeating it.
fn target(args: MoveArgs, environment: &Environment) -> Result<Hidden, Failure> {
    let text = match (args.to, args.to_file) {
        (Some(url), _) => url.reveal().to_owned(),
        (None, Some(path)) => config::read_secret_file(&path).map_err(|error| {
            Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()))
        })?,
        (None, None) => environment.get(VARIABLE).map(str::to_owned).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("say where to move: --to, --to-file or {VARIABLE}"))
        })?,
    };
    if config::is_postgres(&text) {
        Ok(Hidden::new(Secret::from_text(text)))
    } else {
        let text = "the address to move to must be postgres://user:password@host/database";
        Err(Failure::new(Exit::Usage, text))
    }
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next();
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || url.contains("password=")
}

/// Nobody else may write while this reads.
fn hold(storage: &Storage, database: &Path) -> Result<DataFolder, Failure> {
    let held = DataFolder::open(&storage.data_dir).and_then(|mut folder| {
        folder.lock_database(database)?;
        Ok(folder)
    });
    held.map_err(|error| match error {
        DataFolderError::InUse { path, holder } => Failure::new(
            Exit::No,
            format!(
                "{} is in use by a running rndrkit{holder}; stop it first: what it changes during the move \
                 would be missing on the other side",
                path.display()
            ),
        ),
        other => other.into(),
    })
}

async fn move_with_progress(
    source: &str,
    target: &str,
    console: &mut Console<'_>,
) -> Result<MoveReport, Failure> {
    let change = Change::new(SystemClock::default().now(), &OsEntropy);
    let is_shown = !console.json && std::io::stderr().is_terminal();
    let err = &mut *console.err;
    let mut progress = |table: &'static str, rows: u64| {
        if is_shown {
            // Back to the line's beginning, and clear it.
            let _ = write!(err, "\r\u{1b}[K{table}: {rows} rows").and_then(|()| err.flush());
        }
    };
    let moved = move_to_postgres(source, target, &change, &mut progress).await;
    if is_shown {
        let _ = write!(console.err, "\r\u{1b}[K");
    }
    moved.map_err(|error| failure(&error))
}

fn failure(error: &MoveError) -> Failure {
    use rndrkit_store::SchemaStatus;
    let exit = match error {
        MoveError::Store(_) | MoveError::Unknown(_) => Exit::Unknown,
        _ => Exit::No,
    };
    let text = match error {
        MoveError::Source(SchemaStatus::Older { .. }) => {
            "the SQLite database was made by an older version of rndrkit; back it up, run `rndrkit migrate`, and \
             try again"
                .to_owned()
        }
        MoveError::Source(_) => {
            "the SQLite database was not made by this version of rndrkit; move it with the version that did"
                .to_owned()
        }
        MoveError::Target(_) => "the PostgreSQL database was made by a newer version of rndrkit; move with that \
                                 version, or into an empty database"
            .to_owned(),
        MoveError::TargetServed { .. } => format!(
            "{error}: stop them first. The row of a node that was killed goes by itself soon after another node \
             starts; or move into a new database"
        ),
        MoveError::TargetNotEmpty { .. } => {
            format!("{error}; an installation is moved into a database without one. Nothing was changed")
        }
        MoveError::Unknown(_) => {
            format!("{error}. Run the same command again: it says so if everything is there already")
        }
        _ => format!("{error}. Nothing was moved, and the SQLite database is as it was"),
    };
    Failure::new(exit, text)
}

fn document(report: &MoveReport, token: Option<&Path>) -> serde_json::Value {
    let tables: serde_json::Map<_, _> =
        report.tables.iter().map(|table| (table.name.to_owned(), table.rows.into())).collect();
    json!({
        "moved": !report.already_there,
        "tables": tables,
        "audit_events": report.trail.events,
        "audit_broken_at": report.trail.broken_at(),
        "feed_number": report.number,
        "operator_token_file": token.map(|path| path.display().to_string()),
    })
}

fn say(console: &mut Console<'_>, report: &MoveReport, database: &Path, token: Option<&Path>) {
    if report.already_there {
        console.line("Everything is on the other side already; nothing was written.");
    } else {
        console.line("Moved. Every row was read back from PostgreSQL and is the same:");
    }
    console.line("");
    let rows: Vec<[String; 2]> =
        report.tables.iter().map(|table| [table.name.to_owned(), table.rows.to_string()]).collect();
    console.table(["TABLE", "ROWS"], &rows);
    console.line("");
    console.line(match report.trail.broken_at() {
        None => format!("Audit trail: {} events, each fits the one before.", report.trail.events),
        Some(position) => format!(
            "Audit trail: event {position} does not fit the one before; that was so before the move, too."
        ),
    });
    console.line("");
    console.line("Set these before the next start, on every node:");
    console.line("  database_url    the address that you moved to (or database_url_file)");
    match token {
        Some(path) => console.line(format!(
            "  operator_token  it must be given now; to keep the present one: operator_token_file = \"{}\"",
            path.display()
        )),
        None => console.line("  operator_token  it must be given now, 32 characters or more"),
    }
    console.line("");
    console.line(format!(
        "{} is as it was. Keep it as a copy and start nothing on it again: there, keys that are deleted from now \
         on would still work.",
        database.display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_noticed_wherever_an_address_has_it() {
        for (url, has) in [
            ("postgres://rk:secret@db/rk", true),
            ("postgres://db/rk?user=rk&password=secret", true),
            ("postgres://rk@db:5432/rk", false),
            ("postgres:///rk?host=/run/pg", false),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
    }
}
