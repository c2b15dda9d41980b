//! Just enough of Rust's grammar to tell code from comments and literals. Deliberately no parser: a file
//! that does not compile is the compiler's to report.

/// The text with every comment and every literal blanked out, line breaks kept, so that what is left can be
/// searched for keywords and braces by line.
pub(super) fn code_only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = characters.get(at).copied() {
        let rest = characters.get(at..).unwrap_or_default();
        // A word is taken whole, so that the `r` of `for"` or `bar#` is never read as a raw string's.
        let length = literal_length(rest).or_else(|| comment_length(rest));
        if let Some(length) = length.filter(|length| *length > 0) {
            let skipped = rest.get(..length).unwrap_or(rest);
            code.extend(skipped.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at += skipped.len();
        } else if is_word(character) {
            let word: Vec<char> = rest.iter().copied().take_while(|c| is_word(*c)).collect();
            at += word.len();
            code.extend(word);
        } else {
            code.push(character);
            at += 1;
        }
    }
    code
}

/// Whether the character belongs to names and numbers.
pub(super) fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn comment_length(rest: &[char]) -> Option<usize> {
    match rest {
        ['/', '/', ..] => Some(rest.iter().take_while(|c| **c != '\n').count()),
        ['/', '*', ..] => Some(block_comment_length(rest)),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(pair) = rest.get(at..at + 2) {
        match pair {
            ['/', '*'] => depth += 1,
            ['*', '/'] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn literal_length(rest: &[char]) -> Option<usize> {
    match rest {
        ['"', ..] => Some(quoted_length(rest, '"')),
        ['b' | 'c', '"', tail @ ..] => Some(1 + quoted_length(rest.get(1..).unwrap_or(tail), '"')),
        ['b', '\'', ..] => Some(1 + quoted_length(rest.get(1..).unwrap_or_default(), '\'')),
        ['r', '"' | '#', ..] => raw_length(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] => raw_length(rest, 2),
        // `'a'` and `'\n'` are characters; `'a` without the second quote is a lifetime.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => Some(quoted_length(rest, '\'')),
        _ => None,
    }
}

/// From the opening quote to the closing one, both included; a backslash hides the character after it.
fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while let Some(character) = rest.get(at) {
        match character {
            '\\' => at += 2,
            c if *c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and so on; `None` for a raw name such as `r#type`.
fn raw_length(rest: &[char], letters: usize) -> Option<usize> {
    let after = rest.get(letters..)?;
    let hashes = after.iter().take_while(|c| **c == '#').count();
    if after.get(hashes) != Some(&'"') {
        return None;
    }
    let mut at = letters + hashes + 1;
    while at < rest.len() {
        let closes = rest.get(at) == Some(&'"')
            && rest.get(at + 1..at + 1 + hashes).is_some_and(|end| end.iter().all(|c| *c == '#'));
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code without any blanks.
    fn squeezed(text: &str) -> String {
        code_only(text).split_whitespace().collect()
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(squeezed("a // { fn\nb /* { /* } */ { */ c"), "abc");
        assert_eq!(squeezed(r#"a("}{\"{", b"{", c"{") + 1"#), "a(,,)+1");
        assert_eq!(squeezed("r\"{\" r##\"{\"#{\"## br#\"{\"# x"), "x");
        assert_eq!(squeezed(r"'{' '\'' '\u{7b}' b'{' b'\'' y"), "y");
    }

    #[test]
    fn lifetimes_raw_names_and_words_before_quotes_stay_code() {
        assert_eq!(squeezed("fn f<'a>(x: &'a str) {}"), "fnf<'a>(x:&'astr){}");
        assert_eq!(squeezed("r#type 'outer: loop {}"), "r#type'outer:loop{}");
        assert_eq!(squeezed("for\"{\" number"), "fornumber");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "a\n\"x\ny\"\n/*\n*/ b";
        assert_eq!(code_only(text).lines().count(), text.lines().count());
    }
}
