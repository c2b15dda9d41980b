//! Who asks and from where, as handlers take it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap, header};
use rndrkit_control::Context;
use rndrkit_domain::audit::Origin;
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::id::RequestId;

use crate::http::refusal::Refusal;

/// The audit log keeps this much of what a client says about itself.
const MAX_USER_AGENT_CHARS: usize = 256;

/// Where a request came from, for the audit log.
pub(crate) fn origin(headers: &HeaderMap, extensions: &Extensions) -> Origin {
    let user_agent = headers.get(header::USER_AGENT).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect()
    });
    Origin {
        ip: extensions.get::<ClientInfo>().map(|client| client.ip),
        user_agent,
        request_id: extensions.get::<RequestId>().copied(),
    }
}

/// The [`Context`] that a guard left beside the request.
pub(crate) struct Asker(pub(crate) Context);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        // A route without a guard is our mistake, and answers nothing rather than everything.
        let context = parts.extensions.get::<Context>().cloned();
        context.map(Self).ok_or_else(|| Refusal::internal("a route has no guard"))
    }
}
