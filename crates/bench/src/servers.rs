//! What we compare with, written with the same library: an empty 200, and the least that an authority for
//! nginx's `auth_request` can do. One thread each.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rndrkit_domain::key_text::Digest;
use tokio::net::TcpListener;

use crate::arguments::Arguments;
use crate::keys;

/// `rndrkit-bench floor`.
pub(crate) fn floor(arguments: &Arguments) {
    serve(arguments.number("port", 0), |_| StatusCode::OK);
}

/// `rndrkit-bench auth`: no plan, no limit, no counting.
pub(crate) fn auth(arguments: &Arguments) {
    let known: HashSet<Digest> =
        keys::read(arguments.text("keys")).iter().map(|key| Digest::of(key)).collect();
    let known = Arc::new(known);
    serve(arguments.number("port", 0), move |request| {
        let key = request.headers().get("x-api-key").and_then(|value| value.to_str().ok());
        let accepted = key.is_some_and(|key| known.contains(&Digest::of(key)));
        if accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    });
}

fn serve(port: u16, judge: impl Fn(&Request<Incoming>) -> StatusCode + Clone + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let judge = judge.clone();
            let service = service_fn(move |request| answer(judge(&request)));
            tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn answer(status: StatusCode) -> impl Future<Output = Result<Response<Empty<Bytes>>, Infallible>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    std::future::ready(Ok(response))
}
