//! Client of the operator API: one typed method for each call, typed errors, a limit on everything.
//!
//! It speaks to the internal listener with an operator token. It follows no redirect and uses no proxy, so
//! that the token reaches that one server and nothing else; it retries nothing, because only the caller
//! knows what may be done twice (give creates an idempotency key, and they may).

mod accounts;
mod audit;
mod error;
mod keys;
mod tokens;
mod transport;
mod usage;

pub use error::Error;
pub use rndrkit_api as api;

pub use accounts::AccountFilter;
use transport::Transport;
pub use usage::UsageQuery;

/// The operator API of one server. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

/// Which part of a list: newest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageQuery<'a> {
    /// Items at most, 1 to 100; the server's default is 20.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub after: Option<&'a str>,
}

impl PageQuery<'_> {
    fn pairs(self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let after = self.after.map(|after| ("after", after.to_owned()));
        limit.into_iter().chain(after).collect()
    }
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:8081`, with an operator token or a token
    /// that the API made. Opens no connection yet.
    pub fn new(url: &str, token: &str) -> Result<Self, Error> {
        Ok(Self { transport: Transport::new(url, token)? })
    }

    /// Whether the server can decide now: it has caught up and is not shutting down.
    pub async fn is_ready(&self) -> Result<bool, Error> {
        self.transport.is_ready().await
    }
}
