//! Promise 10, accounts are walls: every route there is, tried with every kind of credential there is.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};

use crate::harness::Server;
use crate::people::encoded;
use crate::upstream;

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Internal listener, no token.
    Open,
    /// Internal listener, a token with this scope.
    Token(&'static str),
    /// Public listener, an API key.
    Key,
    /// Dashboard, somebody signed in.
    Page,
    /// Dashboard, anybody.
    Gate,
}
use Guard::{Gate, Key, Open, Page, Token};

#[derive(Clone, Copy)]
enum Body {
    None,
    Json(&'static str),
    Form(&'static [(&'static str, &'static str)]),
}
use Body::{Form, Json};

/// A route: method, path, guard, statuses of a call that passes the guard, and the body of such a call.
type Row = (&'static str, &'static str, Guard, &'static [u16], Body);

/// Every route. Calls that change something come in an order in which each can still succeed.
const ROWS: &[Row] = &[
    // The key goes on working by its old secret, which is the one that callers hold here.
    ("POST", "/settings/api-keys/{id}/rotate", Page, &[200], Form(&[("overlap", "86400")])),
    ("DELETE", "/api/rk/keys/self", Key, &[200], Body::None),
    ("GET", "/", Page, &[200], Body::None),
    ("GET", "/usage", Page, &[200], Body::None),
    ("GET", "/usage.csv", Page, &[200], Body::None),
    ("GET", "/settings", Page, &[200], Body::None),
    ("GET", "/settings/api-keys", Gate, &[303], Body::None),
    ("GET", "/settings/api-keys/new", Page, &[200], Body::None),
    ("GET", "/settings/api-keys/{id}", Page, &[200], Body::None),
    ("GET", "/settings/api-keys/{id}/delete", Page, &[200], Body::None),
    ("GET", "/settings/api-keys/{id}/label", Page, &[200], Body::None),
    ("GET", "/activity", Page, &[200], Body::None),
    ("GET", "/activity.csv", Page, &[200], Body::None),
    ("GET", "/activity.json", Page, &[200], Body::None),
    ("GET", "/settings/password", Gate, &[303], Body::None),
    ("GET", "/settings/email", Gate, &[303], Body::None),
    ("GET", "/settings/email/cancel", Gate, &[303], Body::None),
    ("GET", "/confirm-email", Gate, &[410], Body::None),
    ("GET", "/settings/sessions/end", Gate, &[303], Body::None),
    ("GET", "/settings/sessions/end-others", Gate, &[303], Body::None),
    ("GET", "/settings/api-keys/{id}/rotate", Page, &[200], Body::None),
    ("GET", "/settings/api-keys/{id}/end-previous", Page, &[200], Body::None),
    ("GET", "/billing", Page, &[200], Body::None),
    ("GET", "/explain", Page, &[200], Body::None),
    ("GET", "/sign-in", Gate, &[200, 303], Body::None),
    ("GET", "/sign-in/link", Gate, &[303], Body::None),
    ("GET", "/sign-out", Gate, &[303], Body::None),
    ("GET", "/sign-up", Gate, &[403], Body::None),
    ("GET", "/reset", Gate, &[410], Body::None),
    ("POST", "/settings/api-keys", Page, &[200], Form(&[("name", "From a form")])),
    (
        "POST",
        "/settings/api-keys/{id}/label",
        Page,
        &[303],
        Form(&[("name", "Relabelled"), ("environment", "staging")]),
    ),
    ("POST", "/settings/api-keys/{id}/end-previous", Page, &[303], Form(&[])),
    ("POST", "/settings/api-keys/{id}/delete", Page, &[303], Form(&[])),
    ("POST", "/settings/notifications", Page, &[303], Form(&[("key_created", "on")])),
    ("POST", "/settings/password", Page, &[422], Form(&[("current_password", "x"), ("new_password", "x")])),
    ("POST", "/settings/email", Page, &[403], Form(&[("email", "x@example.com"), ("current_password", "x")])),
    ("POST", "/settings/email/cancel", Page, &[303], Form(&[])),
    ("POST", "/confirm-email", Gate, &[410], Form(&[("link", "x")])),
    ("POST", "/settings/sessions/end", Page, &[404], Form(&[("session", "00")])),
    ("POST", "/settings/sessions/end-others", Page, &[303], Form(&[])),
    ("POST", "/billing", Page, &[303], Form(&[("plan", "agency_plus")])),
    ("POST", "/sign-in", Gate, &[422], Form(&[("email", "x@example.com"), ("password", "x")])),
    ("POST", "/sign-in/link", Gate, &[410], Form(&[("link", "x")])),
    ("POST", "/sign-up", Gate, &[403], Form(&[("email", "x@example.com"), ("password", "x")])),
    ("POST", "/reset", Gate, &[410], Form(&[("link", "x"), ("password", "x")])),
    ("POST", "/sign-out", Gate, &[303], Form(&[])),
    ("GET", "/api/your-endpoint", Key, &[200], Body::None),
    ("GET", "/api/rk/account", Key, &[200], Body::None),
    ("GET", "/api/rk/usage", Key, &[200], Body::None),
    ("GET", "/livez", Open, &[200], Body::None),
    ("GET", "/readyz", Open, &[200], Body::None),
    ("GET", "/metrics", Open, &[200], Body::None),
    ("GET", "/openapi.json", Open, &[200], Body::None),
    ("GET", "/v1/accounts", Token("read"), &[200], Body::None),
    ("GET", "/v1/accounts/{id}", Token("read"), &[200], Body::None),
    ("GET", "/v1/accounts/{id}/keys", Token("read"), &[200], Body::None),
    ("GET", "/v1/accounts/{id}/usage", Token("read"), &[200], Body::None),
    ("GET", "/v1/keys/{id}", Token("read"), &[200], Body::None),
    ("GET", "/v1/tokens", Token("read"), &[200], Body::None),
    ("GET", "/v1/audit-log", Token("read"), &[200], Body::None),
    ("POST", "/v1/keys/verify", Token("verify"), &[200], Json(r#"{"secret":"x","cost":0}"#)),
    ("POST", "/v1/accounts", Token("admin"), &[201], Json(r#"{"email":"new@example.com"}"#)),
    ("PATCH", "/v1/accounts/{id}", Token("admin"), &[200], Json(r#"{"name":"Renamed"}"#)),
    ("POST", "/v1/accounts/{id}/links", Token("admin"), &[201], Json(r#"{"kind":"sign_in"}"#)),
    ("POST", "/v1/accounts/{id}/keys", Token("admin"), &[201], Json(r#"{"name":"By the operator"}"#)),
    // Ended above by its holder: whoever may call this is told so.
    ("POST", "/v1/keys/{id}/rotate", Token("admin"), &[422], Json("{}")),
    ("POST", "/v1/tokens", Token("admin"), &[201], Json(r#"{"name":"t","scope":"read"}"#)),
    ("PATCH", "/v1/keys/{id}", Token("admin"), &[200], Json(r#"{"environment":"production"}"#)),
    ("DELETE", "/v1/keys/{id}", Token("admin"), &[200], Body::None),
    ("DELETE", "/v1/tokens/{id}", Token("admin"), &[200], Body::None),
    ("DELETE", "/v1/accounts/{id}", Token("admin"), &[200], Body::None),
];

/// Who calls. A is the account whose ids stand in the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Garbage,
    KeyOfA,
    KeyOfAAsBearer,
    RevokedKey,
    ExpiredKey,
    SessionOfA,
    SessionOfB,
    EndedSession,
    SessionAsToken,
    SessionAsKey,
    FormFromAnotherSite,
    Admin,
    Read,
    Verify,
    AdminAsKey,
    DeletedToken,
    ExpiredToken,
}

const EVERYBODY: [Who; 18] = [
    Who::Nobody,
    Who::Garbage,
    Who::KeyOfA,
    Who::KeyOfAAsBearer,
    Who::RevokedKey,
    Who::ExpiredKey,
    Who::SessionOfA,
    Who::SessionOfB,
    Who::EndedSession,
    Who::SessionAsToken,
    Who::SessionAsKey,
    Who::FormFromAnotherSite,
    Who::Admin,
    Who::Read,
    Who::Verify,
    Who::AdminAsKey,
    Who::DeletedToken,
    Who::ExpiredToken,
];

/// What a cell of the table must answer.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Passes,
    /// Status, and the problem's code or the start of the place that a browser is sent to.
    Refused(u16, &'static str),
}
use Expected::{Passes, Refused};

#[allow(clippy::match_same_arms, reason = "read row by row, as a table")]
fn expected(&(method, path, guard, ..): &Row, who: Who) -> Expected {
    match guard {
        Open => Passes,
        Gate if who == Who::FormFromAnotherSite && method == "POST" => Refused(403, ""),
        Gate => Passes,
        Token(needed) => match who {
            Who::Admin => Passes,
            Who::Read if needed != "admin" => Passes,
            Who::Verify if needed == "verify" => Passes,
            Who::Read | Who::Verify => Refused(403, "insufficient_scope"),
            Who::Garbage
            | Who::KeyOfAAsBearer
            | Who::SessionAsToken
            | Who::DeletedToken
            | Who::ExpiredToken => Refused(401, "invalid_token"),
            _ => Refused(401, "missing_token"),
        },
        Key => match who {
            Who::KeyOfA | Who::KeyOfAAsBearer => Passes,
            Who::RevokedKey => Refused(401, "key_revoked"),
            Who::ExpiredKey => Refused(401, "key_expired"),
            Who::Garbage | Who::SessionAsKey | Who::AdminAsKey => Refused(401, "invalid_key"),
            _ => Refused(401, "missing_key"),
        },
        Page => match who {
            Who::SessionOfA => Passes,
            Who::SessionOfB if path.contains("{id}") => Refused(404, ""),
            Who::SessionOfB => Passes,
            Who::FormFromAnotherSite if method == "GET" => Passes,
            _ if method == "POST" && who == Who::FormFromAnotherSite => Refused(403, ""),
            _ => Refused(303, "/sign-in"),
        },
    }
}

struct World {
    server: Server,
    account: String,
    key: String,
    token: String,
    secret: String,
    revoked: String,
    expired: String,
    session: String,
    session_of_b: String,
    ended_session: String,
    tokens: [String; 5],
    /// What B must never see.
    marks: Vec<String>,
}

async fn new_token(server: &Server, scope: &str, expires_at: Option<String>) -> (String, String) {
    let body = json!({"name": format!("for {scope}"), "scope": scope, "expires_at": expires_at});
    let (status, token) = server.operator("POST", "/v1/tokens", body).await;
    assert_eq!(status, 201, "{token}");
    (token["id"].as_str().unwrap().to_owned(), token["secret"].as_str().unwrap().to_owned())
}

async fn world() -> World {
    let upstream = upstream::start().await;
    let server = Server::start(&[("RNDRKIT_UPSTREAM_URL", &format!("http://{upstream}"))]).await;
    let account = server.account("ada@example.com", "agency").await;
    let other = server.account("bob@example.org", "agency").await;
    server.key(&other, "Bob's own").await;
    let (key, secret) = server.key(&account, "Quokka deployment").await;
    let (revoked_id, revoked) = server.key(&account, "Quokka old").await;
    let soon = (jiff::Timestamp::now() + Duration::from_millis(1_500)).to_string();
    let body = json!({"name": "Quokka short", "expires_at": soon});
    let (status, expiring) = server.operator("POST", &format!("/v1/accounts/{account}/keys"), body).await;
    assert_eq!(status, 201, "{expiring}");
    let (token, deleted) = new_token(&server, "admin", None).await;
    let tokens = [
        new_token(&server, "admin", None).await.1,
        new_token(&server, "read", None).await.1,
        new_token(&server, "verify", None).await.1,
        deleted,
        new_token(&server, "admin", Some(soon)).await.1,
    ];
    let session = server.join(&account, "ada@example.com").await;
    let session_of_b = server.session(&other).await;
    let ended_session = server.session(&account).await;
    assert_eq!(server.form("/sign-out", &ended_session, &[]).await.status(), 303);
    for path in [format!("/v1/keys/{revoked_id}"), format!("/v1/tokens/{token}")] {
        assert_eq!(server.operator("DELETE", &path, Value::Null).await.0, 200);
    }
    let (token, _) = new_token(&server, "verify", None).await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let marks = [&account, &key, &revoked_id, &secret[..12].to_owned(), &revoked[..12].to_owned()];
    let mut marks: Vec<String> = marks.map(ToOwned::to_owned).to_vec();
    marks.extend(["ada@example.com", "Quokka"].map(ToOwned::to_owned));
    World {
        account,
        key,
        token,
        secret,
        revoked,
        expired: expiring["secret"].as_str().unwrap().to_owned(),
        session,
        session_of_b,
        ended_session,
        tokens,
        marks,
        server,
    }
}

impl World {
    /// The headers that a caller's credential travels in.
    fn credential(&self, who: Who) -> Vec<(&'static str, String)> {
        let key = |text: &str| vec![("x-api-key", text.to_owned())];
        let bearer = |text: &str| vec![("authorization", format!("Bearer {text}"))];
        let cookie = |cookie: &str| vec![("cookie", cookie.to_owned())];
        let session_text = self.session.split_once('=').unwrap().1;
        let [admin, read, verify, deleted, expired] = &self.tokens;
        match who {
            Who::Nobody => Vec::new(),
            Who::Garbage => {
                let all = [bearer("garbage"), key("garbage"), cookie("rk_session_local=garbage")];
                all.into_iter().flatten().collect()
            }
            Who::KeyOfA => key(&self.secret),
            Who::KeyOfAAsBearer => bearer(&self.secret),
            Who::RevokedKey => key(&self.revoked),
            Who::ExpiredKey => key(&self.expired),
            Who::SessionOfA | Who::FormFromAnotherSite => cookie(&self.session),
            Who::SessionOfB => cookie(&self.session_of_b),
            Who::EndedSession => cookie(&self.ended_session),
            Who::SessionAsToken => bearer(session_text),
            Who::SessionAsKey => key(session_text),
            Who::Admin => bearer(admin),
            Who::Read => bearer(read),
            Who::Verify => bearer(verify),
            Who::AdminAsKey => key(admin),
            Who::DeletedToken => bearer(deleted),
            Who::ExpiredToken => bearer(expired),
        }
    }

    async fn call(&self, &(method, path, guard, _, body): &Row, who: Who) -> reqwest::Response {
        let id = match path {
            _ if path.starts_with("/v1/accounts") => &self.account,
            _ if path.starts_with("/v1/tokens") => &self.token,
            _ => &self.key,
        };
        let path = path.replace("{id}", id);
        let url = match guard {
            Open | Token(_) => self.server.internal_url(&path),
            Key | Page | Gate => self.server.public_url(&path),
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let site = if who == Who::FormFromAnotherSite { "cross-site" } else { "same-origin" };
        let mut request = self.server.http.request(method, url).header("sec-fetch-site", site);
        for (name, value) in self.credential(who) {
            request = request.header(name, value);
        }
        request = match body {
            Body::None => request,
            Json(text) => request.header(CONTENT_TYPE, "application/json").body(text),
            Form(fields) => {
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded(fields))
            }
        };
        request.send().await.unwrap()
    }

    /// One cell that must refuse, or that passes and only reads.
    async fn check(&self, row: &Row, who: Who) {
        let cell = format!("{} {} by {who:?}", row.0, row.1);
        let answer = self.call(row, who).await;
        let status = answer.status().as_u16();
        let place = answer.headers().get(LOCATION).map(|place| place.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        match expected(row, who) {
            Passes => {
                assert!(row.3.contains(&status), "{cell}: {status} {text}");
                assert!(row.2 != Page || place.is_none(), "{cell}: sent away to {place:?}");
            }
            Refused(303, place_start) => {
                assert_eq!(status, 303, "{cell}: {text}");
                assert!(place.unwrap().starts_with(place_start), "{cell}");
            }
            Refused(wanted, "") => assert_eq!(status, wanted, "{cell}: {text}"),
            Refused(wanted, code) => {
                let problem: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((status, problem["code"].as_str()), (wanted, Some(code)), "{cell}");
            }
        }
        let may_see_a = matches!(
            who,
            Who::SessionOfA
                | Who::FormFromAnotherSite
                | Who::KeyOfA
                | Who::KeyOfAAsBearer
                | Who::Admin
                | Who::Read
        );
        // A path that names an id may come back in the address that a browser is sent to, never in a text.
        let seen = self.marks.iter().find(|mark| !may_see_a && text.contains(mark.as_str()));
        assert_eq!(seen, None, "{cell} shows what is another account's");
    }
}

#[tokio::test]
async fn promise_10_every_route_refuses_every_credential_that_is_not_for_it() {
    let world = world().await;
    let before = world.server.state().await;
    for row in ROWS {
        for who in EVERYBODY {
            // What passes and changes something is tried below, once.
            if row.0 == "GET" || expected(row, who) != Passes {
                world.check(row, who).await;
            }
        }
    }
    assert_eq!(world.server.state().await, before, "a refused call changed something");
    assert_eq!(world.server.page("/settings", &world.session).await.status(), 200);

    // The same calls with the right credential work: none was refused for a mistake of this test.
    for row in ROWS.iter().filter(|row| row.0 != "GET") {
        let who = match row.2 {
            Page | Gate => Who::SessionOfA,
            Key => Who::KeyOfA,
            Open | Token(_) => Who::Admin,
        };
        let answer = world.call(row, who).await;
        let status = answer.status().as_u16();
        assert!(row.3.contains(&status), "{} {}: {status} {}", row.0, row.1, answer.text().await.unwrap());
    }
}

#[tokio::test]
async fn promise_10_ids_of_others_in_queries_forms_and_repeats_change_nothing() {
    let world = world().await;
    let (server, a, a_key) = (&world.server, &world.account, &world.key);
    let before = server.operator("GET", &format!("/v1/accounts/{a}"), Value::Null).await.1;
    let b = server.operator("GET", "/v1/accounts?email=bob@example.org", Value::Null).await.1;
    let b = b["data"][0]["id"].as_str().unwrap().to_owned();
    let (_, b_secret) = server.key(&b, "Bob's second").await;

    // A form number that A used shows B nothing of A's key.
    let fields = [("name", "Repeated"), ("form_id", "0123456789abcdefghijkl"), ("account_id", a.as_str())];
    let made = server.form("/settings/api-keys", &world.session, &fields).await;
    assert_eq!(made.status(), 200);
    let before_b = server.operator("GET", &format!("/v1/accounts/{a}/keys"), Value::Null).await.1;
    let of_b = server.form("/settings/api-keys", &world.session_of_b, &fields).await;
    assert_eq!(of_b.status(), 200);
    let html = of_b.text().await.unwrap();
    assert!(html.contains("rk_live_") && !html.contains(a_key.as_str()), "B got no key of its own");
    assert_eq!(server.operator("GET", &format!("/v1/accounts/{a}/keys"), Value::Null).await.1, before_b);

    let fields = [("plan", "agency_plus"), ("account_id", a.as_str()), ("id", a.as_str())];
    assert_eq!(server.form("/billing", &world.session_of_b, &fields).await.status(), 303);
    let html =
        server.page(&format!("/settings?deleted={a_key}"), &world.session_of_b).await.text().await.unwrap();
    assert!(!html.contains("Quokka"), "a query showed the name of A's key");

    for (method, path, wanted) in [
        ("GET", format!("/api/rk/account?account_id={a}"), 200),
        ("GET", format!("/api/rk/usage?account_id={a}"), 400),
        ("GET", format!("/api/rk/accounts/{a}"), 404),
        ("DELETE", format!("/api/rk/keys/{a_key}"), 404),
        ("GET", format!("/api/rk/keys?account_id={a}"), 404),
        ("POST", "/api/rk/keys".to_owned(), 404),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let call = server.http.request(method, server.public_url(&path)).header("x-api-key", &b_secret);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{path}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("ada@example.com") && !text.contains("Quokka"), "{path}: {text}");
    }
    let mut after = server.operator("GET", &format!("/v1/accounts/{a}"), Value::Null).await.1;
    assert_eq!(after["keys"]["active"], json!(2), "the key of A's own form and the first one");
    after["keys"] = before["keys"].clone();
    assert_eq!(after, before);
    assert_eq!(server.look(&world.secret).await.1["valid"], json!(true));
}

#[tokio::test]
async fn promise_10_the_table_of_routes_leaves_none_out() {
    let server = Server::start(&[]).await;
    let description = server.http.get(server.internal_url("/openapi.json")).send().await.unwrap();
    let description: Value = description.json().await.unwrap();
    let mut there = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().iter().filter(|(_, call)| call["responses"].is_object());
        there.extend(methods.map(|(method, _)| (method.to_uppercase(), path.clone())));
    }
    for page in rndrkit_server::dashboard::page_routes() {
        there.insert((page.method.to_string(), page.path.to_owned()));
    }
    let mut tried: BTreeSet<(String, String)> =
        ROWS.iter().map(|row| (row.0.to_owned(), row.1.to_owned())).collect();
    assert!(tried.remove(&("GET".to_owned(), "/api/your-endpoint".to_owned())), "a route of the gateway");
    assert_eq!(tried, there);
}
