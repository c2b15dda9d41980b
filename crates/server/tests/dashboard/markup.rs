//! Rules that hold for every page: it runs under its own content policy, and people reach everything on it.

use std::collections::HashSet;

use crate::gallery;

/// Values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(start.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Opening tags of an element.
fn tags<'a>(html: &'a str, element: &str) -> Vec<&'a str> {
    let start = format!("<{element}");
    let named = |rest: &&str| rest.starts_with([' ', '>', '\n']);
    html.split(start.as_str()).skip(1).filter(named).map(|rest| rest.split('>').next().unwrap()).collect()
}

fn every_page(check: impl Fn(&str, &str)) {
    let pages = gallery::all();
    assert!(pages.len() > 30, "the gallery has lost its pages");
    for (name, html) in pages {
        check(name, &html);
    }
}

#[test]
fn no_page_needs_inline_scripts_or_styles() {
    every_page(|name, html| {
        assert!(values(html, "style").is_empty() && tags(html, "style").is_empty(), "{name}");
        assert!(tags(html, "script").iter().all(|tag| tag.contains(" src=")), "{name}");
        for handler in ["onclick", "onsubmit", "onload", "onchange"] {
            assert!(values(html, handler).is_empty(), "{name}: {handler}");
        }
        assert!(!html.contains("href=\"http://") && !html.contains("src=\"http"), "{name}");
    });
}

#[test]
fn ids_are_unique_and_whatever_refers_to_one_finds_it() {
    every_page(|name, html| {
        let ids = values(html, "id");
        let known: HashSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), known.len(), "{name}: {ids:?}");
        for attribute in ["for", "aria-describedby", "aria-labelledby", "data-opens", "data-copies"] {
            for value in values(html, attribute) {
                for id in value.split_whitespace() {
                    assert!(known.contains(id), "{name}: {attribute}={id}");
                }
            }
        }
    });
}

#[test]
fn every_visible_field_has_a_label() {
    every_page(|name, html| {
        let labelled: HashSet<&str> = values(html, "for").into_iter().collect();
        for tag in [tags(html, "input"), tags(html, "select")].concat() {
            let hidden = tag.contains("type=\"hidden\"") || tag.ends_with(" hidden");
            let inside_a_label = tag.contains("type=\"checkbox\"");
            let id = values(tag, "id");
            let has_label = id.first().is_some_and(|id| labelled.contains(id));
            assert!(hidden || inside_a_label || has_label, "{name}: {tag}");
        }
    });
}

#[test]
fn every_page_has_a_title_a_language_one_main_heading_and_one_main_part() {
    every_page(|name, html| {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
        let title = html.split_once("<title>").unwrap().1.split("</title>").next().unwrap();
        assert!(title.ends_with(" · RndrKit") && title.len() > " · RndrKit".len(), "{name}: {title}");
        assert_eq!(tags(html, "h1").len(), 1, "{name}");
        assert_eq!(tags(html, "main").len(), 1, "{name}");
    });
}

#[test]
fn tables_have_captions_and_every_header_has_its_direction() {
    every_page(|name, html| {
        assert_eq!(tags(html, "table").len(), tags(html, "caption").len(), "{name}");
        assert!(tags(html, "th").iter().all(|tag| tag.contains("scope=")), "{name}");
    });
}

#[test]
fn one_primary_button_stands_out_at_most_per_view() {
    every_page(|name, html| {
        // A dialog is a view of its own.
        let (page, dialogs) = html.split_once("<dialog").unwrap_or((html, ""));
        assert!(page.matches("button primary").count() <= 1, "{name}");
        for dialog in dialogs.split("<dialog") {
            let dialog = dialog.split("</dialog>").next().unwrap();
            assert!(dialog.matches("button primary").count() <= 1, "{name}");
        }
    });
}

#[test]
fn every_form_that_changes_something_goes_to_a_page_by_post() {
    every_page(|name, html| {
        for tag in tags(html, "form") {
            let changes = tag.contains("method=\"post\"");
            let asks = tag.contains("method=\"get\"");
            assert!(changes != asks && tag.contains("action=\"/"), "{name}: {tag}");
        }
    });
}

#[test]
fn texts_do_not_shout_or_beg() {
    every_page(|name, html| {
        let text: String =
            html.split('<').map(|part| part.split_once('>').map_or("", |(_, text)| text)).collect();
        for word in ["! ", "Please", "please", "Oops", "oops", "Sorry", "sorry"] {
            assert!(!text.contains(word), "{name}: {word:?}");
        }
    });
}
