//! Development only: throw-away databases, a browser, and what a test run says about itself.
//!
//! Deliberately absent: anything that ships, and any dependency on the crates whose tests use this one
//! (`domain` apart), so that each of them can.

#[cfg(feature = "browser")]
pub mod accessibility;
#[cfg(feature = "browser")]
pub mod browser;
pub mod database;
#[cfg(feature = "browser")]
pub mod looking;
pub mod private_postgres;
pub mod processes;
pub mod proxy;
pub mod scripted;
pub mod visible;
