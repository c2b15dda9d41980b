//! The Dockerfile: its variables are settings, its ports are the listeners', and it runs as nobody special.

use crate::files::{read, resolve};

/// The words after each instruction of this name, lines that end in `\` joined.
fn instructions(name: &str) -> Vec<String> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let found = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map(|rest| rest.trim().to_owned()).collect()
}

/// What the image sets.
pub fn variables() -> Vec<(String, String)> {
    let words = instructions("ENV");
    let pairs =
        words.iter().flat_map(|words| words.split_whitespace()).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The number of the user that the image runs as.
pub fn user() -> String {
    let user = instructions("USER").remove(0);
    user.split(':').next().unwrap().to_owned()
}

#[test]
fn the_image_sets_what_the_product_knows_and_exposes_its_ports() {
    let variables = variables();
    assert!(variables.len() >= 3, "{variables:?}");
    let listeners = resolve(&variables).listeners;
    let exposed: Vec<u16> = instructions("EXPOSE")
        .iter()
        .flat_map(|ports| ports.split(' '))
        .map(|port| port.parse().unwrap())
        .collect();
    assert_eq!(exposed, [listeners.public.port(), listeners.internal.port()]);
    assert_ne!(user(), "0");
}
