//! Counted use.

use reqwest::Method;
use rndrkit_api::usage::AccountUsage;

use crate::Client;
use crate::error::Error;
use crate::transport::Call;

/// Which counts to read. What is not said is the server's choice: days, the last thirty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageQuery<'a> {
    /// First stretch: a day such as `2026-11-23`, or a moment.
    pub from: Option<&'a str>,
    /// Last stretch, likewise; included.
    pub to: Option<&'a str>,
    /// `day`, `hour` or `minute`.
    pub period: Option<&'a str>,
}

impl Client {
    /// `GET /v1/accounts/{id}/usage`.
    pub async fn account_usage(&self, id: &str, usage: UsageQuery<'_>) -> Result<AccountUsage, Error> {
        let parameters = [("from", usage.from), ("to", usage.to), ("period", usage.period)];
        let query =
            parameters.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        let path = ["v1", "accounts", id, "usage"];
        self.transport.send(Call { query, ..Call::new(Method::GET, &path) }).await
    }
}
