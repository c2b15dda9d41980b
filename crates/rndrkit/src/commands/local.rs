//! Small parts that several commands share.

use rndrkit_api::error::ErrorCode;
use rndrkit_client::{AccountFilter, Client, PageQuery};

use super::console::Console;
use super::{Exit, Failure};
use crate::cli::PageArgs;

/// The id of an account that was named by its id or by its e-mail address.
pub(super) async fn account_id(client: &Client, named: String) -> Result<String, Failure> {
    if !named.contains('@') {
        return Ok(named);
    }
    let filter = AccountFilter { email: Some(&named), external_id: None };
    let found = client.list_accounts(filter, PageQuery::default()).await?;
    let found = found.data.into_iter().next();
    found.map(|account| account.id).ok_or_else(|| {
        Failure::new(
            Exit::No,
            "There is no account with this e-mail address; `rndrkit account list` shows all.",
        )
    })
}

/// Says what is not there. The API says the same to everybody, so that nobody learns what others have; whoever
/// has the operator's token may know.
pub(super) fn missing(what: &'static str) -> impl Fn(rndrkit_client::Error) -> Failure {
    move |error| {
        let is_missing = matches!(
            &error,
            rndrkit_client::Error::Problem(problem) if problem.code == ErrorCode::NotFound
        );
        let failure = Failure::from(error);
        if is_missing {
            Failure { text: format!("There is no {what} with this id."), ..failure }
        } else {
            failure
        }
    }
}

pub(super) fn page(args: &PageArgs) -> PageQuery<'_> {
    PageQuery { limit: args.limit, after: args.after.as_deref() }
}

/// How to see the rest of a list.
pub(super) fn more(console: &mut Console<'_>, next_cursor: Option<&String>) {
    if let Some(cursor) = next_cursor {
        console.line(format!("More: add --after {cursor}"));
    }
}

/// A new secret, on a line of its own, so that it can be selected or cut out as one.
pub(super) fn show_secret(console: &mut Console<'_>, secret: Option<&String>) {
    let Some(secret) = secret else {
        console.line("The secret was already delivered and cannot be shown again.");
        return;
    };
    console.line("");
    console.line(secret);
    console.line("");
    console.line("This is the only time that it is shown. Store it now.");
}
