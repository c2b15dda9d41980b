//! Length of functions and of files.

use super::File;
use super::source::is_word;

/// Longer ones hide their structure; split along what they do.
const FUNCTION_LINES: usize = 70;
/// Longer ones hold two topics.
const FILE_LINES: usize = 500;

/// What is longer than the rule for a reason: path, function (empty for the file), lines. The number is
/// exact, so an entry can only shrink, and goes when it is within the rule.
const EXCEPTIONS: [(&str, &str, usize); 0] = [];

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Counted from 1.
    line: usize,
    /// From the line of `fn` to that of the closing brace, those with code alone: comments, blank lines and
    /// the inside of long texts do not make a function harder to read.
    lines: usize,
}

/// The functions in code that [`super::source::code_only`] has cleaned.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let characters: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(character) = characters.get(at).copied() {
        if character == '\n' {
            line += 1;
        }
        if !is_word(character) {
            at += 1;
            continue;
        }
        let word = word_at(&characters, at);
        at += word.len();
        if word == "fn" {
            found.extend(function_at(&characters, at, line));
        }
    }
    found
}

fn word_at(characters: &[char], at: usize) -> String {
    characters.iter().skip(at).take_while(|c| is_word(**c)).collect()
}

/// Reads the name and finds the body of a function whose `fn` ends at `at`. `None` for function types and
/// for declarations without a body.
fn function_at(characters: &[char], at: usize, line: usize) -> Option<Function> {
    let name_at = at + characters.iter().skip(at).take_while(|c| c.is_whitespace()).count();
    let name = word_at(characters, name_at);
    if name.is_empty() {
        return None;
    }
    // Braces and semicolons inside brackets belong to a type or a constant, not to the body.
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    let (mut lines, mut line_has_code) = (0, true);
    for character in characters.iter().skip(at) {
        lines += usize::from(*character == '\n' && line_has_code);
        line_has_code = *character != '\n' && (line_has_code || !character.is_whitespace());
        match character {
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' if brackets == 0 => braces += 1,
            '}' if brackets == 0 => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(Function { name, line, lines: lines + 1 });
                }
            }
            _ => {}
        }
    }
    None
}

/// Functions and the file itself against the limits, and against their exceptions.
pub(super) fn check(path: &str, text: &str, functions: &[Function]) -> Vec<String> {
    let mut breaches = Vec::new();
    for function in functions {
        let limit = exception(path, &function.name).unwrap_or(FUNCTION_LINES);
        if function.lines > limit {
            breaches.push(format!(
                "{path}:{}: fn {} has {} lines of code; {limit} are allowed",
                function.line, function.name, function.lines
            ));
        }
    }
    let lines = text.lines().count();
    let limit = exception(path, "").unwrap_or(FILE_LINES);
    if lines > limit {
        breaches.push(format!("{path}: {lines} lines; {limit} are allowed"));
    }
    breaches
}

fn exception(path: &str, function: &str) -> Option<usize> {
    EXCEPTIONS.iter().find(|entry| (entry.0, entry.1) == (path, function)).map(|entry| entry.2)
}

/// Exceptions that are no longer needed, or that allow more than is used.
pub(super) fn check_exceptions(files: &[File]) -> Vec<String> {
    let stale = |(path, name, allowed): &(&str, &str, usize)| {
        let file = files.iter().find(|file| file.path == *path);
        let used = file.map_or(0, |file| longest(&file.text, name));
        let limit = if name.is_empty() { FILE_LINES } else { FUNCTION_LINES };
        let too_generous = used < *allowed || used <= limit;
        too_generous.then(|| format!("{path}: the exception for {allowed} lines is stale; {used} are used"))
    };
    EXCEPTIONS.iter().filter_map(stale).collect()
}

fn longest(text: &str, function: &str) -> usize {
    if function.is_empty() {
        return text.lines().count();
    }
    let found = functions(&super::source::code_only(text));
    found.iter().filter(|candidate| candidate.name == function).map(|found| found.lines).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_lines(code: &str) -> Vec<(String, usize, usize)> {
        functions(code).into_iter().map(|found| (found.name, found.line, found.lines)).collect()
    }

    #[test]
    fn bodies_are_measured_from_fn_to_the_closing_brace() {
        let code = "fn one() {}\n\npub async fn two<T>(x: [u8; 4]) -> T\nwhere\n    T: Fn(u8),\n{\n    if x { y }\n}\n";
        assert_eq!(names_and_lines(code), [("one".to_owned(), 1, 1), ("two".to_owned(), 3, 6)]);
    }

    #[test]
    fn types_and_declarations_are_no_functions_and_blank_lines_no_code() {
        assert_eq!(names_and_lines("type F = fn(u8) -> u8; trait T { fn declared(&self); }"), []);
        let mostly_blank = "fn f() {\n    a();\n\n       \n    b();\n}";
        assert_eq!(names_and_lines(mostly_blank), [("f".to_owned(), 1, 4)]);
        let nested = names_and_lines("fn outer() {\n fn inner() {\n }\n}");
        assert_eq!(nested, [("outer".to_owned(), 1, 4), ("inner".to_owned(), 2, 2)]);
    }

    #[test]
    fn what_is_too_long_is_named_with_its_place() {
        let body = "x();\n".repeat(FUNCTION_LINES);
        let code = format!("\nfn long() {{\n{body}}}\n");
        assert_eq!(
            check("a.rs", &code, &functions(&code)),
            ["a.rs:2: fn long has 72 lines of code; 70 are allowed"]
        );
        let file = "x\n".repeat(FILE_LINES + 1);
        assert_eq!(check("a.rs", &file, &[]), ["a.rs: 501 lines; 500 are allowed"]);
    }
}
