//! `rndrkit account usage`.

use rndrkit_api::usage::{AccountUsage, KeyUsage};
use rndrkit_client::{Client, UsageQuery};

use super::console::Console;
use super::{Failure, local};
use crate::cli::{UsageArgs, UsagePeriod};

pub(super) async fn show(client: &Client, args: UsageArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let UsageArgs { account, from, to, period } = args;
    let id = local::account_id(client, account).await?;
    let query =
        UsageQuery { from: from.as_deref(), to: to.as_deref(), period: period.map(UsagePeriod::as_str) };
    let usage = client.account_usage(&id, query).await.map_err(local::missing("account"))?;
    console.either(&usage, print);
    Ok(())
}

fn print(console: &mut Console<'_>, usage: &AccountUsage) {
    if usage.data.is_empty() {
        console.line("No key of this account was used in that time.");
        return;
    }
    let row = |counted: &KeyUsage| {
        let answers = counted.answers;
        let counts = [
            counted.allowed,
            counted.limited,
            counted.refused,
            answers.successful,
            answers.redirection,
            answers.client_error,
            answers.server_error,
        ];
        let [allowed, limited, refused, successful, redirection, client_error, server_error] =
            counts.map(|count| count.to_string());
        let (start, key) = (counted.starts_at.clone(), counted.key_id.clone());
        [start, key, allowed, limited, refused, successful, redirection, client_error, server_error]
    };
    let rows: Vec<_> = usage.data.iter().map(row).collect();
    console.table(["FROM", "KEY", "ALLOWED", "LIMITED", "REFUSED", "2XX", "3XX", "4XX", "5XX"], &rows);
}
