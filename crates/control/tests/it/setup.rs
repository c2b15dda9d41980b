//! A control plane over a database of its own, with a clock that the test moves.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rndrkit_control::{
    Billing, BoxFuture, Confirm, ConfirmError, Confirmation, Context, Control, ControlSettings, LinkInput,
    NewAccountInput, Principal, SignUpPolicy,
};
use rndrkit_domain::audit::Origin;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock, ManualClock, Timestamp};
use rndrkit_domain::token::Scope;
use rndrkit_store::{Change, OpenOptions, Store};
use rndrkit_testkit::database::TestDatabase;

/// A password that nobody guesses first.
pub const PASSWORD: &str = "plum tractor violin seven";

/// Confirms everything at once, or nothing while `broken`, and remembers what was to be confirmed.
#[derive(Default)]
pub struct Nodes {
    pub broken: AtomicBool,
    asked: Mutex<Vec<FeedNumber>>,
}

impl Nodes {
    /// What was waited for since this was last asked.
    pub fn asked(&self) -> Vec<FeedNumber> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Confirm for Nodes {
    fn confirm(&self, number: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        self.asked.lock().unwrap().push(number);
        let broken = self.broken.load(Ordering::SeqCst);
        let good = Confirmation { nodes_confirmed: 3, nodes_expired: 0, took: Duration::ZERO };
        Box::pin(async move { if broken { Err(ConfirmError("a test".to_owned())) } else { Ok(good) } })
    }

    fn wake(&self) {}
}

pub struct Setup {
    pub control: Control,
    pub clock: Arc<ManualClock>,
    pub nodes: Arc<Nodes>,
}

fn plan(id: &str, name: &str, api_access: bool) -> Plan {
    let rate_limit =
        RateLimit { per_minute: NonZeroU32::new(600).unwrap(), burst: NonZeroU32::new(100).unwrap() };
    Plan { id: PlanId::parse(id).unwrap(), name: name.to_owned(), api_access, active_keys: 5, rate_limit }
}

/// The usual settings: invites, free plan changes.
pub async fn setup(database: &TestDatabase) -> Setup {
    setup_with(database, SignUpPolicy::Invite, Billing::Off).await
}

pub async fn setup_with(database: &TestDatabase, sign_up: SignUpPolicy, billing: Billing) -> Setup {
    setup_at(database.url(), sign_up, billing).await
}

/// Over a database by an address of the test's own.
pub async fn setup_at(url: &str, sign_up: SignUpPolicy, billing: Billing) -> Setup {
    let store = Store::open(&OpenOptions::new(url)).await.unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
    let settings = ControlSettings {
        public_url: "http://localhost:8080".to_owned(),
        brand_name: "RndrKit".to_owned(),
        sign_up,
        billing,
        default_plan: PlanId::parse("starter").unwrap(),
        key_prefix: KeyPrefix::parse("rk_live_").unwrap(),
        password_min_length: 15,
        rotate_after: Some(Duration::from_secs(180 * 86_400)),
        sends_mail: false,
    };
    // As every start does.
    let change = Change { at: clock.now(), tag: 1, salt: [0; 16] };
    store.ensure_prefix(&settings.key_prefix, change).await.unwrap();
    let nodes = Arc::new(Nodes::default());
    let control = Control::new(settings, store, clock.clone(), Arc::new(OsEntropy), nodes.clone()).unwrap();
    control
        .sync_plans(vec![plan("starter", "Starter", false), plan("agency", "Agency", true)])
        .await
        .unwrap();
    Setup { control, clock, nodes }
}

pub fn operator(scope: Scope) -> Context {
    Context { principal: Principal::Operator { token: None, scope }, origin: Origin::default() }
}

pub fn admin() -> Context {
    operator(Scope::Admin)
}

pub fn origin() -> Origin {
    Origin { ip: Some([192, 0, 2, 1].into()), user_agent: Some("test".to_owned()), request_id: None }
}

impl Setup {
    pub async fn account(&self, email: &str, plan: &str) -> AccountId {
        let input = NewAccountInput { email, plan: Some(plan), ..NewAccountInput::default() };
        self.control.create_account(&admin(), input, None).await.unwrap().value.account.id
    }

    /// Signs in through a link; who that makes.
    pub async fn user_of(&self, account: AccountId) -> Context {
        let link = self.control.create_link(&admin(), account, link_of_kind("sign_in")).await.unwrap();
        let opened = self.control.sign_in_by_link(secret_of(link.url.reveal()), &origin()).await.unwrap();
        let session = self.control.session(opened.token.reveal()).await.unwrap().unwrap();
        Context { principal: session.principal, origin: origin() }
    }
}

/// The secret part of a link's address.
/// A link to make, with nothing else said about it.
pub fn link_of_kind(kind: &str) -> LinkInput<'_> {
    LinkInput { kind, ..LinkInput::default() }
}

pub fn secret_of(url: &str) -> &str {
    url.split_once("?link=").unwrap().1
}
