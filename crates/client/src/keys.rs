//! API keys, and the decision on one request.

use reqwest::Method;
use rndrkit_api::key::{CreateKey, CreatedKey, Key, Receipt, RotateKey, UpdateKey};
use rndrkit_api::page::Page;
use rndrkit_api::verify::{VerifyAnswer, VerifyRequest};

use crate::error::Error;
use crate::transport::Call;
use crate::{Client, PageQuery};

impl Client {
    /// `POST /v1/accounts/{id}/keys`. The answer shows the secret, this once.
    pub async fn create_key(
        &self,
        account: &str,
        key: &CreateKey,
        idempotency_key: Option<&str>,
    ) -> Result<CreatedKey, Error> {
        let path = ["v1", "accounts", account, "keys"];
        self.transport.send_json(Call { idempotency_key, ..Call::new(Method::POST, &path) }, key).await
    }

    /// `GET /v1/accounts/{id}/keys`.
    pub async fn list_keys(&self, account: &str, page: PageQuery<'_>) -> Result<Page<Key>, Error> {
        let path = ["v1", "accounts", account, "keys"];
        self.transport.send(Call { query: page.pairs(), ..Call::new(Method::GET, &path) }).await
    }

    /// `GET /v1/keys/{id}`.
    pub async fn key(&self, id: &str) -> Result<Key, Error> {
        self.transport.send(Call::new(Method::GET, &["v1", "keys", id])).await
    }

    /// `PATCH /v1/keys/{id}`: its name, or where it is used. No decision depends on either.
    pub async fn update_key(&self, id: &str, update: &UpdateKey) -> Result<Key, Error> {
        self.transport.send_json(Call::new(Method::PATCH, &["v1", "keys", id]), update).await
    }

    /// `POST /v1/keys/{id}/rotate`: another secret for the same key, shown this once. When it answers, every node
    /// knows when the old one ends; without an overlap it is refused everywhere.
    ///
    /// Rotating again before the old secret's end ends that one at once. To repeat a call whose answer was lost, send
    /// the same `idempotency_key`: the key is then rotated once.
    pub async fn rotate_key(
        &self,
        id: &str,
        rotation: &RotateKey,
        idempotency_key: Option<&str>,
    ) -> Result<CreatedKey, Error> {
        let path = ["v1", "keys", id, "rotate"];
        self.transport.send_json(Call { idempotency_key, ..Call::new(Method::POST, &path) }, rotation).await
    }

    /// `DELETE /v1/keys/{id}`: when it answers, the key is refused everywhere. May be repeated.
    pub async fn delete_key(&self, id: &str) -> Result<Receipt, Error> {
        self.transport.send(Call::new(Method::DELETE, &["v1", "keys", id])).await
    }

    /// `POST /v1/keys/verify`: whose secret is this, may it, and is there budget left. A refusal of the key is
    /// an answer with `valid: false`; an error means that the question was not answered: do not let it pass.
    /// A newer server's refusal for a reason that this version does not know is an error as well.
    ///
    /// Nobody knows after an error whether the cost was spent. Set a time limit of your own around it: this client
    /// waits as long as the slowest of its calls may take.
    pub async fn verify(&self, question: &VerifyRequest) -> Result<VerifyAnswer, Error> {
        self.transport.send_json(Call::new(Method::POST, &["v1", "keys", "verify"]), question).await
    }
}
