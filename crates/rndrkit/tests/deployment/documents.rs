//! What the operator's documents say about the product, held against the product: the worst case, metrics,
//! settings, commands.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use rndrkit::cli::Cli;
use rndrkit::config::{SETTINGS, Setting};
use rndrkit_domain::node::longest_wait;
use rndrkit_store::CONNECTIONS_OF_A_NODE;

use crate::files::{path_of, read};

const OPERATIONS: &str = "docs/operations.md";
const CONSISTENCY: &str = "docs/consistency.md";
/// Variables that are no settings, as the defaults file says.
const NO_SETTINGS: [&str; 4] = ["RNDRKIT_CONFIG", "RNDRKIT_TOKEN", "RNDRKIT_API_KEY", "RNDRKIT_MOVE_TO"];

#[test]
fn the_table_of_worst_cases_is_what_the_code_waits() {
    let text = read(CONSISTENCY);
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let trust: u64 = cells.next()?.parse().ok()?;
        let wait: u64 = cells.next()?.strip_suffix(" s")?.parse().ok()?;
        Some((trust, wait))
    });
    let rows: Vec<(u64, u64)> = rows.collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for (trust, wait) in rows {
        assert_eq!(longest_wait(Duration::from_secs(trust)), Duration::from_secs(wait), "{trust} s of trust");
    }
}

#[test]
fn the_connections_of_a_node_are_those_that_it_may_take() {
    let said = format!("**{CONNECTIONS_OF_A_NODE} connections**");
    assert!(read(OPERATIONS).contains(&said), "not in {OPERATIONS}: {said}");
}

/// Words of the text that begin like this and go on in the same way.
fn words<'a>(text: &'a str, beginning: &'a str) -> impl Iterator<Item = &'a str> {
    let belongs = |character: char| character == '_' || character.is_ascii_alphanumeric();
    text.split(move |character| !belongs(character)).filter(move |word| word.starts_with(beginning))
}

/// All Rust files below the folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Every metric that some crate describes.
fn metrics() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for member in std::fs::read_dir(path_of("crates")).unwrap() {
        let shipped = member.unwrap().path().join("src");
        sources(&shipped, &mut texts);
    }
    let describing = texts.iter().filter(|text| text.contains("describe_"));
    let literals = describing.flat_map(|text| text.split('"').skip(1).step_by(2));
    let names = literals.filter(|literal| {
        literal.starts_with("rndrkit_")
            && literal.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    });
    names.map(str::to_owned).collect()
}

#[test]
fn every_metric_is_explained_and_every_explained_metric_exists() {
    let known = metrics();
    assert!(known.len() >= 20, "{known:?}");
    let operations = read(OPERATIONS);
    let explained: BTreeSet<String> = words(&operations, "rndrkit_").map(str::to_owned).collect();
    let missing: Vec<_> = known.difference(&explained).collect();
    assert!(missing.is_empty(), "not in {OPERATIONS}: {missing:?}");
    // Histograms are also named by their parts.
    let exists = |name: &str| {
        let parts = ["_bucket", "_count", "_sum"];
        known.contains(name)
            || parts.iter().any(|part| name.strip_suffix(part).is_some_and(|name| known.contains(name)))
    };
    let wrong: Vec<_> = explained.iter().filter(|name| !exists(name)).collect();
    assert!(wrong.is_empty(), "in {OPERATIONS} and in no code: {wrong:?}");
}

#[test]
fn the_documents_name_settings_that_exist() {
    for document in [OPERATIONS, CONSISTENCY, "README.md", "deploy/kubernetes/rndrkit.yaml"] {
        let text = read(document);
        let variables = words(&text, "RNDRKIT_").filter(|name| {
            *name != "RNDRKIT_" && !name.starts_with("RNDRKIT_TEST_") && !NO_SETTINGS.contains(name)
        });
        for variable in variables {
            let name = variable.trim_start_matches("RNDRKIT_").to_ascii_lowercase();
            let known = Setting::find(&name).or_else(|| Setting::find(name.trim_end_matches("_file")));
            assert!(known.is_some(), "{document}: {variable}");
        }
    }
}

/// Lines of fenced blocks of this language.
fn fenced(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = line == opening;
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn the_settings_of_examples_exist() {
    for document in [OPERATIONS, CONSISTENCY] {
        for line in fenced(&read(document), "toml") {
            let Some((name, _)) = line.split_once('=') else { continue };
            let name = name.trim();
            let known = SETTINGS.iter().any(|setting| {
                name == setting.name || name.strip_suffix("_file").is_some_and(|name| name == setting.name)
            });
            assert!(known, "{document}: {name}");
        }
    }
}

#[test]
fn the_commands_of_examples_are_taken_by_the_command_line() {
    let mut tried = 0;
    for document in [OPERATIONS, CONSISTENCY, "README.md"] {
        let text = read(document).replace("\\\n", " ");
        for line in fenced(&text, "console") {
            let line = line.trim_start_matches("$ ");
            let command = line.split(['<', '|', '>', '#']).next().unwrap_or_default();
            let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
            if words.first() == Some(&"rndrkit") {
                tried += 1;
                assert!(Cli::try_parse_from(&words).is_ok(), "{document}: {line}");
            }
        }
    }
    assert!(tried >= 6, "only {tried} commands were found");
}

/// What stands between backticks and can only be the name of a test.
fn named_tests(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        // Names of metrics are long as well.
        !word.starts_with("rndrkit_")
            && word.matches('_').count() >= 5
            && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    text.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn the_tests_that_documents_name_exist() {
    let mut texts = Vec::new();
    sources(&path_of("crates"), &mut texts);
    let operations = read(OPERATIONS);
    assert!(named_tests(&operations).count() >= 15);
    let consistency = read(CONSISTENCY);
    for name in named_tests(&operations).chain(named_tests(&consistency)) {
        let definition = format!("fn {name}(");
        assert!(texts.iter().any(|text| text.contains(&definition)), "there is no test {name}");
    }
}
