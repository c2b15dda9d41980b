//! How a page looks and whether people get through it: pictures in `target/screenshots` in several widths, two
//! colour schemes and forced colours; nothing cut off, nothing too small, and nothing that axe finds wrong.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "assertions of tests: a failure is a panic"
)]

use serde_json::{Value, json};

use crate::accessibility::{self, Violation};
use crate::browser::Browser;
use crate::browser::ColorScheme::{self, Dark, Light};

/// A window's width, its colours, and whether axe is asked there: sizes are the same in every scheme, and colours at
/// every width. 320 is the narrowest that WCAG asks for, 640 what a zoom of 200 % leaves of a laptop's window.
const WINDOWS: [(u32, ColorScheme, bool); 6] = [
    (320, Light, true),
    (320, Dark, false),
    (640, Light, false),
    (768, Light, false),
    (1280, Light, true),
    (1280, Dark, true),
];
/// A window's height; pages without a dialog are pictured as a whole.
const HEIGHT: u32 = 800;

/// Elements that reach out of the window, or hold more than they show (a field scrolls). What only screen readers get is
/// clipped on purpose.
const CUT: &str = "
    const clipped = e => { for (; e; e = e.parentElement) if (getComputedStyle(e).clipPath !== 'none') return true; };
    return [...document.body.querySelectorAll(':not(svg, svg *, .skip)')]
        .filter(e => e.checkVisibility({ visibilityProperty: true }) && !clipped(e))
        .filter(e => {
            const box = e.getBoundingClientRect();
            return box.left < -0.5 || box.right > innerWidth + 0.5
                || (e.tagName !== 'INPUT' && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1);
        })
        .map(e => e.outerHTML.slice(0, 120));";

/// What is pressed and is too small for a finger: below 24 pixels.
const SMALL: &str = "
    return [...document.querySelectorAll('button, .button, summary, nav a, label.check, select, input:not([type=checkbox], [type=radio])')]
        .filter(e => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().height < 24)
        .map(e => e.outerHTML.slice(0, 120));";

/// Looks at what is displayed. `state` names the pictures.
pub async fn look_at(browser: &Browser, state: &str) {
    for (width, scheme, asked) in WINDOWS {
        fit_window(browser, width).await;
        browser.set_color_scheme(scheme).await.unwrap();
        let scheme = if scheme == Light { "light" } else { "dark" };
        browser.save_screenshot(&format!("{state}-{width}-{scheme}")).await.unwrap();
        assert_fits(browser, &format!("{state} at {width}")).await;
        if asked {
            assert_open_to_all(browser, &format!("{state} at {width}, {scheme}")).await;
        }
    }
    browser.force_colors(Dark).await.unwrap();
    browser.save_screenshot(&format!("{state}-1280-forced")).await.unwrap();
    // Which colours these are the person decided; axe would read the ones that the page asked for.
    let found = accessibility::violations(browser).await.unwrap();
    let found: Vec<_> = found.into_iter().filter(|violation| violation.rule != "color-contrast").collect();
    assert_none(&found, &format!("{state} in forced colours"));
    browser.set_color_scheme(Light).await.unwrap();
}

async fn run(browser: &Browser, script: &str) -> Value {
    browser.client().execute(script, vec![]).await.unwrap()
}

/// A window of this width in which the whole page shows.
async fn fit_window(browser: &Browser, width: u32) {
    browser.set_viewport(width, HEIGHT).await.unwrap();
    let whole = "return document.querySelector('dialog[open]') ? 0 : document.documentElement.scrollHeight";
    let whole = run(browser, whole).await.as_u64().unwrap();
    let height = u32::try_from(whole).unwrap().max(HEIGHT);
    browser.set_viewport(width, height).await.unwrap();
}

async fn assert_fits(browser: &Browser, state: &str) {
    let fits = run(browser, "return document.documentElement.scrollWidth <= innerWidth").await;
    assert_eq!(fits, json!(true), "{state} scrolls sideways");
    assert_eq!(run(browser, CUT).await, json!([]), "cut off in {state}");
    assert_eq!(run(browser, SMALL).await, json!([]), "too small in {state}");
}

/// Nothing that axe finds wrong.
async fn assert_open_to_all(browser: &Browser, state: &str) {
    assert_none(&accessibility::violations(browser).await.unwrap(), state);
}

fn assert_none(found: &[Violation], state: &str) {
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{state} keeps people out:\n{}", told.join("\n"));
}
