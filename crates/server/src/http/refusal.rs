//! A refusal on its way to becoming a problem document, and how the control plane's errors become one.
//!
//! Deliberately absent: the body itself. `answer` writes it, because only there the request's id is known.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rndrkit_api::error::{ErrorCode, FieldError};
use rndrkit_control::{Error, InvalidField};

/// How long a client should wait before it repeats a call that we could not answer: about as long as a
/// database takes to fail over within its time-outs.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// A call that is not done, and why.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) limit: Option<u32>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let retry_after = (code == ErrorCode::Unavailable).then_some(UNAVAILABLE_RETRY);
        Self { code, detail: detail.into(), errors: Vec::new(), limit: None, retry_after }
    }

    /// 422 about one value. `pointer` is a JSON Pointer into the body or the query; empty for the whole.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = FieldError { pointer: pointer.into(), detail: detail.clone() };
        Self { errors: vec![error], ..Self::new(ErrorCode::ValidationFailed, detail) }
    }

    /// 500. The cause goes to the log only.
    pub(crate) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a call failed");
        Self::new(ErrorCode::Internal, "Something went wrong on our side. Try again in a moment.")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.public_text();
        let code = match error {
            Error::NotFound => ErrorCode::NotFound,
            Error::InsufficientScope | Error::PlanChangeNotYours => ErrorCode::InsufficientScope,
            Error::Invalid(fields) => return from_fields(fields, text),
            Error::BadCursor => ErrorCode::InvalidRequest,
            Error::EmailTaken => ErrorCode::EmailTaken,
            Error::ExternalIdTaken => ErrorCode::ExternalIdTaken,
            Error::KeyLimitReached { limit } => {
                return Self { limit: Some(limit), ..Self::new(ErrorCode::KeyLimitReached, text) };
            }
            Error::PlanRequired => ErrorCode::PlanRequired,
            Error::AccountSuspended => ErrorCode::AccountSuspended,
            Error::IdempotencyInProgress => ErrorCode::IdempotencyInProgress,
            Error::IdempotencyMismatch | Error::KeyNotActive | Error::SecretChanged => {
                return Self::invalid("", text);
            }
            Error::Unavailable(cause) => {
                tracing::warn!(cause, "a call could not be answered");
                ErrorCode::Unavailable
            }
            Error::Internal(cause) => return Self::internal(&cause),
            // Signing in and links' pages are the dashboard's; no JSON call can end in those.
            other => return Self::internal(&format!("unexpected here: {other}")),
        };
        Self::new(code, text)
    }
}

fn from_fields(fields: Vec<InvalidField>, text: String) -> Refusal {
    let errors = fields
        .into_iter()
        .map(|InvalidField { field, detail }| FieldError { pointer: format!("/{field}"), detail })
        .collect();
    Refusal { errors, ..Refusal::new(ErrorCode::ValidationFailed, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_knowing_is_never_a_statement_about_the_caller() {
        let refusal = Refusal::from(Error::Unavailable("disk full at /var/lib".to_owned()));
        assert_eq!(refusal.code, ErrorCode::Unavailable);
        assert!(refusal.retry_after.is_some());
        assert!(!refusal.detail.contains("disk"), "the cause is for the log: {}", refusal.detail);
    }

    #[test]
    fn every_unacceptable_value_is_pointed_at() {
        let fields = ["name", "expires_at"].map(|field| InvalidField { field, detail: "x".to_owned() });
        let refusal = Refusal::from(Error::Invalid(fields.to_vec()));
        let pointers: Vec<_> = refusal.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/expires_at"]);
    }

    #[test]
    fn a_reused_idempotency_key_is_a_validation_failure_of_the_whole_request() {
        let refusal = Refusal::from(Error::IdempotencyMismatch);
        assert_eq!(refusal.code, ErrorCode::ValidationFailed);
        assert_eq!(refusal.errors.first().map(|error| error.pointer.as_str()), Some(""));
    }
}
