//! Whose token it is: the settings' own operator token, or one made by the API.

use std::sync::Arc;

use rndrkit_control::Principal;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::token::Scope;
use rndrkit_server::{BoxFuture, TokenAuthenticator, TokenRefusal};
use rndrkit_verifier::{TokenDenial, Verifier};

/// Tells tokens apart from memory.
pub(super) struct Tokens {
    operator_token: Digest,
    verifier: Arc<Verifier>,
}

impl Tokens {
    pub(super) fn new(operator_token: Digest, verifier: Arc<Verifier>) -> Self {
        Self { operator_token, verifier }
    }
}

impl TokenAuthenticator for Tokens {
    fn authenticate<'a>(&'a self, bearer: &'a str) -> BoxFuture<'a, Result<Principal, TokenRefusal>> {
        Box::pin(async move {
            // Digests are compared: how long that takes says nothing about the token.
            if Digest::of(bearer) == self.operator_token {
                return Ok(Principal::Operator { token: None, scope: Scope::Admin });
            }
            match self.verifier.authenticate_token(bearer).await {
                Ok(token) => {
                    Ok(Principal::Operator { token: Some((token.id, token.name)), scope: token.scope })
                }
                Err(TokenDenial::Missing | TokenDenial::Invalid) => Err(TokenRefusal::Invalid),
                Err(TokenDenial::Unavailable) => Err(TokenRefusal::Unavailable),
            }
        })
    }
}
