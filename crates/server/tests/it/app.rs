//! The application under test: real control plane and database, made-up tokens, clock and confirmations.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use rndrkit_control::{
    Billing, Confirm, ConfirmError, Confirmation, Control, ControlSettings, Principal, SignUpPolicy,
};
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::{KeyId, RequestId, TokenId};
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::Name;
use rndrkit_domain::time::{ManualClock, Timestamp};
use rndrkit_domain::token::Scope;
use rndrkit_domain::usage::{UsageCounts, UsageDelta};
use rndrkit_server::{BoxFuture, Health, ServerSettings, ServerState, TokenAuthenticator, TokenRefusal};
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::TestDatabase;
use serde_json::Value;
use tower::ServiceExt as _;

/// The operator's own token.
pub const OPERATOR: &str = "operator-token";
/// Tokens of each scope, made with it.
pub const ADMIN: &str = "admin-token";
pub const READ: &str = "read-token";
pub const VERIFY: &str = "verify-token";
/// A token that cannot be checked at the moment.
pub const UNCHECKABLE: &str = "uncheckable-token";

struct MadeUpTokens;

impl TokenAuthenticator for MadeUpTokens {
    fn authenticate<'a>(&'a self, bearer: &'a str) -> BoxFuture<'a, Result<Principal, TokenRefusal>> {
        let made = |name: &str, scope| {
            let id = TokenId::generate(Timestamp::from_unix_ms(0), &OsEntropy);
            Ok(Principal::Operator { token: Some((id, Name::parse(name).unwrap())), scope })
        };
        let answer = match bearer {
            OPERATOR => Ok(Principal::Operator { token: None, scope: Scope::Admin }),
            ADMIN => made("admin", Scope::Admin),
            READ => made("read", Scope::Read),
            VERIFY => made("verify", Scope::Verify),
            UNCHECKABLE => Err(TokenRefusal::Unavailable),
            _ => Err(TokenRefusal::Invalid),
        };
        Box::pin(async move { answer })
    }
}

struct OneNode;

impl Confirm for OneNode {
    fn confirm(
        &self,
        _number: FeedNumber,
    ) -> rndrkit_control::BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        let confirmation =
            Confirmation { nodes_confirmed: 1, nodes_expired: 0, took: Duration::from_millis(3) };
        Box::pin(async move { Ok(confirmation) })
    }

    fn wake(&self) {}
}

/// Ready until told otherwise; panics on demand, so that a handler that breaks can be seen.
#[derive(Default)]
pub struct Switches {
    pub not_ready: AtomicBool,
    pub panics: AtomicBool,
}

impl Health for Switches {
    fn ready(&self) -> Result<(), Vec<String>> {
        assert!(!self.panics.load(Ordering::SeqCst), "a handler that breaks, as a test asked");
        if self.not_ready.load(Ordering::SeqCst) { Err(vec!["draining".to_owned()]) } else { Ok(()) }
    }

    fn metrics_text(&self) -> String {
        "rndrkit_build_info 1\n".to_owned()
    }
}

pub struct App {
    pub control: Control,
    pub clock: Arc<ManualClock>,
    pub switches: Arc<Switches>,
    operator: Router,
    public: Router,
    telemetry: Router,
    database: TestDatabase,
}

fn plan(id: &str, name: &str, api_access: bool, active_keys: u32) -> Plan {
    let number = |n| NonZeroU32::new(n).unwrap();
    let rate_limit = RateLimit { per_minute: number(600), burst: number(100) };
    Plan { id: PlanId::parse(id).unwrap(), name: name.to_owned(), api_access, active_keys, rate_limit }
}

impl App {
    pub async fn start() -> Self {
        let database = TestDatabase::sqlite();
        let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        let settings = ControlSettings {
            public_url: "http://localhost:8080".to_owned(),
            brand_name: "RndrKit".to_owned(),
            sign_up: SignUpPolicy::Invite,
            billing: Billing::Operator,
            default_plan: PlanId::parse("starter").unwrap(),
            key_prefix: KeyPrefix::parse("rk_live_").unwrap(),
            password_min_length: 15,
            rotate_after: Some(Duration::from_secs(180 * 86_400)),
            sends_mail: false,
        };
        let control =
            Control::new(settings, store, clock.clone(), Arc::new(OsEntropy), Arc::new(OneNode)).unwrap();
        let plans = vec![
            plan("starter", "Starter", false, 5),
            plan("pro", "Pro", false, 5),
            plan("agency", "Agency", true, 5),
            plan("agency_plus", "Agency+", true, 5),
        ];
        control.sync_plans(plans).await.unwrap();
        let switches = Arc::new(Switches::default());
        let state = ServerState {
            control: control.clone(),
            authenticator: Arc::new(MadeUpTokens),
            health: switches.clone(),
            entropy: Arc::new(OsEntropy),
            settings: Arc::new(ServerSettings::default()),
        };
        let operator = rndrkit_server::operator_router(state.clone());
        let telemetry = rndrkit_server::telemetry_router(state.clone());
        let public = rndrkit_server::public_router(state);
        Self { control, clock, switches, operator, public, telemetry, database }
    }

    /// Adds to what a key did in a minute.
    pub async fn count(&self, account: &str, key: &str, minute: &str, counts: UsageCounts) {
        let (key_id, account_id) = (key.parse().unwrap(), account.parse().unwrap());
        let delta = UsageDelta { key_id, account_id, minute: minute.parse().unwrap(), counts };
        let store = Store::open(&OpenOptions::new(self.database.url())).await.unwrap();
        store.record_usage(&[delta], &[]).await.unwrap();
        store.close().await.unwrap();
    }

    /// That many keys of an account, each used today.
    pub async fn count_many(&self, account: &str, keys: usize) {
        let (minute, account_id) = (self.control.now(), account.parse().unwrap());
        let counts = UsageCounts { allowed: 1, ..UsageCounts::default() };
        let delta =
            |_| UsageDelta { key_id: KeyId::generate(minute, &OsEntropy), account_id, minute, counts };
        let deltas: Vec<_> = (0..keys).map(delta).collect();
        let store = Store::open(&OpenOptions::new(self.database.url())).await.unwrap();
        store.record_usage(&deltas, &[]).await.unwrap();
        store.close().await.unwrap();
    }

    /// A call of the operator API, with the operator's token until told otherwise.
    pub fn operator(&self, method: &str, path: &str) -> Call {
        Call::new(self.operator.clone(), method, path).token(OPERATOR)
    }

    /// A call of the public listener.
    pub fn public(&self, method: &str, path: &str) -> Call {
        Call::new(self.public.clone(), method, path)
    }

    /// A call of the listener for health and metrics alone.
    pub fn telemetry(&self, method: &str, path: &str) -> Call {
        Call::new(self.telemetry.clone(), method, path)
    }

    /// An account on Agency; its id.
    pub async fn account(&self, email: &str) -> String {
        let body = serde_json::json!({ "email": email, "plan": "agency" });
        let answer = self.operator("POST", "/v1/accounts").json(&body).send().await;
        answer.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned()
    }

    /// A key of the account; id and secret.
    pub async fn key(&self, account: &str, name: &str) -> (String, String) {
        let path = format!("/v1/accounts/{account}/keys");
        let answer = self.operator("POST", &path).json(&serde_json::json!({ "name": name })).send().await;
        let json = answer.expect(StatusCode::CREATED);
        (json["id"].as_str().unwrap().to_owned(), json["secret"].as_str().unwrap().to_owned())
    }

    /// How many accounts, keys and tokens exist, as far as the operator sees: to show that nothing changed.
    pub async fn everything(&self) -> String {
        let mut seen = String::new();
        for path in ["/v1/accounts?limit=100", "/v1/tokens?limit=100", "/v1/audit-log?limit=100"] {
            let answer = self.operator("GET", path).send().await;
            seen.push_str(&answer.expect(StatusCode::OK).to_string());
        }
        seen
    }
}

/// A request being put together.
pub struct Call {
    router: Router,
    request: Request<Body>,
}

impl Call {
    fn new(router: Router, method: &str, path: &str) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().insert(ClientInfo { ip: "192.0.2.7".parse().unwrap(), https: false });
        Self { router, request }
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn anonymous(mut self) -> Self {
        self.request.headers_mut().remove("authorization");
        self
    }

    /// Sets a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// Adds a header beside others of the name.
    pub fn another(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub fn text(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self.header("content-type", content_type)
    }

    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.request.extensions_mut().insert(value);
        self
    }

    pub fn request_id(self, id: RequestId) -> Self {
        self.extension(id)
    }

    pub async fn send(self) -> Answer {
        let response = self.router.oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.value()
    }

    /// The problem document of a refusal with this code, checked for what every problem has.
    #[track_caller]
    pub fn problem(&self, code: &str) -> Value {
        let problem = self.value();
        assert_eq!(problem["code"], code, "{}", self.body);
        assert_eq!(problem["status"], self.status.as_u16(), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["request_id"], self.header("x-rk-request-id"));
        for member in ["type", "title", "detail", "instance", "error"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", self.body);
        }
        problem
    }
}
