//! Makes harmless what people have typed, before it stands in a mail.

/// As long as a name may be: what is longer was not checked by us.
const CHARS_MAX: usize = 254;

/// One line, without invisible characters; no address that mail programs would make a link of; words that are
/// written from right to left keep to their place.
pub(super) fn typed(text: &str) -> String {
    let line: String = text
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .take(CHARS_MAX)
        .collect();
    let line = line.trim().replace("://", ": //");
    if line.chars().any(is_right_to_left) { format!("\u{2068}{line}\u{2069}") } else { line }
}

/// Direction marks and overrides, zero width, line and paragraph separators, tags.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_name_stays_one_line_in_its_place_and_no_link() {
        assert_eq!(typed(" CI/CD\r\nBcc: x@y "), "CI/CD  Bcc: x@y");
        assert_eq!(typed("a\u{202e}b\u{200b}c"), "abc");
        assert_eq!(typed("https://evil.example"), "https: //evil.example");
        assert_eq!(typed("مفتاح"), "\u{2068}مفتاح\u{2069}");
        assert_eq!(typed(&"x".repeat(9_999)).len(), 254);
    }
}
