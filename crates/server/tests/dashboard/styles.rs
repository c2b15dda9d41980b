//! Rules for the style sheets: one place for values, and colours that people can read.

use std::collections::HashMap;

const TOKENS: &str = include_str!("../../assets/tokens.css");
const OTHERS: [(&str, &str); 5] = [
    ("base.css", include_str!("../../assets/base.css")),
    ("layout.css", include_str!("../../assets/layout.css")),
    ("controls.css", include_str!("../../assets/controls.css")),
    ("content.css", include_str!("../../assets/content.css")),
    ("usage.css", include_str!("../../assets/usage.css")),
];

fn without_comments(css: &str) -> String {
    css.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest)).collect()
}

#[test]
fn colours_and_sizes_are_named_in_the_tokens_and_used_by_name() {
    for (file, css) in OTHERS {
        for line in without_comments(css).lines() {
            // A query about the window or a container cannot read a custom property; a selector has no values.
            let is_query = line.trim_start().starts_with('@');
            let Some(value) = line.split_once(':').map(|(_, value)| value).filter(|_| !is_query) else {
                continue;
            };
            for unit in ["px", "rem", "em;", "vw", "ch;", "ms;"] {
                let literal = value.match_indices(unit).any(|(at, _)| {
                    value[..at].chars().next_back().is_some_and(|before| before.is_ascii_digit())
                });
                assert!(!literal, "{file}: {line}");
            }
            // A pattern of the page is named as an address in it.
            let value = value.replace("url(#", "");
            for colour in ["#", "oklch", "rgb", "hsl"] {
                assert!(!value.contains(colour), "{file}: {line}");
            }
        }
    }
}

#[test]
fn every_name_that_is_used_exists_and_every_name_that_exists_is_used() {
    let tokens = without_comments(TOKENS);
    let all = OTHERS.iter().map(|(_, css)| without_comments(css)).collect::<String>() + &tokens;
    let light = declared(tokens.split("@media").next().unwrap());
    for used in all.split("var(--").skip(1).map(|rest| rest.split([')', ',']).next().unwrap()) {
        assert!(light.contains_key(used), "--{used} is used and not declared");
    }
    for name in light.keys() {
        assert!(all.contains(&format!("var(--{name})")), "--{name} is declared and not used");
    }
    for name in declared(tokens.split("@media").nth(1).unwrap()).keys() {
        assert!(light.contains_key(name), "--{name} exists in the dark only");
    }
}

fn declared(css: &str) -> HashMap<&str, &str> {
    let lines = css.split(';').filter_map(|line| line.trim().rsplit_once("--").map(|_| line));
    lines
        .filter_map(|line| line[line.find("--")? + 2..].split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

/// Relative luminance (WCAG 2.2) of a token's colour, through `OKLCH` → `OKLab` → linear sRGB.
fn luminance(tokens: &HashMap<&str, &str>, name: &str) -> f64 {
    let value = tokens[name];
    if let Some(other) = value.strip_prefix("var(--") {
        return luminance(tokens, other.trim_end_matches(')'));
    }
    let numbers = value.strip_prefix("oklch(").unwrap().trim_end_matches(')');
    let numbers: Vec<f64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [lightness, chroma, hue] = numbers[..] else { panic!("{name}: {value}") };
    let (a, b) = (chroma * hue.to_radians().cos(), chroma * hue.to_radians().sin());
    let cone = |x: f64, y: f64| (lightness + x * a + y * b).powi(3);
    let long = cone(0.396_337_777_4, 0.215_803_757_3);
    let medium = cone(-0.105_561_345_8, -0.063_854_172_8);
    let short = cone(-0.089_484_177_5, -1.291_485_548_0);
    let red = 4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short;
    let green = -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short;
    let blue = -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short;
    let inside = |channel: f64| channel.clamp(0.0, 1.0);
    0.2126 * inside(red) + 0.7152 * inside(green) + 0.0722 * inside(blue)
}

fn contrast(tokens: &HashMap<&str, &str>, first: &str, second: &str) -> f64 {
    let (a, b) = (luminance(tokens, first), luminance(tokens, second));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Text on what it stands on.
const TEXT: &[(&str, &[&str])] = &[
    ("text", &["page", "surface", "sunken", "good-soft", "caution-soft", "danger-soft", "accent-soft"]),
    ("text-soft", &["page", "surface", "sunken"]),
    ("text-code", &["sunken"]),
    ("text-quiet", &["page", "surface", "sunken"]),
    ("accent-text", &["page", "surface", "accent-soft"]),
    ("accent-strong", &["page", "surface"]),
    ("danger-text", &["page", "surface", "sunken", "danger-soft"]),
    ("caution-text", &["surface", "caution-soft"]),
    ("good-text", &["good-soft"]),
    ("on-accent", &["accent", "accent-strong"]),
    ("on-danger", &["danger", "danger-strong"]),
];
/// Lines that show where a control is, and the ring of the focus.
const CONTROLS: &[(&str, &[&str])] = &[
    ("control-line", &["surface"]),
    ("focus", &["page", "surface", "sunken"]),
    ("danger", &["surface"]),
    ("series-1", &["surface"]),
    ("series-2", &["surface"]),
    ("series-3", &["surface"]),
    ("series-4", &["surface"]),
    ("series-5", &["surface"]),
    ("series-6", &["surface"]),
];

fn check(tokens: &HashMap<&str, &str>, pairs: &[(&str, &[&str])], least: f64, scheme: &str) {
    for (front, backs) in pairs {
        for back in *backs {
            let found = contrast(tokens, front, back);
            assert!(found >= least, "{scheme}: --{front} on --{back} is {found:.2}, not {least}");
        }
    }
}

#[test]
fn text_has_a_contrast_of_4_5_and_controls_of_3_in_light_and_dark() {
    let css = without_comments(TOKENS);
    let (light, dark) = css.split_once("@media").unwrap();
    let light = declared(light);
    let mut night = light.clone();
    night.extend(declared(dark));
    for (tokens, scheme) in [(&light, "light"), (&night, "dark")] {
        check(tokens, TEXT, 4.5, scheme);
        check(tokens, CONTROLS, 3.0, scheme);
    }
}

#[test]
fn the_contrast_of_black_on_white_is_21() {
    let tokens = HashMap::from([("black", "oklch(0 0 0)"), ("white", "oklch(1 0 0)")]);
    assert!((contrast(&tokens, "black", "white") - 21.0).abs() < 0.01);
}
