//! The dashboard in a real browser: the specification's walk, what people and accidents do to it, and how
//! every state of every page looks and is reached.

mod activity;
mod failures;
mod gates;
mod keyboard;
mod looking;
mod person;
mod screens;
mod several_servers;
mod specification;
mod states;
mod without_scripts;
