//! JSON bodies: bounded in bytes, time and depth, and exactly what the call takes.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rndrkit_api::error::ErrorCode;
use rndrkit_domain::key_text::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::refusal::Refusal;

/// The largest body is a create with four short texts; 64 KiB leaves room for members to come.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
/// A body this small arrives in one packet or a few; a client that is slower holds a connection for nothing.
const MAX_BODY_WAIT: Duration = Duration::from_secs(10);

/// A body that was read and understood.
pub(crate) struct JsonBody<T> {
    /// What it says.
    pub(crate) value: T,
    /// Digest of its canonical form: the same whatever the order of members, white space and escapes.
    pub(crate) fingerprint: Digest,
}

impl<S, T> FromRequest<S> for JsonBody<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Serialize,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        check_media_type(request.headers())?;
        let bytes = read(request.into_body()).await?;
        let value: T = parse(&bytes)?;
        // Written back from the type, members stand in one order and absent ones are absent.
        let canonical =
            serde_json::to_string(&value).map_err(|cause| Refusal::internal(&cause.to_string()))?;
        Ok(Self { value, fingerprint: Digest::of(&canonical) })
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let essence = |value: &http::HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    };
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = types.next().is_some_and(essence) && types.next().is_none();
    // A compressed body would have to be bounded after unpacking; nobody needs one this small.
    let is_plain = headers.get_all(header::CONTENT_ENCODING).iter().all(|value| value == "identity");
    if is_json && is_plain {
        Ok(())
    } else {
        Err(Refusal::new(
            ErrorCode::UnsupportedMediaType,
            "Send the body as JSON, uncompressed, with `Content-Type: application/json`.",
        ))
    }
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(MAX_BODY_WAIT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(Refusal::new(
            ErrorCode::PayloadTooLarge,
            format!("Send a body of at most {MAX_BODY_BYTES} bytes."),
        )),
        Ok(Err(_)) => Err(Refusal::new(ErrorCode::InvalidRequest, "The body broke off before its end.")),
        Err(_elapsed) => Err(Refusal::new(ErrorCode::InvalidRequest, "The body did not arrive in time.")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let malformed = |detail: String| Refusal::new(ErrorCode::InvalidRequest, detail);
    // Derived readers would also take an array of the members in order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("Send a JSON object as the body.".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|cause| {
        malformed(if cause.is_data() {
            format!("The body is not what this call takes: {cause}.")
        } else {
            format!("The body is not valid JSON: {cause}.")
        })
    })
}

#[cfg(test)]
mod tests {
    use rndrkit_api::key::CreateKey;

    use super::*;

    async fn read_key(content_type: Option<&str>, body: &str) -> Result<JsonBody<CreateKey>, ErrorCode> {
        let mut request = Request::new(Body::from(body.to_owned()));
        if let Some(content_type) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        JsonBody::from_request(request, &()).await.map_err(|refusal| refusal.code)
    }

    async fn fingerprint(body: &str) -> Digest {
        read_key(Some("application/json"), body).await.ok().unwrap().fingerprint
    }

    #[tokio::test]
    async fn the_fingerprint_follows_the_meaning_and_not_the_spelling() {
        let plain = fingerprint(r#"{"name":"CI","expires_at":null}"#).await;
        assert_eq!(plain, fingerprint(r#" { "name" : "\u0043I" }"#).await);
        assert_ne!(plain, fingerprint(r#"{"name":"CD"}"#).await);
    }

    #[tokio::test]
    async fn only_json_says_it_is_json() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(read_key(Some(content_type), r#"{"name":"CI"}"#).await.is_ok(), "{content_type}");
        }
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let code = read_key(content_type, r#"{"name":"CI"}"#).await.err();
            assert_eq!(code, Some(ErrorCode::UnsupportedMediaType), "{content_type:?}");
        }
    }

    #[tokio::test]
    async fn whatever_is_not_the_object_that_the_call_takes_is_malformed() {
        let deep = format!(r#"{{"name":{}"#, "[".repeat(10_000));
        let bodies = [
            "",
            "{",
            "null",
            "[]",
            r#"["CI", null]"#,
            r#""CI""#,
            "{\"name\":\"\u{1}\"}",
            r#"{"name":7}"#,
            r#"{"name":"CI","name":"CD"}"#,
            r#"{"name":"CI","colour":"red"}"#,
            "{}",
            r#"{"name":"CI"}}"#,
            &deep,
        ];
        for body in bodies {
            let code = read_key(Some("application/json"), body).await.err();
            assert_eq!(code, Some(ErrorCode::InvalidRequest), "{}", body.get(..40).unwrap_or(body));
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let exact = format!(r#"{{"name":"CI"{}}}"#, " ".repeat(MAX_BODY_BYTES - 13));
        assert_eq!(exact.len(), MAX_BODY_BYTES);
        assert!(read_key(Some("application/json"), &exact).await.is_ok());
        let code = read_key(Some("application/json"), &format!("{exact} ")).await.err();
        assert_eq!(code, Some(ErrorCode::PayloadTooLarge));
    }
}
