//! Tokens of the operator API itself.

use reqwest::Method;
use rndrkit_api::page::Page;
use rndrkit_api::token::{CreateToken, CreatedToken, DeletedToken, Token};

use crate::error::Error;
use crate::transport::Call;
use crate::{Client, PageQuery};

impl Client {
    /// `POST /v1/tokens`. The answer shows the token's text, this once.
    pub async fn create_token(
        &self,
        token: &CreateToken,
        idempotency_key: Option<&str>,
    ) -> Result<CreatedToken, Error> {
        let call = Call { idempotency_key, ..Call::new(Method::POST, &["v1", "tokens"]) };
        self.transport.send_json(call, token).await
    }

    /// `GET /v1/tokens`.
    pub async fn list_tokens(&self, page: PageQuery<'_>) -> Result<Page<Token>, Error> {
        let call = Call { query: page.pairs(), ..Call::new(Method::GET, &["v1", "tokens"]) };
        self.transport.send(call).await
    }

    /// `DELETE /v1/tokens/{id}`: refused everywhere when it answers.
    pub async fn delete_token(&self, id: &str) -> Result<DeletedToken, Error> {
        self.transport.send(Call::new(Method::DELETE, &["v1", "tokens", id])).await
    }
}
