//! The audit log: who did what to what.

use reqwest::Method;
use rndrkit_api::audit::AuditEvent;
use rndrkit_api::page::Page;

use crate::error::Error;
use crate::transport::Call;
use crate::{Client, PageQuery};

impl Client {
    /// `GET /v1/audit-log`, of one account or of all.
    pub async fn list_audit_events(
        &self,
        account: Option<&str>,
        page: PageQuery<'_>,
    ) -> Result<Page<AuditEvent>, Error> {
        let mut query = page.pairs();
        query.extend(account.map(|id| ("account_id", id.to_owned())));
        self.transport.send(Call { query, ..Call::new(Method::GET, &["v1", "audit-log"]) }).await
    }
}
