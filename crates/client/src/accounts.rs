//! Accounts, and links for the people of an account.

use reqwest::Method;
use rndrkit_api::account::{Account, CreateAccount, DeletedAccount, UpdateAccount};
use rndrkit_api::link::{CreateLink, Link};
use rndrkit_api::page::Page;

use crate::error::Error;
use crate::transport::Call;
use crate::{Client, PageQuery};

/// Which accounts to list; both are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountFilter<'a> {
    /// Contact address.
    pub email: Option<&'a str>,
    /// The operator's own id.
    pub external_id: Option<&'a str>,
}

impl Client {
    /// `POST /v1/accounts`. With an idempotency key the call may be repeated and makes one account.
    pub async fn create_account(
        &self,
        account: &CreateAccount,
        idempotency_key: Option<&str>,
    ) -> Result<Account, Error> {
        let call = Call { idempotency_key, ..Call::new(Method::POST, &["v1", "accounts"]) };
        self.transport.send_json(call, account).await
    }

    /// `GET /v1/accounts`.
    pub async fn list_accounts(
        &self,
        filter: AccountFilter<'_>,
        page: PageQuery<'_>,
    ) -> Result<Page<Account>, Error> {
        let mut query = page.pairs();
        query.extend(filter.email.map(|email| ("email", email.to_owned())));
        query.extend(filter.external_id.map(|id| ("external_id", id.to_owned())));
        self.transport.send(Call { query, ..Call::new(Method::GET, &["v1", "accounts"]) }).await
    }

    /// `GET /v1/accounts/{id}`.
    pub async fn account(&self, id: &str) -> Result<Account, Error> {
        self.transport.send(Call::new(Method::GET, &["v1", "accounts", id])).await
    }

    /// `PATCH /v1/accounts/{id}`. Holds everywhere when it answers.
    pub async fn update_account(&self, id: &str, update: &UpdateAccount) -> Result<Account, Error> {
        self.transport.send_json(Call::new(Method::PATCH, &["v1", "accounts", id]), update).await
    }

    /// `DELETE /v1/accounts/{id}`: revokes its keys, ends its sessions, erases its personal data.
    pub async fn delete_account(&self, id: &str) -> Result<DeletedAccount, Error> {
        self.transport.send(Call::new(Method::DELETE, &["v1", "accounts", id])).await
    }

    /// `POST /v1/accounts/{id}/links`: an invitation, a password reset, or a sign-in.
    pub async fn create_link(&self, account: &str, link: &CreateLink) -> Result<Link, Error> {
        let path = ["v1", "accounts", account, "links"];
        self.transport.send_json(Call::new(Method::POST, &path), link).await
    }
}
