//! One request and its answer: address, token, limits, and which error is which.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use rndrkit_api::error::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A listener on the same network answers a connection at once, or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A delete may wait for a dead node: 74 seconds with the longest trust that may be set.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// A page of 100 of the longest records is well below.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A call: method and path as segments, which are encoded one by one.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), idempotency_key: None }
    }
}

#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    url: Url,
    authorization: HeaderValue,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, Error> {
        let wrong_url = || Error::Usage(format!("{url:?} is not an address such as http://127.0.0.1:8081"));
        let url = Url::parse(url).map_err(|_| wrong_url())?;
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare {
            return Err(wrong_url());
        }
        let wrong_token = |_| Error::Usage("the token is not one line of visible characters".to_owned());
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(wrong_token)?;
        authorization.set_sensitive(true);
        let http = connections(url.scheme()).map_err(Error::of_reqwest)?;
        Ok(Self { http, url, authorization })
    }

    /// Sends a call without a body.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let request = self.request(call)?;
        receive(request.send().await.map_err(Error::of_reqwest)?).await
    }

    /// Sends a call with a JSON body.
    pub(crate) async fn send_json<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let request = self.request(call)?.json(body);
        receive(request.send().await.map_err(Error::of_reqwest)?).await
    }

    pub(crate) async fn is_ready(&self) -> Result<bool, Error> {
        let call = Call::new(Method::GET, &["readyz"]);
        let answer = self.request(call)?.send().await.map_err(Error::of_reqwest)?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::SERVICE_UNAVAILABLE => Ok(false),
            other => Err(Error::Garbled(format!("/readyz answered {other}"))),
        }
    }

    fn request(&self, call: Call<'_>) -> Result<reqwest::RequestBuilder, Error> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request =
            self.http.request(call.method, url).header(AUTHORIZATION, self.authorization.clone());
        if let Some(key) = call.idempotency_key {
            let value = HeaderValue::from_str(key)
                .map_err(|_| Error::Usage("an idempotency key is visible ASCII".to_owned()))?;
            request = request.header("Idempotency-Key", value);
        }
        Ok(request)
    }
}

fn connections(scheme: &str) -> Result<reqwest::Client, reqwest::Error> {
    // The HTTP library stops the process when nobody has chosen who does the cryptography. An error here
    // means that somebody chose in the meantime, which is as good.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("rndrkit-client/", env!("CARGO_PKG_VERSION")));
    // Without HTTPS no certificate authorities are needed, and a bare container has none to load.
    if scheme == "http" { builder.tls_certs_only([]).build() } else { builder.build() }
}

async fn receive<T: DeserializeOwned>(answer: Response) -> Result<T, Error> {
    let status = answer.status();
    let is_json =
        answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
            kind.starts_with("application/json") || kind.starts_with("application/problem+json")
        });
    let body = read(answer).await?;
    if status.is_success() {
        // The parser's text names members and places, never values, so no secret gets into the error.
        return serde_json::from_slice(&body)
            .map_err(|error| Error::Garbled(format!("line {} column {}", error.line(), error.column())));
    }
    if !is_json {
        let detail =
            (!status.is_client_error() && !status.is_server_error()).then(|| "a redirect".to_owned());
        return Err(Error::Refused { status: status.as_u16(), detail });
    }
    if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
        return Err(Error::Problem(Box::new(problem)));
    }
    let members: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = members.get("detail").and_then(|detail| detail.as_str()).map(str::to_owned);
    Err(Error::Refused { status: status.as_u16(), detail })
}

/// The body, refused when it is longer than any answer of this API.
async fn read(mut answer: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Error::of_reqwest)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::Garbled("longer than any answer".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
