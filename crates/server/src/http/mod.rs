//! What every handler of the JSON interfaces shares: reading requests, refusing them, and finishing answers.
//!
//! Deliberately absent: what any one call does (`api`, `public`) and the dashboard's pages.

pub(crate) mod answer;
pub(crate) mod authenticate;
pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod csv;
pub(crate) mod idempotency;
pub(crate) mod page;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod refusal;
