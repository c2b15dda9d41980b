//! JSON on the wire: the shapes of requests and answers, and the table of error codes.
//!
//! Serde types only. Deliberately absent: conversions from the product's own types (they live beside the
//! handlers, so that a rename inside cannot change the wire), HTTP, and any other crate of the workspace.
//! Ids are opaque texts; times are RFC 3339 in UTC with milliseconds; `null` means never or none.

pub mod account;
pub mod audit;
pub mod error;
pub mod key;
pub mod link;
pub mod page;
pub mod public;
pub mod token;
pub mod usage;
pub mod verify;
