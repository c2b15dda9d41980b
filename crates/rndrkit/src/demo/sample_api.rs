//! The API behind the gateway in the demonstration: says hello, and whom the gateway said is calling.

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, Method, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct SampleApi {
    pub(super) address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl SampleApi {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(hello);
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, task })
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hello(method: Method, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Json(json!({
        "message": "hello from the sample API",
        "you_asked": format!("{method} {uri}"),
        "x-rk-account-id": told("x-rk-account-id"),
        "x-rk-plan": told("x-rk-plan"),
        // The gateway keeps the secret to itself.
        "x-api-key": told("x-api-key"),
    }))
}
