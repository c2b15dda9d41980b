//! `rndrkit config show`: what holds and where it came from, or the commented defaults.

use serde_json::{Value, json};

use super::console::Console;
use super::{Exit, Failure};
use crate::config::{self, DEFAULTS, Shown, Sources};

pub(super) fn run(defaults: bool, sources: &Sources, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if defaults {
        console.line(DEFAULTS.trim_end());
        return Ok(Exit::Done);
    }
    let shown = config::load(sources)?.shown;
    if console.json {
        console.document(&json!({ "settings": shown }));
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 3]> = shown.iter().flat_map(rows).collect();
    console.table(["SETTING", "VALUE", "FROM"], &rows);
    Ok(Exit::Done)
}

/// One row, and one more for each table of a list.
fn rows(shown: &Shown) -> Vec<[String; 3]> {
    let row = |value: String| [shown.name.to_owned(), value, shown.origin.clone()];
    match &shown.value {
        _ if shown.hidden => vec![row("(hidden)".to_owned())],
        Value::Null => vec![row("(none)".to_owned())],
        Value::String(text) => vec![row(text.clone())],
        Value::Array(items) if items.is_empty() => vec![row("(none)".to_owned())],
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            vec![row(items.join(", "))]
        }
        Value::Array(items) => items.iter().map(|item| row(members(item))).collect(),
        other => vec![row(other.to_string())],
    }
}

/// `id = "agency", burst = 100`, as it would stand in a file.
fn members(table: &Value) -> String {
    let pairs = table.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name} = {value}")).collect();
    pairs.join(", ")
}
