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
    console.table(["SETTING", "FROM", "VALUE"], &rows);
    Ok(Exit::Done)
}

/// One row, and one more for each table of a list.
fn rows(shown: &Shown) -> Vec<[String; 3]> {
    let row = |value: String| [shown.name.to_owned(), shown.origin.clone(), value];
    match &shown.value {
        _ if shown.hidden => vec![row("(hidden)".to_owned())],
        // Not set is not the same as not there: the first start makes one.
        Value::Null if shown.name == "operator_token" => vec![row("(kept in data_dir)".to_owned())],
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

/// `id = "agency", burst = 100`, as it would stand in a file, with what tells tables apart in front.
fn members(table: &Value) -> String {
    const FIRST: [&str; 4] = ["id", "name", "path", "upstream"];
    let mut pairs: Vec<(&String, &Value)> = table.as_object().into_iter().flatten().collect();
    pairs.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    pairs.join(", ")
}
