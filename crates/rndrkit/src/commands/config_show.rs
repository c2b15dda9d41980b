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
    let rows: Vec<[String; 3]> = shown.iter().map(row).collect();
    console.table(["SETTING", "FROM", "VALUE"], &rows);
    for setting in &shown {
        match setting.name {
            "plans" => tables(console, setting, PLAN_FIELDS),
            "routes" => tables(console, setting, ROUTE_FIELDS),
            _ => {}
        }
    }
    console.line("");
    console.line(
        "A start in this shell and folder would use these. A running server may have started with others.",
    );
    Ok(Exit::Done)
}

/// In the order of the defaults file.
const PLAN_FIELDS: [&str; 6] = ["id", "name", "api_access", "active_keys", "requests_per_minute", "burst"];
const ROUTE_FIELDS: [&str; 5] = ["path", "upstream", "key", "host", "preflight"];

fn row(shown: &Shown) -> [String; 3] {
    let value = match &shown.value {
        _ if shown.hidden => "(hidden)".to_owned(),
        // Not set is not the same as not there: the first start makes one.
        Value::Null if shown.name == "operator_token" => "(kept in data_dir)".to_owned(),
        Value::Null => "(none)".to_owned(),
        Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => format!("{}, below", items.len()),
        other => text(other),
    };
    [shown.name.to_owned(), shown.origin.clone(), value]
}

/// The tables of a list, one in each row, so that they can be compared and fit a terminal.
fn tables<const N: usize>(console: &mut Console<'_>, shown: &Shown, fields: [&str; N]) {
    let items = shown.value.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return;
    }
    let rows: Vec<[String; N]> =
        items.iter().map(|item| fields.map(|field| item.get(field).map(text).unwrap_or_default())).collect();
    console.line("");
    console.line(format!("[[{}]]", shown.name));
    console.table(fields, &rows);
}

/// A value without quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Environment;

    #[test]
    fn every_field_of_a_plan_and_a_route_has_a_column() {
        let mut sources = Sources::new(Environment::default());
        sources.flags = vec![("upstream_url".to_owned(), "http://127.0.0.1:3000".to_owned())];
        let shown = config::load(&sources).unwrap().shown;
        for (name, columns) in [("plans", PLAN_FIELDS.as_slice()), ("routes", &ROUTE_FIELDS)] {
            let value = &shown.iter().find(|shown| shown.name == name).unwrap().value;
            let fields: BTreeSet<&str> = value[0].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, columns.iter().copied().collect(), "{name}");
        }
    }
}
