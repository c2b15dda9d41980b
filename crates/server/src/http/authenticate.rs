//! Who asks the operator API: `Authorization: Bearer <token>`, and the scope that each route needs.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use rndrkit_api::error::ErrorCode;
use rndrkit_control::{Context, Principal};
use rndrkit_domain::key_text::MAX_CREDENTIAL_BYTES;
use rndrkit_domain::token::Scope;

use crate::http::context::origin;
use crate::http::refusal::Refusal;
use crate::state::{ServerState, TokenRefusal};

/// Lets a request pass when its token's scope includes `needed`, and leaves a [`Context`] beside it.
///
/// Runs before the body is read: who may not ask learns nothing about how to ask.
pub(crate) async fn require(
    State((state, needed)): State<(ServerState, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let principal = match authenticate(&state, request.headers()).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_response(),
    };
    match &principal {
        Principal::Operator { scope, .. } if scope.includes(needed) => {}
        _ => return insufficient(needed).into_response(),
    }
    let origin = origin(request.headers(), request.extensions());
    request.extensions_mut().insert(Context { principal, origin });
    next.run(request).await
}

async fn authenticate(state: &ServerState, headers: &HeaderMap) -> Result<Principal, Refusal> {
    let token = bearer(headers)?;
    state.authenticator.authenticate(token).await.map_err(|refusal| match refusal {
        TokenRefusal::Invalid => invalid_token(),
        TokenRefusal::Unavailable => Refusal::new(
            ErrorCode::Unavailable,
            "The token cannot be checked right now. Try again in a moment.",
        ),
    })
}

/// The token's text. Any other scheme is no token at all.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing_token)?;
    if values.next().is_some() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Send one Authorization header, not several."));
    }
    let Some((scheme, rest)) = split_scheme(value.as_bytes()) else { return Err(missing_token()) };
    if !scheme.eq_ignore_ascii_case(b"bearer") || rest.is_empty() {
        return Err(missing_token());
    }
    // Tokens are short visible ASCII; whatever else was sent is not one, and is not looked up.
    match std::str::from_utf8(rest) {
        Ok(token) if token.len() <= MAX_CREDENTIAL_BYTES && token.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(token)
        }
        _ => Err(invalid_token()),
    }
}

fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(space)?;
    Some((scheme, rest.trim_ascii()))
}

fn missing_token() -> Refusal {
    Refusal::new(ErrorCode::MissingToken, "Send `Authorization: Bearer <token>` with an operator token.")
}

fn invalid_token() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidToken,
        "This is not an operator token of this installation, or it was deleted or has expired.",
    )
}

fn insufficient(needed: Scope) -> Refusal {
    let detail = format!("This call needs a token with the scope `{}`.", needed.as_str());
    Refusal::new(ErrorCode::InsufficientScope, detail)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn code_of(values: &[&[u8]]) -> Result<String, ErrorCode> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers).map(str::to_owned).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        assert_eq!(code_of(&[b"Bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(code_of(&[b"bEARER  abc "]), Ok("abc".to_owned()));
    }

    #[test]
    fn no_token_another_scheme_and_bad_text_are_told_apart() {
        assert_eq!(code_of(&[]), Err(ErrorCode::MissingToken));
        for missing in ["Basic abc", "Bearer", "Bearer ", "abc", ""] {
            assert_eq!(code_of(&[missing.as_bytes()]), Err(ErrorCode::MissingToken), "{missing:?}");
        }
        let long = [b"Bearer ".to_vec(), vec![b'a'; MAX_CREDENTIAL_BYTES + 1]].concat();
        for invalid in [&b"Bearer a b"[..], b"Bearer a\xff", &long] {
            assert_eq!(code_of(&[invalid]), Err(ErrorCode::InvalidToken));
        }
        assert_eq!(code_of(&[b"Bearer a", b"Bearer a"]), Err(ErrorCode::InvalidRequest));
    }
}
