//! What the words of the product mean: ids, key text, plans, accounts, decisions, clocks.
//!
//! Deliberately absent: I/O, async, HTTP, SQL and serialisation. Every other crate may depend on this
//! one; this one depends on none of them. Time and randomness are parameters ([`time::Clock`],
//! [`random::Entropy`]).

pub mod account;
pub mod audit;
pub mod browser;
pub mod client;
pub mod decision;
pub mod feed;
pub mod hint;
pub mod id;
pub mod key;
pub mod key_text;
pub mod link;
pub mod mail;
pub mod node;
pub mod notification;
pub mod number;
pub mod observation;
pub mod place;
pub mod plan;
pub mod random;
pub mod rotation;
pub mod text;
pub mod time;
pub mod token;
pub mod usage;
