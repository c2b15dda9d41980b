//! What a client calls itself, in words: `Firefox on Linux`, `curl`. A guess for people, never a decision: any
//! client may send any text.

/// Browsers by the mark that tells them, the more special first: almost all of them also claim to be Safari, and
/// many to be Chrome.
const BROWSERS: [(&str, &str); 14] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("HeadlessChrome/", "Chrome without a window"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems by their mark, the more special first: Android also claims to be Linux, and an iPhone to be like a Mac.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// The longest name of a program that is shown; longer ones are cut.
const MAX_PROGRAM_CHARS: usize = 40;

/// `Firefox on Linux`; of a program its own name, such as `curl` or `python-requests`; of a text that names
/// nothing, `An unknown program`.
#[must_use]
pub fn browser(user_agent: &str) -> String {
    let found = |marks: &[(&str, &'static str)]| {
        marks.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // What people browse with begins with this; programs say their name at once.
    if user_agent.starts_with("Mozilla/") {
        return match (found(&BROWSERS), found(&SYSTEMS)) {
            (Some(browser), Some(system)) => format!("{browser} on {system}"),
            (Some(browser), None) => browser.to_owned(),
            (None, Some(system)) => format!("A browser on {system}"),
            (None, None) => "A browser".to_owned(),
        };
    }
    program(user_agent).unwrap_or_else(|| "An unknown program".to_owned())
}

/// The first product of a list such as `curl/8.14.1 (x86_64)`, without its version.
fn program(user_agent: &str) -> Option<String> {
    let first = user_agent.split_whitespace().next()?;
    let name = first.split_once('/').map_or(first, |(name, _)| name);
    let shown: String =
        name.chars().filter(|c| c.is_ascii_graphic() && *c != '<').take(MAX_PROGRAM_CHARS).collect();
    shown.contains(|c: char| c.is_ascii_alphanumeric()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_and_systems_are_told_by_what_only_they_claim() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(), "Firefox on Linux"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0 Safari/537.36 Edg/140.0"),
                "Edge on Windows",
            ),
            (
                format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Chrome/140.0 Safari/537.36"),
                "Chrome on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1"
                    .to_owned(),
                "Safari on iPhone",
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 16; K) {webkit} Chrome/140.0 Mobile Safari/537.36"),
                "Chrome on Android",
            ),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)".to_owned(), "A browser"),
        ] {
            assert_eq!(browser(&user_agent), words, "{user_agent}");
        }
    }

    #[test]
    fn programs_are_called_by_their_own_name_without_a_version() {
        for (user_agent, words) in [
            ("curl/8.14.1", "curl"),
            ("python-requests/2.32.3", "python-requests"),
            ("Go-http-client/1.1", "Go-http-client"),
            ("axios", "axios"),
        ] {
            assert_eq!(browser(user_agent), words);
        }
    }

    #[test]
    fn a_text_that_names_nothing_is_not_repeated_and_a_long_one_is_cut() {
        for nothing in ["", "   ", "///", "\u{202e}\u{7}", "-"] {
            assert_eq!(browser(nothing), "An unknown program", "{nothing:?}");
        }
        assert_eq!(browser(&"x".repeat(256)).len(), 40);
    }
}
