//! Forms as they arrive: bounded in bytes and time, and refused as a page when they are not what was sent.

use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Query, Request};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::failure::Failure;

/// The largest form has a name, an address and a password; 64 KiB is the bound of all bodies we read.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
/// A form arrives in one packet or a few; a client that is slower holds a connection for nothing.
const MAX_BODY_WAIT: Duration = Duration::from_secs(10);

/// A form that was read. Its type implements no `Debug`: forms hold passwords.
pub(super) struct PageForm<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for PageForm<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match tokio::time::timeout(MAX_BODY_WAIT, Form::<T>::from_request(request, state)).await {
            Ok(Ok(Form(form))) => Ok(Self(form)),
            Ok(Err(rejection)) => Err(refused(&rejection)),
            Err(_elapsed) => Err(malformed(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time")),
        }
    }
}

fn refused(rejection: &FormRejection) -> Failure {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => malformed(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not a form of the dashboard")
        }
        _ => malformed(StatusCode::BAD_REQUEST, "The form could not be read"),
    }
}

fn malformed(status: StatusCode, title: &str) -> Failure {
    Failure::new(status, title)
        .say("Nothing was changed. Open the page again and send the form from there.")
        .lead("Go to the overview", "/")
}

/// The query of a page. What does not fit counts as absent: a mistyped query is no reason to show nothing.
pub(super) struct PageQuery<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> axum::extract::FromRequestParts<S> for PageQuery<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Query::<T>::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default()))
    }
}
