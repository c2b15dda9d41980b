//! The dashboard in a real browser: the specification's walk, what people and accidents do to it, and how
//! every state of the API Keys page looks.

mod failures;
mod keyboard;
mod person;
mod screens;
mod several_servers;
mod specification;
mod states;
mod without_scripts;
