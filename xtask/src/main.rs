//! Test set-up and house rules.
fn main() {}
