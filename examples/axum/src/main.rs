//! A service whose callers need an API key, with axum: it asks rndrkit about each request.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use rndrkit_client::Client;
use rndrkit_client::api::verify::{VerifiedAccount, VerifyAnswer, VerifyContext, VerifyRequest};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// The longest that a caller waits for rndrkit.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A longer text is no key.
const MAX_TEXT: usize = 1024;
/// What a caller is told when rndrkit does not answer.
const UNAVAILABLE: &str = r#"{"type":"urn:rndrkit:problem:unavailable","title":"Temporarily unavailable",
"status":503,"code":"unavailable",
"detail":"The API key could not be checked just now. This says nothing about your key; try again.",
"error":"The API key could not be checked just now. This says nothing about your key; try again."}"#;

fn question(peer: SocketAddr, request: &Request) -> VerifyRequest {
    let keys = request.headers().get_all("x-api-key").iter();
    let keys: Vec<_> = keys.map(|key| String::from_utf8_lossy(key.as_bytes())).collect();
    let context = VerifyContext {
        ip: Some(peer.ip().to_string()),
        method: Some(cut(request.method().as_str())),
        path: Some(cut(request.uri().path())),
        user_agent: None,
    };
    // Of several headers all are sent on, with commas, which rndrkit refuses.
    VerifyRequest { secret: cut(&keys.join(", ")), cost: None, context: Some(context) }
}

/// Asks, and keeps no answer: a key that is deleted now is refused on the next request.
async fn verify(rndrkit: &Client, question: &VerifyRequest) -> Result<VerifyAnswer, String> {
    match timeout(TIMEOUT, rndrkit.verify(question)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("rndrkit took too long".to_owned()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Lets a request pass whose key is good, with its [`VerifiedAccount`]; answers every other.
async fn require_api_key(
    State(rndrkit): State<Client>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let answer = match verify(&rndrkit, &question(peer, &request)).await {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("API keys cannot be checked: {error}");
            return unavailable();
        }
    };
    let mut response = if let (true, Some(account)) = (answer.valid, answer.account) {
        request.extensions_mut().insert(account);
        next.run(request).await
    } else {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        (status, Json(answer.problem)).into_response()
    };
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Never 401: the caller's key may be as good as ever.
fn unavailable() -> Response {
    let headers =
        [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store"), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, UNAVAILABLE).into_response()
}

async fn reports(Extension(account): Extension<VerifiedAccount>) -> Json<BTreeMap<&'static str, String>> {
    Json(BTreeMap::from([("account_id", account.id)]))
}

/// The service.
pub fn service(rndrkit: Client) -> Router {
    let protected = Router::new().route("/api/reports", get(reports));
    protected.layer(from_fn_with_state(rndrkit, require_api_key))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("KEYS_URL").unwrap_or_else(|_| "http://127.0.0.1:8081".to_owned());
    let token = env::var("KEYS_TOKEN").map_err(|_| "set KEYS_TOKEN to a token of scope verify")?;
    let rndrkit = Client::new(&url, &token)?;
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, service(rndrkit).into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
