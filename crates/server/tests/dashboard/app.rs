//! The dashboard under test: real control plane and database, a clock that stands still, and a browser
//! that keeps its cookie and says where its forms come from.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use rndrkit_control::{
    AccountPatch, Billing, BoxFuture, Confirm, ConfirmError, Confirmation, Context, Control, ControlSettings,
    LinkInput, NewAccountInput, SignUpPolicy,
};
use rndrkit_domain::client::ClientInfo;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::ManualClock;
use rndrkit_server::dashboard::{self, DashboardState};
use rndrkit_store::{OpenOptions, Store};
use rndrkit_testkit::database::{OtherWriter, TestDatabase, meddle};
use tower::ServiceExt as _;

/// Confirms at once, for as many nodes as the test says, or not at all while `broken`.
pub struct Follower {
    pub broken: AtomicBool,
    pub who: Mutex<Confirmation>,
}

impl Default for Follower {
    fn default() -> Self {
        let who = Confirmation { nodes_confirmed: 1, nodes_expired: 0, took: Duration::from_millis(3) };
        Self { broken: AtomicBool::default(), who: Mutex::new(who) }
    }
}

impl Confirm for Follower {
    fn confirm(&self, _number: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        let broken = self.broken.load(Ordering::SeqCst);
        let good = *self.who.lock().unwrap();
        Box::pin(async move { if broken { Err(ConfirmError("a test".to_owned())) } else { Ok(good) } })
    }

    fn wake(&self) {}
}

/// What differs between tests.
pub struct Setting {
    pub sign_up: SignUpPolicy,
    pub billing: Billing,
    pub public_url: &'static str,
    pub sends_mail: bool,
    /// Whether mail is put aside for it, too.
    pub outbox: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            sign_up: SignUpPolicy::Invite,
            billing: Billing::Off,
            public_url: "http://localhost:8080",
            sends_mail: false,
            outbox: false,
        }
    }
}

pub struct App {
    pub control: Control,
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub follower: Arc<Follower>,
    public_url: &'static str,
    router: Router,
    database: TestDatabase,
}

pub const PASSWORD: &str = "seven tall ships sail by";

fn plan(id: &str, name: &str, api_access: bool, active_keys: u32) -> Plan {
    let number = |n| NonZeroU32::new(n).unwrap();
    let rate_limit = RateLimit { per_minute: number(600), burst: number(100) };
    Plan { id: PlanId::parse(id).unwrap(), name: name.to_owned(), api_access, active_keys, rate_limit }
}

impl App {
    pub async fn start() -> Self {
        Self::with(Setting::default()).await
    }

    pub async fn with(setting: Setting) -> Self {
        let database = TestDatabase::sqlite();
        let store = Store::open(&OpenOptions::new(database.url()).with_mail(setting.outbox)).await.unwrap();
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        let settings = ControlSettings {
            public_url: setting.public_url.to_owned(),
            brand_name: "RndrKit".to_owned(),
            sign_up: setting.sign_up,
            billing: setting.billing,
            default_plan: PlanId::parse("starter").unwrap(),
            key_prefix: KeyPrefix::parse("rk_live_").unwrap(),
            password_min_length: 15,
            sends_mail: setting.sends_mail,
            rotate_after: Some(Duration::from_secs(180 * 86_400)),
        };
        let follower = Arc::new(Follower::default());
        let control =
            Control::new(settings, store.clone(), clock.clone(), Arc::new(OsEntropy), follower.clone())
                .unwrap();
        let plans = vec![
            plan("starter", "Starter", false, 5),
            plan("pro", "Pro", false, 5),
            plan("agency", "Agency", true, 5),
            plan("agency_plus", "Agency+", true, 5),
        ];
        control.sync_plans(plans).await.unwrap();
        let state = DashboardState::new(control.clone(), Arc::new(OsEntropy), "/api/rk/");
        let router = dashboard::router(state);
        Self { control, store, clock, follower, public_url: setting.public_url, router, database }
    }

    /// An account on a plan.
    pub async fn account(&self, email: &str, plan: &str) -> AccountId {
        let input = NewAccountInput { email, plan: Some(plan), ..NewAccountInput::default() };
        self.control.create_account(&Context::system(), input, None).await.unwrap().value.account.id
    }

    pub async fn set_plan(&self, account: AccountId, plan: &str) {
        let patch = AccountPatch { plan: Some(plan), ..AccountPatch::default() };
        self.control.update_account(&Context::system(), account, patch).await.unwrap();
    }

    /// The database, for writing what the data plane would.
    pub async fn store(&self) -> Store {
        Store::open(&OpenOptions::new(self.database.url())).await.unwrap()
    }

    /// Changes the database behind the dashboard's back.
    pub async fn meddle(&self, statement: &str) {
        meddle(self.database.url(), statement).await;
    }

    /// Keeps everybody else from writing to the database.
    pub async fn other_writer(&self) -> OtherWriter {
        OtherWriter::begin(self.database.url()).await
    }

    /// The path and query of a new link.
    pub async fn link(&self, account: AccountId, kind: &str) -> String {
        let link = self
            .control
            .create_link(&Context::system(), account, LinkInput { kind, ..LinkInput::default() })
            .await
            .unwrap();
        link.url.reveal().strip_prefix(self.public_url).unwrap().to_owned()
    }

    /// A browser without a session.
    pub fn stranger(&self) -> Browser {
        let host = self.public_url.split_once("//").unwrap().1;
        Browser { router: self.router.clone(), host: host.to_owned(), cookie: None, told: None }
    }

    /// A browser that is signed in to an account through an operator's link.
    pub async fn visitor(&self, account: AccountId) -> Browser {
        let link = self.link(account, "sign_in").await;
        let mut browser = self.stranger();
        let secret = link.split_once("link=").unwrap().1;
        browser.post("/sign-in/link", &[("link", secret)]).await.leads_to("/");
        browser
    }

    /// A browser that is signed in to a new account on a plan.
    pub async fn customer(&self, plan: &str) -> (AccountId, Browser) {
        let account = self.account("ada@northwind.example", plan).await;
        let browser = self.visitor(account).await;
        (account, browser)
    }
}

/// Keeps its cookie, follows nothing, and marks its forms as browsers do.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    host: String,
    pub cookie: Option<String>,
    /// The cookie about what was just done.
    pub told: Option<String>,
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut request = self.request("POST", path);
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
        *request.body_mut() = Body::from(encode(fields));
        self.send(request).await
    }

    /// A bare request with the browser's host and cookie, for tests that dress it otherwise.
    pub fn request(&self, method: &str, path: &str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("host", self.host.parse().unwrap());
        for cookie in self.cookie.iter().chain(&self.told) {
            request.headers_mut().append("cookie", cookie.parse().unwrap());
        }
        request.extensions_mut().insert(ClientInfo { ip: "192.0.2.7".parse().unwrap(), https: false });
        request
    }

    /// Asks, and leaves the answer unread.
    pub async fn open(&self, path: &str) -> Response<Body> {
        self.router.clone().oneshot(self.request("GET", path)).await.unwrap()
    }

    pub async fn send(&mut self, request: Request<Body>) -> Page {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        for line in parts.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let place = if pair.contains("rk_told") { &mut self.told } else { &mut self.cookie };
            *place = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        Page {
            status: parts.status,
            headers: parts.headers,
            html: String::from_utf8_lossy(&bytes).into_owned(),
            bytes: bytes.to_vec(),
        }
    }

    /// Opens the create form, fills it in and sends it.
    pub async fn create_key(&mut self, name: &str) -> Page {
        let form_id = self.form_id().await;
        self.post("/settings/api-keys", &[("form_id", &form_id), ("name", name)]).await
    }

    /// The one-time number of a fresh form.
    pub async fn form_id(&mut self) -> String {
        self.get("/settings").await.field("form_id")
    }
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    pairs.join("&")
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
    /// As they came, compressed or not.
    pub bytes: Vec<u8>,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub fn leads_to(&self, address: &str) {
        assert_eq!((self.status, self.header("location")), (StatusCode::SEE_OTHER, address), "{}", self.html);
    }

    #[track_caller]
    pub fn says(&self, status: StatusCode, words: &str) {
        assert_eq!(self.status, status, "{}", self.html);
        assert!(self.html.contains(words), "{words:?} is not in {}", self.html);
    }

    /// The value of the first field of a name.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.html.split_once(&start).unwrap_or_else(|| panic!("no {name} in {}", self.html)).1;
        rest.split('"').next().unwrap().to_owned()
    }

    /// The secret that the page shows, if it shows one.
    pub fn secret(&self) -> Option<String> {
        let field = self.html.split_once("<textarea id=\"secret\"")?.1;
        field.split(['>', '<']).nth(1).map(ToOwned::to_owned)
    }

    /// Ids of the keys in the table.
    pub fn key_ids(&self) -> Vec<String> {
        let rows = self.html.split("data-key-id=\"").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
    }
}
