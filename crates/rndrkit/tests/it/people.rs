//! People at the dashboard: their sessions, and forms as a browser sends them.

use std::fmt::Write as _;

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use serde_json::{Value, json};

use crate::harness::Server;

/// A password that is accepted.
pub const PASSWORD: &str = "plum tractor violin seven";

/// Fields as a form's body.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        let separator = if body.is_empty() { "" } else { "&" };
        write!(body, "{separator}{name}=").unwrap();
        for byte in value.bytes() {
            write!(body, "%{byte:02X}").unwrap();
        }
    }
    body
}

/// The secret part of a link's URL.
pub fn link_text(url: &str) -> String {
    url.split_once("link=").unwrap().1.to_owned()
}

/// The session cookie that an answer sets, as a browser sends it back.
pub fn cookie_of(answer: &reqwest::Response) -> String {
    let line = answer.headers().get(SET_COOKIE).expect("a session cookie").to_str().unwrap();
    line.split(';').next().unwrap().to_owned()
}

impl Server {
    /// Sends a form from one of our own pages, with a cookie unless it is empty.
    pub async fn form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let request = self
            .http
            .post(self.public_url(path))
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookie)
            .body(encoded(fields));
        request.send().await.unwrap()
    }

    /// Opens a page.
    pub async fn page(&self, path: &str, cookie: &str) -> reqwest::Response {
        self.http.get(self.public_url(path)).header(COOKIE, cookie).send().await.unwrap()
    }

    /// Makes a link for an account; its secret part.
    pub async fn link(&self, account: &str, kind: &str) -> String {
        let path = format!("/v1/accounts/{account}/links");
        let (status, link) = self.operator("POST", &path, json!({"kind": kind})).await;
        assert_eq!(status, 201, "{link}");
        link_text(link["url"].as_str().unwrap())
    }

    /// A session that an operator's link opened; its cookie.
    pub async fn session(&self, account: &str) -> String {
        let link = self.link(account, "sign_in").await;
        let answer = self.form("/sign-in/link", "", &[("link", &link)]).await;
        assert_eq!(answer.status(), 303);
        cookie_of(&answer)
    }

    /// Somebody joins an account by an invitation; the cookie of their session.
    pub async fn join(&self, account: &str, email: &str) -> String {
        let link = self.link(account, "invite").await;
        let fields = [("link", link.as_str()), ("email", email), ("password", PASSWORD)];
        let answer = self.form("/sign-up", "", &fields).await;
        assert_eq!(answer.status(), 303);
        cookie_of(&answer)
    }

    /// Everything that an operator can see and that a refused call must not change. Last use is left out:
    /// a good key that is presented moves it, whatever it asks for.
    pub async fn state(&self) -> Value {
        let list = async |path: &str| -> Value {
            let (status, page) = self.operator("GET", path, Value::Null).await;
            assert_eq!((status, &page["has_more"]), (200, &json!(false)), "{path}: {page}");
            page["data"].clone()
        };
        let accounts = list("/v1/accounts?limit=100").await;
        let mut keys = Vec::new();
        for account in accounts.as_array().unwrap() {
            let id = account["id"].as_str().unwrap();
            let mut owned = list(&format!("/v1/accounts/{id}/keys?limit=100")).await;
            for key in owned.as_array_mut().unwrap() {
                key.as_object_mut().unwrap().remove("last_used_at");
            }
            keys.push(owned);
        }
        json!({
            "accounts": accounts,
            "keys": keys,
            "tokens": list("/v1/tokens?limit=100").await,
            "events": list("/v1/audit-log?limit=100").await,
        })
    }
}
