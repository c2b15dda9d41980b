//! The documents of the sample services: the code that they show is the code that the tests run.

use crate::services::top;

/// Each document and the file that it shows.
const SHOWN: [(&str, &str); 4] = [
    ("docs/integrations/axum.md", "examples/axum/src/main.rs"),
    ("docs/integrations/express.md", "examples/express/server.js"),
    ("docs/integrations/fastapi.md", "examples/fastapi/service.py"),
    ("docs/integrations/net-http.md", "examples/net-http/main.go"),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The last block of code of a document.
fn last_block(text: &str) -> &str {
    let end = text.rfind("\n```").expect("a block ends");
    let begin = text[..end].rfind("\n```").expect("a block begins");
    text[begin + 1..=end].split_once('\n').unwrap().1
}

#[test]
fn a_document_shows_the_service_as_it_is() {
    for (document, file) in SHOWN {
        let text = read(document);
        assert!(last_block(&text) == read(file), "{document} shows another {file}");
        assert!(text.contains(&format!("](../../{file})")), "{document} does not link to {file}");
    }
}

/// What all of them must say, because everything else depends on it.
#[test]
fn a_document_says_what_happens_when_nobody_answers() {
    for (document, _) in SHOWN {
        let text = read(document);
        for said in ["gets 503 with `Retry-After`, never 401, and never passes", "](verify.md)"] {
            assert!(text.contains(said), "{document} does not say: {said}");
        }
    }
}
