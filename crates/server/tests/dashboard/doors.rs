//! What every request passes: names, origins of forms, headers, sizes, methods.

use axum::body::Body;
use http::{HeaderValue, Request, StatusCode};

use crate::app::{App, Browser, Page, Setting, encode};

async fn get_as(browser: &mut Browser, host: &'static str) -> Page {
    let mut request = browser.request("GET", "/sign-in");
    request.headers_mut().insert("host", HeaderValue::from_static(host));
    browser.send(request).await
}

fn delete_form(browser: &Browser, path: &str) -> Request<Body> {
    let mut request = browser.request("POST", path);
    request
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

#[tokio::test]
async fn another_name_gets_a_page_that_names_the_right_one() {
    let setting = Setting { public_url: "https://keys.northwind.example", ..Setting::default() };
    let app = App::with(setting).await;
    let mut browser = app.stranger();
    for ours in
        ["keys.northwind.example", "KEYS.northwind.example:443", "localhost:8080", "127.0.0.1", "[::1]:9"]
    {
        assert_eq!(get_as(&mut browser, ours).await.status, StatusCode::OK, "{ours}");
    }
    for other in
        ["evil.example", "192.0.2.9", "keys.northwind.example.evil.example", "localhost.evil.example"]
    {
        let page = get_as(&mut browser, other).await;
        page.says(StatusCode::MISDIRECTED_REQUEST, "https://keys.northwind.example");
    }
    let mut nameless = browser.request("GET", "/sign-in");
    nameless.headers_mut().remove("host");
    assert_eq!(browser.send(nameless).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_form_from_another_site_changes_nothing() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let path = format!("/settings/api-keys/{id}/delete");

    let foreign = [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![],
    ];
    for lines in foreign {
        let mut request = delete_form(&browser, &path);
        for (name, value) in &lines {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let page = browser.send(request).await;
        page.says(StatusCode::FORBIDDEN, "came from another site");
    }
    assert_eq!(browser.get("/settings").await.key_ids(), [id.as_str()]);

    let mut own = delete_form(&browser, &path);
    own.headers_mut().insert("origin", HeaderValue::from_static("http://localhost:8080"));
    assert_eq!(browser.send(own).await.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/settings").await.key_ids().is_empty());
}

#[tokio::test]
async fn every_page_is_kept_to_itself() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for path in ["/", "/settings", "/billing", "/sign-in", "/sign-up", "/no-such-page"] {
        let page = browser.get(path).await;
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert!(page.header("x-rk-request-id").starts_with("req_"), "{path}");
    }
}

#[tokio::test]
async fn our_own_forms_keep_their_origin_under_the_referrer_policy() {
    // `no-referrer` would make browsers send `Origin: null`, and every form over plain HTTP would be refused.
    let app = App::start().await;
    assert_eq!(app.stranger().get("/sign-in").await.header("referrer-policy"), "same-origin");
}

#[tokio::test]
async fn static_files_may_be_kept_for_ever_under_their_hashed_names() {
    let app = App::start().await;
    let mut browser = app.stranger();
    let page = browser.get("/sign-in").await;
    for asset in rndrkit_server::dashboard::assets::all() {
        assert!(page.html.contains(&asset.path), "{}", asset.path);
        let file = browser.get(&asset.path).await;
        assert_eq!(file.status, StatusCode::OK);
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("content-type"), asset.content_type);
        assert_eq!(file.header("vary"), "accept-encoding");
        assert_eq!(file.html, asset.body);
        let mut again = browser.request("GET", &asset.path);
        let tag = HeaderValue::from_str(file.header("etag")).unwrap();
        again.headers_mut().insert("if-none-match", tag);
        let again = browser.send(again).await;
        assert_eq!((again.status, again.html.as_str()), (StatusCode::NOT_MODIFIED, ""));
    }
    assert_eq!(browser.get("/assets/app.000000000000.css").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn forms_are_bounded_and_must_be_forms() {
    let app = App::start().await;
    let mut browser = app.stranger();
    let huge = "x".repeat(70_000);
    let page = browser.post("/sign-in", &[("email", &huge)]).await;
    page.says(StatusCode::PAYLOAD_TOO_LARGE, "Nothing was changed");

    let mut json = browser.request("POST", "/sign-in");
    json.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    json.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    *json.body_mut() = Body::from("{}");
    assert_eq!(browser.send(json).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let mut twice = delete_form(&browser, "/sign-in");
    twice.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    *twice.body_mut() = Body::from(format!("{}&{}", encode(&[("email", "a")]), encode(&[("email", "b")])));
    assert!(browser.send(twice).await.status.is_client_error());
}

#[tokio::test]
async fn a_wrong_method_and_a_wrong_address_are_pages() {
    let app = App::start().await;
    let mut browser = app.stranger();
    let page = browser.post("/settings", &[]).await;
    page.says(StatusCode::METHOD_NOT_ALLOWED, "<h1>");
    assert_eq!(page.header("allow"), "GET,HEAD");
    browser.get("/no-such-page").await.says(StatusCode::NOT_FOUND, "There is no such page");
    let head = browser.request("HEAD", "/sign-in");
    let head = browser.send(head).await;
    assert_eq!((head.status, head.html.as_str()), (StatusCode::OK, ""));
}
