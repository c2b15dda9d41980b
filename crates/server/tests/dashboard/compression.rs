//! Answers made smaller: which are, and which must not be.

use std::io::Read as _;

use axum::body::Body;
use flate2::read::GzDecoder;
use http::{HeaderValue, Request};

use crate::app::{App, Browser, Page, encode};

fn asking(browser: &Browser, path: &str) -> Request<Body> {
    let mut request = browser.request("GET", path);
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip, deflate, br"));
    request
}

fn unpacked(page: &Page) -> String {
    let mut text = String::new();
    GzDecoder::new(page.bytes.as_slice()).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn pages_and_files_are_compressed_for_browsers_that_take_it() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for path in ["/", "/settings", "/billing"] {
        let plain = browser.get(path).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let small = browser.send(asking(&browser, path)).await;
        assert_eq!((small.header("content-encoding"), small.header("vary")), ("gzip", "accept-encoding"));
        assert_eq!(small.header("cache-control"), "no-store", "{path}");
        assert!(small.bytes.len() * 2 < plain.html.len(), "{path}");
        assert!(unpacked(&small).ends_with("</html>"), "{path}");
    }
    for asset in rndrkit_server::dashboard::assets::all() {
        let small = browser.send(asking(&browser, &asset.path)).await;
        assert_eq!((small.header("content-encoding"), small.header("vary")), ("gzip", "accept-encoding"));
        assert_eq!(unpacked(&small), asset.body);
        let plain = browser.get(&asset.path).await;
        assert_ne!(plain.header("etag"), small.header("etag"), "{}", asset.path);
    }
}

/// How long a compressed answer is tells what in it repeats: nothing that somebody else chose may stand beside
/// something to be guessed.
#[tokio::test]
async fn no_answer_is_compressed_that_shows_a_secret_or_repeats_its_address() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for path in ["/billing?return_to=/settings", "/settings?deleted=key_1", "/sign-in?return_to=/billing"] {
        let page = browser.send(asking(&browser, path)).await;
        assert_eq!(page.header("content-encoding"), "", "{path}");
    }
    let form_id = browser.form_id().await;
    let mut form = browser.request("POST", "/settings/api-keys");
    for (name, value) in [
        ("accept-encoding", "gzip"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
    ] {
        form.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    *form.body_mut() = Body::from(encode(&[("form_id", &form_id), ("name", "CI")]));
    let created = browser.send(form).await;
    assert!(created.secret().is_some());
    assert_eq!(created.header("content-encoding"), "");
}
