//! The dashboard in a real browser: the specification's walk, what people and accidents do to it, and how
//! every state of every page looks and is reached.

mod account;
mod activity;
mod clicks;
mod failures;
mod gates;
mod keyboard;
mod looking;
mod names;
mod pages;
mod person;
mod rotation;
mod screens;
mod sentences;
mod several_servers;
mod specification;
mod states;
mod usage;
mod weight;
mod without_scripts;
