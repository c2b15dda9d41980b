//! What no file may contain, and what every Rust file must begin with.

/// Half-done work. Put together from halves, because this file is searched too.
const UNFINISHED: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
/// Folders that exist on one machine only.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// What our own sample keys begin with. Scanners take a prefix with 32 characters for a leaked key.
const SAMPLE_PREFIXES: [&str; 2] = ["rk_live_", "rk_test_"];
/// Characters after the prefix of a whole key.
const KEY_CHARACTERS: usize = 32;

/// Rules for Rust files.
pub(super) fn check_rust(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let says_something = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
        .is_some_and(|line| !line.trim().is_empty());
    if !says_something {
        breaches.push(format!("{path}:1: begin with `//! ` and what the file is for"));
    }
    for word in UNFINISHED {
        breaches
            .extend(lines_with(text, |line| line.contains(word)).map(|line| {
                format!("{path}:{line}: `{word}` is unfinished work; finish it or leave it out")
            }));
    }
    breaches
}

/// Rules for every text file.
pub(super) fn check_any(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    breaches.extend(
        lines_with(text, has_whole_key)
            .map(|line| format!("{path}:{line}: a full-length sample key; assemble it from parts")),
    );
    breaches.extend(
        lines_with(text, has_machine_path).map(|line| format!("{path}:{line}: a path of one machine")),
    );
    breaches
}

/// Numbers, from 1, of the lines that match.
fn lines_with<'a>(text: &'a str, matches: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = usize> + 'a {
    text.lines().enumerate().filter(move |(_, line)| matches(line)).map(|(index, _)| index + 1)
}

fn has_whole_key(line: &str) -> bool {
    SAMPLE_PREFIXES.iter().any(|prefix| {
        line.match_indices(prefix).any(|(at, _)| {
            let after = line.get(at + prefix.len()..).unwrap_or_default();
            let body = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
            // The specification's own placeholder is all the same letter, which no scanner reports.
            let placeholder = after.bytes().take(body).all(|byte| byte == b'x');
            body >= KEY_CHARACTERS && !placeholder
        })
    })
}

/// A path from the top of a file system; the same words inside a web address or a longer path are fine.
fn has_machine_path(line: &str) -> bool {
    MACHINE_PATHS.iter().any(|path| {
        line.match_indices(path).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || "._-/}*".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_file_begins_with_what_it_is_for() {
        assert!(check_rust("a.rs", "//! Something.\n").is_empty());
        for bad in ["", "//! \n", "use x;\n", "\n//! Late.\n"] {
            assert_eq!(check_rust("a.rs", bad).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments() {
        for word in UNFINISHED {
            let text = format!("//! Something.\n// {word}\n");
            let breaches = check_rust("a.rs", &text);
            assert!(breaches.iter().any(|breach| breach.starts_with("a.rs:2:")), "{word}: {breaches:?}");
        }
    }

    #[test]
    fn whole_keys_are_found_and_shorter_or_placeholder_ones_are_not() {
        let body = "a1".repeat(16);
        assert_eq!(check_any("a", &format!("\nkey = rk_live_{body}")).len(), 1);
        assert_eq!(check_any("a", &format!("rk_test_{body}0")).len(), 1);
        assert!(check_any("a", &format!("rk_live_{}", body.trim_end_matches('1'))).is_empty());
        assert!(check_any("a", &format!("rk_live_{}", "x".repeat(32))).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found_and_addresses_are_not() {
        for path in MACHINE_PATHS {
            assert_eq!(check_any("a", &format!("see {path}file")).len(), 1);
            assert!(check_any("a", &format!("https://example.com{path}file")).is_empty());
        }
    }
}
