//! axe-core in the page that a browser shows: what keeps people out of it. Deliberately absent: anything about
//! our pages, and exceptions from the rules.

use std::fmt::{self, Display};

use serde_json::{Value, json};

use crate::browser::{Browser, BrowserError};

const AXE: &str = include_str!("../vendor/axe-core-4.14.1/axe.min.js");
/// Sets of rules: WCAG 2.0, 2.1 and 2.2 at levels A and AA, and what axe calls best practices.
const RULES: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const IS_THERE: &str = "return typeof axe !== 'undefined'";
/// The driver waits for the promise. The size of what is pressed is checked only when it is asked for.
const LOOK: &str = "
    const places = found => found.nodes.map(node => ({selector: node.target.join(' '), why: node.failureSummary}));
    return axe.run(document, {
        runOnly: {type: 'tag', values: arguments[0]},
        rules: {'target-size': {enabled: true}},
        resultTypes: ['violations'],
    }).then(answer => answer.violations.map(found => ({rule: found.id, help: found.help, places: places(found)})));";

/// A rule that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// axe's name of the rule.
    pub rule: String,
    /// The rule in a sentence.
    pub help: String,
    /// Where, and what axe says to do there.
    pub places: Vec<Place>,
}

/// An element that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// CSS selector.
    pub selector: String,
    /// What to mend.
    pub why: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.help)?;
        for place in &self.places {
            write!(f, "\n  {}", place.selector)?;
            for line in place.why.lines() {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}

/// All that axe finds wrong with what the browser shows now. It needs a page whose scripts are on: a page that
/// was loaded without may have them turned on again before this, and still has run none of its own.
pub async fn violations(browser: &Browser) -> Result<Vec<Violation>, BrowserError> {
    let client = browser.client();
    if client.execute(IS_THERE, vec![]).await? != json!(true) {
        client.execute(AXE, vec![]).await?;
    }
    let found = client.execute(LOOK, vec![json!(RULES)]).await?;
    Ok(found.as_array().into_iter().flatten().map(violation).collect())
}

fn violation(found: &Value) -> Violation {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |place: &Value| Place { selector: text(&place["selector"]), why: text(&place["why"]) };
    Violation {
        rule: text(&found["rule"]),
        help: text(&found["help"]),
        places: found["places"].as_array().into_iter().flatten().map(place).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::key_text::Digest;

    use super::*;

    #[test]
    fn axe_is_the_file_that_was_published() {
        let digest = Digest::of(AXE).0.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(digest, "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c");
    }

    #[tokio::test]
    async fn what_keeps_people_out_of_a_page_is_found_and_a_good_page_passes() {
        let Some(browser) = Browser::open_or_notice().await.unwrap() else { return };
        let page = |body: &str| {
            format!(
                "data:text/html,<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>{body}</main>"
            )
        };
        browser.client().goto(&page("<p>Words.</p><button>Send</button>")).await.unwrap();
        assert_eq!(violations(&browser).await.unwrap(), []);

        let bad = "<button></button><p style='color:silver;background:white'>Pale</p><input><a href=/ style='display:inline-block;height:9px;overflow:hidden'>a</a><a href=/ style='display:inline-block;height:9px;overflow:hidden'>b</a>";
        browser.client().goto(&page(bad)).await.unwrap();
        let found = violations(&browser).await.unwrap();
        let rules: Vec<&str> = found.iter().map(|violation| violation.rule.as_str()).collect();
        assert_eq!(rules, ["button-name", "color-contrast", "label", "target-size"]);
        let told = found[0].to_string();
        assert!(told.starts_with("button-name: ") && told.contains("\n  button\n    "), "{told}");
        browser.close().await.unwrap();
    }
}
