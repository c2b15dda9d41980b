//! Mail to people: what it says, how it is written down, and how it is handed to a mail server.
//!
//! Deliberately absent: which mail waits and when it is tried again (the caller's), SQL, clocks, randomness.

mod bounded;
mod message;
mod server;
mod session;
mod words;

pub use message::{BadAddress, Letter, Sender};
pub use server::{InvalidServer, Security, SmtpServer};
pub use session::{DeliveryError, Session};
pub use words::{Text, Words};
