//! Documents point at things that exist: files behind links, and the tests that promises name.

use std::collections::BTreeSet;
use std::path::Path;

/// Begins a paragraph of ARCHITECTURE.md that lists the tests which try to break a promise.
const TESTS_PARAGRAPH: &str = "Tried by:";

/// Links to files of the checkout, and test names in paragraphs that list them.
pub(super) fn check(top: &Path, path: &str, text: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let folder = top.join(path).parent().map(Path::to_owned).unwrap_or_default();
    let mut breaches = Vec::new();
    let mut lists_tests = false;
    for (index, line) in text.lines().enumerate() {
        for target in links(line).filter(|target| !folder.join(target).exists()) {
            breaches.push(format!("{path}:{}: the link to {target} leads nowhere", index + 1));
        }
        lists_tests = line.trim().starts_with(TESTS_PARAGRAPH) || (lists_tests && !line.trim().is_empty());
        if lists_tests {
            let unknown = code_words(line).filter(|name| !functions.contains(*name));
            breaches.extend(unknown.map(|name| format!("{path}:{}: there is no test {name}", index + 1)));
        }
    }
    breaches
}

/// Targets of `[text](target)` that are files: no web address, and without the part after `#`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

/// What stands between backticks.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_named_tests_must_exist() {
        let top = crate::report::root();
        let known = BTreeSet::from(["a_test".to_owned()]);
        let good =
            "[a](Cargo.toml) [b](https://example.com/x) [c](#part) [d](xtask/src#top)\nTried by: `a_test`.";
        assert_eq!(check(&top, "README.md", good, &known), Vec::<String>::new());
        let bad = "[a](absent.md)\n  Tried by: `a_test`,\n  `another_test`.\n\n`no_test`";
        assert_eq!(
            check(&top, "README.md", bad, &known),
            [
                "README.md:1: the link to absent.md leads nowhere",
                "README.md:3: there is no test another_test"
            ]
        );
    }
}
