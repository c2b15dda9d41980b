//! Tokens of the operator API: all of them in memory, read again after the feed says that they changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rndrkit_domain::key_text::{Digest, MAX_CREDENTIAL_BYTES};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::position::{ReadAt, Target};
use crate::source::{LoadedTokens, TokenFacts};
use crate::verifier::Verifier;

/// How long a request waits for the tokens to be read.
const LOAD_DEADLINE: Duration = Duration::from_secs(2);
/// Reads before giving up, when changes keep overtaking them.
const LOAD_ATTEMPTS: u32 = 4;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenDenial {
    /// No token at all.
    #[error("no token")]
    Missing,
    /// Unknown, ended or expired.
    #[error("not a valid token")]
    Invalid,
    /// We do not know.
    #[error("the token could not be checked")]
    Unavailable,
}

type TokenSet = HashMap<Digest, TokenFacts>;

/// The tokens held.
#[derive(Default)]
pub(crate) struct Tokens {
    /// None until they are read, and again after a change.
    held: ArcSwapOption<TokenSet>,
    /// One read at a time.
    loading: Mutex<()>,
}

impl Tokens {
    /// To be read again. Called under the lock of the position.
    pub(crate) fn forget(&self) {
        self.held.store(None);
    }
}

impl Verifier {
    /// Checks a token of the operator API, given as its text; an empty text is a missing token.
    pub async fn authenticate_token(&self, text: &str) -> Result<TokenFacts, TokenDenial> {
        if text.is_empty() {
            return Err(TokenDenial::Missing);
        }
        if text.len() > MAX_CREDENTIAL_BYTES {
            return Err(TokenDenial::Invalid);
        }
        self.authenticate_token_digest(Digest::of(text)).await
    }

    /// Checks a token of the operator API, given as the digest of its text.
    pub async fn authenticate_token_digest(&self, digest: Digest) -> Result<TokenFacts, TokenDenial> {
        if let Some(set) = self.trusted_tokens()? {
            return self.judge_token(&set, &digest);
        }
        match timeout(LOAD_DEADLINE, self.load_tokens()).await {
            Ok(Ok(set)) => self.judge_token(&set, &digest),
            Ok(Err(denial)) => Err(denial),
            Err(_) => Err(TokenDenial::Unavailable),
        }
    }

    fn judge_token(&self, set: &TokenSet, digest: &Digest) -> Result<TokenFacts, TokenDenial> {
        let token = set.get(digest).ok_or(TokenDenial::Invalid)?;
        if token.expires_at.is_some_and(|end| end <= self.wall_at(self.clock().monotonic())) {
            return Err(TokenDenial::Invalid);
        }
        Ok(token.clone())
    }

    /// What is held, if it may be believed. Trust is looked at first: see [`Verifier::trusted_now`].
    fn trusted_tokens(&self) -> Result<Option<Arc<TokenSet>>, TokenDenial> {
        self.trusted_now().ok_or(TokenDenial::Unavailable)?;
        Ok(self.tokens().held.load_full())
    }

    async fn load_tokens(&self) -> Result<Arc<TokenSet>, TokenDenial> {
        let _one_at_a_time = self.tokens().loading.lock().await;
        for _ in 0..LOAD_ATTEMPTS {
            // Somebody else may have read them meanwhile; and what was just landed may be outdated again.
            if let Some(set) = self.trusted_tokens()? {
                return Ok(set);
            }
            let epoch = self.position().lock().epoch();
            let loaded = self.source().load_tokens().await.map_err(|error| {
                self.report(&error);
                TokenDenial::Unavailable
            })?;
            self.land_tokens(epoch, loaded);
        }
        Err(TokenDenial::Unavailable)
    }

    fn land_tokens(&self, epoch: u64, loaded: LoadedTokens) {
        let position = self.position().lock();
        if position.is_usable(ReadAt { epoch, number: loaded.head }, &Target::Tokens) {
            let set = loaded.tokens.into_iter().map(|token| (token.digest, token)).collect();
            self.tokens().held.store(Some(Arc::new(set)));
        }
    }
}
