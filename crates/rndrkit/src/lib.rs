//! The one binary as a library, so that tests can start it inside their own process: command line,
//! settings, wiring.

pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod serve;
pub mod wiring;
