//! The `Idempotency-Key` header: 1 to 255 visible ASCII characters, quoted (RFC 9651 String) or not.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use rndrkit_api::error::ErrorCode;
use rndrkit_control::IdempotencyRequest;
use rndrkit_domain::key_text::Digest;

use crate::http::refusal::Refusal;

const NAME: &str = "idempotency-key";
const MAX_BYTES: usize = 255;

/// The key of a create, if the caller sent one; unquoted.
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// What the control plane takes, together with the body's fingerprint.
    pub(crate) fn with(&self, fingerprint: Digest) -> Option<IdempotencyRequest<'_>> {
        self.0.as_deref().map(|key| IdempotencyRequest { key, fingerprint })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        read(&parts.headers).map(Self)
    }
}

fn read(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let only = values.next().is_none();
    let key = value.to_str().ok().and_then(unquote);
    let fits =
        |key: &String| (1..=MAX_BYTES).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    match key.filter(fits) {
        Some(key) if only => Ok(Some(key)),
        _ => Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters.",
        )),
    }
}

/// The text inside the quotes, or the text itself when it has none.
fn unquote(text: &str) -> Option<String> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let inner = rest.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => plain.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read_one(value: &str) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert(NAME, HeaderValue::from_str(value).unwrap());
        read(&headers).map_err(|refusal| refusal.code)
    }

    #[test]
    fn quoted_and_bare_spellings_are_the_same_key() {
        assert_eq!(read_one("8e03978e"), Ok(Some("8e03978e".to_owned())));
        assert_eq!(read_one(r#""8e03978e""#), Ok(Some("8e03978e".to_owned())));
        assert_eq!(read_one(r#""a\"b\\c""#), Ok(Some(r#"a"b\c"#.to_owned())));
        assert_eq!(read_one(&"k".repeat(255)), Ok(Some("k".repeat(255))));
    }

    #[test]
    fn keys_that_are_not_one_short_visible_text_are_refused() {
        for bad in ["", "\"\"", "\"", "\"open", "\"a\"b\"", "a b", "\"a\\n\"", &"k".repeat(256)] {
            assert_eq!(read_one(bad), Err(ErrorCode::InvalidRequest), "{bad:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(NAME, HeaderValue::from_static("a"));
        twice.append(NAME, HeaderValue::from_static("a"));
        assert!(read(&twice).is_err());
        assert_eq!(read(&HeaderMap::new()).unwrap(), None);
    }
}
