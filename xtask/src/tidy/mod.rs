//! The house rules, as a task and as a test. Each rule names the place and what to do about it.
//!
//! What rustfmt, clippy, rustdoc and cargo-deny check is left to them.

mod arrows;
mod documents;
mod functions;
mod source;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::{Outcome, root, say};

/// A file of the checkout, read once for all rules.
#[derive(Debug)]
struct File {
    /// Relative to the top.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        has_ending(&self.path, "rs")
    }

    fn is_document(&self) -> bool {
        has_ending(&self.path, "md")
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// Folders that builds and running servers fill.
const SKIPPED: [&str; 4] = ["target", ".git", "rndrkit-data", "artifacts"];

/// Prints every breach; fails when there is one.
pub(crate) fn run() -> Outcome<()> {
    let breaches = check(&root())?;
    for breach in &breaches {
        println!("{breach}");
    }
    if breaches.is_empty() {
        say("tidy: nothing to mend");
        return Ok(());
    }
    Err(format!("{} breaches of the house rules", breaches.len()).into())
}

/// All breaches in the checkout.
fn check(top: &Path) -> Outcome<Vec<String>> {
    let files = read_files(top)?;
    let rust = || files.iter().filter(|file| file.is_rust());
    let mut breaches = Vec::new();
    let mut names = BTreeSet::new();
    for file in rust() {
        let found = functions::functions(&source::code_only(&file.text));
        names.extend(found.iter().map(|function| function.name.clone()));
        breaches.extend(text::check_rust(&file.path, &file.text));
        breaches.extend(functions::check(&file.path, &file.text, &found));
    }
    for file in &files {
        breaches.extend(text::check_any(&file.path, &file.text));
    }
    for file in files.iter().filter(|file| file.is_document()) {
        breaches.extend(documents::check(top, &file.path, &file.text, &names));
    }
    breaches.extend(functions::check_exceptions(&files));
    breaches.extend(arrows::check(top)?);
    breaches.sort();
    Ok(breaches)
}

/// Every text file below the top, in a fixed order. Larger ones than a megabyte and pictures are not text.
fn read_files(top: &Path) -> Outcome<Vec<File>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata()?.len() < 1_000_000 {
                let Ok(text) = fs::read_to_string(entry.path()) else { continue };
                let path = entry.path().strip_prefix(top)?.to_string_lossy().into_owned();
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_follows_the_house_rules() {
        let breaches = check(&root()).unwrap();
        assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
    }

    #[test]
    fn the_rules_look_at_the_whole_checkout() {
        let files = read_files(&root()).unwrap();
        for path in ["Cargo.toml", "crates/domain/src/key_text.rs", "xtask/src/main.rs", "fuzz/Cargo.toml"] {
            assert!(files.iter().any(|file| file.path == path), "{path} was not read");
        }
        assert!(files.iter().all(|file| !file.path.starts_with("target")));
    }
}
