//! Small parts that several commands share.

use rndrkit_client::PageQuery;

use super::console::Console;
use crate::cli::PageArgs;

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
