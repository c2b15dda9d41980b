//! Which text of a request is its API key: the rules of the two headers, and nothing else.
//!
//! Deliberately absent: whether the key is any good. The query string is never read, because it ends up in
//! logs, histories and referrers.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rndrkit_domain::decision::Denial;
use rndrkit_domain::key_text::{KeyPrefix, MAX_CREDENTIAL_BYTES, has_known_prefix};

/// The header that the key travels in.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where the key was found, and so which headers the upstream must not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenFrom {
    /// `X-Api-Key`.
    ApiKey,
    /// `Authorization: Bearer`.
    Authorization,
    /// The same key in both.
    Both,
}

impl TakenFrom {
    /// Removes every header that held the key.
    pub(crate) fn remove(self, headers: &mut HeaderMap) {
        if matches!(self, Self::ApiKey | Self::Both) {
            headers.remove(X_API_KEY);
        }
        if matches!(self, Self::Authorization | Self::Both) {
            headers.remove(AUTHORIZATION);
        }
    }
}

/// A key, or why none can be read.
#[derive(PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// A text that may be a key.
    Key {
        /// What was sent.
        text: &'a [u8],
        /// Where.
        taken_from: TakenFrom,
    },
    /// No look-up is worth making.
    Refused {
        /// Why.
        denial: Denial,
        /// More exactly, for people.
        detail: Option<&'static str>,
    },
}

const fn refused(denial: Denial, detail: &'static str) -> Credential<'static> {
    Credential::Refused { denial, detail: Some(detail) }
}

/// Reads the key of a request.
pub(crate) fn extract<'a>(headers: &'a HeaderMap, prefixes: &[KeyPrefix]) -> Credential<'a> {
    let mut keys = headers.get_all(X_API_KEY).iter();
    let key = keys.next().map(|value| value.as_bytes().trim_ascii());
    if keys.next().is_some() {
        return refused(Denial::InvalidRequest, "Send one X-Api-Key header, not several.");
    }
    let bearer = match our_bearer(headers, prefixes) {
        Ok(bearer) => bearer,
        Err(refusal) => return refusal,
    };
    match (key, bearer) {
        (Some(key), _) if has_comma(key) => {
            refused(Denial::InvalidRequest, "Send one API key in X-Api-Key, without a comma.")
        }
        (Some(key), Some(bearer)) if key != bearer => refused(
            Denial::InvalidRequest,
            "X-Api-Key and Authorization hold two different API keys. Send one of them.",
        ),
        (Some(key), Some(_)) => judge_text(key, TakenFrom::Both),
        (Some(key), None) => judge_text(key, TakenFrom::ApiKey),
        (None, Some(bearer)) => judge_text(bearer, TakenFrom::Authorization),
        (None, None) => Credential::Refused { denial: Denial::MissingKey, detail: None },
    }
}

/// Whether there is any Bearer token, whoever it belongs to.
pub(crate) fn has_bearer(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    values.any(|value| bearer_token(value.as_bytes()).is_some_and(|token| !token.is_empty()))
}

/// Removes whatever reads like a key of ours. Others' `X-Api-Key` and `Authorization` are the upstream's.
pub(crate) fn remove_ours(headers: &mut HeaderMap, prefixes: &[KeyPrefix]) {
    let is_ours = |value: &HeaderValue| has_known_prefix(value.as_bytes().trim_ascii(), prefixes);
    if headers.get_all(X_API_KEY).iter().any(is_ours) {
        headers.remove(X_API_KEY);
    }
    if !matches!(our_bearer(headers, prefixes), Ok(None)) {
        headers.remove(AUTHORIZATION);
    }
}

/// Judges a text by its outside: nothing, too much, or characters that no key has.
pub(crate) fn judge_text(text: &[u8], taken_from: TakenFrom) -> Credential<'_> {
    if text.is_empty() {
        Credential::Refused { denial: Denial::MissingKey, detail: None }
    } else if text.len() > MAX_CREDENTIAL_BYTES || !is_graphic(text) {
        Credential::Refused { denial: Denial::InvalidKey, detail: None }
    } else {
        Credential::Key { text, taken_from }
    }
}

/// Whether there are only visible characters. Without a branch for each byte: nearly every text is looked at
/// to its end.
fn is_graphic(text: &[u8]) -> bool {
    text.iter().fold(true, |so_far, byte| so_far & byte.is_ascii_graphic())
}

fn has_comma(text: &[u8]) -> bool {
    memchr::memchr(b',', text).is_some()
}

/// The Bearer token, if it is one of ours. Every other `Authorization` belongs to the upstream.
fn our_bearer<'a>(
    headers: &'a HeaderMap,
    prefixes: &[KeyPrefix],
) -> Result<Option<&'a [u8]>, Credential<'static>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let mut ours = None;
    let mut count = 0_usize;
    for value in &mut values {
        count += 1;
        ours =
            ours.or_else(|| bearer_token(value.as_bytes()).filter(|token| has_known_prefix(token, prefixes)));
    }
    let Some(token) = ours else { return Ok(None) };
    if count > 1 {
        return Err(refused(Denial::InvalidRequest, "Send one Authorization header, not several."));
    }
    if has_comma(token) {
        return Err(refused(Denial::InvalidRequest, "Send one API key in Authorization, without a comma."));
    }
    Ok(Some(token))
}

/// The token of `Bearer <token>`; the scheme in any case, one run of spaces between.
pub(crate) fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"bearer".len())?;
    if scheme.eq_ignore_ascii_case(b"bearer") && rest.first() == Some(&b' ') {
        Some(rest.trim_ascii())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn prefixes() -> Vec<KeyPrefix> {
        vec![KeyPrefix::parse("rk_live_").unwrap()]
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn read(lines: &[(&'static str, &str)]) -> Result<(String, TakenFrom), Denial> {
        match extract(&headers(lines), &prefixes()) {
            Credential::Key { text, taken_from } => {
                Ok((String::from_utf8(text.to_vec()).unwrap(), taken_from))
            }
            Credential::Refused { denial, .. } => Err(denial),
        }
    }

    #[test]
    fn the_key_is_read_from_its_header_whatever_else_authorization_says() {
        let expected = Ok(("abc".to_owned(), TakenFrom::ApiKey));
        assert_eq!(read(&[("x-api-key", "abc")]), expected);
        assert_eq!(read(&[("x-api-key", "abc"), ("authorization", "Bearer eyJ.upstream")]), expected);
        assert_eq!(read(&[("x-api-key", "abc"), ("authorization", "Basic dTpw")]), expected);
    }

    #[test]
    fn a_bearer_token_is_a_key_only_with_our_prefix() {
        let expected = Ok(("rk_live_x".to_owned(), TakenFrom::Authorization));
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(read(&[("authorization", &format!("{scheme}  rk_live_x"))]), expected);
        }
        for other in ["Bearer eyJ.a.b", "Basic rk_live_x", "Bearerrk_live_x", "rk_live_x", "Bearer"] {
            assert_eq!(read(&[("authorization", other)]), Err(Denial::MissingKey), "{other}");
        }
    }

    #[test]
    fn two_credentials_are_malformed_unless_they_are_the_same() {
        let both = [("x-api-key", "rk_live_x"), ("authorization", "Bearer rk_live_x")];
        assert_eq!(read(&both), Ok(("rk_live_x".to_owned(), TakenFrom::Both)));
        for lines in [
            vec![("x-api-key", "a"), ("x-api-key", "b")],
            vec![("x-api-key", "a"), ("x-api-key", "a")],
            vec![("x-api-key", "a,b")],
            vec![("x-api-key", "rk_live_x"), ("authorization", "Bearer rk_live_y")],
            vec![("authorization", "Bearer rk_live_x, Bearer rk_live_y")],
            vec![("authorization", "Bearer rk_live_x"), ("authorization", "Basic dTpw")],
        ] {
            assert_eq!(read(&lines), Err(Denial::InvalidRequest), "{lines:?}");
        }
    }

    #[test]
    fn an_empty_header_is_a_missing_key_and_an_impossible_one_an_invalid_key() {
        assert_eq!(read(&[]), Err(Denial::MissingKey));
        assert_eq!(read(&[("x-api-key", "")]), Err(Denial::MissingKey));
        assert_eq!(read(&[("x-api-key", "a\tb")]), Err(Denial::InvalidKey));
        assert_eq!(read(&[("x-api-key", &"a".repeat(MAX_CREDENTIAL_BYTES + 1))]), Err(Denial::InvalidKey));
        assert!(read(&[("x-api-key", &"a".repeat(MAX_CREDENTIAL_BYTES))]).is_ok());
    }
}
