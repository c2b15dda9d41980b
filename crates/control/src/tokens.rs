//! Operator API tokens.

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::TokenId;
use rndrkit_domain::key_text::{self, Secret};
use rndrkit_domain::text::Name;
use rndrkit_domain::token::{Scope, Token};
use rndrkit_store::{Error as StoreError, NewToken};

use crate::accounts::Checks;
use crate::cursor::{Cursor, Page, PageQuery};
use crate::event::Subject;
use crate::idempotency::{Begin, repeated_resource};
use crate::keys::check_expiry;
use crate::{Context, Control, Created, Error, IdempotencyRequest};

/// What tokens begin with, so that people and scanners can tell them from API keys.
const TOKEN_PREFIX: &str = "rkop_";
/// Random base62 characters of a token: 43 × 5.95 = 256 bits.
const TOKEN_CHARS: usize = 43;

impl Control {
    /// Makes a token. Its secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        context: &Context,
        name: &str,
        scope: &str,
        expires_at: Option<&str>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<Token>, Error> {
        context.require_operator(Scope::Admin)?;
        let wanted = idempotency.map(|request| request.fingerprint);
        // Before the checks: a repeat is answered as before even when the token's end has passed since.
        let place = match self.begin_create(context, "tokens", idempotency).await? {
            Begin::Fresh(place) => place,
            Begin::Repeat(id) => return self.repeated_token(&id).await,
        };
        let now = self.now();
        let mut checks = Checks::default();
        let name = checks.read("name", Name::parse(name));
        let scope = checks.read("scope", Scope::parse(scope).ok_or("Use `admin`, `read` or `verify`."));
        let expires_at = check_expiry(&mut checks, expires_at, now);
        checks.finish()?;
        let (Some(name), Some(scope)) = (name, scope) else {
            return Err(Error::internal("checks passed without values"));
        };
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let mut text = String::from(TOKEN_PREFIX);
            key_text::push_random_base62(&mut text, TOKEN_CHARS, control.entropy());
            let secret = Secret::from_text(text);
            let id = TokenId::generate(now, control.entropy());
            let token = NewToken { id, digest: secret.digest(), name, scope, expires_at };
            let event = control.event(&context, now, Action::TokenCreated, None, Subject::Token(id));
            let (record, _place) = place.unzip();
            let (made, number) =
                match control.store().insert_token(token, record, control.change(now), event).await {
                    Err(unknown @ StoreError::OutcomeUnknown(_)) => {
                        control.find_made(unknown, || control.store().find_token(id)).await?
                    }
                    Err(error) => return control.repeated_token(&repeated_resource(error, wanted)?).await,
                    Ok(committed) => (committed.value, committed.number),
                };
            // Nodes hold the list of all tokens: until they read it again, this one is missing.
            control.confirm(number).await?;
            Ok(Created { value: made, secret: Some(secret) })
        })
        .await
    }

    /// Answers like the first call, and so waits like it: whoever made the token may have ended before every
    /// node knew it, and nodes hold the list of all tokens, in which a new one is missing.
    async fn repeated_token(&self, id: &str) -> Result<Created<Token>, Error> {
        let id: TokenId = id.parse().map_err(Error::internal)?;
        let token = self.store().find_token(id).await?.ok_or(Error::NotFound)?;
        // The token was read, so its number is at or before the head that is read now.
        self.confirm(self.store().feed_head().await?.number).await?;
        Ok(Created { value: token, secret: None })
    }

    /// Tokens, newest first.
    pub async fn list_tokens(&self, context: &Context, page: PageQuery) -> Result<Page<Token>, Error> {
        context.require_operator(Scope::Read)?;
        let stored = self.store().list_tokens(page.by_time()?).await?;
        Ok(Page::new(stored, |token| Cursor::TimeAndId(token.created_at, token.id.to_string())))
    }

    /// Ends a token. Answers when no node accepts it any more.
    pub async fn delete_token(&self, context: &Context, id: TokenId) -> Result<(), Error> {
        context.require_operator(Scope::Admin)?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&context, at, Action::TokenDeleted, None, Subject::Token(id));
            let change = control.change(at);
            let delete = || control.store().delete_token(id, change, event.clone());
            let committed = control.change_surely(delete).await?;
            control.confirm(committed.number).await?;
            Ok(())
        })
        .await
    }
}
