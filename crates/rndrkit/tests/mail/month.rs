//! A month of an account in a few seconds: the clock is moved hour by hour, everything else is real, and what the
//! mail server was given is what should have been said, once each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rndrkit::config::Mail;
use rndrkit::wiring::Mailer;
use rndrkit_control::{
    AccountPatch, Billing, BoxFuture, Confirm, ConfirmError, Confirmation, Context, Control, ControlSettings,
    NewAccountInput, SignUpPolicy,
};
use rndrkit_domain::audit::{Action, Actor, ActorType, NewEvent, Origin, Target};
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::id::{AccountId, EventId, KeyId, UserId};
use rndrkit_domain::key_text::KeyPrefix;
use rndrkit_domain::notification::{NEW_PLACE, NEW_PLACE_YES, NotificationKind};
use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::{Clock as _, ManualClock, Timestamp};
use rndrkit_domain::usage::{LastUse, UsageCounts, UsageDelta};
use rndrkit_mail::{Sender, SmtpServer, Words};
use rndrkit_store::{Change, OpenOptions, Store};
use rndrkit_testkit::database::TestDatabase;

use crate::receiver::Receiver;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

struct Nobody;

impl Confirm for Nobody {
    fn confirm(&self, _: FeedNumber) -> BoxFuture<'_, Result<Confirmation, ConfirmError>> {
        Box::pin(async { Ok(Confirmation { nodes_confirmed: 1, nodes_expired: 0, took: Duration::ZERO }) })
    }

    fn wake(&self) {}
}

/// An account, its control plane and its mail, by a clock that is moved.
struct Month {
    clock: Arc<ManualClock>,
    store: Store,
    control: Control,
    mailer: Mailer,
    account: AccountId,
}

fn plan(id: &str, name: &str) -> Plan {
    let number = |value| std::num::NonZeroU32::new(value).unwrap();
    Plan {
        id: PlanId::parse(id).unwrap(),
        name: name.to_owned(),
        api_access: true,
        active_keys: 5,
        rate_limit: RateLimit { per_minute: number(600), burst: number(100) },
    }
}

fn settings() -> ControlSettings {
    ControlSettings {
        public_url: "https://keys.example".to_owned(),
        brand_name: "RndrKit".to_owned(),
        sign_up: SignUpPolicy::Invite,
        billing: Billing::Operator,
        default_plan: PlanId::parse("agency").unwrap(),
        key_prefix: KeyPrefix::parse("rk_live_").unwrap(),
        rotate_after: None,
        password_min_length: 15,
        sends_mail: true,
    }
}

impl Month {
    async fn begin(database: &TestDatabase, receiver: &Receiver) -> Self {
        // A Sunday.
        let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
        let store = Store::open(&OpenOptions::new(database.url()).with_mail(true)).await.unwrap();
        let entropy = Arc::new(OsEntropy);
        let control =
            Control::new(settings(), store.clone(), clock.clone(), entropy.clone(), Arc::new(Nobody))
                .unwrap();
        control.sync_plans(vec![plan("agency", "Agency"), plan("agency_plus", "Agency+")]).await.unwrap();
        let input = NewAccountInput {
            email: "ada@northwind.example",
            name: Some("Northwind Studio"),
            plan: None,
            external_id: None,
        };
        let account = control.create_account(&Context::system(), input, None).await.unwrap().value.account.id;
        let mail = Mail {
            server: SmtpServer::parse(&receiver.url()).unwrap(),
            from: Sender::parse("RndrKit <keys@mail.example>").unwrap(),
        };
        let words = Words {
            brand: "RndrKit".to_owned(),
            public_url: "https://keys.example".to_owned(),
            plans: vec![
                ("agency".to_owned(), "Agency".to_owned()),
                ("agency_plus".to_owned(), "Agency+".to_owned()),
            ],
            browser: |_| "Firefox on Linux".to_owned(),
        };
        let mailer = Mailer::new(store.clone(), clock.clone(), entropy, mail, words);
        Self { clock, store, control, mailer, account }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An hour goes by: two nodes look for news, and mail is sent.
    async fn hour(&self) {
        self.clock.advance(HOUR);
        let (one, other) = tokio::join!(self.control.tell_news(), self.control.tell_news());
        one.unwrap();
        other.unwrap();
        Box::pin(self.mailer.round()).await;
    }

    async fn days(&self, days: u32) {
        for _ in 0..24 * days {
            self.hour().await;
        }
    }

    async fn key(&self, name: &str, ends_after_days: Option<u32>) -> (KeyId, String) {
        let end = ends_after_days.map(|days| self.now().plus(DAY * days).to_string());
        let context = Context::system();
        let made = self.control.create_key(&context, self.account, name, end.as_deref(), None).await.unwrap();
        (made.value.id, made.secret.unwrap().reveal().to_owned())
    }

    async fn used(&self, key_id: KeyId, secret: &str, counts: UsageCounts) {
        let minute = self.now().floor_to(Duration::from_secs(60));
        let delta = UsageDelta { key_id, account_id: self.account, minute, counts };
        let digest = rndrkit_domain::key_text::Digest::of(secret);
        let last = LastUse { digest, key_id, at: self.now() };
        self.store.record_usage(&[delta], &[last]).await.unwrap();
    }

    /// An event that other parts of the product write.
    async fn event(&self, action: Action, target: Target, details: Vec<(&'static str, String)>) {
        let event = NewEvent {
            id: EventId::generate(self.now(), &OsEntropy),
            at: self.now(),
            action,
            actor: Actor { kind: ActorType::User, id: None, name: Some("ada@northwind.example".to_owned()) },
            account_id: Some(self.account),
            target,
            origin: Origin::default(),
            details,
        };
        self.store.append_event(Change::new(self.now(), &OsEntropy), event).await.unwrap();
    }
}

#[tokio::test]
async fn a_month_of_an_account_is_told_once_each_and_never_a_secret() {
    let Some(receiver) = Receiver::start_or_notice().await else { return };
    let database = TestDatabase::sqlite();
    let month = Month::begin(&database, &receiver).await;
    let wanted = NotificationKind::ALL;
    let context = Context::system();
    assert!(month.control.choose_notifications(&context, month.account, &wanted).await.unwrap());

    month.hour().await;
    let (busy, busy_secret) = month.key("CI/CD Pipeline", None).await;
    let (_idle, idle_secret) = month.key("Old laptop", None).await;
    let (_, ending_secret) = month.key("Trial \u{5de}\u{5e4}\u{5ea}\u{5d7}", Some(14)).await;
    let mut secrets = vec![busy_secret.clone(), idle_secret, ending_secret];
    for day in 1..=35_u32 {
        let counts =
            UsageCounts { allowed: 100, limited: u64::from(day == 10) * 7, ..UsageCounts::default() };
        month.used(busy, &busy_secret, counts).await;
        if day == 10 {
            month.hour().await;
            month.used(busy, &busy_secret, counts).await;
        }
        if day == 12 {
            let patch = AccountPatch { plan: Some("agency_plus"), ..AccountPatch::default() };
            month.control.update_account(&context, month.account, patch).await.unwrap();
        }
        if day == 15 {
            let target = Target { kind: "key", id: busy.to_string() };
            month.event(Action::KeyRotated, target, vec![("overlap_seconds", "86400".to_owned())]).await;
        }
        if day == 20 {
            let (key, secret) = month.key("Mistake", None).await;
            secrets.push(secret);
            month.control.revoke_key(&context, key).await.unwrap();
        }
        if day == 22 {
            let user = UserId::generate(month.now(), &OsEntropy);
            let target = Target { kind: "user", id: user.to_string() };
            month.event(Action::UserSignedIn, target, vec![(NEW_PLACE, NEW_PLACE_YES.to_owned())]).await;
        }
        month.days(1).await;
    }
    judge(&receiver, &secrets, &month).await;
}

async fn judge(receiver: &Receiver, secrets: &[String], month: &Month) {
    let mails = receiver.mails();
    let mut subjects: BTreeMap<String, u32> = BTreeMap::new();
    let mut ids = Vec::new();
    for mail in &mails {
        let shown = shown(&mail.text);
        let subject = shown.lines().next().unwrap().to_owned();
        println!("{}  {}  {}  {subject}", mail.header("Date: "), mail.to, mail.id());
        *subjects.entry(subject).or_default() += 1;
        ids.push(mail.id().to_owned());
        assert!(!has_secret(&shown) && !has_secret(&mail.text), "{shown}");
        assert!(!secrets.iter().any(|secret| shown.contains(secret.as_str())), "{shown}");
        assert!(shown.contains("https://keys.example/"), "{shown}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), mails.len(), "each once");
    assert_eq!(month.store.mail_backlog().await.unwrap().waiting, 0);
    let told =
        |part: &str| subjects.iter().filter(|(name, _)| name.contains(part)).map(|(_, n)| n).sum::<u32>();
    let expected = [
        ("was created", 4),
        ("was deleted", 1),
        ("was rotated", 1),
        ("expires soon", 2),
        ("is not in use", 1),
        ("limit was reached", 1),
        ("The plan is Agency+", 1),
        // Mondays from the 2nd of November to the 30th; on the first there was no whole week yet, but a key.
        ("Your week", 5),
        // Nobody has joined this account: there is no such person to tell.
        ("new place", 0),
    ];
    for (part, count) in expected {
        assert_eq!(told(part), count, "{part}: {subjects:#?}");
    }
    assert_eq!(mails.len(), 16, "{subjects:#?}");
}

/// Subject and body as a mail program shows them: Python reads them.
fn shown(text: &str) -> String {
    let script = "import email, email.policy, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
print(m['Subject'])
print(m.get_content())";
    let mut child = std::process::Command::new("/usr/bin/python3")
        .args(["-c", script])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Whether a prefix with 32 characters behind it stands in a text: whatever else it is, it looks like a secret.
fn has_secret(text: &str) -> bool {
    text.match_indices("rk_live_").any(|(at, prefix)| {
        let rest = &text[at + prefix.len()..];
        rest.chars().take_while(char::is_ascii_alphanumeric).count() >= 32
    })
}
