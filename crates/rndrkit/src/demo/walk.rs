//! The steps of the demonstration, in the order of a key's life. Each checks that it was answered as promised.

use reqwest::Method;
use rndrkit_domain::key_text::Secret;
use serde_json::{Value, json};

use super::screen::{Exchange, Screen};
use super::{DemoError, bearer};

/// Far more than the plan's burst and what flows back meanwhile on the slowest machine.
const REQUESTS_MAX: usize = 2_000;
/// Answer headers that say something about the decision.
const SHOWN_HEADERS: [&str; 4] = ["RateLimit-Policy", "RateLimit", "Retry-After", "WWW-Authenticate"];

/// Where the parts of the demonstration are.
pub(super) struct Places {
    pub(super) public: String,
    pub(super) operator: String,
    pub(super) token_file: String,
}

pub(super) struct Walk<'a, 'b, 'c> {
    places: &'a Places,
    token: &'a Secret,
    http: reqwest::Client,
    pub(super) screen: Screen<'b, 'c>,
}

impl<'a, 'b, 'c> Walk<'a, 'b, 'c> {
    pub(super) fn new(
        places: &'a Places,
        token: &'a Secret,
        screen: Screen<'b, 'c>,
    ) -> Result<Self, DemoError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(30))
            // Everything is on this machine, without HTTPS: no certificate authority is needed.
            .tls_certs_only([])
            .build()?;
        Ok(Self { places, token, http, screen })
    }

    /// From the account to the deleted key. Gives back the account's id.
    pub(super) async fn whole_life(&mut self) -> Result<String, DemoError> {
        let body = json!({ "email": "ada@example.com", "plan": "agency" });
        let made =
            self.operate("Create an account on the Agency plan", Method::POST, "/v1/accounts", body, 201);
        let account = text(&made.await?, "/id");

        let path = format!("/v1/accounts/{account}/keys");
        let body = json!({ "name": "CI/CD Pipeline" });
        let made = self.operate("Create an API key", Method::POST, &path, body, 201).await?;
        let (key, secret) = (text(&made, "/id"), text(&made, "/secret"));
        self.screen.remark("The secret is shown this once; the database holds its SHA-256.");

        self.call("Call the API with the key", Some(&secret), 200, "").await?;
        self.screen.remark("The sample API was told whose call it is, and never saw the secret.");
        self.call("The same call without a key", None, 401, "missing_key").await?;
        self.call("The same call with a typing error", Some(&mistyped(&secret)), 401, "invalid_key").await?;

        self.change_plan(&account, "Move the account to a plan without API access", "pro").await?;
        self.call("The same call again", Some(&secret), 403, "plan_required").await?;
        self.change_plan(&account, "Upgrade", "agency").await?;
        self.call("The same key works again, unchanged", Some(&secret), 200, "").await?;

        self.exhaust_budget(&secret).await?;

        let path = format!("/v1/keys/{key}");
        self.operate("Delete the key", Method::DELETE, &path, Value::Null, 200).await?;
        self.call("The same call, at once", Some(&secret), 401, "key_revoked").await?;
        Ok(account)
    }

    /// A link that opens the account's dashboard.
    pub(super) async fn sign_in_link(&mut self, account: &str) -> Result<String, DemoError> {
        let url = format!("{}/v1/accounts/{account}/links", self.places.operator);
        let body = json!({ "kind": "sign_in", "return_to": "/settings#api-keys" });
        let request = self.http.post(url).header("Authorization", bearer(self.token)).json(&body);
        let answer: Value = request.send().await?.json().await?;
        Ok(text(&answer, "/url"))
    }

    async fn change_plan(&mut self, account: &str, title: &str, plan: &str) -> Result<(), DemoError> {
        let path = format!("/v1/accounts/{account}");
        self.operate(title, Method::PATCH, &path, json!({ "plan": plan }), 200).await.map(drop)
    }

    /// One step on the operator API. Gives back the answer.
    async fn operate(
        &mut self,
        title: &str,
        method: Method,
        path: &str,
        body: Value,
        expected: u16,
    ) -> Result<Value, DemoError> {
        self.screen.begin(title);
        let url = format!("{}{path}", self.places.operator);
        let mut request = self.http.request(method.clone(), &url).header("Authorization", bearer(self.token));
        let sent = Some(body).filter(|body| !body.is_null());
        if let Some(body) = &sent {
            request = request.json(body);
        }
        let headers = vec![("Authorization", "Bearer $TOKEN".to_owned())];
        let exchange = exchange(request, name_of(&method), url, headers, sent).await?;
        self.screen.exchange(title, &exchange);
        self.check(&exchange, expected, "")?;
        Ok(exchange.answer)
    }

    /// One step on the API behind the gateway.
    async fn call(
        &mut self,
        title: &str,
        secret: Option<&str>,
        expected: u16,
        code: &str,
    ) -> Result<(), DemoError> {
        self.screen.begin(title);
        let exchange = self.get(secret).await?;
        self.screen.exchange(title, &exchange);
        self.check(&exchange, expected, code)
    }

    async fn get(&self, secret: Option<&str>) -> Result<Exchange, DemoError> {
        let url = format!("{}/api/hello", self.places.public);
        let headers: Vec<_> = secret.map(|secret| ("X-Api-Key", secret.to_owned())).into_iter().collect();
        let mut request = self.http.get(&url);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        exchange(request, "GET", url, headers, None).await
    }

    /// Calls until the budget is spent, and shows the call that was one too many.
    async fn exhaust_budget(&mut self, secret: &str) -> Result<(), DemoError> {
        let title = "Call until the account's budget is spent";
        self.screen.begin(title);
        let mut last = self.get(Some(secret)).await?;
        let mut allowed = 0;
        while last.status == 200 && allowed < REQUESTS_MAX {
            allowed += 1;
            last = self.get(Some(secret)).await?;
        }
        self.screen.remark(&format!("{allowed} calls were answered with 200, and then:"));
        self.screen.exchange(title, &last);
        self.check(&last, 429, "rate_limited")
    }

    fn check(&self, exchange: &Exchange, status: u16, code: &str) -> Result<(), DemoError> {
        let got = if code.is_empty() { String::new() } else { text(&exchange.answer, "/code") };
        if exchange.status == status && got == code {
            return Ok(());
        }
        Err(DemoError::Unexpected {
            step: self.screen.step,
            expected: format!("{status} {code}").trim_end().to_owned(),
            got: format!("{} {got}", exchange.status).trim_end().to_owned(),
        })
    }
}

/// Sends a request and keeps what is worth seeing of it.
async fn exchange(
    request: reqwest::RequestBuilder,
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    sent: Option<Value>,
) -> Result<Exchange, DemoError> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let answer_headers = SHOWN_HEADERS
        .into_iter()
        .filter_map(|name| header(name).map(|value| (name.to_owned(), value.to_owned())))
        .collect();
    let answer_text = answer.text().await?;
    // Nothing but JSON is expected; anything else fails the step's check by its status or its missing code.
    let answer = serde_json::from_str(&answer_text).unwrap_or_default();
    Ok(Exchange { method, url, headers, sent, status, answer_headers, answer, answer_text })
}

/// The words that a step can have.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "GET",
    }
}

fn text(document: &Value, pointer: &str) -> String {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The secret with its last character replaced, as by a slip of the hand.
fn mistyped(secret: &str) -> String {
    let mut text = secret.to_owned();
    let replaced = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(replaced);
    text
}
