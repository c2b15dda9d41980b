//! Refusals that differ in nothing but the name of the request: made once, and copied for each request.
//!
//! A flood of bad keys must not cost more than as many good ones. What is ready was made by the same functions
//! that word every other refusal, so it cannot say anything else. Deliberately absent: refusals that say more
//! of one request, such as what is left of a budget.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use rndrkit_domain::decision::Denial;
use rndrkit_domain::id::RequestId;
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Timestamp;

use super::{Wording, X_RK_REQUEST_ID};
use crate::authz::{X_RK_PROBLEM, for_nginx};
use crate::body::EdgeBody;

/// For whom a refusal is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For whoever reads bodies.
    Usual,
    /// For nginx, which throws the body away: the text is a header.
    Nginx,
}

/// The refusals of every denial, in both forms.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Vec<(Denial, Option<Ready>, Option<Ready>)>);

impl Refusals {
    /// Words every denial, of which nothing more is known.
    pub(super) fn new(wording: &Wording) -> Self {
        let name = RequestId::generate(Timestamp::from_unix_ms(0), &Zeros);
        let refusals = Denial::ALL.map(|denial| {
            let problem = wording.problem(denial, None, None, name);
            let text = serde_json::to_string(&problem).unwrap_or_default();
            let usual = super::render(wording, &problem, None);
            let usual_text = Text::around(text.as_bytes(), name);
            let for_nginx = for_nginx(super::render(wording, &problem, None), &problem);
            let header = for_nginx.headers().get(X_RK_PROBLEM);
            let header_text = header.and_then(|text| Text::around(text.as_bytes(), name));
            let usual = usual_text.map(|text| Ready::new(&usual, None, text));
            let for_nginx = header_text.map(|text| Ready::new(&for_nginx, Some(X_RK_PROBLEM), text));
            (denial, usual, for_nginx)
        });
        Self(refusals.into())
    }

    /// A refusal, if it is ready.
    pub(super) fn get(&self, denial: Denial, form: Form) -> Option<&Ready> {
        let (_, usual, for_nginx) = self.0.iter().find(|(known, ..)| *known == denial)?;
        match form {
            Form::Usual => usual.as_ref(),
            Form::Nginx => for_nginx.as_ref(),
        }
    }
}

/// One refusal without the name of its request.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    status: StatusCode,
    headers: HeaderMap,
    /// The header that the text is for; the body, if none.
    place: Option<HeaderName>,
    text: Text,
}

impl Ready {
    fn new(response: &Response<EdgeBody>, place: Option<HeaderName>, text: Text) -> Self {
        let mut headers = response.headers().clone();
        // Its place is taken already, so that a copy does not have to grow.
        headers.insert(X_RK_REQUEST_ID, HeaderValue::from_static("-"));
        Self { status: response.status(), headers, place, text }
    }

    /// The answer to one request.
    pub(super) fn response(&self, name: RequestId) -> Response<EdgeBody> {
        let text = self.text.with(name);
        let mut headers = self.headers.clone();
        let body = match &self.place {
            None => EdgeBody::full(text),
            Some(place) => {
                if let Ok(text) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
                    headers.insert(place, text);
                }
                EdgeBody::empty()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// A text in which the name of the request stands twice: by itself, and in the URI of the occurrence.
#[derive(Debug, Clone)]
struct Text {
    before: Vec<u8>,
    between: Vec<u8>,
    after: Vec<u8>,
}

impl Text {
    /// None if the name stands there more or less often: then a configured text holds it, and only that
    /// text's author knows why.
    fn around(text: &[u8], name: RequestId) -> Option<Self> {
        let name = name.text();
        let text = std::str::from_utf8(text).ok()?;
        let mut pieces = text.split(name.as_str()).map(|piece| piece.as_bytes().to_vec());
        let (before, between, after) = (pieces.next()?, pieces.next()?, pieces.next()?);
        pieces.next().is_none().then_some(Self { before, between, after })
    }

    fn with(&self, name: RequestId) -> Vec<u8> {
        let name = name.text();
        let name = name.as_bytes();
        let length = self.before.len() + self.between.len() + self.after.len() + 2 * name.len();
        let mut text = Vec::with_capacity(length);
        for piece in [&self.before, name, &self.between, name, &self.after] {
            text.extend_from_slice(piece);
        }
        text
    }
}

/// No randomness: for a name that stands for all others.
struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use rndrkit_api::error::Problem;
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    async fn read(response: Response<EdgeBody>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = response.into_parts();
        let mut headers = parts.headers;
        // Written on every answer at the end.
        headers.remove(X_RK_REQUEST_ID);
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        (parts.status, headers, body.unwrap_or_default().to_vec())
    }

    #[tokio::test]
    async fn what_is_ready_is_what_would_be_written_for_the_request() {
        let wording = Wording::new("https://example.com", "Größe & Söhne \"req_\"");
        for denial in Denial::ALL {
            let name = RequestId::generate(Timestamp::from_unix_ms(1_700_000_000_000), &OsEntropy);
            let problem = wording.problem(denial, None, None, name);
            let usual = wording.refusals.get(denial, Form::Usual).unwrap().response(name);
            let (status, headers, body) = read(usual).await;
            assert_eq!(serde_json::from_slice::<Problem>(&body).unwrap(), problem, "{denial:?}");
            let written = read(super::super::render(&wording, &problem, None)).await;
            assert_eq!((status, headers, body), written, "{denial:?}");
            let for_nginx_ready = wording.refusals.get(denial, Form::Nginx).unwrap().response(name);
            let ready = read(for_nginx_ready).await;
            let header = ready.1.get(X_RK_PROBLEM).unwrap().as_bytes();
            assert_eq!(serde_json::from_slice::<Problem>(header).unwrap(), problem, "{denial:?}");
            let usual = super::super::render(&wording, &problem, None);
            assert_eq!(ready, read(for_nginx(usual, &problem)).await, "{denial:?}");
        }
    }

    #[test]
    fn a_configured_text_that_holds_the_name_used_here_is_not_written_over() {
        let name = RequestId::generate(Timestamp::from_unix_ms(0), &Zeros).to_string();
        let wording = Wording::new("https://example.com", &name);
        assert!(wording.refusals.get(Denial::AccountSuspended, Form::Usual).is_none());
        assert!(wording.refusals.get(Denial::AccountSuspended, Form::Nginx).is_none());
    }
}
