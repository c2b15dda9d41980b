//! An account's own audit events as a file to take away: in pages, so that nobody holds all of them at once.

use rndrkit_domain::id::AccountId;
use rndrkit_domain::token::Scope;
use rndrkit_store::{ActivityFilter, ActivityPlace, ChainedEvent};

use crate::activity::{ActivityNames, ActivityQuery, scrubbed};
use crate::{Context, Control, Error};

/// Events that are read, and put into words, at once: some hundred kilobytes and some milliseconds.
const BATCH_EVENTS: u32 = 200;
/// Events of one file: some megabytes. A busy account has that many in months; the filter by days gets the rest.
pub const MAX_FILE_EVENTS: u32 = 5_000;

/// A file that is being read, newest events first.
#[derive(Debug)]
pub struct ActivityFile {
    control: Control,
    account_id: AccountId,
    filter: ActivityFilter,
    /// Where the next page begins; none at the end.
    place: Option<ActivityPlace>,
    /// Events that may still follow.
    left: u32,
    complete: bool,
    /// Names of people and plans, read once. Those of keys come with each page.
    names: ActivityNames,
}

impl ActivityFile {
    /// The next events, with the names that they need; none at the end.
    pub async fn next(&mut self) -> Result<Option<(Vec<ChainedEvent>, ActivityNames)>, Error> {
        let Some(place) = self.place else { return Ok(None) };
        let limit = BATCH_EVENTS.min(self.left);
        let page = self.control.store().list_activity(self.account_id, &self.filter, place, limit).await?;
        let keys = self.control.names_of_keys(self.account_id, &page.items).await?;
        self.left -= limit;
        self.complete = !page.has_more;
        let last = page.items.last().filter(|_| page.has_more && self.left > 0);
        self.place = last.map(|last| ActivityPlace::Before(last.seq));
        let names = ActivityNames { keys, ..self.names.clone() };
        Ok(Some((page.items.into_iter().map(scrubbed).collect(), names)))
    }

    /// Whether that was all, once there are no more; otherwise the newest [`MAX_FILE_EVENTS`].
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Control {
    /// Begins to read an account's events for a file, the newest [`MAX_FILE_EVENTS`] of them.
    pub async fn account_activity_file(
        &self,
        context: &Context,
        account_id: AccountId,
        query: &ActivityQuery,
    ) -> Result<ActivityFile, Error> {
        context.require_operator_or_user(account_id, Scope::Read)?;
        Ok(ActivityFile {
            control: self.clone(),
            account_id,
            filter: query.filter(),
            place: Some(ActivityPlace::Newest),
            left: MAX_FILE_EVENTS,
            complete: false,
            names: self.names_of_others(account_id).await?,
        })
    }
}
