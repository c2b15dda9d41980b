//! Reading the audit log.

use rndrkit_domain::audit::StoredEvent;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::token::Scope;

use crate::cursor::{Cursor, Page, PageQuery};
use crate::{Context, Control, Error};

impl Control {
    /// Events, newest first; of one account if one is given.
    pub async fn list_events(
        &self,
        context: &Context,
        account_id: Option<AccountId>,
        page: PageQuery,
    ) -> Result<Page<StoredEvent>, Error> {
        match account_id {
            Some(account_id) => context.require_operator_or_user(account_id, Scope::Read)?,
            None => context.require_operator(Scope::Read)?,
        }
        let (limit, after) = page.by_sequence()?;
        let stored = self.store().list_events(account_id, limit, after).await?;
        let found = Page::new(stored, |(sequence, _)| Cursor::Sequence(*sequence));
        Ok(found.map(|(_, event)| event))
    }
}
