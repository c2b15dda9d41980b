//! Ids in paths. A text that is no id names nothing: 404, as for somebody else's id.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use rndrkit_control::Error;

use crate::http::refusal::Refusal;

/// The `{id}` of a path.
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Error::NotFound.into())
    }
}
